"""Loads a catalogue into memory: from SQLite, with as much as possible taken from the derived files."""

import logging
from pathlib import Path

import numpy as np

from service.store.embedded.database import Changes, Truth
from service.store.embedded.files import CacheKey, StoredVectors, is_damaged, load_index, load_vectors, save_index
from service.store.embedded.segment import GONE, Layout, Segment
from service.store.embedded.snapshot import Snapshot

__all__ = ["FLAT", "VECTORS", "damaged_files", "derived_files", "index_file", "load", "save_flat"]

logger = logging.getLogger(__name__)

FLAT = "overall.faiss"
VECTORS = "vectors.bin"
INDEX = "slice-{}-{}.faiss"


def index_file(folder: Path, start: int, stop: int) -> Path:
    """Where the inverted index of a slice of the vectors is kept."""
    return folder / INDEX.format(start, stop)


def derived_files(folder: Path) -> list[Path]:
    """All files that are made from the truth, as far as they are there."""
    return [path for path in (folder / FLAT, folder / VECTORS) if path.exists()] + list(
        folder.glob(INDEX.format("*", "*"))
    )


def damaged_files(folder: Path) -> list[Path]:
    """Those of the derived files that fail their own digests."""
    return [path for path in derived_files(folder) if is_damaged(path)]


def load(truth: Truth, layout: Layout) -> Snapshot:
    """The catalogue as it is now, by the flat index of a small one, or the vectors' file of a large one, if it fits."""
    state = truth.state()
    if not state.shoes:
        return Snapshot.read(truth.changes(0), layout)
    if state.shoes <= layout.exact_up_to:
        return load_small(truth, layout)
    stored = load_vectors(truth.path.with_name(VECTORS), truth.uuid, truth.facts.dimension)
    if stored is not None:
        changes = truth.changes(0, vectors=False)
        base = base_of(changes, stored, layout)
        if base is not None:
            snapshot = Snapshot.of(base)
            return snapshot.after(truth.changes(stored.seq))
        logger.warning("%s is not of this state of the catalogue", truth.path.with_name(VECTORS))
    changes = truth.changes(0)
    logger.info("%s: read %d vectors", truth.path, len(changes.items))
    return Snapshot.read(changes, layout)


def load_small(truth: Truth, layout: Layout) -> Snapshot:
    """The same for a catalogue whose searches are exact."""
    state, path = truth.state(), truth.path.with_name(FLAT)
    key = CacheKey(truth.uuid, state.seq, state.shoes, truth.facts.dimension)
    flat = load_index(path, key, threads=layout.threads)
    if flat is not None:
        changes = truth.changes(0, vectors=False)
        # Another process may have written in between; then the cache is stale after all.
        if changes.seq == state.seq:
            return Snapshot.read(changes, layout, flat=flat)
    snapshot = Snapshot.read(truth.changes(0), layout)
    logger.info("%s: making it anew from %d shoes", path, len(snapshot))
    save_flat(truth, snapshot)
    return snapshot


def save_flat(truth: Truth, snapshot: Snapshot) -> bool:
    """Write the flat index of a small catalogue without recent changes; whether that was done."""
    flat = snapshot.base.flat
    if flat is None or snapshot.pending or not len(snapshot):
        return False
    key = CacheKey(truth.uuid, snapshot.seq, len(snapshot), truth.facts.dimension)
    return save_index(truth.path.with_name(FLAT), key, flat)


def base_of(changes: Changes, stored: StoredVectors, layout: Layout) -> Segment | None:
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
    return Segment(
        layout, seq=stored.seq, numbers=stored.numbers, items=items, vectors=stored.vectors, digest=stored.digest
    )
