"""Where the shoe is in a catalogue shot."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.training.photos.shoes import draw_shot
from training.photos.outlines import find_outline, outline_all


@pytest.mark.parametrize("margin", [255, 230, 180])
def test_the_outline_is_the_shoe(margin: int) -> None:
    """On a plain, bright margin, white or grey, the outline is the drawn pixels and no others."""
    pixels, mask = draw_shot(margin=margin)
    outline = find_outline(pixels)
    assert outline is not None
    assert np.array_equal(outline, mask)


def test_what_is_enclosed_belongs_to_the_shoe() -> None:
    """A white patch within the shoe is part of it, since margin does not reach it."""
    pixels, mask = draw_shot()
    patched = pixels.copy()
    patched[50:58, 20:40] = 255
    outline = find_outline(patched)
    assert outline is not None
    assert np.array_equal(outline, mask)


def test_a_toe_at_the_edge() -> None:
    """A shoe that touches an edge of its picture is outlined up to that edge."""
    pixels, mask = draw_shot()
    outline = find_outline(pixels[:, :66])
    assert outline is not None
    assert np.array_equal(outline, mask[:, :66])


def test_dust_goes_and_a_pair_stays() -> None:
    """A speck far below the shoe's size is left out; a second shoe of about its size is kept."""
    pixels, mask = draw_shot()
    dusty = pixels.copy()
    dusty[5:9, 70:74] = 0
    outline = find_outline(dusty)
    assert outline is not None
    assert np.array_equal(outline, mask)
    pair = find_outline(np.concatenate([pixels, pixels]))
    assert pair is not None
    assert np.array_equal(pair, np.concatenate([mask, mask]))


def _noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)


def _scene() -> np.ndarray:
    """A shoe before sky and floor."""
    pixels, mask = draw_shot()
    scene = np.where(np.arange(80)[:, None, None] < 40, np.uint8(220), np.uint8(150)).repeat(80, 1).repeat(3, 2)
    return np.where(mask[:, :, None], pixels, scene)


def _dot() -> np.ndarray:
    picture = Image.new("RGB", (80, 80), "white")
    ImageDraw.Draw(picture).rectangle((40, 40, 48, 48), fill="black")
    return np.asarray(picture)


@pytest.mark.parametrize(
    "pixels",
    [_noise(), _scene(), draw_shot(margin=40)[0], np.full((80, 80, 3), 255, dtype=np.uint8), _dot()],
    ids=["noise", "scene", "dark margin", "all white", "under two percent"],
)
def test_no_outline(pixels: np.ndarray) -> None:
    """A picture without a plain, bright margin, or with too little on it, has no outline."""
    assert find_outline(pixels) is None
    assert outline_all([pixels]) == [None]


def test_the_halo_takes_the_shadow() -> None:
    """The rougher outline has all of the outline, and the faint shadow beside the shoe as well."""
    pixels, mask = draw_shot()
    shadow = np.zeros_like(mask)
    shadow[61:66, 15:65] = True
    shaded = np.where((shadow & ~mask)[:, :, None], np.uint8(235), pixels)
    (outlined,) = outline_all([shaded])
    assert outlined is not None
    assert np.array_equal(outlined.outline, mask)
    assert np.array_equal(outlined.halo, mask | shadow)
