"""Exact nearest neighbours by several slices at once, each with its weight.

    d(x, y)^2 = sum_c w_c |x_c - y_c|^2 = sum_c w_c |x_c|^2  +  2 (sum_c w_c |y_c|^2 / 2  -  sum_c w_c x_c.y_c)

The last bracket is the inner product of y, with half its slices' squared lengths put behind it, and a vector of the
query and the weights. So one product with the vectors that all searches share serves whatever the weights are; what is
kept for it beside them is one number for each slice of each shoe.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from service.store.base import Weights
from service.store.index.exact import ROUNDING, ROWS_AT_ONCE, SPARE, Neighbours
from service.store.index.flat import least_rows

__all__ = ["WeightedIndex", "scale_of"]

# Queries of one product: bounds its memory, N numbers for each.
QUERIES_AT_ONCE = 32

# Lengths whose products are far from the ends of float32's range, and the least share of the largest weight.
SAFE_LENGTHS = (1e-12, 1e18)
LEAST_SHARE = 1e-12


class WeightedIndex:
    """The weighted search in a matrix of vectors, (N, D) float32, that is shared and not copied.

    Candidates are found in float32 by a matrix product; their distances are then worked out in float64, and what the
    product can't decide is decided by all distances. Safe from many threads at once.
    """

    def __init__(self, vectors: NDArray[np.float32], slices: Mapping[str, tuple[int, int]]) -> None:
        """Measure each slice of each vector. `slices`: name -> (start, stop)."""
        self._vectors = vectors
        self._slices = dict(slices)
        squares = np.empty((len(vectors), len(slices)))
        for column, (start, stop) in enumerate(slices.values()):
            part = vectors[:, start:stop]
            squares[:, column] = np.einsum("nd,nd->n", part, part, dtype=np.float64)
        self._longest = squares.max(axis=0, initial=0.0)  # (C,)
        with np.errstate(over="ignore"):  # then the product is not used
            self._half_squares = (squares / 2).astype(np.float32)  # (N, C)

    def search(
        self, queries: NDArray[np.float32], weights: Weights, k: int, mask: NDArray[np.bool_] | None = None
    ) -> list[Neighbours]:
        """The k nearest rows of each query; fewer only where there are fewer.

        Args:
            queries: (B, D) float32, finite.
            weights: as `service.store.checks.check_weights` lets pass.
            k: at least 1.
            mask: (N,), True for the rows to look at; None for all.
        """
        available = len(self._vectors) if mask is None else int(np.count_nonzero(mask))
        k = min(k, available)
        if k == 0:
            return [Neighbours(np.empty(0, np.int64), np.empty(0)) for _ in queries]
        scale = _Scale.of(weights, self._slices, self._vectors.shape[1])
        answers: list[Neighbours] = []
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            some = queries[start : start + QUERIES_AT_ONCE]
            found = self._by_product(some, scale, k, mask, available)
            answers += [
                self._by_definition(query, scale, k, mask) if answer is None else answer
                for query, answer in zip(some, found, strict=True)
            ]
        return answers

    def _by_definition(
        self, query: NDArray[np.float32], scale: "_Scale", k: int, mask: NDArray[np.bool_] | None
    ) -> Neighbours:
        """The k nearest rows to one query, (D,): every distance is worked out, in float64."""
        rows = np.arange(len(self._vectors)) if mask is None else np.flatnonzero(mask)
        distances = np.empty(len(rows))
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            distances[part] = self._distances(query, rows[part], scale)
        order = np.lexsort((rows, distances))[:k]
        return Neighbours(rows[order], distances[order] * scale.unit)

    def _by_product(
        self, queries: NDArray[np.float32], scale: "_Scale", k: int, mask: NDArray[np.bool_] | None, available: int
    ) -> list[Neighbours | None]:
        """Each query's neighbours; None where the product leaves doubt."""
        lengths = np.linalg.norm(queries * scale.roots, axis=1)  # float64
        longest = sqrt(float(self._longest @ scale.shares))
        least, most = SAFE_LENGTHS
        if not (least < longest < most and scale.least >= LEAST_SHARE and bool((lengths < most).all())):
            return [None] * len(queries)
        scores = self._vectors @ (queries * np.square(scale.roots)).astype(np.float32).T  # (N, B)
        half = self._half_squares @ scale.shares.astype(np.float32)  # (N,)
        if mask is not None:
            half = np.where(mask, half, np.float32(np.inf))
        np.subtract(half[:, None], scores, out=scores)
        fetch = min(k + SPARE, available)
        rows = least_rows(scores, fetch)  # (B, fetch)
        last = scores[rows, np.arange(len(queries))[:, None]].max(axis=1).astype(np.float64)
        # As in `Product`: D + 1 roundings of the product, one each of the query, the shares and the difference, and
        # C + 1 of the sum of the slices' squares.
        error = (self._vectors.shape[1] + len(self._slices) + 5) * ROUNDING * longest * (lengths + longest)
        floor = lengths * lengths + 2.0 * (last - error)
        return [
            self._verify(query, chosen, scale, k, np.inf if fetch == available else bound)
            for query, chosen, bound in zip(queries, rows, floor.tolist(), strict=True)
        ]

    def _verify(
        self, query: NDArray[np.float32], rows: NDArray[np.int64], scale: "_Scale", k: int, floor: float
    ) -> Neighbours | None:
        """The k nearest among candidates; None if another row, all of which are beyond `floor`, may belong to them."""
        distances = self._distances(query, rows, scale)
        order = np.lexsort((rows, distances))[:k]
        last = float(distances[order[-1]])
        return Neighbours(rows[order], distances[order] * scale.unit) if floor > last * last else None

    def _distances(self, query: NDArray[np.float32], rows: NDArray[np.int64], scale: "_Scale") -> NDArray[np.float64]:
        """Of one query, (D,), from some rows, (F,), in the scale's unit: (F,)."""
        differences = (self._vectors[rows] - query.astype(np.float64)) * scale.roots
        squared: NDArray[np.float64] = np.square(differences, out=differences).sum(axis=1)
        return np.sqrt(squared, out=squared)


@dataclass(frozen=True)
class _Scale:
    """Weights as shares of the largest one, so that no square leaves the range of numbers.

    Attributes:
        unit: what distances by the shares are multiplied by to be those by the weights.
        shares: (C,) float64, of each slice of the store.
        roots: (D,) float64; see `scale_of`.
        least: the least share that is above 0.
    """

    unit: float
    shares: NDArray[np.float64]
    roots: NDArray[np.float64]
    least: float

    @classmethod
    def of(cls, weights: Weights, slices: Mapping[str, tuple[int, int]], dimension: int) -> "_Scale":
        largest = max(weights.values())
        shares = {name: weight / largest for name, weight in weights.items()}
        return cls(
            unit=sqrt(largest),
            shares=np.array([shares.get(name, 0.0) for name in slices]),
            roots=scale_of(shares, slices, dimension),
            least=min(share for name, share in shares.items() if weights[name] > 0),
        )


def scale_of(weights: Weights, slices: Mapping[str, tuple[int, int]], dimension: int) -> NDArray[np.float64]:
    """(D,) factors after which the Euclidean distance of vectors is the weighted one; slices may overlap."""
    squared = np.zeros(dimension)
    for name, weight in weights.items():
        squared[slice(*slices[name])] += weight
    return np.sqrt(squared)
