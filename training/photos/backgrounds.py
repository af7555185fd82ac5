"""Drawn backgrounds: noise in octaves, gradients, stripes, polygons, dead leaves, and enlarged pieces of pictures.

They teach a localizer what is not a shoe without a single photograph from outside.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

LEAVES_SHARE = 0.6
"""Share of the backgrounds that are dead leaves."""


def draw_background(
    random: np.random.Generator, side: int, pictures: Sequence[NDArray[np.uint8]] | NDArray[np.uint8] = ()
) -> NDArray[np.uint8]:
    """Draw one background.

    Args:
        random: decides everything.
        side: H = W, in pixels.
        pictures: (H, W, 3) each, of the catalogue, of which enlarged pieces may be used.

    Returns:
        (side, side, 3).
    """
    canvas = _leaves(random, side, pictures) if random.random() < LEAVES_SHARE else _base(random, side)
    for _ in range(int(random.integers(0, 4))):
        layer = _layer(random, side, pictures)
        weight = _weight(random, side)
        canvas = canvas * (1.0 - weight) + layer * weight
    if random.random() < 0.5:
        canvas = canvas + random.uniform(5, 40) * _octaves(random, side, 1, finest=True)
    canvas = _contrast(random, canvas)
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)


def _colour(random: np.random.Generator) -> NDArray[np.float64]:
    """A colour in 0..255: often muted, sometimes strong."""
    grey = random.uniform(0, 255)
    tint = random.normal(0, 1, 3) * random.choice([8.0, 30.0, 80.0])
    colour: NDArray[np.float64] = np.clip(grey + tint, 0, 255)
    return colour


def _base(random: np.random.Generator, side: int) -> NDArray[np.float64]:
    first, second = _colour(random), _colour(random)
    if random.random() < 0.4:
        ramp = _ramp(random, side)
        return np.asarray(first + (second - first) * ramp[:, :, None])
    noise = _octaves(random, side, 1)
    mix = np.clip(0.5 + noise * random.uniform(0.2, 1.5), 0, 1)
    canvas: NDArray[np.float64] = first + (second - first) * mix
    if random.random() < 0.4:
        canvas = canvas + _octaves(random, side, 3) * random.uniform(10, 60)
    return canvas


def _ramp(random: np.random.Generator, side: int) -> NDArray[np.float64]:
    """(side, side) in [0, 1]: a linear or a round gradient."""
    down, across = np.mgrid[0:side, 0:side] / side
    if random.random() < 0.5:
        angle = random.uniform(0, 2 * np.pi)
        ramp = np.cos(angle) * across + np.sin(angle) * down
    else:
        ramp = np.hypot(across - random.uniform(-0.2, 1.2), down - random.uniform(-0.2, 1.2))
    ramp = (ramp - ramp.min()) / (np.ptp(ramp) + 1e-9)
    result: NDArray[np.float64] = ramp
    return result


def _octaves(random: np.random.Generator, side: int, channels: int, *, finest: bool = False) -> NDArray[np.float64]:
    """(side, side, channels) of standard deviation about 1: sums of noise at octaves, as textures of nature have it."""
    start = 5 if finest else int(random.integers(1, 4))
    decay = random.uniform(0.4, 1.0)
    total = np.zeros((side, side, channels))
    amplitude, power = 1.0, 0.0
    stretch = random.choice([1, 1, 1, 4])
    for octave in range(start, 9):
        cells = min(2**octave, side)
        shape = (max(2, cells // stretch), cells) if random.random() < 0.5 else (cells, max(2, cells // stretch))
        grid = random.standard_normal((*shape, channels)).astype(np.float32)
        for channel in range(channels):
            plane = Image.fromarray(grid[:, :, channel]).resize((side, side), Image.Resampling.BICUBIC)
            total[:, :, channel] += amplitude * np.asarray(plane)
        power += amplitude**2
        amplitude *= decay
        if cells >= side:
            break
    scaled: NDArray[np.float64] = total / (power**0.5 + 1e-9)
    return scaled


def _layer(
    random: np.random.Generator, side: int, pictures: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]
) -> NDArray[np.float64]:
    kind = random.integers(0, 4 if len(pictures) else 3)
    if kind == 0:
        return _base(random, side)
    if kind == 1:
        return _stripes(random, side)
    if kind == 2:
        return _polygons(random, side)
    return _piece(random, side, pictures)


def _stripes(random: np.random.Generator, side: int) -> NDArray[np.float64]:
    """Planks, tiles, cloth, blinds."""
    down, across = np.mgrid[0:side, 0:side].astype(np.float64)
    angle = random.choice([0.0, np.pi / 2, random.uniform(0, np.pi)])
    way = across * np.cos(angle) + down * np.sin(angle)
    wave = np.sin(2 * np.pi * way / random.uniform(4, side / 2))
    if random.random() < 0.5:
        wave = np.tanh(wave * random.uniform(2, 20))
    if random.random() < 0.3:
        other = down * np.cos(angle) - across * np.sin(angle)
        wave = wave * np.sin(2 * np.pi * other / random.uniform(4, side / 2))
    first, second = _colour(random), _colour(random)
    stripes: NDArray[np.float64] = first + (second - first) * (0.5 + 0.5 * wave)[:, :, None]
    return stripes


def _polygons(random: np.random.Generator, side: int) -> NDArray[np.float64]:
    image = Image.fromarray(np.clip(_base(random, side), 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(int(random.integers(1, 15))):
        centre = random.uniform(-0.1, 1.1, 2) * side
        reach = random.uniform(0.03, 0.5) * side
        colour = tuple(int(value) for value in _colour(random))
        kind = random.integers(0, 3)
        if kind == 0:
            angles = np.sort(random.uniform(0, 2 * np.pi, int(random.integers(3, 9))))
            corners = centre + reach * np.stack([np.cos(angles), np.sin(angles)], 1) * random.uniform(0.4, 1, 2)
            draw.polygon([tuple(corner) for corner in corners], fill=colour)
        elif kind == 1:
            half = reach * random.uniform(0.3, 1, 2)
            draw.ellipse([*(centre - half), *(centre + half)], fill=colour)
        else:
            end = random.uniform(0, 1, 2) * side
            draw.line([*centre, *end], fill=colour, width=int(random.integers(1, 12)))
    return np.asarray(image, dtype=np.float64)


def _piece(
    random: np.random.Generator, side: int, pictures: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]
) -> NDArray[np.float64]:
    """A piece of a catalogue picture, so large that it shows material and no shoe."""
    picture = Image.fromarray(np.asarray(pictures[int(random.integers(len(pictures)))]))
    reach = max(4, int(min(picture.size) * random.uniform(0.1, 0.35)))
    # From the middle, where the shoe is: a margin would be one more plain colour.
    left = int(random.integers(picture.width // 4, max(picture.width // 4 + 1, 3 * picture.width // 4 - reach)))
    top = int(random.integers(picture.height // 3, max(picture.height // 3 + 1, 3 * picture.height // 4 - reach)))
    box = (left, top, left + reach, top + reach)
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC, box=box), dtype=np.float64)


def _leaves(
    random: np.random.Generator, side: int, pictures: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Dead leaves: shapes of power-law sizes that hide each other; of drawn pictures the nearest to photographs.

    Baradad et al., "Learning to See by Looking at Noise", 2021, section 3.
    """
    image = Image.fromarray(np.clip(_base(random, side), 0, 255).astype(np.uint8))
    palette = [_colour(random) for _ in range(int(random.integers(3, 9)))]
    smallest = random.uniform(0.02, 0.12)
    # The inverse of the distribution function of a density that falls with the cube of the radius.
    radii = 1 / np.sqrt(random.uniform(1 / 0.8**2, 1 / smallest**2, int(random.integers(40, 200))))
    textures = [Image.fromarray(np.clip(_layer(random, side, pictures), 0, 255).astype(np.uint8)) for _ in range(3)]
    for radius in radii * side:
        mask = _blob(random, image.size, random.uniform(0, side, 2), radius * random.uniform(0.3, 1.0, 2))
        colour = palette[int(random.integers(len(palette)))] + random.normal(0, 15, 3)
        body: Image.Image = Image.new("RGB", image.size, tuple(int(value) for value in np.clip(colour, 0, 255)))
        if random.random() < 0.4:
            body = Image.blend(body, textures[int(random.integers(3))], random.uniform(0.3, 1.0))
        image.paste(_rounded(random, body, mask) if radius > 0.1 * side else body, (0, 0), mask)
    soft = image.filter(ImageFilter.GaussianBlur(float(random.choice([0.0, 0.7, 1.5, 3.0]))))
    return np.asarray(soft, dtype=np.float64)


def _weight(random: np.random.Generator, side: int) -> NDArray[np.float64]:
    """(side, side, 1) in [0, 1]: where a layer shows, all over or in patches."""
    if random.random() < 0.4:
        return np.full((side, side, 1), random.uniform(0.2, 1.0))
    field = _octaves(random, side, 1) if random.random() < 0.5 else 4.0 * (_ramp(random, side)[:, :, None] - 0.5)
    shown: NDArray[np.float64] = np.clip(0.5 + field * random.uniform(0.5, 6), 0, 1)
    return shown


def _contrast(random: np.random.Generator, canvas: NDArray[np.float64]) -> NDArray[np.float64]:
    return (canvas - 128.0) * random.uniform(0.5, 1.3) + 128.0 + random.uniform(-40, 40)


def pick_background(random: np.random.Generator, bank: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A piece of one of the bank's backgrounds, perhaps mirrored, its channels perhaps exchanged: (H, W, 3)."""
    background = bank[int(random.integers(len(bank)))]
    side = background.shape[0]
    reach = int(side * random.uniform(0.4, 1.0))
    left, top = (int(value) for value in random.integers(0, side - reach + 1, 2))
    piece = Image.fromarray(background).resize(
        size, Image.Resampling.BILINEAR, box=(left, top, left + reach, top + reach)
    )
    pixels = np.asarray(piece)
    if random.random() < 0.5:
        pixels = pixels[:, ::-1]
    if random.random() < 0.5:
        pixels = pixels[..., random.permutation(3)]
    return np.ascontiguousarray(pixels)


def add_decoys(
    random: np.random.Generator, canvas: NDArray[np.uint8], bank: NDArray[np.uint8], most: int = 3
) -> NDArray[np.uint8]:
    """Put objects that are no shoes before a background, with the same edges and shadows that a pasted shoe has.

    Without them a localizer learns to find whatever stands out.

    Args:
        random: decides everything.
        canvas: (H, W, 3); stays as it is.
        bank: (N, side, side, 3), the textures of the objects.
        most: objects at most.

    Returns:
        (H, W, 3).
    """
    image = Image.fromarray(canvas)
    for _ in range(int(random.integers(0, most + 1))):
        mask = _shape(random, image.size)
        texture = Image.fromarray(pick_background(random, bank, image.size))
        if random.random() < 0.6:
            soft = mask.filter(ImageFilter.GaussianBlur(random.uniform(1, 6)))
            dark = tuple(int(value) for value in random.integers(0, 60, 3))
            across, down = (int(value) for value in random.integers(-3, 6, 2))
            image.paste(dark, (across, down), soft.point(lambda value: value // 2))
        if random.random() < 0.3:  # a rim, as a careless cut-out leaves it
            grey = int(random.integers(150, 256))
            image.paste((grey, grey, grey), (0, 0), mask.filter(ImageFilter.MaxFilter(3)))
        if random.random() < 0.5:
            mask = mask.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 2.0)))
        image.paste(_rounded(random, texture, mask), (0, 0), mask)
    return np.asarray(image).copy()


def _shape(random: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """The mask of an object: anywhere, of a tenth of the picture to all of it."""
    reach = min(size) * random.uniform(0.08, 0.5) * random.uniform(0.35, 1.0, 2)
    return _blob(random, size, random.uniform(0, 1, 2) * size, reach)


def _blob(
    random: np.random.Generator, size: tuple[int, int], centre: NDArray[np.float64], reach: NDArray[np.float64]
) -> Image.Image:
    """The mask of a closed outline: a few harmonics about an ellipse, or a polygon with few corners.

    Args:
        random: decides its form.
        size: of the mask.
        centre: in pixels, across and down.
        reach: the ellipse's two half axes, in pixels.
    """
    mask = Image.new("L", size)
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    if random.random() < 0.25:
        angles = np.sort(random.uniform(0, 2 * np.pi, int(random.integers(3, 8))))
    radius = np.ones_like(angles)
    for harmonic in range(2, int(random.integers(2, 9))):
        radius += random.normal(0, 0.35 / harmonic) * np.cos(harmonic * angles + random.uniform(0, 2 * np.pi))
    turn = random.uniform(0, 2 * np.pi)
    across, down = reach[0] * radius * np.cos(angles), reach[1] * radius * np.sin(angles)
    corners = np.stack(
        [
            centre[0] + across * np.cos(turn) - down * np.sin(turn),
            centre[1] + across * np.sin(turn) + down * np.cos(turn),
        ],
        1,
    )
    ImageDraw.Draw(mask).polygon([tuple(corner) for corner in corners], fill=255)
    return mask


def _rounded(random: np.random.Generator, texture: Image.Image, mask: Image.Image) -> Image.Image:
    """The texture, lit from one side as a body is: brighter and darker towards the outline."""
    body = np.asarray(mask.filter(ImageFilter.GaussianBlur(random.uniform(2, 10))), dtype=np.float32) / 255.0
    down, across = np.gradient(body)
    side = random.uniform(-1, 1, 2) * random.uniform(0, 6)
    lit = np.asarray(texture, dtype=np.float32) * (1 + side[0] * across + side[1] * down)[:, :, None]
    return Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))
