"""The canvas: a shoe's components are drawn on it as polygons, then shaded, textured and given a shadow.

Each material has a `Look`: a grain, which multiplies the colour, and the way it reflects light.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from training.demo_catalog.outline import Last, Points

Color = tuple[int, int, int]

_WIDTH, _HEIGHT = 136, 102
_FINE = 3  # shapes and grains are drawn this much larger than the picture, then reduced: antialiasing
_MARGIN = 24  # a shoe takes its window of the field at a random offset up to this
_STITCH = 2  # points of a curve for each stitch, and for each gap


class Surface(Enum):
    """What a part is made of; the value is its ink on the mask (cover, upper, second material, sole)."""

    PLAIN = (255, 0, 0, 0)
    UPPER = (255, 255, 0, 0)
    SECOND = (255, 0, 255, 0)
    SOLE = (255, 0, 0, 255)


@dataclass(frozen=True)
class Pose:
    """How the shoe lies in the picture: pixels for a foot length, the place of its toe (x, y), degrees of tilt."""

    scale: float
    toe: tuple[float, float]
    tilt: float


@dataclass(frozen=True)
class Light:
    """The light of the photograph: its side (-1 left to 1 right), strength, and the darkness of the ground shadow."""

    side: float
    strength: float
    shadow: float
    offset: tuple[int, int]


def mix(first: Color, second: Color, share: float) -> Color:
    """Return the colour that lies `share` (0 to 1) of the way from `first` to `second`."""
    a, b, c = (round(x + (y - x) * share) for x, y in zip(first, second, strict=True))
    return a, b, c


def darken(color: Color, share: float) -> Color:
    """Return `color` mixed with a `share` of black."""
    return mix(color, (0, 0, 0), share)


def lighten(color: Color, share: float) -> Color:
    """Return `color` mixed with a `share` of white."""
    return mix(color, (255, 255, 255), share)


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
    """Return the (_HEIGHT, _WIDTH) grain of a texture, around 0 and about -1 to 1, at a window `offset` (x, y)."""
    x, y = offset[0] % _MARGIN, offset[1] % _MARGIN
    return _field(texture)[y : y + _HEIGHT, x : x + _WIDTH]


def _noise(rng: np.random.Generator, radius: tuple[float, float]) -> NDArray[np.float32]:
    """Return smooth noise of unit deviation, blurred by `radius` (x, y) in pixels of the fine field."""
    shape = ((_HEIGHT + _MARGIN) * _FINE, (_WIDTH + _MARGIN) * _FINE)
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
    rows, columns = _HEIGHT + _MARGIN, _WIDTH + _MARGIN
    y, x = np.mgrid[0 : rows * _FINE, 0 : columns * _FINE].astype(np.float32) / _FINE
    rng = np.random.default_rng(list(texture.encode()))
    regular = _woven(texture, x, y)
    fine = _grown(texture, rng) if regular is None else regular + 0.2 * _noise(rng, (2, 2))
    field: NDArray[np.float32] = fine.reshape(rows, _FINE, columns, _FINE).mean(axis=(1, 3), dtype=np.float32)
    return field


class Canvas:
    """A picture being drawn. Points are (u, v) of the last, unless `world` says that they are x and y already."""

    def __init__(self, last: Last, pose: Pose) -> None:
        self.last = last
        self._scale = pose.scale
        s, c = math.sin(math.radians(pose.tilt)), math.cos(math.radians(pose.tilt))
        size = pose.scale * _FINE
        self._turn = np.array([[c, -s], [-s, -c]]) * size
        self._origin = np.array(pose.toe) * _FINE
        self._image = Image.new("RGB", (_WIDTH * _FINE, _HEIGHT * _FINE), (255, 255, 255))
        self._mask = Image.new("CMYK", self._image.size)  # four bands that no filter treats as an alpha
        self._shine = Image.new("L", (_WIDTH, _HEIGHT))
        self._ink = ImageDraw.Draw(self._image)
        self._mask_ink = ImageDraw.Draw(self._mask)
        self._shine_ink = ImageDraw.Draw(self._shine)
        self._ground: list[tuple[float, float]] = []

    def _pixels(self, points: Points, *, world: bool) -> NDArray[np.float64]:
        placed = points if world else self.last.place(points)
        pixels: NDArray[np.float64] = placed @ self._turn + self._origin
        return pixels

    def fill(self, points: Points, color: Color, surface: Surface = Surface.PLAIN, *, world: bool = False) -> None:
        """Lay a polygon of `color` over what is there."""
        flat = self._pixels(points, world=world).ravel().tolist()
        self._ink.polygon(flat, fill=color)
        self._mask_ink.polygon(flat, fill=surface.value)

    def tint(self, points: Points, color: Color, *, world: bool = False) -> None:
        """Recolour a region, which keeps the surface it has: a seam, a stripe, a lining's shade."""
        self._ink.polygon(self._pixels(points, world=world).ravel().tolist(), fill=color)

    def line(self, points: Points, color: Color, width: float = 0.012, *, world: bool = False) -> None:
        """Draw a thin line on what is there; `width` in foot lengths."""
        flat = self._pixels(points, world=world).ravel().tolist()
        self._ink.line(flat, fill=color, width=max(2, round(width * self._scale * _FINE)))

    def stitch(self, points: Points, color: Color, *, width: float = 0.008) -> None:
        """Draw a stitched line."""
        pixels = self._pixels(points, world=False)
        thick = max(2, round(width * self._scale * _FINE))
        for start in range(0, len(pixels) - _STITCH, 2 * _STITCH):
            self._ink.line(pixels[start : start + _STITCH + 1].ravel().tolist(), fill=color, width=thick)

    def dots(self, points: Points, color: Color, radius: float, surface: Surface | None = None) -> None:
        """Draw round dots, such as eyelets; `radius` in foot lengths. Without a `surface` they keep what is there."""
        size = max(1.2, radius * self._scale * _FINE)
        for x, y in self._pixels(points, world=False).tolist():
            box = (x - size, y - size, x + size, y + size)
            self._ink.ellipse(box, fill=color)
            if surface is not None:
                self._mask_ink.ellipse(box, fill=surface.value)

    def shine(self, points: Points, width: float, level: int = 255) -> None:
        """Draw a highlight, whose brightness is multiplied by the material's gloss."""
        flat = (self._pixels(points, world=False) / _FINE).ravel().tolist()
        self._shine_ink.line(flat, fill=level, width=max(1, round(width * self._scale)))

    def stand(self, start: float, stop: float) -> None:
        """Record that the shoe touches the ground from x = `start` to `stop`, for its shadow."""
        self._ground.append((start, stop))

    def finish(self, upper: Look, second: Look, light: Light) -> Image.Image:
        """Return the picture: (136, 102) RGB on white."""
        _, top, _, bottom = self._mask.getbbox() or (0, 0, *self._mask.size)
        rows = slice(max(top // _FINE - 2, 0), min(bottom // _FINE + 10, _HEIGHT))  # all is white above and below
        box = (0, rows.start, _WIDTH, rows.stop)
        fine_box = (0, rows.start * _FINE, _WIDTH * _FINE, rows.stop * _FINE)
        bands = self._mask.reduce(_FINE, fine_box).split()
        cover, first, other, sole = (np.asarray(band, dtype=np.float32) * np.float32(1 / 255) for band in bands)
        gloss = first * upper.gloss + other * second.gloss
        body = _relief(ImageChops.add(bands[1], bands[2]), light, broad=True)
        relief = body * (first * upper.relief + other * second.relief)
        relief += _relief(bands[3], light, broad=False) * (1.6 * sole)
        texture = 1 + first * (upper.depth * grain(upper.texture, light.offset)[rows])
        texture += other * (second.depth * grain(second.texture, light.offset[::-1])[rows])
        blur = ImageFilter.BoxBlur(1)
        shine = np.asarray(self._shine.crop(box).filter(blur).filter(blur), dtype=np.float32)
        glow = (shine + np.maximum(body - 0.13, 0) * 330) * gloss
        # Black takes light too: a part of the relief is added, not multiplied.
        glow += np.maximum(body, 0) * (first + other) * 60
        shade = np.minimum(np.maximum(1 + relief, 0.35), 1.25) * texture * (1 - (1 - cover) * self._shadow(light, rows))
        lit = np.array(self._image.reduce(_FINE, fine_box), dtype=np.float32)
        glow *= 1 - lit[..., 1] * np.float32(0.55 / 255)  # a film has little left to give for what is white already
        lit *= shade[..., None]
        lit += glow[..., None]
        picture = Image.new("RGB", (_WIDTH, _HEIGHT), (255, 255, 255))
        picture.paste(Image.fromarray(np.minimum(np.maximum(lit, 0, out=lit), 255, out=lit).astype(np.uint8)), box)
        return picture

    def _shadow(self, light: Light, rows: slice) -> NDArray[np.float32]:
        """Return the darkness of the ground in these rows, (rows, _WIDTH) in [0, 1]."""
        x = np.arange(_WIDTH, dtype=np.float32)
        y = np.arange(rows.start, rows.stop, dtype=np.float32)
        dark = np.zeros((len(y), _WIDTH), dtype=np.float32)
        for (left, row), (right, _) in self._contacts():
            reach = np.clip((x - left) / 5 + 0.9, 0, 1) * np.clip((right - x) / 5 + 0.9, 0, 1)
            depth = y - row
            fall = np.exp(-((depth / np.where(depth > 0, 3.2, 1.2)) ** 2))
            dark = np.maximum(dark, fall[:, None] * reach[None, :])
        return dark * np.float32(light.shadow)

    def _contacts(self) -> Iterator[tuple[list[float], list[float]]]:
        for start, stop in self._ground:
            ends = self._pixels(np.array([[start, 0.0], [stop, 0.0]]), world=True) / _FINE
            yield ends[0].tolist(), ends[1].tolist()


def _relief(mask: Image.Image, light: Light, *, broad: bool) -> NDArray[np.float32]:
    """Return the shading of a form that bulges like a cushion over `mask`: about -0.4 (away from the light) to 0.4."""
    tight = mask.filter(ImageFilter.BoxBlur(2))
    field = np.asarray(tight, dtype=np.float32) * 0.0045
    if broad:
        # Half the size is enough for what is blurred this much, and takes a quarter of the time.
        soft = mask.reduce(2).filter(ImageFilter.GaussianBlur(2.8)).resize(mask.size, Image.Resampling.BILINEAR)
        field += np.asarray(soft, dtype=np.float32) * 0.014
    field *= light.strength
    relief = np.zeros_like(field)
    relief[1:-1] = field[2:] - field[:-2]
    relief[:, 1:-1] += (field[:, 2:] - field[:, :-2]) * -light.side
    return relief
