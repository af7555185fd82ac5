"""What a picture's headers promise, checked before Pillow reads them.

Pillow reads metadata in Python, under the lock that all threads share, at 0.1 to 12 us for each segment, block, tag or
value, and believes what a header says of the work that is ahead: a file of few bytes can keep it busy for many seconds.
The walks below go from piece to piece as Pillow and the codecs do, and give up at the first that is too many.
"""

import re
import struct
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Literal

from model.errors import CorruptImage

SMALL_BYTES = 4096
"""Of a file that can't hold enough pieces to take long: at 12 us for each of 4 bytes, 12 ms."""

MAX_PIECES = 1000
"""Segments of a JPEG, before its first scan and behind it; tags of a TIFF or of EXIF data; beyond their share of the
bytes, chunks of a PNG and blocks of a GIF. An ICC profile has up to 255 segments, a phone's depth map up to 300."""

PNG_BYTES = 256
GIF_BYTES = 64
"""On average, that a PNG's chunk and a GIF's block before its picture have at least beyond `MAX_PIECES`: encoders write
8 KB and 255 bytes; a frame of an animation and the letters of XMP, which GIF takes for lengths, are less."""

MAX_INFLATED = 100
"""Chunks of a PNG that may have to be inflated, to up to 1 MiB each, at 4 ms: its colour profile, and texts."""

MAX_STRAY = 2**16
"""Bytes between the segments before a JPEG's first scan: Pillow skips them one by one."""

MAX_PARSED = 2**17
"""Bytes of the segments of a JPEG in which Pillow loops; EXIF data may have half as many by its standard."""

MAX_SCANS = 100
"""Of a JPEG; encoders write about 10. libtiff has this limit; libjpeg-turbo's fuzzers, of small pictures, 500."""

SCANNED_PIXELS = 2**30
"""Pixels of all scans of a JPEG, beyond its first 20 scans: one scan goes through all coefficients, up to 45 ms with 50
million pixels, so that 20 take as long as the whole of a photo that has 10 (measured: 0.9 s)."""

MAX_STRIPS = 2**14
"""Strips or tiles of a TIFF, at 12 us each: strips of one row are customary, and a photo has up to 8192 rows."""

MAX_RATIONALS = 1000
MAX_VALUES = 2**20
"""Values of a TIFF's tags or of EXIF data that are fractions, at 7 us each, and that are other numbers, at 0.1 us."""

# Markers of a JPEG's segments.
BARE = frozenset({0x01, 0xC8, *range(0xD0, 0xDA), *range(0xF0, 0xFE)})  # without length and content
LOOPED = frozenset({*range(0xC0, 0xD0), 0xDB})  # frames and tables, over whose contents Pillow loops
SCAN, END, EXIF = 0xDA, 0xD9, 0xE1

EXIF_PREFIX = re.compile(rb"^(Exif\0\0){1,2}")
MARKER = re.compile(rb"\xff[^\x00\xff]")
MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # in a scan's data, 0xFF00 is a byte and 0xFFD0-D7 restarts

INFLATED = frozenset({b"iCCP", b"iTXt", b"zTXt"})  # chunks of a PNG

# Tags and types of a TIFF, which EXIF data is, too.
ORIENTATION = 274
STRIPS = frozenset({273, 324})
DIRECTORIES = frozenset({34665, 34853, 40965})  # EXIF's own, GPS, interoperability: Pillow reads all of their values
SHORT = 3
OFFSETS = frozenset({4, 13, 16})
FRACTIONS = frozenset({5, 10})
BYTES = frozenset({1, 2, 7})
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}

ByteOrder = Literal["little", "big"]
ORDERS: Mapping[bytes, ByteOrder] = {b"II": "little", b"MM": "big"}
VERSIONS = frozenset({b"*\0", b"\0*", b"+\0", b"\0+"})  # +: BigTIFF; Pillow takes them in either order of bytes


def check_headers(data: bytes, formats: Collection[str]) -> None:
    """Refuse a picture that would take Pillow long for what it is; others, and what is no picture, pass.

    Args:
        data: the bytes of a file.
        formats: Pillow's names of those that may be read.

    Raises:
        CorruptImage: the message says what there is too much of.
    """
    if len(data) <= SMALL_BYTES:
        return
    for name, signature, check in CHECKS:
        if data.startswith(signature) and name in formats:
            check(data)


def check_scans(data: bytes, pixels: int) -> None:
    """Refuse a JPEG of so many pixels for the number of its scans: for one that libjpeg decodes in several scans."""
    position = next((end for _, kind, _, end in _walk_segments(data, 2, MARKER) if kind == SCAN), len(data))
    scans, most = 1, min(MAX_SCANS, max(20, SCANNED_PIXELS // pixels))
    for _, kind, _, _ in _walk_segments(data, position, MARKER_IN_SCAN):
        if kind == END:
            return
        scans += kind == SCAN
        _check_count(scans, most, "scans")


def find_orientation(info: Mapping[str | tuple[int, int], object]) -> int | None:
    """The orientation that a picture's metadata gives, by EXIF's numbers; None for none, or one that can't be read.

    Args:
        info: `Image.info` of the picture, once that is decoded.
    """
    exif, profile, xmp = info.get("exif"), info.get("Raw profile type exif"), info.get("xmp")
    if exif is None and isinstance(profile, str):  # ImageMagick's way to keep it in a PNG
        try:
            exif = bytes.fromhex("".join(profile.split("\n")[3:]))
        except ValueError:
            return None
    tiff = EXIF_PREFIX.sub(b"", exif) if isinstance(exif, bytes) else b""
    order = _find_order(tiff)
    if order is not None:
        for tag, kind, count, value in _read_directory(tiff, _find_first_directory(tiff, order), order):
            if tag == ORIENTATION:
                return int.from_bytes(value[:2], order) if (kind, count) == (SHORT, 1) else None
    found = re.search(rb'tiff:Orientation(?:="|>)([0-9])', xmp) if isinstance(xmp, bytes) else None
    return int(found[1]) if found else None


def _check_count(count: int, most: int, what: str) -> None:
    if count > most:
        raise CorruptImage(f"the image has more than {most:,} {what}")


def _walk_segments(data: bytes, position: int, marker: re.Pattern[bytes]) -> Iterator[tuple[int, int, int, int]]:
    """Of each segment of a JPEG: the bytes before it that are none, its marker, and where it starts and ends."""
    for _ in range(MAX_PIECES):
        found = marker.search(data, position)
        if found is None:
            return
        start = found.end()
        kind, stray = data[start - 1], start - 2 - position
        position = start if kind in BARE else start + max(2, int.from_bytes(data[start : start + 2]))
        yield stray, kind, start, position
    raise CorruptImage(f"the image has more than {MAX_PIECES:,} segments")


def _check_jpeg(data: bytes) -> None:
    stray = parsed = 0
    end, exif = 2, b""
    for gap, kind, start, end in _walk_segments(data, 2, MARKER):
        stray += gap
        if stray > MAX_STRAY:
            break
        if kind == SCAN:
            break
        if kind == EXIF and data.startswith(b"Exif\0\0", start + 2):
            exif += data[start + 8 if exif else start + 2 : end]
        elif kind not in LOOPED:
            continue
        parsed += end - start
        _check_count(parsed, MAX_PARSED, "bytes of tables and EXIF data")
    else:
        stray += len(data) - end
    _check_count(stray, MAX_STRAY, "bytes between its segments")
    _check_count(data.count(b"8BIM", 0, end), MAX_PIECES, "resources of Photoshop")
    if exif:
        _check_directories(EXIF_PREFIX.sub(b"", exif), nested=False)


def _check_png(data: bytes) -> None:
    position, chunks, inflated, most = 8, 0, 0, MAX_PIECES + len(data) // PNG_BYTES
    while position + 8 <= len(data) and (name := data[position + 4 : position + 8]) != b"IEND":
        chunks += 1
        _check_count(chunks, most, "chunks")
        inflated += name in INFLATED
        _check_count(inflated, MAX_INFLATED, "profiles and texts")
        position += 12 + int.from_bytes(data[position : position + 4])


def _check_gif(data: bytes) -> None:
    """Check the extensions before the first picture, reading each as Pillow does."""
    position, blocks, most = 13, 0, MAX_PIECES + len(data) // GIF_BYTES
    if data[10:11] >= b"\x80":  # a palette
        position += 6 << (data[10] & 7)

    def read_block() -> bytes:
        nonlocal position, blocks
        blocks += 1
        _check_count(blocks, most, "blocks")
        size = int.from_bytes(data[position : position + 1])
        position += 1 + size
        return data[position - size : position]

    while (kind := data[position : position + 1]) not in {b"", b",", b";"}:
        position += 1
        if kind != b"!":
            blocks += 1
            _check_count(blocks, most, "blocks")
            continue
        label = data[position : position + 1]
        position += 1
        block = read_block()
        if label == b"\xfe":  # comments
            while block:
                block = read_block()
            continue
        if label == b"\xff" and block.startswith(b"NETSCAPE2.0"):
            read_block()
        while read_block():
            pass


def _check_tiff(data: bytes) -> None:
    _check_directories(data, nested=True)


def _check_directories(tiff: bytes, *, nested: bool) -> None:
    """Check the tags of a TIFF's first picture or of EXIF data; `nested`: also of the directories that they name."""
    order = _find_order(tiff)
    if order is None:
        return
    positions = [_find_first_directory(tiff, order)]
    tags = fractions = numbers = 0
    for position in positions:
        for tag, kind, count, value in _read_directory(tiff, position, order):
            tags += 1
            _check_count(tags, MAX_PIECES, "tags")
            if kind not in SIZES or count * SIZES[kind] > len(tiff):
                continue  # Pillow passes over it
            if tag in STRIPS:
                _check_count(count, MAX_STRIPS, "strips or tiles")
            fractions += count * (kind in FRACTIONS)
            _check_count(fractions, MAX_RATIONALS, "fractions in its tags")
            numbers += count * (kind not in BYTES)
            _check_count(numbers, MAX_VALUES, "numbers in its tags")
            if nested and tag in DIRECTORIES:
                size = SIZES[kind]
                if kind not in OFFSETS or count != 1 or size > len(value):
                    raise CorruptImage(
                        f"the image's tag {tag} has {count:,} values of type {kind}; expected one offset"
                    )
                offset = int.from_bytes(value[:size], order)
                if offset not in positions:
                    positions.append(offset)


def _find_order(tiff: bytes) -> ByteOrder | None:
    """The order of bytes; None for what is no TIFF."""
    return ORDERS.get(tiff[:2]) if tiff[2:4] in VERSIONS else None


def _is_big(tiff: bytes) -> bool:
    return tiff[2:3] == b"+"  # a BigTIFF as Pillow recognizes it: only in the order of Intel's bytes


def _find_first_directory(tiff: bytes, order: ByteOrder) -> int:
    return int.from_bytes(tiff[8:16] if _is_big(tiff) else tiff[4:8], order)


def _read_directory(tiff: bytes, position: int, order: ByteOrder) -> Iterator[tuple[int, int, int, bytes]]:
    """The tags of a directory, as far as they are there: tag, type, number of values, and the value or its offset."""
    head, form = (8, "HHQ8s") if _is_big(tiff) else (2, "HHI4s")
    entry = struct.Struct(("<" if order == "little" else ">") + form)
    count = int.from_bytes(tiff[position : position + head], order)
    start = position + head
    entries = tiff[start : start + count * entry.size]
    return entry.iter_unpack(entries[: len(entries) // entry.size * entry.size])


CHECKS: tuple[tuple[str, bytes, Callable[[bytes], None]], ...] = (
    ("JPEG", b"\xff\xd8\xff", _check_jpeg),
    ("PNG", b"\x89PNG\r\n\x1a\n", _check_png),
    ("GIF", b"GIF8", _check_gif),
    ("TIFF", b"II", _check_tiff),
    ("TIFF", b"MM", _check_tiff),
)
"""Name of a format in Pillow, the bytes that it begins with, and its check."""
