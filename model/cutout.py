"""Cut-outs: the subject of a picture in its own colours, with what surrounds it made transparent."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.framing import TOLERANCE, Box, Subject
from model.localization import Localization, sharpen


class Cutout(NamedTuple):
    """A subject, cut out.

    Attributes:
        image: RGBA, cropped to the subject's box; all of the picture, and opaque, where there is no subject.
        subject: in the picture.
    """

    image: Image.Image
    subject: Subject | None = None


def cut_plain(image: Image.Image, colour: NDArray[np.uint8], box: Box) -> Image.Image:
    """Make a plain margin transparent: what has nearly its colour and is connected with the picture's edge.

    Args:
        image: RGB.
        colour: (3,), of the margin.
        box: the subject's, which the result is cropped to.
    """
    from scipy import ndimage  # noqa: PLC0415 - as in `model.localization`

    near = (np.abs(np.asarray(image, dtype=np.int16) - colour.astype(np.int16)) <= TOLERANCE).all(axis=2)
    parts, _ = ndimage.label(near)
    edge = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    margin = np.isin(parts, edge[edge > 0])
    corners = box.to_pixels(image.size)
    opacity = Image.fromarray(np.where(margin, 0, 255).astype(np.uint8))
    return _with_opacity(image.crop(corners), opacity.crop(corners))


def cut_found(image: Image.Image, found: Localization) -> Image.Image:
    """Make transparent what is outside of a mask that the localizer gave, cropped to its subject's box.

    Args:
        image: RGB.
        found: in it.
    """
    left, top, right, bottom = found.subject.box.to_pixels(image.size)
    scale = len(found.mask) / (found.window[2] - found.window[0])
    across, down = found.window[:2]
    # The box lies within the window, but for rounding.
    side = float(len(found.mask))
    part = (
        max(0.0, (left - across) * scale),
        max(0.0, (top - down) * scale),
        min(side, (right - across) * scale),
        min(side, (bottom - down) * scale),
    )
    mask = Image.fromarray(found.mask).resize((right - left, bottom - top), Image.Resampling.BICUBIC, box=part)
    opacity = Image.fromarray(np.rint(sharpen(np.asarray(mask)) * 255).astype(np.uint8))
    return _with_opacity(image.crop((left, top, right, bottom)), opacity)


def _with_opacity(image: Image.Image, opacity: Image.Image) -> Image.Image:
    cut = image.convert("RGBA")
    cut.putalpha(opacity)
    return cut
