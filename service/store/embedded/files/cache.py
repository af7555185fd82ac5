r"""The derived index on disk, so that a start need not read every vector out of SQLite.

    solemate faiss cache 1\n
    {"uuid": ..., "seq": ..., "rows": ..., "dimension": ..., "sha256": ...}\n
    FAISS's own bytes

One file, so that one rename replaces header and index together. FAISS trusts what it reads, so nothing reaches it
before the header matches the truth and the bytes match their digest. Whatever does not fit is simply not a cache.
"""

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from model.files import write_atomic
from service.store.index.flat import FlatIndex
from service.store.locks import locked, remove_leftovers

__all__ = ["CacheKey", "is_damaged", "load_index", "save_index"]

logger = logging.getLogger(__name__)

MAGIC = b"solemate faiss cache 1\n"
HEADER_LIMIT = 4096


@dataclass(frozen=True)
class CacheKey:
    """The state of the truth that an index was derived from.

    Attributes:
        uuid: of the store.
        seq: number of the last change in the index.
        rows: N.
        dimension: D.
    """

    uuid: str
    seq: int
    rows: int
    dimension: int


def save_index(path: Path, key: CacheKey, index: FlatIndex) -> bool:
    """Write the cache, atomically. A folder that can't be written costs time at the next start, and a log line now."""
    payload = index.to_bytes()
    header = asdict(key) | {"sha256": hashlib.sha256(payload).hexdigest()}
    try:
        with locked(path.parent):
            remove_leftovers(path)
            write_atomic(path, b"".join((MAGIC, json.dumps(header).encode(), b"\n", payload)))
    except OSError as error:
        logger.warning("%s could not be written (%s); the next start will read all vectors instead", path, error)
        return False
    return True


def load_index(path: Path, key: CacheKey, *, threads: int = 1) -> FlatIndex | None:
    """The index that was saved for just this state; None, with a log line, if there is none that is whole."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        logger.info("%s is not there", path)
        return None
    except OSError as error:
        logger.warning("%s can't be read (%s)", path, error)
        return None
    if (payload := payload_of(data, key)) is None:
        logger.warning("%s is stale, torn or damaged", path)
        return None
    try:
        index = FlatIndex.from_bytes(payload, threads=threads)
    except (ValueError, RuntimeError) as error:
        # Whole, but written by a FAISS that speaks another dialect.
        logger.warning("%s holds no index that this FAISS can read (%s)", path, error)
        return None
    return index if (index.size, index.dimension) == (key.rows, key.dimension) else None


def is_damaged(path: Path) -> bool:
    """Whether a cache is there that fails its own digest; one that is merely of an earlier state is not damaged."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    end = data.find(b"\n", len(MAGIC), len(MAGIC) + HEADER_LIMIT)
    try:
        digest = json.loads(data[len(MAGIC) : end])["sha256"]
    except (ValueError, LookupError, TypeError):
        return True
    return not data.startswith(MAGIC) or digest != hashlib.sha256(memoryview(data)[end + 1 :]).hexdigest()


def payload_of(data: bytes, key: CacheKey) -> memoryview | None:
    """The part of `data` that is FAISS's, if header and digest are right."""
    end = data.find(b"\n", len(MAGIC), len(MAGIC) + HEADER_LIMIT)
    if not data.startswith(MAGIC) or end < 0:
        return None
    payload = memoryview(data)[end + 1 :]
    header = asdict(key) | {"sha256": hashlib.sha256(payload).hexdigest()}
    return payload if data[len(MAGIC) : end] == json.dumps(header).encode() else None
