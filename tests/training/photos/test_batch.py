"""What a batch shows the network."""

import numpy as np
import torch

from model.tvae import to_float
from training.photos.batch import DRAWS, PhotoBatch, ViewTensors, draw_batch
from training.photos.views import Views

SHOES, COUNT = 8, 3
RANDOM = np.random.default_rng(0)
CLEAN = RANDOM.integers(0, 100, (SHOES, 3, 6, 6), dtype=np.uint8)
MIRRORED = RANDOM.random((SHOES, COUNT)) < 0.5
USABLE = np.arange(SHOES * COUNT).reshape(SHOES, COUNT) % 4 != 0
# A photo is the negative of its shoe's picture, with a shade for its number, mirrored where it is said to be.
PHOTOS = np.stack([255 - CLEAN - 10 * number for number in range(COUNT)], axis=1)
PHOTOS = np.where(MIRRORED[:, :, None, None, None], PHOTOS[..., ::-1], PHOTOS)
VIEWS = ViewTensors.of(
    Views(np.ascontiguousarray(PHOTOS), USABLE, MIRRORED, np.ones(USABLE.shape), np.ones(USABLE.shape))
)


def _draw(share: float, seed: int = 0) -> tuple[PhotoBatch, torch.Tensor, torch.Tensor]:
    """A batch of 400 shoes, with their catalogue pictures, and the random numbers that it was drawn with."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(0, SHOES, (400,), generator=generator)
    draws = torch.rand(400, DRAWS, generator=generator)
    clean = to_float(CLEAN)[rows]
    return draw_batch(clean, VIEWS, rows, draws, share), rows, draws


def _same(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) twice -> (B,) bool; but for the scale mark, which is the lowest row here."""
    return (left - right)[:, :, :-1].abs().amax(dim=(1, 2, 3)) < 1e-6


def _is_photo(batch: PhotoBatch) -> torch.Tensor:
    """Photos are brighter than any catalogue picture here."""
    return batch.shown.amin(dim=(1, 2, 3)) > 0.5


def test_what_is_shown_faces_the_way_of_the_target() -> None:
    """The target is the catalogue picture as what is shown faces, whether that is a photo or the picture itself."""
    batch, rows, draws = _draw(0.6)
    photo = _is_photo(batch)
    number = (draws[:, 0] * COUNT).long()
    negative = 1.0 - batch.target - number[:, None, None, None] * 10 / 255
    assert _same(batch.shown, negative)[photo].all()
    assert _same(batch.shown, batch.target)[~photo].all()
    clean = to_float(CLEAN)[rows]
    as_it_is, turned = _same(batch.target, clean), _same(batch.target, clean.flip(3))
    assert (as_it_is ^ turned).all()
    for part in (photo, ~photo):
        assert 0.35 < turned[part].float().mean() < 0.65


def test_the_reference_is_the_catalogue_picture() -> None:
    """It is the shoe's own, mirrored by chance whatever way a photo faces; it is what is shown where no photo is."""
    batch, rows, _ = _draw(0.6)
    photo, clean = _is_photo(batch), to_float(CLEAN)[rows]
    assert (_same(batch.reference, clean) | _same(batch.reference, clean.flip(3))).all()
    assert _same(batch.shown, batch.reference)[~photo].all()
    alike = _same(batch.reference, batch.target)
    assert alike[~photo].all()
    assert 0.35 < alike[photo].float().mean() < 0.65


def test_some_scale_marks_are_hidden() -> None:
    """Of the catalogue pictures that are encoded some have no mark; what is to be drawn always has it."""
    batch, rows, _ = _draw(0.0)
    hidden = (batch.reference[:, :, -1] == 1).all(dim=(1, 2))
    assert 0.2 < hidden.float().mean() < 0.4
    assert (batch.shown == batch.reference).all()
    assert (batch.target[:, :, -1].sum(dim=(1, 2)) - to_float(CLEAN)[rows][:, :, -1].sum(dim=(1, 2))).abs().max() < 1e-5


def test_the_share_of_photos() -> None:
    """A share of 0 shows no photo, 1 all that are usable and no others, and in between about as many as it says."""
    for share in (0.0, 0.3, 1.0):
        batch, rows, draws = _draw(share)
        photo, usable = _is_photo(batch), VIEWS.usable[rows, (draws[:, 0] * COUNT).long()]
        assert not photo[~usable].any()
        assert 0.5 < usable.float().mean() < 0.9
        shown = photo[usable].float().mean().item()
        assert abs(shown - share) < (0.1 if 0 < share < 1 else 1e-9)


def test_every_view_is_shown() -> None:
    """Each usable view of each shoe comes up."""
    _, rows, draws = _draw(1.0)
    drawn = set(zip(rows.tolist(), (draws[:, 0] * COUNT).long().tolist(), strict=True))
    assert len(drawn) == SHOES * COUNT


def test_views_are_named() -> None:
    """The batch says which shoes are shown by a photo view."""
    batch, _, _ = _draw(0.6)
    assert torch.equal(batch.is_view, _is_photo(batch))
