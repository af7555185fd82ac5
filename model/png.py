"""A PNG's chunks that are not pixels: texts and the colour profile."""

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
PROFILE = b"iCCP"

MAX_BYTES = 2**20 - 1
"""Of the profile, and of all texts, when they are inflated: Pillow refuses a picture with a chunk of more."""


def skip_bulk(data: bytes) -> bytes:
    """A PNG's bytes without the texts and the profile that Pillow would refuse the picture for.

    Those are too large when they are inflated, or broken. All other bytes, and other formats, are left as they are.
    """
    if not data.startswith(SIGNATURE):
        return data
    kept = []
    copied, position, room = 0, len(SIGNATURE), MAX_BYTES
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if (name in TEXTS or name == PROFILE) and end <= len(data):
            size = _measure(name, data[position + 4 : end], room if name in TEXTS else MAX_BYTES)
            if size is None:
                kept.append(data[copied:position])
                copied = end
            elif name in TEXTS:
                room -= size
        position = end
    return b"".join([*kept, data[copied:]]) if kept else data


def _measure(name: bytes, chunk: bytes, room: int) -> int | None:
    """A chunk's size when it is inflated; None if that is more than `room`, or if the chunk is broken.

    Args:
        name: of the chunk.
        chunk: its name, content and checksum.
        room: bytes that it may have.
    """
    content = memoryview(chunk)[4:-4]
    if len(content) > room or zlib.crc32(memoryview(chunk)[:-4]) != int.from_bytes(chunk[-4:]):
        return None
    _, _, rest = bytes(content).partition(b"\0")  # the keyword
    if name == b"iTXt" and rest[:1] == b"\1":  # then the method, the language and the translated keyword
        rest = rest[1:2] + b"\0".join(rest[2:].split(b"\0", 2)[2:])
    elif name in {b"tEXt", b"iTXt"}:
        return len(content)
    if rest[:1] != b"\0":
        return None  # no method of compression, or an unknown one
    try:
        size = len(zlib.decompressobj().decompress(rest[1:], room + 1))
    except zlib.error:
        return len(content)  # Pillow takes it for empty
    return size if size <= room else None
