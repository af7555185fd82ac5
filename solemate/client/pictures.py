"""A picture, in whatever form a program has it, as the bytes of a file."""

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable


@runtime_checkable
class PillowImage(Protocol):
    """A `PIL.Image.Image`; Pillow itself is not needed."""

    @property
    def mode(self) -> str:
        """The type of its pixels."""
        ...

    def save(self, fp: Any, format: str | None = None) -> None:  # noqa: ANN401 - as Pillow has it
        """Write it into a file."""


@runtime_checkable
class Array(Protocol):
    """A `numpy.ndarray`; numpy itself is not needed."""

    @property
    def shape(self) -> tuple[Any, ...]:
        """Its sides."""
        ...

    @property
    def dtype(self) -> Any:  # noqa: ANN401 - numpy's own
        """The type of its elements."""
        ...

    def tobytes(self) -> bytes:
        """Its elements, row by row."""
        ...


Picture: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | PillowImage | Array
"""A picture: a file's path, its bytes, a Pillow image, or an array of uint8, (H, W), (H, W, 3) or (H, W, 4)."""

COLOUR_TYPES = {1: 0, 3: 2, 4: 6}
"""Channels -> the colour type of a PNG."""


def to_bytes(picture: Picture) -> bytes:
    """The bytes of a picture's file; of an image in memory, as a PNG, which loses nothing.

    Raises:
        OSError: the file can't be read.
        TypeError: it is none of the forms of `Picture`.
        ValueError: an array of another shape or type.
    """
    if isinstance(picture, str | os.PathLike):
        return Path(picture).read_bytes()
    if isinstance(picture, bytes | bytearray | memoryview):
        return bytes(picture)
    if isinstance(picture, PillowImage):
        file = io.BytesIO()
        shown = picture if picture.mode in {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"} else _to_rgb(picture)
        shown.save(file, format="PNG")
        return file.getvalue()
    if isinstance(picture, Array):
        return _to_png(picture)
    raise TypeError(f"a picture is a path, bytes, a PIL image or a numpy array of uint8, not {type(picture).__name__}")


def _to_rgb(picture: Any) -> Any:  # noqa: ANN401 - a Pillow image, by its method `convert`
    return picture.convert("RGB")  # CMYK and others, which a PNG can't hold


def _to_png(array: Array) -> bytes:
    """An array of pixels as a PNG, (H, W) or (H, W, 1) grey, (H, W, 3) RGB, (H, W, 4) RGBA."""
    height, width, channels = (*array.shape, 1)[:3] if len(array.shape) in {2, 3} else (0, 0, 0)
    if str(array.dtype) != "uint8" or channels not in COLOUR_TYPES or not height or not width:
        raise ValueError(
            f"an array of shape {tuple(array.shape)} and type {array.dtype} is no picture; expected uint8 of shape "
            "(height, width), (height, width, 3) or (height, width, 4)"
        )
    pixels, stride = array.tobytes(), width * channels
    rows = b"".join(b"\0" + pixels[start : start + stride] for start in range(0, height * stride, stride))
    head = struct.pack(">IIBBBBB", width, height, 8, COLOUR_TYPES[channels], 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
