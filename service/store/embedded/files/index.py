r"""The inverted index of one condition on disk, with what was measured of it.

    solemate index 1\n
    {"vectors": ..., "slice": [...], "minimum": ..., "recall": ..., "settings": [...], "sha256": ...}\n
    FAISS's own bytes

As with the flat cache nothing reaches FAISS before the header is what it has to be, and the digest right. The digest is
over the bytes and the rest of the header.
"""

import hashlib
import json
import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from model.files import write_parts
from service.store.index.ivf import InvertedIndex
from service.store.index.tuning import Setting, Tuned

__all__ = ["IndexKey", "is_damaged", "load_tuned", "save_tuned"]

logger = logging.getLogger(__name__)

MAGIC = b"solemate index 1\n"
HEADER_LIMIT = 4096


@dataclass(frozen=True)
class IndexKey:
    """What an index was made of, and how good it had to be.

    Attributes:
        vectors: digest of the vectors' file.
        rows: N.
        slice: (start, stop) of the numbers of each vector that it compares.
        minimum: recall@10, in [0, 1].
    """

    vectors: str
    rows: int
    slice: tuple[int, int]
    minimum: float


def save_tuned(path: Path, key: IndexKey, tuned: Tuned) -> bool:
    """Write the file, atomically. A folder that can't be written costs time at the next start, and a log line now."""
    payload = tuned.index.to_bytes()
    facts = asdict(key) | {"recall": tuned.recall, "settings": [asdict(setting) for setting in tuned.settings]}
    header = json.dumps(facts | {"sha256": _digest(facts, payload)}).encode()
    try:
        write_parts(path, [MAGIC, header, b"\n", payload])
    except OSError as error:
        logger.warning("%s could not be written (%s); the next start will make it again", path, error)
        return False
    return True


def load_tuned(path: Path, key: IndexKey, *, threads: int = 1) -> Tuned | None:
    """The index that was made of just this, no worse than it has to be; None, with a log line, if there is none."""
    try:
        facts, payload = _read(path)
        found = IndexKey(facts["vectors"], facts["rows"], tuple(facts["slice"]), facts["minimum"])
        settings = tuple(Setting(**setting) for setting in facts["settings"])
        recall = float(facts["recall"])
    except FileNotFoundError:
        logger.info("%s is not there", path)
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s can't be used (%r)", path, error)
        return None
    if found.minimum < key.minimum or replace(found, minimum=key.minimum) != key:
        logger.info("%s is of other vectors, or worse than it has to be", path)
        return None
    try:
        index = InvertedIndex.from_bytes(payload, threads=threads)
    except (ValueError, RuntimeError) as error:
        # Whole, but written by a FAISS that speaks another dialect.
        logger.warning("%s holds no index that this FAISS can read (%s)", path, error)
        return None
    is_whole = (index.size, index.dimension) == (key.rows, key.slice[1] - key.slice[0])
    return Tuned(index, settings, recall) if is_whole else None


def is_damaged(path: Path) -> bool:
    """Whether the file fails its own digest; one that is merely of other vectors is not damaged."""
    try:
        _read(path)
    except (OSError, ValueError):
        return True
    return False


def _read(path: Path) -> tuple[dict[str, Any], memoryview]:
    """The header's facts, and FAISS's bytes. Raises OSError, or ValueError for a file that is not whole."""
    data = path.read_bytes()
    end = data.find(b"\n", len(MAGIC), len(MAGIC) + HEADER_LIMIT)
    if not data.startswith(MAGIC) or end < 0:
        raise ValueError("no index of solemate's")
    facts = json.loads(data[len(MAGIC) : end])
    payload = memoryview(data)[end + 1 :]
    if not isinstance(facts, dict) or facts.pop("sha256", None) != _digest(facts, payload):
        raise ValueError("torn or damaged")
    return facts, payload


def _digest(facts: dict[str, object], payload: memoryview) -> str:
    digest = hashlib.sha256(json.dumps(facts).encode())
    digest.update(payload)
    return digest.hexdigest()
