import torch

from training.augment import AugmentConfig, augment, draw_changes

NOTHING = AugmentConfig(flip=0, shift=0, scale=0, turn=0)


def _images() -> torch.Tensor:
    return torch.rand(16, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def _draws(count: int = 16) -> torch.Tensor:
    return draw_changes(count, torch.Generator().manual_seed(1))


def test_nothing_changes_nothing() -> None:
    """With everything at zero the pictures stay as they are."""
    assert torch.equal(augment(_images(), NOTHING, _draws()), _images())


def test_a_sure_flip_is_a_mirror_image() -> None:
    """With a flip chance of 1 every picture is mirrored, left to right."""
    flipped = augment(_images(), AugmentConfig(flip=1, shift=0, scale=0, turn=0), _draws())
    assert torch.allclose(flipped, _images().flip(3), atol=1e-4)


def test_white_stays_white() -> None:
    """No change paints a white background."""
    white = torch.ones(4, 3, 16, 16)
    changed = augment(white, AugmentConfig(colour=0.3, shift=0.3, scale=0.3, turn=0.5), _draws(4))
    assert torch.allclose(changed, white, atol=1e-5)


def test_each_picture_has_its_own_draw() -> None:
    """Equal pictures come out different from each other, and within range."""
    same = _images()[:1].repeat(8, 1, 1, 1)
    changed = augment(same, AugmentConfig(colour=0.2), _draws(8))
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert not torch.allclose(changed[0], changed[1], atol=1e-3)


def test_deterministic_by_draws() -> None:
    """The same draws give the same pictures."""
    assert torch.equal(augment(_images(), AugmentConfig(), _draws()), augment(_images(), AugmentConfig(), _draws()))
