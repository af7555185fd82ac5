"""From the bytes of a picture to what the network sees, and back.

Everything that changes a pixel is here and in `PreprocessConfig`, which travels in the checkpoint: the index builder,
the trainer and the service can't drift apart.
"""

import io
import logging
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from model.codecs import silence_codecs
from model.color import ColorTransform, find_transform
from model.cutout import Cutout, cut_found, cut_plain
from model.errors import CorruptImage, ImageTooLarge, SolemateError, UnsupportedImage
from model.formats import FORMATS, HEIC_HINT, is_heic
from model.framing import (
    WHOLE,
    Box,
    Subject,
    View,
    find_plain_box,
    find_plain_colour,
    mark_scale,
    place,
    shrink,
    whiten,
)
from model.headers import check_headers, check_scans, find_orientation
from model.localization import MaskNetwork, cut_out, locate
from model.png import skip_bulk

__all__ = [
    "FORMATS",
    "Framed",
    "ImageLimits",
    "PreprocessConfig",
    "Preprocessor",
    "flatten",
    "to_pixels",
    "to_png",
]

logger = logging.getLogger(__name__)

MAX_PIXELS = 8192 * 6144
"""Of a sensor of 50 megapixels: larger ones, of up to 200, write JPEG, which is decoded at a fraction of its size."""

PIXEL_WEIGHTS: Mapping[str, int] = {"WEBP": 2, "AVIF": 2}
"""Formats whose decoding takes a multiple of the 9 bytes a pixel that others need (measured: WebP 18, AVIF 15)."""

Image.MAX_IMAGE_PIXELS = None  # ImageLimits are the one limit: Pillow's counts a JPEG before it is scaled

# Pillow tells of damage by many exceptions, some of them from the codecs' insides.
_DECODING_FAILURES = (
    ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, SyntaxError, TypeError, ValueError,
    struct.error, zlib.error,
)  # fmt: skip

TILE_WIDTH, TILE_HEIGHT = 322, 323  # TIFF's tags

MAX_COVERED = 8
"""How many times a TIFF's strips may cover its picture: as often as it has bands, of which Pillow reads up to 6."""

RUN_LENGTHS = frozenset({1, 2})
"""BMP's compressions that Pillow decodes in Python: 13 s for as many pixels as are allowed."""

JPEG_SEGMENTS = frozenset({0xC0, 0xC1, 0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})
"""Markers before the scan of a JPEG in sequential Huffman coding: frame, tables, comments, applications' data."""

# EXIF orientation -> what makes the picture upright; 1 is upright.
_TRANSPOSITIONS: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

STRIP_PIXELS = 2**20
"""Of a large picture, what is converted to RGB at once."""


Framing = Literal["pad", "subject"]

ANALYSED_SIDE = 160
"""Longest side, in pixels, of the copy of a picture in which a plain margin is looked for."""

WORKING_SIDES = 6
"""Longest side of what a subject is cut out of, in sides of the network's square."""

CUTOUT_SIDE = 800
"""Longest side, in pixels, of the picture that a cut-out is made of."""

AUTO = View()


class Framed(NamedTuple):
    """A picture as the network takes it.

    Attributes:
        pixels: (C, H, W) uint8.
        subject: what of the picture that is; None where it is all of it.
    """

    pixels: NDArray[np.uint8]
    subject: Subject | None = None


@dataclass(frozen=True)
class PreprocessConfig:
    """What turns a picture into the network's input.

    Attributes:
        size: H = W, in pixels.
        channels: 3 for RGB, 1 for grey.
        background: the grey level in 0..255 behind transparency and beside pictures that are not square.
        color_management: colours are converted to sRGB from the ICC profile that a picture embeds. A broken profile
            counts as none.
        framing: `pad` shows the whole picture; `subject` trims a plain margin, or finds the shoe in a photo with the
            localizer, so that it fills the square in the same way; how much of a picture with a plain margin it
            filled before stands in the square's margin (`mark_scale`).
    """

    size: int = 64
    channels: int = 3
    background: int = 255
    color_management: bool = True
    framing: Framing = "pad"


@dataclass(frozen=True)
class ImageLimits:
    """What is refused before it is decoded. These never change a vector, so they belong to the environment.

    Attributes:
        max_bytes: of the file.
        max_pixels: that are decoded. A JPEG in a single scan is decoded at down to 1/8 of its width and height, where
            that is enough; in other formats these are all of the picture's pixels, and half as many are allowed in
            those that take twice the memory (`PIXEL_WEIGHTS`).
        formats: Pillow's names of the formats that are read.
    """

    max_bytes: int = 20 * 2**20
    max_pixels: int = MAX_PIXELS
    formats: tuple[str, ...] = FORMATS


class Preprocessor:
    """Decodes pictures, safely and always in the same way. Holds no state: safe in many threads."""

    def __init__(
        self, config: PreprocessConfig, limits: ImageLimits | None = None, localizer: MaskNetwork | None = None
    ) -> None:
        self.config = config
        self.limits = limits or ImageLimits()
        silence_codecs()
        self.localizer = localizer

    def decode_file(self, path: Path) -> NDArray[np.uint8]:
        """`decode` of a file's bytes. Raises OSError beside the errors of `decode`."""
        size = path.stat().st_size
        if size > self.limits.max_bytes:
            raise ImageTooLarge(f"the file has {size:,} bytes; at most {self.limits.max_bytes:,} are allowed")
        return self.decode(path.read_bytes())

    def decode(self, data: bytes) -> NDArray[np.uint8]:
        """Decode one picture: upright, on the background, padded to a square, resized.

        The picture is padded, never cropped, so that no toe or heel is lost. Of an animation the first frame counts.

        Args:
            data: the bytes of a picture file.

        Returns:
            (C, H, W) uint8.

        Raises:
            UnsupportedImage: not an image, or not in one of the allowed formats.
            CorruptImage: empty, truncated or broken.
            ImageTooLarge: more bytes or pixels than `limits` allow; nothing of it was decoded.
        """
        return self.finish(self.open(data))

    def open(self, data: bytes) -> Image.Image:
        """Read the header only, and refuse by it: the cheap part of `decode`, with its errors."""
        if not data:
            raise CorruptImage("the image is empty (0 bytes)")
        if len(data) > self.limits.max_bytes:
            raise ImageTooLarge(f"the image has {len(data):,} bytes; at most {self.limits.max_bytes:,} are allowed")
        allowed = ", ".join(self.limits.formats)
        with _blame_picture("the image's header is broken"):
            check_headers(data, self.limits.formats)
            try:
                image = Image.open(io.BytesIO(skip_bulk(data)), formats=self.limits.formats)
            except UnidentifiedImageError as error:
                if "HEIF" not in self.limits.formats and is_heic(data):
                    raise UnsupportedImage(HEIC_HINT) from error
                raise UnsupportedImage(f"not an image in one of the allowed formats ({allowed})") from error
        width, height = image.size
        if width < 1 or height < 1:
            raise CorruptImage(f"the image's header is broken: it claims {width}x{height} pixels")
        if image.format == "BMP" and image.info.get("compression") in RUN_LENGTHS:
            raise UnsupportedImage("a BMP in run-length encoding can't be read here: save it as a PNG")
        if not _is_scalable(image, data):
            self._check_pixels(image)
            _check_covered(image)
            if isinstance(image, JpegImageFile):
                check_scans(data, width * height)
        return image

    def _check_pixels(self, image: Image.Image, verb: str = "has") -> None:
        """Refuse a picture for the pixels that it will be decoded to."""
        width, height = image.size
        if image.format == "TIFF" and isinstance(image, TiffImageFile):
            # A tile may be larger than the picture, and is decoded as a whole.
            with _blame_picture("the image's header is broken"):
                width = max(width, int(image.tag_v2.get(TILE_WIDTH, 0)))
                height = max(height, int(image.tag_v2.get(TILE_HEIGHT, 0)))
        name = image.format or ""
        allowed = self.limits.max_pixels // PIXEL_WEIGHTS.get(name, 1)
        if width * height > allowed:
            raise ImageTooLarge(
                f"the image {verb} {width}x{height} = {width * height:,} pixels; at most {allowed:,} are allowed"
                + (f" in {name}" if name in PIXEL_WEIGHTS else "")
            )

    def finish(self, image: Image.Image) -> NDArray[np.uint8]:
        """Decode what `open` gave, once: the rest of `decode`, with its errors."""
        return self.frame(image).pixels

    def frame(self, image: Image.Image, view: View | None = None) -> Framed:
        """As `finish`, and say what of the picture was taken.

        Args:
            image: from `open`.
            view: what a person says of where the shoe is; None leaves that to the framing.
        """
        view = view or AUTO
        picture = self._look(image, view)
        framed = self._place(picture, whole=view.whole, marks=view.keeps_scale)
        assert framed is not None
        return framed

    def frame_plain(self, image: Image.Image, view: View | None = None) -> Framed | Image.Image:
        """As `frame` where that takes no pass through the localizer, which costs several times the rest.

        Else the decoded picture, for `frame_picture`.
        """
        view = view or AUTO
        picture = self._look(image, view)
        return self._place(picture, whole=view.whole, marks=view.keeps_scale, locates=False) or picture

    def cut_out(self, image: Image.Image, view: View | None = None) -> Cutout:
        """What `frame` takes for the subject, in the picture's own colours and with its surroundings transparent.

        Args:
            image: from `open`.
            view: as for `frame`.

        Raises:
            ImageError: as `decode` does.
            QueryError: as `View.apply` does.
        """
        view = view or AUTO
        return self._cut(self._look(image, view, CUTOUT_SIDE), whole=view.whole)

    @property
    def finds_subjects(self) -> bool:
        """Whether there is a localizer that finds the shoe where no plain margin surrounds it."""
        return self.config.framing == "subject" and self.localizer is not None

    def render(self, data: bytes, longest: int) -> Image.Image:
        """Decode one picture as people see it: all of it, upright, on the background, in RGB.

        Nothing of the file but its pixels is left: no camera data, no place, no text, and no colour profile, which
        their colours no longer need.

        Args:
            data: the bytes of a picture file.
            longest: pixels a side that the result has at most; a larger picture is shrunk.

        Raises:
            ImageError: as `decode` does.
        """
        image = self._load(self.open(data), least=longest)
        with _blame_picture(f"an image of mode {image.mode} that can't be converted to RGB"):
            flat = flatten(image, self.config.background, self._find_transform(image))
            if max(flat.size) > longest:
                flat.thumbnail((longest, longest), Image.Resampling.BICUBIC, reducing_gap=3.0)
        bare = Image.new("RGB", flat.size)
        bare.paste(flat)
        return bare

    def _load(self, image: Image.Image, *, least: int | None = None) -> Image.Image:
        """Decode all of it, before anything else sees it; a JPEG perhaps smaller, but with `least` pixels a side."""
        name = image.format or "image"
        # JPEG can be decoded at 1/2, 1/4 or 1/8 of its size: a phone's photo costs a tenth. Three times the
        # network's size is left, for the resize to average over.
        sides = WORKING_SIDES if self.config.framing == "subject" else 3
        enough = sides * self.config.size
        wanted = enough if least is None else least
        while wanted > enough and self._exceeds(image.size, wanted):
            wanted = max(enough, wanted // 2)
        with _blame_picture(f"the {name} is truncated or broken"):
            image.draft(None, (wanted, wanted))
            self._check_pixels(image, verb="is decoded to")
            image.load()
            return _turn_upright(image)

    def _exceeds(self, size: tuple[int, int], wanted: int) -> bool:
        """Whether a JPEG of this size exceeds the limit where it is decoded with `wanted` pixels a side or more."""
        scale = next((each for each in (8, 4, 2) if min(size) >= each * wanted), 1)
        return size[0] * size[1] > self.limits.max_pixels * scale**2

    def _find_transform(self, image: Image.Image) -> ColorTransform | None:
        return find_transform(image) if self.config.color_management else None

    def _look(self, image: Image.Image, view: View, longest: int | None = None) -> Image.Image:
        """Decode what `open` gave: what a person wants to be looked at of it, in RGB.

        Args:
            image: from `open`.
            view: what to look at.
            longest: pixels a side that are of use; None for what the network needs.
        """
        image = self._load(image, least=self._find_least(view, longest))
        with _blame_picture(f"an image of mode {image.mode} that can't be converted to RGB"):
            transform, white = self._find_transform(image), _find_white(image)
            image = flatten(view.cut(image), self.config.background, transform, white)
        return view.turn(image, max(longest or 0, WORKING_SIDES * self.config.size, CUTOUT_SIDE))

    def _find_least(self, view: View, least: int | None) -> int | None:
        """Pixels a side to decode, so that a crop has as many as the whole would have; bounded by the limits."""
        if view.crop is None:
            return least
        base = WORKING_SIDES * self.config.size if least is None else least
        most = max(base, self.limits.max_pixels**0.5 / 4)
        return int(min(most, base / max(view.crop.width, view.crop.height)))

    def frame_picture(self, image: Image.Image, *, whole: bool = False) -> Framed:
        """Put a decoded RGB picture on the network's square; `whole` takes all of it for the subject."""
        framed = self._place(image, whole=whole, marks=True)
        assert framed is not None
        return framed

    def _place(self, image: Image.Image, *, whole: bool, marks: bool, locates: bool = True) -> Framed | None:
        """None where the localizer is needed, and must not be asked; `marks` the scale of what is on a plain margin."""
        if self.config.framing == "pad":
            square, subject = _resize(_pad_ratio(image, self.config), self.config), None
        else:
            framed = self._frame_subject(image, whole=whole, marks=marks, locates=locates)
            if framed is None:
                return None
            square, subject = framed
        pixels = np.array(square, dtype=np.uint8)  # a copy, since Pillow's own memory is read-only
        if pixels.ndim == 2:
            pixels = pixels[:, :, None]
        return Framed(np.ascontiguousarray(pixels.transpose(2, 0, 1)), subject)  # (H, W, C) -> (C, H, W)

    def _frame_subject(
        self, image: Image.Image, *, whole: bool, marks: bool, locates: bool
    ) -> tuple[Image.Image, Subject | None] | None:
        """The subject on its square; all of the picture where no subject is found, or none is wanted."""
        size = self.config.size
        subject = None
        box = WHOLE
        image = shrink(image, WORKING_SIDES * size)
        plain = None if whole else _find_plain(image)
        if plain is not None:
            colour, found_box = plain
            image = whiten(image, colour)
            if found_box is not None:
                box, subject = found_box, _plain_subject(found_box)
        elif self.localizer is not None and not whole:
            if not locates:
                return None
            found = locate(self.localizer, [image])[0]
            if found is not None:
                subject = found.subject
                image, box = cut_out(image, found, 3 * size)
        square = place(image, box, size)
        if marks and plain is not None and subject is not None:
            mark_scale(square, box, image.size)
        return (square.convert("L") if self.config.channels == 1 else square), subject

    def _cut(self, image: Image.Image, *, whole: bool) -> Cutout:
        image = shrink(image, CUTOUT_SIDE)
        if self.config.framing == "pad" or whole:
            return Cutout(image.convert("RGBA"))
        plain = _find_plain(image)
        if plain is not None:
            colour, box = plain
            if box is not None:
                return Cutout(cut_plain(image, colour, box), _plain_subject(box))
        elif self.localizer is not None:
            found = locate(self.localizer, [image])[0]
            if found is not None:
                return Cutout(cut_found(image, found), found.subject)
        return Cutout(image.convert("RGBA"))


def _find_plain(image: Image.Image) -> tuple[NDArray[np.uint8], Box | None] | None:
    """The colour of a plain margin, and the box around what it surrounds, if that is anything; None without one."""
    small = image
    if max(image.size) > ANALYSED_SIDE:
        small = image.copy()
        small.thumbnail((ANALYSED_SIDE,) * 2, Image.Resampling.BOX)
    pixels = np.asarray(small)
    colour = find_plain_colour(pixels)
    return None if colour is None else (colour, find_plain_box(pixels, colour))


def _plain_subject(box: Box) -> Subject:
    return Subject(box, box.width * box.height)


@contextmanager
def _blame_picture(message: str) -> Iterator[None]:
    """Make whatever a decoder raises an ImageError, of this picture alone; what none is known to raise is logged."""
    try:
        yield
    except SolemateError:
        raise
    except MemoryError as error:
        raise ImageTooLarge("the image does not fit in memory") from error
    except Exception as error:
        if not isinstance(error, _DECODING_FAILURES):
            logger.exception("a decoder failed in a way that is not known of it")
        raise CorruptImage(message) from error


def _check_covered(image: Image.Image) -> None:
    """Refuse a picture whose pixels are decoded again and again: a TIFF of many strips that are one in the file."""
    if isinstance(image, TiffImageFile):
        boxes = [each.extents or (0, 0, 0, 0) for each in image.tile]
        pixels = sum((right - left) * (lower - upper) for left, upper, right, lower in boxes)
        if pixels > MAX_COVERED * image.width * image.height:
            raise CorruptImage(f"the image's strips or tiles cover it more than {MAX_COVERED} times")


def _is_scalable(image: Image.Image, data: bytes) -> bool:
    """Whether a picture is decoded at a fraction of its size without the memory of all of it: a JPEG in one scan.

    Of one in several scans, such as a progressive one, libjpeg keeps all coefficients, 6 bytes a pixel. One that claims
    more pixels than its bytes can hold, at two bits or more for each 8x8 of them, does not count as one.
    """
    if not isinstance(image, JpegImageFile) or image.width * image.height > 256 * len(data):
        return False
    position = 2
    while position + 5 <= len(data) and data[position] == 0xFF:
        marker, length = struct.unpack_from(">xBH", data, position)
        if marker == 0xDA:  # start of a scan; it says how many of the components it has
            return data[position + 4] == image.layers
        if marker not in JPEG_SEGMENTS:
            return False
        position += 2 + length
    return False


def _turn_upright(image: Image.Image) -> Image.Image:
    """Undo a camera's rotation. A picture with broken EXIF data is taken as it is stored, as browsers do."""
    # Not ImageOps.exif_transpose: it writes all of the EXIF data anew, and fails for what it can't write.
    transposition = _TRANSPOSITIONS.get(find_orientation(image.info))
    return image if transposition is None else image.transpose(transposition)


def flatten(
    image: Image.Image, background: int, to_srgb: ColorTransform | None = None, white: float | None = None
) -> Image.Image:
    """Any mode to RGB, with transparency on the background; `white` is for what `_find_white` finds in it.

    A large picture is taken strip by strip: the steps in between would need several times its memory.
    """
    if image.mode == "RGB" and "transparency" not in image.info and to_srgb is None:
        return image
    white = _find_white(image) if white is None else white
    flat = Image.new("RGB", image.size)
    for strip, top in _strips(image):
        flat.paste(_flatten_strip(strip, background, white, to_srgb), (0, top))
    return flat


def _strips(image: Image.Image) -> Iterator[tuple[Image.Image, int]]:
    """The picture in pieces of its whole width, from its top on, with the row that each begins at."""
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height))), top


def _flatten_strip(image: Image.Image, background: int, white: float, to_srgb: ColorTransform | None) -> Image.Image:
    if _is_deep(image):
        image = _to_eight_bits(image, white)
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        image = image.convert("RGBA")
        if to_srgb is not None:
            alpha = image.getchannel("A")
            image = to_srgb.apply(image)
            image.putalpha(alpha)
        canvas = Image.new("RGBA", image.size, (background, background, background, 255))
        return Image.alpha_composite(canvas, image).convert("RGB")
    if to_srgb is not None:
        return to_srgb.apply(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith("I;16") or image.mode in {"I", "F"}


def _find_white(image: Image.Image) -> float:
    """The value that means white in a grey picture of more than 8 bits."""
    if image.mode != "F":
        return 65535.0
    # Floating-point pictures have no agreed range: those that stay within [0, 1] are taken for that.
    return 1.0 if all(np.nanmax(np.asarray(strip), initial=0.0) <= 1.0 for strip, _ in _strips(image)) else 255.0


def _to_eight_bits(image: Image.Image, white: float) -> Image.Image:
    """Grey of more than 8 bits to 8. Pillow's own conversion clips everything above 255 to white."""
    values = np.asarray(image).astype(np.float64)
    scaled = np.nan_to_num(values / white * 255.0, nan=0.0, posinf=255.0, neginf=0.0)
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


def _pad_ratio(image: Image.Image, config: PreprocessConfig) -> Image.Image:
    """Shrink a picture so long that padding it to a square would be a bomb of its own making."""
    longest = max(image.size)
    bound = 16 * config.size
    if longest <= bound:
        return image
    scale = bound / longest
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BOX)


def _resize(image: Image.Image, config: PreprocessConfig) -> Image.Image:
    """Pad to a square, centred, and resize with antialiasing."""
    side = max(image.size)
    if image.width != image.height:
        grey = config.background
        canvas = Image.new("RGB", (side, side), (grey, grey, grey))
        canvas.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        image = canvas
    if side != config.size:
        # Pillow's filters widen with the scale: bicubic here is antialiased.
        image = image.resize((config.size, config.size), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return image.convert("L") if config.channels == 1 else image


def to_pixels(image: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """The network's picture as pixels, of any shape: float in [0, 1] -> uint8, rounded; values outside are clipped."""
    pixels: NDArray[np.uint8] = np.rint(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)
    return pixels


def to_png(image: NDArray[np.floating[Any]]) -> bytes:
    """A picture (C, H, W) in [0, 1], C of 1 or 3, as the bytes of a PNG."""
    pixels = to_pixels(image)
    picture = Image.fromarray(pixels[0] if pixels.shape[0] == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
