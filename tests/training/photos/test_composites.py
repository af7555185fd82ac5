"""Catalogue shots, cut out and put before a background."""

import numpy as np
import pytest

from tests.training.photos.shoes import draw_shot
from training.photos.composites import Composite, CompositeConfig, compose

STILL = CompositeConfig(turn=0.0, tilt=0.0, smallest=1.0)


def _compose(seed: int, size: tuple[int, int] = (96, 128), config: CompositeConfig | None = None) -> Composite:
    """A bright shoe before black, so that whatever is not black is the shoe."""
    pixels, outline = draw_shot((255, 255, 255))
    random = np.random.default_rng(seed)
    return compose(random, pixels, outline, np.zeros((*size, 3), dtype=np.uint8), config or CompositeConfig())


def test_a_seed_gives_the_same_composite() -> None:
    """The same seed gives the same pixels and mask, another seed gives others; the background is left as it was."""
    pixels, outline = draw_shot()
    background = np.full((60, 80, 3), 90, dtype=np.uint8)
    first, again, other = (
        compose(np.random.default_rng(seed), pixels, outline, background, CompositeConfig()) for seed in (1, 1, 2)
    )
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.mask, again.mask)
    assert not np.array_equal(first.pixels, other.pixels)
    assert not np.array_equal(first.mask, other.mask)
    assert (background == 90).all()


@pytest.mark.parametrize("seed", range(12))
def test_the_mask_is_where_the_shoe_was_put(seed: int) -> None:
    """What is bright in the composite and the mask overlap nearly wholly, whatever turn, size and light."""
    made = _compose(seed)
    inside = made.mask > 0.5
    bright = made.pixels.mean(axis=2)
    shown = bright > 0.5 * np.median(bright[inside])
    assert (shown & inside).sum() / (shown | inside).sum() > 0.85
    assert made.mask.shape == (96, 128)
    assert 0.0 <= made.mask.min() < made.mask.max() <= 1.0


@pytest.mark.parametrize("seed", range(6))
def test_mirrored_is_what_the_mask_shows(seed: int) -> None:
    """The toe's side has less of the shoe than the shaft's: at the right as drawn, at the left where mirrored."""
    made = _compose(seed, config=STILL)
    columns = np.flatnonzero((made.mask > 0.5).any(axis=0))
    middle = (columns[0] + columns[-1]) // 2
    left, right = made.mask[:, : middle + 1].sum(), made.mask[:, middle + 1 :].sum()
    assert (left < right) == made.mirrored


@pytest.mark.parametrize("side", [8, 16, 25, 26, 40])
def test_small_backgrounds(side: int) -> None:
    """A background of few pixels takes a shoe like any other, blurred or not."""
    for seed in range(12):
        made = _compose(seed, (side, side))
        assert made.pixels.shape == (side, side, 3)
        assert made.pixels.max() > 0


def test_the_halo_is_pasted_and_not_masked() -> None:
    """With a halo its margin shows in the picture, while the mask stays that of the outline."""
    pixels, outline = draw_shot((255, 255, 255))
    background, everything = np.zeros((80, 80, 3), dtype=np.uint8), np.ones_like(outline)
    plain = compose(np.random.default_rng(3), pixels, outline, background, STILL)
    rough = compose(np.random.default_rng(3), pixels, outline, background, STILL, halo=everything)
    assert np.array_equal(plain.mask, rough.mask)
    beyond = plain.mask == 0.0
    assert rough.pixels[beyond].mean() > plain.pixels[beyond].mean() + 50
