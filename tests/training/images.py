"""Image sets made for tests: each value of an attribute can be seen in the picture."""

import numpy as np

from training.data.images import ImageSet

COLOURS = {"red": (200, 30, 30), "green": (30, 180, 40), "blue": (40, 60, 200)}


def coloured_squares(count: int, size: int = 16, seed: int = 0) -> ImageSet:
    """`count` squares of three colours, small or large, on white: attributes `Colour` and `Size`."""
    random = np.random.default_rng(seed)
    pixels = np.full((count, 3, size, size), 255, dtype=np.uint8)
    attributes = []
    for index in range(count):
        name = list(COLOURS)[index % 3]
        large = bool(random.integers(2))
        side = size // 2 + 2 if large else size // 4
        top, left = random.integers(0, size - side, 2)
        colour = np.array(COLOURS[name]) + random.integers(-15, 16, 3)
        pixels[index, :, top : top + side, left : left + side] = np.clip(colour, 0, 255)[:, None, None]
        attributes.append({"Colour": (name,), "Size": ("large" if large else "small",)})
    ids = tuple(f"shoe-{index}" for index in range(count))
    return ImageSet(ids=ids, groups=ids, pixels=pixels, attributes=tuple(attributes))
