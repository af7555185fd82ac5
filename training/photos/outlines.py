"""The outline of a shoe in a catalogue shot: what is not joined to the border by pixels of the margin's colour."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model.framing import SUBJECT_CONTRAST, find_plain_colour

HALO_CONTRAST = 8
"""Contrast at which the rougher outline is taken: faint shadows and reflections stay with the shoe."""


class Outlined(NamedTuple):
    """A catalogue shot with its shoe's outline: (h, w, 3) uint8 and (h, w) bool, and a rougher one with some margin."""

    pixels: NDArray[np.uint8]
    outline: NDArray[np.bool_]
    halo: NDArray[np.bool_]


def find_outline(pixels: NDArray[np.uint8], tolerance: int = SUBJECT_CONTRAST) -> NDArray[np.bool_] | None:
    """The shoe of a catalogue shot.

    Args:
        pixels: (H, W, 3).
        tolerance: largest difference of a channel, of 255, to the margin's colour.

    Returns:
        (H, W), or None where the margin is not plain or what it leaves is no shoe: under 2% or over 95% of all.
    """
    colour = find_plain_colour(pixels)
    if colour is None:
        return None
    near = (np.abs(pixels.astype(np.int16) - colour.astype(np.int16)) <= tolerance).all(axis=2)
    # A frame of margin joins what a toe at the edge parts.
    labels, _ = ndimage.label(np.pad(near, 1, constant_values=True))
    outline = labels[1:-1, 1:-1] != labels[0, 0]
    outline = ndimage.binary_opening(outline, iterations=1) | (outline & ~near)
    parts, count = ndimage.label(outline)
    if count == 0:
        return None
    sizes = ndimage.sum_labels(outline, parts, np.arange(1, count + 1))
    # A pair of shoes stays a pair; dust goes.
    outline = np.isin(parts, 1 + np.flatnonzero(sizes >= 0.1 * sizes.max()))
    return outline if 0.02 <= outline.mean() <= 0.95 else None


def outline_all(pictures: Sequence[NDArray[np.uint8]]) -> list[Outlined | None]:
    """Outline each shot; None where its margin is not plain."""
    outlined: list[Outlined | None] = []
    for pixels in pictures:
        outline, halo = find_outline(pixels), find_outline(pixels, HALO_CONTRAST)
        outlined.append(None if outline is None or halo is None else Outlined(pixels, outline, halo | outline))
    return outlined
