"""Canonical framing: the subject of a picture fills the network's square in the same way, whatever margin it came with.

A catalogue shot stands on a plain, bright margin, which is trimmed. A photo is cut out by a mask (`model/localizer.py`)
and put on white. Both end as the same kind of picture.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.errors import QueryError

if TYPE_CHECKING:  # the service does without it
    import torch

FILL = 0.92
"""Longest side of the subject, as a share of the square's side."""

TOLERANCE = 16
"""Largest difference of a channel, of 255, within a plain margin: JPEG artefacts and faint shadows stay below it."""

SUBJECT_CONTRAST = 32
"""Least difference of a channel, of 255, by which the subject stands out from a plain margin: reflections do less."""

LITTLE = 0.12
"""Share of the picture below which a box is looked at again: catalogue shots fill about a third."""

MUCH_LARGER = 3.0
"""Times as large that the box of fainter contrast then has to be: less is a shadow."""

PLAIN_SHARE = 0.85
"""Share of the outermost pixels that have the margin's colour where the margin is plain: a toe may touch the edge."""

DARKEST_PLAIN = 128
"""Darkest channel of a margin that counts as plain: scaling a darker one to white would burn out the subject."""

SPECK = 0.01
"""Share of a row or column below which pixels that differ from the margin are dust, and not the subject."""

SMALLEST_SCALE = 0.4
"""Share of its picture up to which a subject counts as small: black in the scale mark. One that fills it is white."""

MARK_SHARE = 32
"""The scale mark is 1/32 of the square high: within the margin below the subject, whatever that is."""


class Box(NamedTuple):
    """A rectangle in fractions of a picture's width and height: `left`, `top`, `width`, `height`, in [0, 1]."""

    left: float
    top: float
    width: float
    height: float

    def to_pixels(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) in pixels of a picture of `size` = (width, height); at least one pixel a side."""
        width, height = size
        left, top = min(int(self.left * width + 0.5), width - 1), min(int(self.top * height + 0.5), height - 1)
        right = max(left + 1, min(int((self.left + self.width) * width + 0.5), width))
        bottom = max(top + 1, min(int((self.top + self.height) * height + 0.5), height))
        return left, top, right, bottom


WHOLE = Box(0.0, 0.0, 1.0, 1.0)


class Subject(NamedTuple):
    """What of a picture was taken for the shoe.

    Attributes:
        box: around it, in fractions of the picture.
        coverage: share of the picture that it covers, or that its box does where the margin is plain.
        confidence: in [0, 1]; 1 where the margin is plain.
        others: further subjects of at least a quarter of its area.
    """

    box: Box
    coverage: float
    confidence: float = 1.0
    others: int = 0


SMALLEST_CROP = 8
"""Pixels a side of the smallest crop."""


@dataclass(frozen=True)
class View:
    """What a person says of where the shoe is in a picture.

    Attributes:
        crop: the part of the picture to look at, before it is turned.
        rotate: degrees to turn it by, counter-clockwise.
        whole: take all of that for the subject.
    """

    crop: Box | None = None
    rotate: float = 0.0
    whole: bool = False

    @property
    def keeps_scale(self) -> bool:
        """Whether the picture is looked at from its own distance: neither cropped, nor turned into a larger square."""
        return self.crop is None and not self.rotate % 180

    def apply(self, image: Image.Image, longest: int | None = None) -> Image.Image:
        """Crop and turn an RGB picture.

        Args:
            image: RGB.
            longest: pixels a side that it is shrunk to before it is turned; None turns it as large as it is.

        Raises:
            QueryError: as `cut` does.
        """
        return self.turn(self.cut(image), longest)

    def cut(self, image: Image.Image) -> Image.Image:
        """Crop a picture of any mode.

        Raises:
            QueryError: the crop has fewer than 8 pixels a side.
        """
        if self.crop is not None:
            left, top, right, bottom = self.crop.to_pixels(image.size)
            if min(right - left, bottom - top) < SMALLEST_CROP:
                raise QueryError(
                    "crop",
                    f"the crop has {right - left}x{bottom - top} pixels of the decoded picture's "
                    f"{image.width}x{image.height}; at least {SMALLEST_CROP} a side are needed",
                )
            image = image.crop((left, top, right, bottom))
        return image

    def turn(self, image: Image.Image, longest: int | None = None) -> Image.Image:
        """Turn an RGB picture, in a square around it: at most 2 x `longest` ** 2 pixels, however oblong it is."""
        if not self.rotate % 360:
            return image
        image = image if longest is None else shrink(image, longest)
        edge = np.concatenate([np.asarray(image.crop((0, y, image.width, y + 1)))[0] for y in (0, image.height - 1)])
        colour = tuple(int(value) for value in np.median(edge, axis=0))
        return image.rotate(self.rotate, Image.Resampling.BICUBIC, expand=True, fillcolor=colour)


def shrink(image: Image.Image, longest: int) -> Image.Image:
    """The picture with at most `longest` pixels a side."""
    scale = longest / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)


def find_plain_colour(pixels: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """The colour of a plain, bright margin.

    Args:
        pixels: (H, W, 3).

    Returns:
        (3,), or None where the outermost pixels are not of one bright colour.
    """
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    colour = np.median(edge, axis=0)
    if colour.min() < DARKEST_PLAIN:
        return None
    near = (np.abs(edge.astype(np.int16) - colour.astype(np.int16)) <= TOLERANCE).all(axis=1)
    return colour.astype(np.uint8) if near.mean() >= PLAIN_SHARE else None


def find_plain_box(pixels: NDArray[np.uint8], colour: NDArray[np.uint8]) -> Box | None:
    """The smallest box around all that differs from a plain margin.

    Where that is little, as of a nearly white shoe with a dark heel, around all that differs as little as noise does.

    Args:
        pixels: (H, W, 3).
        colour: (3,), of the margin.

    Returns:
        None where nothing differs.
    """
    box = _box_beyond(pixels, colour, SUBJECT_CONTRAST)
    if box is not None and box.width * box.height >= LITTLE:
        return box
    larger = _box_beyond(pixels, colour, TOLERANCE)
    if box is None or larger is None or larger.width * larger.height < MUCH_LARGER * box.width * box.height:
        return box
    return larger


def _box_beyond(pixels: NDArray[np.uint8], colour: NDArray[np.uint8], contrast: int) -> Box | None:
    low, high = colour.astype(np.int16) - contrast, colour.astype(np.int16) + contrast
    outside: NDArray[np.bool_] = (pixels < low) | (pixels > high)
    return box_of(np.logical_or.reduce(outside, axis=2))


def box_of(mask: NDArray[np.bool_]) -> Box | None:
    """The smallest box around a mask (H, W), specks aside; None where there is nothing in it."""
    height, width = mask.shape
    rows = np.flatnonzero(mask.sum(axis=1) > SPECK * width)
    columns = np.flatnonzero(mask.sum(axis=0) > SPECK * height)
    if not len(rows) or not len(columns):
        return None
    top, left = int(rows[0]), int(columns[0])
    right, bottom = int(columns[-1]) + 1, int(rows[-1]) + 1
    return Box(left / width, top / height, (right - left) / width, (bottom - top) / height)


def whiten(image: Image.Image, colour: NDArray[np.uint8]) -> Image.Image:
    """Scale the channels so that the margin's colour becomes white, as if the light had been brighter."""
    if colour.min() >= 255 - TOLERANCE // 4:
        return image
    table = [min(255, round(value * 255 / int(channel))) for channel in colour for value in range(256)]
    return image.point(table)


def place(image: Image.Image, box: Box, size: int) -> Image.Image:
    """Crop an RGB picture to its subject and centre that on a white square, `FILL` of which it fills.

    Args:
        image: RGB.
        box: the subject's.
        size: the square's side in pixels.
    """
    left, top, right, bottom = box.to_pixels(image.size)
    scale = FILL * size / max(right - left, bottom - top)
    width = min(size, max(1, round((right - left) * scale)))
    height = min(size, max(1, round((bottom - top) * scale)))
    # Pillow's filters widen with the scale: bicubic here is antialiased.
    subject = image.resize((width, height), Image.Resampling.BICUBIC, box=(left, top, right, bottom), reducing_gap=3.0)
    square = Image.new("RGB", (size, size), (255, 255, 255))
    square.paste(subject, ((size - width) // 2, (size - height) // 2))
    return square


def mark_scale(square: Image.Image, box: Box, size: tuple[int, int]) -> None:
    """Write into the square's lowest rows, as a grey level, how much of its picture the subject filled.

    Framing takes away the one thing that tells a child's shoe from a grown-up's where all pictures of a catalogue were
    taken from the same distance. In photos, cut out by a mask, nothing is known of it: they stay white there.

    Args:
        square: RGB, of `place`; is changed.
        box: the subject's.
        size: (width, height) of the picture that the box is in.
    """
    share = max(box.width * size[0], box.height * size[1]) / max(size)
    level = round(255 * min(1.0, max(0.0, (share - SMALLEST_SCALE) / (1.0 - SMALLEST_SCALE))))
    square.paste((level,) * 3, (0, square.height - _mark_rows(square.height), square.width, square.height))


def hide_scale(images: "torch.Tensor") -> "torch.Tensor":
    """Pictures without the mark of `mark_scale`: (..., H, W), floats in [0, 1] or bytes, with white lowest rows."""
    shown = images.clone()
    white = 1.0 if images.is_floating_point() else 255
    shown[..., images.shape[-2] - _mark_rows(images.shape[-2]) :, :] = white
    return shown


def _mark_rows(side: int) -> int:
    return max(1, side // MARK_SHARE)
