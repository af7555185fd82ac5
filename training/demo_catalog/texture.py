"""What materials look like: their grain, as a field that multiplies colour, and how they take the light."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

__all__ = ["HEIGHT", "WIDTH", "Look", "grain", "look_of"]

WIDTH, HEIGHT = 136, 102
_MARGIN = 24  # a shoe takes its window of the field at a random offset up to this
_FINE = 3  # fields are drawn this much larger, then reduced


@dataclass(frozen=True)
class Look:
    """How a material takes the light.

    Attributes:
        texture: the name of its grain.
        depth: contrast of the grain.
        gloss: strength of the painted highlights, 0 (matt) to 1 (mirror).
        relief: contrast of the shading by form.
    """

    texture: str
    depth: float
    gloss: float
    relief: float = 1.0


_LOOKS = {
    "Leather": Look("pebble", 0.05, 0.34, 1.1),
    "Patent Leather": Look("plain", 0.0, 1.0, 1.5),
    "Suede": Look("nap", 0.07, 0.0, 0.75),
    "Nubuck": Look("nap", 0.05, 0.06, 0.85),
    "Canvas": Look("weave", 0.20, 0.0, 0.7),
    "Denim": Look("twill", 0.26, 0.0, 0.7),
    "Mesh": Look("mesh", 0.26, 0.06, 0.8),
    "Synthetic": Look("plain", 0.0, 0.5, 1.0),
    "Rubber": Look("plain", 0.0, 0.62, 1.2),
    "EVA": Look("pebble", 0.03, 0.2, 1.0),
    "Satin": Look("brushed", 0.07, 0.7, 1.3),
    "Velvet": Look("nap", 0.10, 0.0, 1.7),
    "Glitter": Look("glitter", 0.55, 0.2, 0.9),
    "Wool": Look("knit", 0.28, 0.0, 0.7),
    "Felt": Look("fibre", 0.13, 0.0, 0.7),
    "Fleece": Look("curls", 0.09, 0.0, 0.7),
    "Shearling": Look("curls", 0.09, 0.0, 0.8),
    "Corduroy": Look("ribs", 0.26, 0.0, 0.8),
    "Nylon": Look("quilt", 0.28, 0.18, 1.0),
    "Cork": Look("speckle", 0.22, 0.0, 0.8),
    "Terry": Look("curls", 0.12, 0.0, 0.7),
}


def look_of(material: str) -> Look:
    """Return how `material` (a word of the catalogue's vocabulary) looks."""
    return _LOOKS[material]


def grain(texture: str, offset: tuple[int, int]) -> NDArray[np.float32]:
    """Return the (HEIGHT, WIDTH) grain of a texture, around 0 and about -1 to 1, at a window `offset` (x, y)."""
    x, y = offset[0] % _MARGIN, offset[1] % _MARGIN
    return _field(texture)[y : y + HEIGHT, x : x + WIDTH]


def _noise(rng: np.random.Generator, radius: tuple[float, float]) -> NDArray[np.float32]:
    """Return smooth noise of unit deviation, blurred by `radius` (x, y) in pixels of the fine field."""
    shape = ((HEIGHT + _MARGIN) * _FINE, (WIDTH + _MARGIN) * _FINE)
    white = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))
    field = np.asarray(white.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32)
    noise: NDArray[np.float32] = (field - field.mean()) / max(float(field.std()), 1e-6)
    return noise


def _woven(texture: str, x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Return a regular grain over the fine coordinates `x`, `y`, given in pixels of the finished picture."""
    wave = np.float32(2 * np.pi)
    field: NDArray[np.float32] | None = None
    match texture:
        case "weave":
            field = np.sin(wave * x / 2.6) * np.sin(wave * y / 2.6)
        case "twill":
            field = np.sin(wave * (x + y) / 3.2)
        case "mesh":
            field = np.sin(wave * (x + y * 0.5) / 3.4) * np.sin(wave * (x - y * 0.5) / 3.4) * 1.6 - 0.2
        case "knit":
            field = np.sin(wave * (y + 1.3 * np.abs((x % 4.0) - 2.0)) / 3.2) + 0.3 * np.cos(wave * x / 4.0)
        case "ribs":
            field = np.sin(wave * x / 4.0)
        case "quilt":
            seam = np.minimum(np.abs((x + y) % 12.0 - 6.0), np.abs((x - y) % 12.0 - 6.0))
            field = np.minimum(seam / 2.5, 1.0) * 1.5 - 1.1
    return field


def _grown(texture: str, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return an irregular grain, at the size of the fine field."""
    match texture:
        case "nap":
            field = 0.8 * _noise(rng, (2.2, 2.2)) + 0.2 * _noise(rng, (7, 6))
        case "fibre":
            field = 0.6 * _noise(rng, (7, 1.5)) + 0.5 * _noise(rng, (1.5, 6))
        case "curls":
            field = 1.1 * _noise(rng, (2.8, 2.8))
        case "speckle":
            field = np.where(_noise(rng, (2.2, 2.2)) > 1.1, np.float32(-1.6), np.float32(0.2))
        case "glitter":
            field = np.where(_noise(rng, (1.3, 1.3)) > 1.2, np.float32(2.2), np.float32(-0.25))
        case "pebble":
            field = 0.7 * _noise(rng, (2.0, 2.0))
        case "brushed":
            field = _noise(rng, (14, 1.5))
        case _:
            field = 0.0 * _noise(rng, (1, 1))
    return field


@lru_cache(maxsize=32)
def _field(texture: str) -> NDArray[np.float32]:
    rows, columns = HEIGHT + _MARGIN, WIDTH + _MARGIN
    y, x = np.mgrid[0 : rows * _FINE, 0 : columns * _FINE].astype(np.float32) / _FINE
    rng = np.random.default_rng(list(texture.encode()))
    regular = _woven(texture, x, y)
    fine = _grown(texture, rng) if regular is None else regular + 0.2 * _noise(rng, (2, 2))
    field: NDArray[np.float32] = fine.reshape(rows, _FINE, columns, _FINE).mean(axis=(1, 3), dtype=np.float32)
    return field
