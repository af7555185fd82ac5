r"""A large catalogue's vectors on disk, to be mapped into memory: all processes of a machine share one copy of them.

    solemate vectors 1\n
    {"uuid": ..., "seq": ..., "rows": ..., "dimension": ..., "sha256": ...}\n
    padding with zeros, up to a multiple of 4096
    N int64: the shoes' numbers, ascending; again padding
    N uint32: the CRC-32 of each vector; again padding
    N x D float32: the vectors

It is derived from the truth as of one change, and stays of use after later ones: what they touched is read from SQLite,
and the rest is compared with the truth's own checksums. The digest is over all but itself and the first padding.
"""

import hashlib
import json
import logging
import mmap
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.files import write_parts

__all__ = ["StoredVectors", "is_damaged", "load_vectors", "read_seq", "save_vectors"]

logger = logging.getLogger(__name__)

Vectors = NDArray[np.float32]

MAGIC = b"solemate vectors 1\n"
HEADER_LIMIT = 4096
PAGE = 4096
AT_ONCE = 2**22
"""Bytes that are written, or digested, at once."""


@dataclass(frozen=True)
class StoredVectors:
    """What such a file holds.

    Attributes:
        seq: number of the last change in it.
        numbers: (N,) int64, ascending.
        checksums: (N,) uint32.
        vectors: (N, D) float32, read-only: the mapped file itself.
        digest: SHA-256, hex.
    """

    seq: int
    numbers: NDArray[np.int64]
    checksums: NDArray[np.uint32]
    vectors: Vectors
    digest: str


def save_vectors(path: Path, uuid: str, seq: int, numbers: NDArray[np.int64], vectors: Vectors) -> bool:
    """Write the file, atomically. A folder that can't be written costs time at the next start, and a log line now."""
    checksums = np.fromiter((zlib.crc32(vector) for vector in vectors), dtype=np.uint32, count=len(vectors))
    arrays = (numbers.astype("<i8"), checksums.astype("<u4"), vectors.astype("<f4", copy=False))
    facts = {"uuid": uuid, "seq": seq, "rows": len(vectors), "dimension": vectors.shape[1]}
    digest = _begin_digest(facts)
    for piece in _pieces(arrays):
        digest.update(piece)
    header = MAGIC + json.dumps(facts | {"sha256": digest.hexdigest()}).encode() + b"\n"
    try:
        write_parts(path, chain([header.ljust(_round_up(len(header)), b"\0")], _pieces(arrays)))
    except OSError as error:
        logger.warning("%s could not be written (%s); the next start will read all vectors instead", path, error)
        return False
    return True


def load_vectors(path: Path, uuid: str, dimension: int) -> StoredVectors | None:
    """Map the file, if it is whole and this store's; None, with a log line, if not."""
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        logger.info("%s is not there", path)
        return None
    except (OSError, ValueError) as error:  # ValueError: an empty file
        logger.warning("%s can't be read (%s)", path, error)
        return None
    stored = _parse(mapped, uuid, dimension)
    if stored is None:
        logger.warning("%s is torn, damaged, or another store's", path)
    return stored


def read_seq(path: Path, uuid: str) -> int:
    """Number of the last change in the file, as its header says; -1 if there is none of this store."""
    try:
        with path.open("rb") as file:
            facts = json.loads(_header_of(file.read(len(MAGIC) + HEADER_LIMIT)) or b"{}")
        return int(facts["seq"]) if facts.get("uuid") == uuid else -1
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return -1


def is_damaged(path: Path) -> bool:
    """Whether the file fails its own digest; one that is merely of an earlier state is not damaged."""
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # closed with the arrays that look at it
            facts = json.loads(_header_of(mapped[: len(MAGIC) + HEADER_LIMIT]) or b"{}")
            return _parse(mapped, facts["uuid"], facts["dimension"]) is None
    except (OSError, ValueError, KeyError, TypeError):
        return True


def _parse(mapped: mmap.mmap, uuid: str, dimension: int) -> StoredVectors | None:
    header = _header_of(mapped[: len(MAGIC) + HEADER_LIMIT])
    try:
        facts = json.loads(header or b"{}")
        rows, seq = int(facts["rows"]), int(facts["seq"])
        if rows < 1 or facts["uuid"] != uuid or facts["dimension"] != dimension:
            return None
        expected = facts.pop("sha256")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    start = _round_up(len(MAGIC) + len(header or b"") + 1)
    places = [start]
    for size in (8 * rows, 4 * rows, 4 * rows * dimension):
        places.append(_round_up(places[-1] + size))
    if len(mapped) != places[-1] or _digest_of(mapped, start, facts) != expected:
        return None
    return StoredVectors(
        seq=seq,
        numbers=np.frombuffer(mapped, "<i8", rows, places[0]).astype(np.int64),
        checksums=np.frombuffer(mapped, "<u4", rows, places[1]).astype(np.uint32),
        vectors=np.frombuffer(mapped, "<f4", rows * dimension, places[2]).reshape(rows, dimension),
        digest=expected,
    )


def _header_of(data: bytes) -> bytes | None:
    end = data.find(b"\n", len(MAGIC))
    return data[len(MAGIC) : end] if data.startswith(MAGIC) and end > 0 else None


def _begin_digest(facts: dict[str, object]) -> "hashlib._Hash":
    return hashlib.sha256(json.dumps(facts).encode())


def _digest_of(mapped: mmap.mmap, start: int, facts: dict[str, object]) -> str:
    digest = _begin_digest(facts)
    with memoryview(mapped) as view:
        for place in range(start, len(mapped), AT_ONCE):
            digest.update(view[place : place + AT_ONCE])
    return digest.hexdigest()


def _pieces(arrays: Iterable[NDArray[Any]]) -> Iterable[memoryview | bytes]:
    """The arrays' bytes, each with its padding, without a copy of all of them."""
    for array in arrays:
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        for start in range(0, len(data), AT_ONCE):
            yield data[start : start + AT_ONCE]
        yield bytes(_round_up(len(data)) - len(data))


def _round_up(size: int) -> int:
    return -(-size // PAGE) * PAGE
