r"""Derived files: vectors and indexes on disk, so that a start need not read every vector out of SQLite.

    solemate derived file 2\n
    {..., "sha256": ...}\n                    facts as JSON, and the digest of facts and payload
    zeros, up to 4096 bytes
    payload                                  the arrays of `save_vectors`, or FAISS's own bytes

One container for two kinds: the catalogue's vectors, which all processes of a machine map into memory and share where
they are many, and the inverted index of one slice of a large catalogue, with what was measured of it. One rename
replaces header and payload together. FAISS trusts what it reads, so nothing reaches it before the facts are those that
are wanted and the digest is right. A file that does not fit is made anew from SQLite.
"""

import hashlib
import json
import logging
import mmap
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.files import write_parts
from service.store.embedded.database import Changes, Truth
from service.store.embedded.snapshot import GONE, Layout, Segment, Snapshot
from service.store.index.exact import Vectors
from service.store.index.ivf import InvertedIndex, Setting, Tuned
from service.store.locks import locked, remove_leftovers

logger = logging.getLogger(__name__)

VECTORS = "vectors.bin"
INDEX = "slice-{}-{}.faiss"
OLD = "overall.faiss"
"""Of versions that kept a small catalogue's vectors in FAISS's own format."""

MAGIC = b"solemate derived file 2\n"
PAGE = 4096
"""Bytes of the header with its padding, and the alignment of arrays in the payload."""

AT_ONCE = 2**22
"""Bytes that are written, or digested, at once."""


@dataclass(frozen=True)
class IndexKey:
    """What an inverted index was made of, and how good it had to be.

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


@dataclass(frozen=True)
class StoredVectors:
    """A catalogue's vectors as of one change; of use after later ones too, as the truth's checksums tell which changed.

    Attributes:
        seq: number of the last change in it.
        numbers: (N,) int64, the shoes' numbers, ascending.
        checksums: (N,) uint32, CRC-32 of each vector.
        vectors: (N, D) float32, read-only: the mapped file itself.
        digest: SHA-256, hex.
    """

    seq: int
    numbers: NDArray[np.int64]
    checksums: NDArray[np.uint32]
    vectors: Vectors
    digest: str


def save_tuned(path: Path, key: IndexKey, tuned: Tuned) -> bool:
    """Write an inverted index with its settings, atomically; False, with a log line, where that can't be done."""
    facts = asdict(key) | {"recall": tuned.recall, "settings": [asdict(setting) for setting in tuned.settings]}
    return _write(path, facts, [tuned.index.to_bytes()])


def load_tuned(path: Path, key: IndexKey, *, threads: int = 1) -> Tuned | None:
    """The index that was made of just this, no worse than it has to be; None, with a log line, if there is none."""
    found = _read(path)
    if found is None:
        return None
    facts, payload, _ = found
    try:
        made = IndexKey(facts["vectors"], facts["rows"], tuple(facts["slice"]), facts["minimum"])
        settings = tuple(Setting(**setting) for setting in facts["settings"])
        recall = float(facts["recall"])
    except (KeyError, TypeError, ValueError) as error:
        logger.warning("%s can't be used (%r)", path, error)
        return None
    if made.minimum < key.minimum or replace(made, minimum=key.minimum) != key:
        logger.info("%s is of other vectors, or worse than it has to be", path)
        return None
    try:
        index = InvertedIndex.from_bytes(payload, threads=threads)
    except (ValueError, RuntimeError) as error:
        # Whole, but written by another version of FAISS.
        logger.warning("%s holds no index that this FAISS can read (%s)", path, error)
        return None
    is_right = (index.size, index.dimension) == (key.rows, key.slice[1] - key.slice[0])
    return Tuned(index, settings, recall) if is_right else None


def save_vectors(path: Path, uuid: str, seq: int, numbers: NDArray[np.int64], vectors: Vectors) -> bool:
    """Write a catalogue's vectors, atomically; False, with a log line, where the folder can't be written."""
    checksums = np.fromiter((zlib.crc32(vector) for vector in vectors), dtype=np.uint32, count=len(vectors))
    arrays = (numbers.astype("<i8"), checksums.astype("<u4"), vectors.astype("<f4", copy=False))
    facts = {"uuid": uuid, "seq": seq, "rows": len(vectors), "dimension": vectors.shape[1]}
    return _write(path, facts, [np.ascontiguousarray(array).reshape(-1).view(np.uint8).data for array in arrays])


def load_vectors(path: Path, uuid: str, dimension: int) -> StoredVectors | None:
    """Map the vectors' file, if it is whole and this store's; None, with a log line, if not."""
    found = _read(path)
    if found is None:
        return None
    facts, payload, digest = found
    if facts.get("uuid") != uuid or facts.get("dimension") != dimension:
        logger.warning("%s is another store's", path)
        return None
    rows, starts = int(facts["rows"]), [0]
    for size in (8 * rows, 4 * rows, 4 * rows * dimension):
        starts.append(_round_up(starts[-1] + size))
    if rows < 1 or len(payload) != starts[-1]:
        logger.warning("%s has another size than its header says", path)
        return None
    return StoredVectors(
        seq=int(facts["seq"]),
        numbers=np.frombuffer(payload, "<i8", rows, starts[0]).astype(np.int64),
        checksums=np.frombuffer(payload, "<u4", rows, starts[1]).astype(np.uint32),
        vectors=np.frombuffer(payload, "<f4", rows * dimension, starts[2]).reshape(rows, dimension),
        digest=digest,
    )


def read_seq(path: Path, uuid: str) -> int:
    """Number of the last change in a file, as its header says; -1 if there is none of this store."""
    try:
        with path.open("rb") as file:
            facts = _parse_header(file.read(PAGE))
        return int(facts["seq"]) if facts["uuid"] == uuid else -1
    except (OSError, ValueError, KeyError, TypeError):
        return -1


def index_file(folder: Path, start: int, stop: int) -> Path:
    """Where the inverted index of a slice of the vectors is kept."""
    return folder / INDEX.format(start, stop)


def derived_files(folder: Path) -> list[Path]:
    """All files that are made from the truth, as far as they are there."""
    return [path for path in (folder / VECTORS, folder / OLD) if path.exists()] + [*folder.glob(INDEX.format("*", "*"))]


def damaged_files(folder: Path) -> list[Path]:
    """Those of the derived files that fail their own digests; one of an earlier state is not damaged."""
    return [path for path in derived_files(folder) if _read(path) is None]


def load(truth: Truth, layout: Layout) -> Snapshot:
    """The catalogue as it is now: from SQLite, but for the vectors that are in their file."""
    path, snapshot = truth.file.with_name(VECTORS), None
    if (stored := load_vectors(path, truth.uuid, truth.spec.dimension)) is not None:
        if (base := _base_of(truth.changes(0, vectors=False), stored, layout)) is None:
            logger.warning("%s is not of this state of the catalogue", path)
        else:
            snapshot = Snapshot.of(base)
            snapshot = snapshot.after(truth.changes(stored.seq))
    if snapshot is None:
        snapshot = Snapshot.read(truth.changes(0), layout)
        logger.info("%s: read %d vectors", truth.path, len(snapshot))
    elif not snapshot.pending:
        return snapshot
    return save_small(truth, snapshot)


def save_small(truth: Truth, snapshot: Snapshot) -> Snapshot:
    """Write the vectors of a small catalogue; the same catalogue, then without recent changes. Large ones stay.

    Nothing is written where another catalogue has taken the place: the file is that one's.
    """
    if len(snapshot) > snapshot.base.layout.exact_shoes or not truth.is_in_place():
        return snapshot
    base = (snapshot := snapshot.compacted() if snapshot.pending else snapshot).base
    if len(base):
        path = truth.file.with_name(VECTORS)
        if save_vectors(path, truth.uuid, snapshot.seq, base.numbers, base.vectors):
            path.with_name(OLD).unlink(missing_ok=True)
    return snapshot


def _base_of(changes: Changes, stored: StoredVectors, layout: Layout) -> Segment | None:
    """The part of a catalogue, read from its beginning, that has not changed since its vectors were stored.

    None if the file does not hold those vectors, such as that of a catalogue that was put back to an earlier state.
    """
    old = np.flatnonzero(changes.seqs <= stored.seq)
    numbers = changes.numbers[old]
    positions = np.searchsorted(stored.numbers, numbers)
    if stored.seq > changes.seq or (len(positions) and positions[-1] >= len(stored.numbers)):
        return None
    same = (stored.numbers[positions] == numbers) & (stored.checksums[positions] == changes.checksums[old])
    if not same.all():
        return None
    items = [GONE] * len(stored.numbers)
    for position, row in zip(positions.tolist(), old.tolist(), strict=True):
        items[position] = changes.items[row]
    # A file that somebody cuts short while it is mapped ends the process: those of small catalogues are copied.
    vectors = stored.vectors if len(items) > layout.exact_shoes else stored.vectors.copy()
    return Segment(layout, seq=stored.seq, numbers=stored.numbers, items=items, vectors=vectors, digest=stored.digest)


def _write(path: Path, facts: dict[str, Any], arrays: Sequence[memoryview]) -> bool:
    digest = hashlib.sha256(json.dumps(facts).encode())
    for piece in _pieces(arrays):
        digest.update(piece)
    header = MAGIC + json.dumps(facts | {"sha256": digest.hexdigest()}).encode() + b"\n"
    assert len(header) <= PAGE
    try:
        with locked(path.parent):
            remove_leftovers(path)
            write_parts(path, chain([header.ljust(PAGE, b"\0")], _pieces(arrays)))
    except OSError as error:
        logger.warning("%s could not be written (%s); the next start will make it again", path, error)
        return False
    return True


def _read(path: Path) -> tuple[dict[str, Any], memoryview, str] | None:
    """A file's facts, its payload, mapped, and its digest; None, with a log line, if there is none that is whole."""
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # closed with the arrays that look at it
        facts = _parse_header(mapped[:PAGE])
        expected = facts.pop("sha256", None)
        payload = memoryview(mapped)[PAGE:]
        digest = hashlib.sha256(json.dumps(facts).encode())
        for start in range(0, len(payload), AT_ONCE):
            digest.update(payload[start : start + AT_ONCE])
        if digest.hexdigest() != expected:
            raise ValueError("it fails its digest")  # noqa: TRY301 - as any other damage
    except FileNotFoundError:
        logger.info("%s is not there", path)
    except OSError as error:
        logger.warning("%s can't be read (%s)", path, error)
    except ValueError as error:  # also of an empty file
        logger.warning("%s is torn or damaged, and can't be used (%s)", path, error)
    else:
        return facts, payload, str(expected)
    return None


def _parse_header(page: bytes) -> dict[str, Any]:
    """The facts in a file's first page. Raises ValueError."""
    end = page.find(b"\n", len(MAGIC))
    if not page.startswith(MAGIC) or end < 0 or page[end + 1 :].strip(b"\0"):
        raise ValueError("it has no header of solemate's")
    facts = json.loads(page[len(MAGIC) : end])
    if not isinstance(facts, dict):
        raise ValueError("its header is no object")  # noqa: TRY004 - of the file, not of the program
    return facts


def _pieces(arrays: Iterable[memoryview]) -> Iterator[memoryview | bytes]:
    """The arrays' bytes, each with its padding, without a copy of all of them."""
    for data in arrays:
        for start in range(0, len(data), AT_ONCE):
            yield data[start : start + AT_ONCE]
        yield bytes(_round_up(len(data)) - len(data))


def _round_up(size: int) -> int:
    return -(-size // PAGE) * PAGE
