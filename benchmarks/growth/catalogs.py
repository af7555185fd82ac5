"""The files that all sides read: vectors, queries and the right answers, one folder for each number of vectors."""

import json
from pathlib import Path
from typing import Any

import faiss as untyped_faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.growth.measure import NEAREST
from benchmarks.growth.workload import SPREAD, Drawn, Vectors, estimate_dimension, scatter

faiss: Any = untyped_faiss  # its stubs describe the C++ functions

FILES = ("vectors", "queries", "nearest", "lots", "filtered")
"""Each a .npy; see `benchmarks.growth.side.Job`."""

FORMAT_VERSION = 1
LOTS = 100
QUERIES = 1000
FILTERED = 200
"""Queries whose nearest in one lot are worked out."""

NEIGHBOURS = 20
"""Of which the local intrinsic dimension is estimated."""


def make_catalog(folder: Path, drawn: Drawn, count: int) -> dict[str, Any]:
    """Make the files, or take those that are there if they were made of the same. Returns facts about the vectors.

    Args:
        folder: is made if need be.
        drawn: what the vectors are likenesses of.
        count: N.
    """
    made_from = {"format": FORMAT_VERSION, "count": count, "spread": SPREAD, "drawn": drawn.fingerprint}
    kept = folder / "facts.json"
    if kept.exists() and (facts := json.loads(kept.read_text("utf-8")))["made_from"] == made_from:
        return dict(facts)
    folder.mkdir(parents=True, exist_ok=True)
    kept.unlink(missing_ok=True)
    deviations = drawn.shoes.std(axis=0)
    vectors = scatter(drawn.shoes, count, deviations, np.random.default_rng(0))
    queries = scatter(drawn.asked, len(drawn.asked), deviations, np.random.default_rng(1))[:QUERIES]
    lots = np.random.default_rng(2).integers(0, LOTS, count).astype(np.uint8)
    in_lot = np.flatnonzero(lots == 0)
    nearest, distances = find_nearest(vectors, queries, NEIGHBOURS)
    arrays: dict[str, NDArray[Any]] = {
        "vectors": vectors,
        "queries": queries,
        "nearest": nearest[:, :NEAREST],
        "lots": lots,
        "filtered": in_lot[find_nearest(vectors[in_lot], queries[:FILTERED], NEAREST)[0]],
    }
    for name in FILES:
        # Whoever still reads the old file goes on to.
        np.save(folder / "new.npy", arrays[name])
        (folder / "new.npy").replace(folder / f"{name}.npy")
    among_drawn = find_nearest(drawn.shoes, drawn.asked, NEIGHBOURS)[1]
    facts = {
        "made_from": made_from,
        "local_dimension": round(estimate_dimension(vectors, distances), 1),
        "local_dimension_of_drawn": round(estimate_dimension(drawn.shoes, among_drawn), 1),
    }
    kept.write_text(json.dumps(facts), "utf-8")
    return facts


def find_nearest(vectors: Vectors, queries: Vectors, count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The nearest vectors of each query, exactly: their numbers and their distances, both (Q, count)."""
    # A few more, as FAISS works out the distances of many queries by a product, with rounding errors.
    rows: NDArray[np.int64] = faiss.knn(queries, vectors, min(count + 10, len(vectors)))[1]
    differences = vectors[rows].astype(np.float64) - queries[:, None]
    distances = np.sqrt(np.square(differences).sum(axis=2))
    order = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(distances, order, axis=1)
