"""Composites: a shoe of the catalogue, cut out of its plain margin, as a person might have photographed it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter


@dataclass(frozen=True)
class CompositeConfig:
    """How far a composite is from the catalogue shot.

    Attributes:
        turn: at most this many degrees, either way.
        tilt: at most this share of the height that the shoe is sheared by, as from a camera beside it.
        smallest: share of the picture's shorter side that the shoe's longer side has at least; at most 1.
        mirror: chance that the shoe is mirrored, in [0, 1].
    """

    turn: float = 20.0
    tilt: float = 0.12
    smallest: float = 0.35
    mirror: float = 0.5


class Composite(NamedTuple):
    """A picture and where the shoe is in it.

    Attributes:
        pixels: (H, W, 3) uint8.
        mask: (H, W) float32 in [0, 1].
        mirrored: the shoe points the other way than in the catalogue.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.float32]
    mirrored: bool


def compose(
    random: np.random.Generator,
    shoe: NDArray[np.uint8],
    outline: NDArray[np.bool_],
    background: NDArray[np.uint8],
    config: CompositeConfig,
    *,
    halo: NDArray[np.bool_] | None = None,
) -> Composite:
    """Put a shoe before a background.

    Args:
        random: decides everything.
        shoe: (h, w, 3), the catalogue shot.
        outline: (h, w), its shoe.
        background: (H, W, 3).
        config: the range of what changes.
        halo: (h, w), what is pasted in place of the outline: a rougher one, with some margin around the shoe.
    """
    height, width = background.shape[:2]
    mirrored = bool(random.random() < config.mirror)
    matrix = _placement(random, outline, (width, height), config, mirrored=mirrored)
    size, bicubic = (width, height), Image.Resampling.BICUBIC
    alpha_of = outline if halo is None else halo
    pasted = Image.fromarray(shoe).transform(size, Image.Transform.AFFINE, matrix, bicubic, fillcolor=(255, 255, 255))
    alpha = _warp(alpha_of, size, matrix)
    mask = _warp(outline, size, matrix)
    if random.random() < 0.5:
        alpha = alpha.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.5)))
    canvas = background.astype(np.float32)
    if random.random() < 0.6:
        canvas = _shade(random, canvas, mask)
    weight = np.asarray(alpha, dtype=np.float32)[:, :, None] / 255.0
    lit = _light(random, np.asarray(pasted, dtype=np.float32))
    canvas = canvas * (1.0 - weight) + lit * weight
    return Composite(_photograph(random, canvas), np.asarray(mask, dtype=np.float32) / 255.0, mirrored)


def _warp(mask: NDArray[np.bool_], size: tuple[int, int], matrix: tuple[float, ...]) -> Image.Image:
    grey = Image.fromarray(mask.astype(np.uint8) * 255)
    return grey.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=0)


def _placement(
    random: np.random.Generator,
    outline: NDArray[np.bool_],
    size: tuple[int, int],
    config: CompositeConfig,
    *,
    mirrored: bool,
) -> tuple[float, ...]:
    """The affine map from the composite's pixels to the shoe's, as Pillow takes it: six numbers."""
    rows, columns = np.flatnonzero(outline.any(axis=1)), np.flatnonzero(outline.any(axis=0))
    extent = max(len(rows), columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1)
    centre = np.array([(columns[0] + columns[-1] + 1) / 2, (rows[0] + rows[-1] + 1) / 2])
    share = random.uniform(config.smallest, 1.0)
    scale = share * min(size) / extent
    angle = np.deg2rad(random.uniform(-config.turn, config.turn))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    tilt = np.array([[1.0, random.uniform(-config.tilt, config.tilt)], [0.0, random.uniform(0.88, 1.0)]])
    forward = scale * turn @ tilt @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    room = np.maximum(np.array(size) - share * min(size) * 0.9, 0) / 2
    target = np.array(size) / 2 + random.uniform(-1, 1, 2) * room
    back = np.linalg.inv(forward)
    offset = centre - back @ target
    return (*back[0], offset[0], *back[1], offset[1])


def _shade(random: np.random.Generator, canvas: NDArray[np.float32], mask: Image.Image) -> NDArray[np.float32]:
    """A soft shadow on what is behind the shoe, offset from it."""
    reach = max(2.0, 0.03 * min(mask.size))
    across, down = random.uniform(-2, 2) * reach, random.uniform(0, 3) * reach
    moved = mask.transform(mask.size, Image.Transform.AFFINE, (1, 0, -across, 0, 1, -down), fillcolor=0)
    soft = np.asarray(moved.filter(ImageFilter.GaussianBlur(random.uniform(0.5, 2.5) * reach)), dtype=np.float32)
    shaded: NDArray[np.float32] = canvas * (1.0 - random.uniform(0.2, 0.7) * soft[:, :, None] / 255.0)
    return shaded


def _light(random: np.random.Generator, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Other light: brightness, colour, contrast, and more of it from one side."""
    gain = random.uniform(0.65, 1.2) * (1.0 + random.normal(0, 0.06, 3))
    gamma = np.exp(random.normal(0, 0.15))
    lit = 255.0 * np.clip(pixels / 255.0, 0, 1) ** gamma * gain
    if random.random() < 0.5:
        height, width = pixels.shape[:2]
        slope = random.uniform(-0.4, 0.4, 2)
        across, down = np.linspace(-0.5, 0.5, width), np.linspace(-0.5, 0.5, height)
        lit = lit * (1.0 + slope[0] * across[None, :] + slope[1] * down[:, None])[:, :, None]
    result: NDArray[np.float32] = np.clip(lit, 0, 255).astype(np.float32)
    return result


def _photograph(random: np.random.Generator, canvas: NDArray[np.float32]) -> NDArray[np.uint8]:
    """What a camera adds: exposure, blur and noise."""
    canvas = canvas * np.float32(random.uniform(0.8, 1.15))
    image = Image.fromarray(np.clip(np.rint(canvas), 0, 255).astype(np.uint8))
    if random.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.2, max(0.2, 0.008 * max(image.size)))))
    if random.random() < 0.6:
        pixels = np.asarray(image, dtype=np.float32)
        noise = random.standard_normal(pixels.shape, dtype=np.float32) * np.float32(random.uniform(1, 12))
        return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)
    return np.asarray(image).copy()
