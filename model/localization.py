"""Where the shoe is in a photo, by the masks of the localizer (`model/localizer.py`), whatever runs that.

It looks twice: at the whole photo, then at the neighbourhood of what it found, where the shoe is large. The second mask
is the mean over the picture and its mirror image, which leaves less background than either alone (docs/results.md).
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.framing import WHOLE, Box, Subject, box_of

LETTERBOX_GREY = 114
SECOND_LOOK = 0.08
"""Margin around the first look's box that the second look sees, as a share of the box's longer side."""


class MaskNetwork(Protocol):
    """A network that says which pixels are of a shoe. Safe in many threads."""

    @property
    def size(self) -> int:
        """H = W of its pictures and masks."""
        ...

    def masks(self, images: NDArray[np.uint8], /) -> NDArray[np.float32]:
        """(B, 3, H, W) uint8 -> (B, H, W) float32 in [0, 1]."""
        ...


class Localization(NamedTuple):
    """A shoe that was found in a photo.

    Attributes:
        subject: its box, and how sure that is.
        mask: (size, size) float32 in [0, 1], over the square `window`.
        window: (left, top, right, bottom) in pixels of the photo; may reach beyond it.
    """

    subject: Subject
    mask: NDArray[np.float32]
    window: tuple[int, int, int, int]


def letterbox(image: Image.Image, window: tuple[int, int, int, int], size: int) -> NDArray[np.uint8]:
    """A square window of a picture, (3, size, size) uint8; grey where it reaches beyond the picture."""
    left, top, right, bottom = window
    scale = size / (right - left)
    inner = (max(0, left), max(0, top), min(image.width, right), min(image.height, bottom))
    width = max(1, round((inner[2] - inner[0]) * scale))
    height = max(1, round((inner[3] - inner[1]) * scale))
    piece = image.resize((width, height), Image.Resampling.BILINEAR, box=inner, reducing_gap=2.0)
    square = Image.new("RGB", (size, size), (LETTERBOX_GREY,) * 3)
    square.paste(piece, (round((inner[0] - left) * scale), round((inner[1] - top) * scale)))
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))


def whole_window(size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The square around a picture of `size` = (width, height)."""
    width, height = size
    side = max(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def locate(localizer: MaskNetwork, images: Sequence[Image.Image]) -> list[Localization | None]:
    """Find the largest shoe of each picture, RGB; None where there is none."""
    first = _look(localizer, images, [whole_window(image.size) for image in images])
    seen = {index: each for index, each in enumerate(first) if each is not None}
    if not seen:
        return first
    close = [_around(each.subject.box, images[index].size) for index, each in seen.items()]
    second = _look(localizer, [images[index] for index in seen], close, mirrors=True)
    for (index, before), after in zip(seen.items(), second, strict=True):
        if after is not None:
            # Only the first look sees all of the photo.
            first[index] = after._replace(subject=after.subject._replace(others=before.subject.others))
    return first


def _look(
    localizer: MaskNetwork,
    images: Sequence[Image.Image],
    windows: Sequence[tuple[int, int, int, int]],
    *,
    mirrors: bool = False,
) -> list[Localization | None]:
    """What is found in a window of each picture; with `mirrors` in the mean of its mask and its mirror image's."""
    size = localizer.size
    shown = np.stack([letterbox(image, window, size) for image, window in zip(images, windows, strict=True)])
    if mirrors:
        masks, mirrored = np.split(localizer.masks(np.concatenate([shown, shown[..., ::-1]])), 2)
        masks = (masks + mirrored[..., ::-1]) * np.float32(0.5)
    else:
        masks = localizer.masks(shown)
    return [_subject(mask, window, image.size) for mask, window, image in zip(masks, windows, images, strict=True)]


def _around(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The square window around a box, with a margin."""
    left, top, right, bottom = box.to_pixels(size)
    side = max(8, round(max(right - left, bottom - top) * (1 + 2 * SECOND_LOOK)))
    across, down = (left + right - side) // 2, (top + bottom - side) // 2
    return across, down, across + side, down + side


def _subject(
    mask: NDArray[np.float32], window: tuple[int, int, int, int], size: tuple[int, int]
) -> Localization | None:
    """The largest component of a mask over a window of a picture of `size`."""
    from scipy import ndimage  # noqa: PLC0415 - a seventh of what a service imports, and few need it to start

    parts, count = ndimage.label(mask > 0.5)
    if count == 0:
        return None
    areas = np.bincount(parts.ravel())[1:]
    largest = int(areas.argmax())
    if areas[largest] < 16:
        return None
    kept = parts == largest + 1
    inner = box_of(kept)
    if inner is None:
        return None
    near = ndimage.binary_dilation(kept, iterations=2)
    left, top, right, _ = window
    side = right - left
    box = _clip(
        Box(
            (left + inner.left * side) / size[0],
            (top + inner.top * side) / size[1],
            inner.width * side / size[0],
            inner.height * side / size[1],
        )
    )
    subject = Subject(
        box=box,
        coverage=min(1.0, float(kept.mean()) * side * side / (size[0] * size[1])),
        confidence=float(mask[kept].mean()),
        others=int((areas >= areas[largest] / 4).sum()) - 1,
    )
    return Localization(subject, np.where(near, mask, 0.0).astype(np.float32), window)


def _clip(box: Box) -> Box:
    left, top = min(max(box.left, 0.0), 0.999), min(max(box.top, 0.0), 0.999)
    right, bottom = min(box.left + box.width, 1.0), min(box.top + box.height, 1.0)
    return Box(left, top, max(right - left, 0.001), max(bottom - top, 0.001))


def cut_out(image: Image.Image, found: Localization, longest: int) -> tuple[Image.Image, Box]:
    """The subject on white, `longest` pixels a side, with its box in that picture.

    Args:
        image: RGB.
        found: in it.
        longest: side of the result, in pixels.
    """
    pixels = letterbox(image, found.window, longest)
    mask = Image.fromarray(found.mask).resize((longest, longest), Image.Resampling.BICUBIC)
    alpha = sharpen(np.asarray(mask))[None]
    white = pixels * alpha + 255.0 * (1.0 - alpha)
    flat = Image.fromarray(np.rint(white).astype(np.uint8).transpose(1, 2, 0).copy())
    box = box_of(alpha[0] > 0.5) or WHOLE
    return flat, box


def sharpen(mask: NDArray[np.float32]) -> NDArray[np.float32]:
    """An enlarged mask as opacity, in [0, 1].

    Steeper than the network's own slope, which after upsampling would leave a veil of background.
    """
    opacity: NDArray[np.float32] = np.clip((mask - 0.5) * 3.0 + 0.5, 0.0, 1.0)
    return opacity
