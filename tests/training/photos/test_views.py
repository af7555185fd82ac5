"""Photo views: what the network learns from in place of catalogue pictures."""

import numpy as np
import pytest
import torch
from PIL import Image

from model.framing import Box
from model.localizer import Localizer, LocalizerConfig
from model.preprocess import PreprocessConfig, Preprocessor
from tests.model.networks import tiny_localizer
from tests.training.photos.shoes import draw_outlined, same_views
from training.photos import views as module
from training.photos.localizer import draw_backgrounds
from training.photos.views import LEAST_OVERLAP, Views, box_overlap, make_views

FRAMING = PreprocessConfig(size=32, framing="subject")
SHOES = draw_outlined(6)
BANK = draw_backgrounds(SHOES, seed=0, count=4)


class _Everything(Localizer):
    """Takes all of every photo for the shoe."""

    def __init__(self) -> None:
        super().__init__(LocalizerConfig(size=32, widths=(4, 8)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, H, W)."""
        return torch.full_like(images[:, 0], 9.0)


def _make(seed: int = 0, workers: int = 1) -> Views:
    sighted = Preprocessor(FRAMING, None, tiny_localizer())
    return make_views([SHOES[0], None, *SHOES[1:]], BANK, sighted, 3, seed=seed, workers=workers)


@pytest.mark.parametrize("workers", [2, 5])
def test_any_number_of_threads_gives_the_same_views(workers: int) -> None:
    """Views depend on the seed and the shoe, not on how many threads make them."""
    assert same_views(_make(), _make(workers=workers))


def test_another_seed_gives_other_views() -> None:
    """Every shoe's views change with the seed."""
    first, other = _make(), _make(seed=1)
    assert first.pixels.shape == (7, 3, 3, 32, 32)
    for shoe in (0, *range(2, 7)):
        assert not np.array_equal(first.pixels[shoe], other.pixels[shoe])


def test_a_shoe_without_an_outline_has_no_usable_view() -> None:
    """It keeps its row, empty, and counts for none of the overlaps."""
    made = _make()
    assert not made.usable[1].any()
    assert not made.pixels[1].any()
    assert np.isnan(made.overlaps[1]).all()
    assert np.isfinite(np.delete(made.overlaps, 1, axis=0)).all()


def test_what_is_usable() -> None:
    """A view is usable where the box that was found and the shoe's overlap enough; it is what the service would see."""
    sighted = Preprocessor(FRAMING, None, _Everything())
    made = make_views(SHOES, BANK, sighted, 4, seed=0)
    overlaps, taken_whole = made.overlaps, 0
    for index, shoe in enumerate(SHOES):
        random = np.random.default_rng([0, 3, index])
        for number, photo in enumerate(module.draw_photos(shoe, BANK, random, 4)):
            framed = sighted.frame_picture(Image.fromarray(photo.pixels))
            inside = photo.mask > 0.5
            height, width = inside.any(axis=1).sum(), inside.any(axis=0).sum()
            if framed.subject is not None and framed.subject.coverage > 0.9:
                assert overlaps[index, number] == pytest.approx(height * width / inside.size, abs=0.06)
                taken_whole += 1
            assert made.usable[index, number] == (overlaps[index, number] >= LEAST_OVERLAP)
            assert made.mirrored[index, number] == photo.mirrored
            assert np.array_equal(made.pixels[index, number], framed.pixels)
    assert taken_whole > 12
    assert made.usable.any()
    assert not made.usable.all()
    assert made.mirrored.any()


def test_overlap_of_boxes_against_pixels() -> None:
    """Intersection over union, as counted in pixels; boxes apart have none."""
    random = np.random.default_rng(0)
    for _ in range(30):
        masks, boxes = [], []
        for _ in range(2):
            left, top = (int(value) for value in random.integers(0, 15, 2))
            width, height = (int(value) for value in random.integers(1, 6, 2))
            mask = np.zeros((20, 20), dtype=np.bool_)
            mask[top : top + height, left : left + width] = True
            masks.append(mask)
            boxes.append(Box(left / 20, top / 20, width / 20, height / 20))
        expected = (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()
        assert box_overlap(*boxes) == pytest.approx(expected)


def test_views_of_some_shoes() -> None:
    """Views are taken by index, in the order of the indices."""
    made = _make()
    taken = made.take([4, 0])
    assert np.array_equal(taken.pixels, made.pixels[[4, 0]])
    assert np.array_equal(taken.usable, made.usable[[4, 0]])
    assert np.array_equal(taken.mirrored, made.mirrored[[4, 0]])
