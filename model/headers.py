"""What a picture's headers promise, checked before Pillow reads them.

Pillow reads metadata in Python, under the lock that all threads share, at 0.1 to 10 us for each segment, block, tag or
value, and believes what a header says of the work that is ahead: a file of few bytes can keep it busy for many seconds.
The walks below go from piece to piece as Pillow does, and give up at the first that is too many.
"""

import re
from collections.abc import Callable, Collection

from model.errors import CorruptImage

__all__ = ["check_headers"]

MAX_PIECES = 1000
"""Segments of a JPEG without its scans' data: an ICC profile has up to 255, the depth map of a phone up to 300."""

MAX_STRAY = 2**16
"""Bytes between the segments before a JPEG's first scan: Pillow skips them one by one."""

MAX_SCANS = 100
"""Of a JPEG; encoders write about 10. libtiff has this limit; libjpeg-turbo's fuzzers, whose pictures are small, 500."""

SCANNED_PIXELS = 2**30
"""Pixels of all scans of a JPEG, beyond its first 20 scans: one scan goes through all coefficients, up to 45 ms with 50
million pixels, so that 20 take as long as the whole of a photo that has 10 (measured: 0.9 s)."""

# Markers of a JPEG's segments.
BARE = frozenset({0x01, 0xC8, *range(0xD0, 0xDA), *range(0xF0, 0xFE)})  # without length and content
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
END, SCAN = 0xD9, 0xDA

MARKER = re.compile(rb"\xff[^\x00\xff]")
MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # in a scan's data, 0xFF00 is a byte and 0xFFD0-D7 restarts


def check_headers(data: bytes, formats: Collection[str]) -> None:
    """Refuse a picture that would take Pillow long for what it is; others, and what is no picture, pass.

    Args:
        data: the bytes of a file.
        formats: Pillow's names of those that may be read.

    Raises:
        CorruptImage: the message says what there is too much of.
    """
    for name, signature, check in CHECKS:
        if name in formats and data.startswith(signature):
            check(data)


def _check_count(count: int, most: int, what: str) -> None:
    if count > most:
        raise CorruptImage(f"the image has more than {most:,} {what}")


def _check_jpeg(data: bytes) -> None:
    position, segments, stray, scans = 2, 0, 0, 0
    sequential, components, most = False, b"", MAX_SCANS
    marker = MARKER
    while found := marker.search(data, position):
        segments += 1
        _check_count(segments, MAX_PIECES, "segments")
        kind, start = data[found.end() - 1], found.end()
        if not scans:
            stray += found.start() - position
            _check_count(stray, MAX_STRAY, "bytes between its segments")
        elif kind == END:
            return
        position = start if kind in BARE else start + max(2, int.from_bytes(data[start : start + 2]))
        if kind in FRAMES:
            sequential, components = kind <= 0xC1, data[start + 7 : start + 8]
            pixels = int.from_bytes(data[start + 3 : start + 5]) * int.from_bytes(data[start + 5 : start + 7])
            most = min(MAX_SCANS, max(20, SCANNED_PIXELS // max(1, pixels)))
        elif kind == SCAN:
            scans += 1
            _check_count(scans, most, "scans")
            if sequential and data[start + 2 : start + 3] == components:
                return  # its only scan: libjpeg refuses another
            marker = MARKER_IN_SCAN
    if not scans:
        _check_count(stray + len(data) - position, MAX_STRAY, "bytes between its segments")


CHECKS: tuple[tuple[str, bytes, Callable[[bytes], None]], ...] = (("JPEG", b"\xff\xd8\xff", _check_jpeg),)
"""Name of a format in Pillow, the bytes that it begins with, and its check."""
