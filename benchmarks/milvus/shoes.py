"""Shoes to fill stores with: vectors in clusters, as embeddings are, and with attributes."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from service.store.base import Item, Record

DIMENSION = 64
WHOLE = {"free": (0, DIMENSION)}
"""The slices of a network without conditions: Milvus before 2.4, of which there is a package, takes one a row."""

CLUSTERS = 200
SPREAD = 0.35
"""How far a shoe lies from the middle of its cluster, in each number; the middles lie 1 from the origin."""

GENDERS = ("Women", "Men", "Girls", "Boys")


def make_vectors(count: int, *, seed: int = 0) -> NDArray[np.float32]:
    """(count, 64) float32: shoes around the middles of CLUSTERS, which are the same for all seeds."""
    middles = np.random.default_rng(4711).normal(size=(CLUSTERS, DIMENSION))
    rng = np.random.default_rng(seed)
    vectors = middles[rng.integers(0, CLUSTERS, count)] + SPREAD * rng.normal(size=(count, DIMENSION))
    return vectors.astype(np.float32)


def make_records(vectors: NDArray[np.float32], *, kind: str = "stable", prefix: str = "shoe") -> Iterator[Record]:
    """A shoe for each vector."""
    for number, vector in enumerate(vectors):
        attributes = {"Kind": (kind,), "Gender": (GENDERS[number % len(GENDERS)],), "Brand": (f"brand {number % 50}",)}
        yield Record(Item(f"{prefix}-{number}", f"{prefix}/{number}.jpg", attributes), vector)


def make_queries(vectors: NDArray[np.float32], count: int, *, seed: int = 1) -> NDArray[np.float32]:
    """(count, 64): shoes of the catalogue, each a little changed, as another photograph of it would be."""
    rng = np.random.default_rng(seed)
    chosen = vectors[rng.choice(len(vectors), count, replace=len(vectors) < count)]
    return (chosen + 0.1 * rng.normal(size=chosen.shape)).astype(np.float32)


def nearest(vectors: NDArray[np.float32], queries: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """The k nearest rows of each query, by the definition, in float64: (B, k)."""
    wide = vectors.astype(np.float64)
    answers = np.empty((len(queries), k), dtype=np.int64)
    for index, query in enumerate(queries.astype(np.float64)):
        distances = np.einsum("nd,nd->n", wide - query, wide - query)
        best = np.argpartition(distances, k)[:k]
        answers[index] = best[np.lexsort((best, distances[best]))]
    return answers
