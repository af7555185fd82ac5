import torch

from training.augment import draw_changes, erase, mirror, reframe
from training.config import AugmentConfig

NOTHING = AugmentConfig(flip=0, shift=0, scale=0, turn=0)


def _images() -> torch.Tensor:
    return torch.rand(16, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def _draws(count: int = 16) -> torch.Tensor:
    return draw_changes(count, torch.Generator().manual_seed(1))


def test_nothing_changes_nothing() -> None:
    """With everything at zero the pictures stay as they are."""
    assert torch.equal(mirror(_images(), NOTHING, _draws()), _images())
    assert torch.equal(reframe(_images(), NOTHING, _draws()), _images())


def test_a_sure_flip_is_a_mirror_image() -> None:
    """With a flip chance of 1 every picture is mirrored, left to right."""
    flipped = mirror(_images(), AugmentConfig(flip=1, shift=0, scale=0, turn=0), _draws())
    assert torch.allclose(flipped, _images().flip(3), atol=1e-4)


def test_white_stays_white() -> None:
    """No change paints a white background."""
    white = torch.ones(4, 3, 16, 16)
    changed = reframe(white, AugmentConfig(colour=0.3, shift=0.3, scale=0.3, turn=0.5), _draws(4))
    assert torch.allclose(changed, white, atol=1e-5)


def test_each_picture_has_its_own_draw() -> None:
    """Equal pictures come out different from each other, and within range."""
    same = _images()[:1].repeat(8, 1, 1, 1)
    changed = reframe(same, AugmentConfig(colour=0.2), _draws(8))
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert not torch.allclose(changed[0], changed[1], atol=1e-3)


def test_deterministic_by_draws() -> None:
    """The same draws give the same pictures."""
    config = AugmentConfig(shift=0.2, colour=0.2)
    assert torch.equal(reframe(_images(), config, _draws()), reframe(_images(), config, _draws()))
    assert torch.equal(mirror(_images(), config, _draws()), mirror(_images(), config, _draws()))


def test_erased_squares_are_grey_and_the_rest_is_untouched() -> None:
    """A sure erasure greys at most a sixteenth of each picture, elsewhere each time, and leaves its input alone."""
    images = _images()
    erased = erase(images, AugmentConfig(erase=1), _draws())
    changed = (erased != images).any(dim=1)  # (B, H, W)
    assert torch.equal(images, _images())
    assert (erased.movedim(1, 3)[changed] == 0.5).all()
    assert (changed.flatten(1).sum(dim=1) <= 16).all()
    assert changed.flatten(1).any(dim=1).all()
    assert not torch.equal(changed[0], changed[1])


def test_no_erasure_by_default() -> None:
    """What is encoded is the picture itself, unless an erasure is asked for."""
    assert torch.equal(erase(_images(), AugmentConfig(), _draws()), _images())


def test_a_share_of_the_pictures_is_moved() -> None:
    """With a chance below 1 some pictures stay as they are, to the bit, and the others do not."""
    images = _images()
    moved = reframe(images, AugmentConfig(flip=0, shift=0.2, moved=0.5), _draws())
    assert torch.equal(images, _images())
    same = (moved == images).flatten(1).all(dim=1)
    assert same.any()
    assert not same.all()


def test_a_batch_of_which_none_is_moved() -> None:
    """Where chance moves no picture of a batch, all stay as they are."""
    draws = _draws()
    draws[:, 9] = 0.9
    assert torch.equal(reframe(_images(), AugmentConfig(flip=0, shift=0.2, moved=0.5), draws), _images())
