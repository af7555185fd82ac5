"""Metrics of an embedding: triplet accuracy, recall@k, MAP@R and reconstruction error.

Pure functions over arrays, exact and in blocks: memory stays at some tens of MiB however many shoes there are.
Distances are Euclidean and computed in float64, in which equal vectors are at equal distances.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.labels import Labels

RECALL_AT = (1, 5, 10)
"""Values of k for which recall@k is computed."""

BLOCK = 2**21
"""Numbers in a block that is computed at once: 16 MiB of float64."""

Vectors = NDArray[np.floating[Any]] | NDArray[np.uint8]


@dataclass(frozen=True)
class Retrieval:
    """How well nearest others are alike, leave-one-out.

    Attributes:
        queries: shoes that were searched with.
        left_out: shoes that were not: without a label, or without any alike shoe.
        recall: k -> the share of queries with at least one alike shoe among the k nearest others.
        map_at_r: mean average precision at R (Musgrave, Belongie, Lim, "A Metric Learning Reality Check", 2020,
            section 3.2): a query with R alike shoes scores the mean of precision@i over the i <= R at which an alike
            shoe stands, counting zero at the others.
    """

    queries: int
    left_out: int
    recall: Mapping[int, float]
    map_at_r: float


@dataclass(frozen=True)
class Reconstruction:
    """Mean squared error per pixel and channel, of pictures in [0, 1].

    Attributes:
        mse: of decode(mean), averaged over the shoes.
        mean_image_mse: of the evaluated shoes' mean picture in place of every reconstruction: what a decoder gets
            that knows nothing of the shoe.
    """

    mse: float
    mean_image_mse: float


def measure_triplets(vectors: Vectors, triplets: NDArray[np.intp]) -> float:
    """The share of triplets whose positive is nearer to the anchor than their negative; a tie is wrong.

    Args:
        vectors: (N, D), float or uint8.
        triplets: (M, 3) indices: anchor, positive, negative; M > 0.
    """
    right = 0
    step = max(1, BLOCK // (8 * vectors.shape[1]))
    for start in range(0, len(triplets), step):
        anchor, positive, negative = (vectors[column].astype(np.float64) for column in triplets[start : start + step].T)
        positive -= anchor
        negative -= anchor
        to_positive = np.einsum("md,md->m", positive, positive)
        to_negative = np.einsum("md,md->m", negative, negative)
        right += int((to_positive < to_negative).sum())
    return right / len(triplets)


def measure_retrieval(vectors: Vectors, labels: Sequence[Labels]) -> list[Retrieval | None]:
    """Recall@k and MAP@R of one embedding under several notions of likeness, from one ranking.

    A shoe without a label is neither alike nor different: it is no query and stands in no ranking. Of shoes at equal
    distances the one with the lower index comes first.

    Args:
        vectors: (N, D), float or uint8.
        labels: each of the same N shoes.

    Returns:
        one result for each of `labels`; None where no shoe has an alike one.
    """
    sums = [_RetrievalSums(each) for each in labels]
    for queries, order in rank_others(vectors):
        for each in sums:
            each.add(queries, order)
    return [each.result() for each in sums]


def rank_others(vectors: Vectors) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """For each shoe all others, nearest first, in blocks.

    Args:
        vectors: (N, D), float or uint8.

    Yields:
        (Q,) indices of shoes, in ascending order; and (Q, N - 1) indices of the others.
    """
    count = len(vectors)
    step = max(1, BLOCK // max(1, count))
    for start in range(0, count, step):
        queries = np.arange(start, min(start + step, count))
        distances = squared_distances(vectors, queries)
        distances[np.arange(len(queries)), queries] = np.inf
        order = np.argsort(distances, axis=1)
        # The fast sort leaves the order of ties open; rows that have some are sorted again by the stable one.
        ranked = np.take_along_axis(distances, order, axis=1)
        tied = (ranked[:, 1:] == ranked[:, :-1]).any(axis=1)
        if tied.any():
            order[tied] = np.argsort(distances[tied], axis=1, kind="stable")
        yield queries, order[:, :-1]


def measure_reconstruction(
    pixels: NDArray[np.uint8],
    vectors: NDArray[np.float32],
    decode: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> Reconstruction:
    """How far decode(mean) is from the picture.

    Args:
        pixels: (N, C, H, W).
        vectors: (N, D) the mean vectors of these pictures.
        decode: (B, D) -> (B, C, H, W) in [0, 1].
    """
    step = max(1, BLOCK // pixels[0].size)
    mean_image = pixels.mean(axis=0, dtype=np.float64) / 255.0
    error = mean_image_error = 0.0
    for start in range(0, len(pixels), step):
        pictures = pixels[start : start + step] / 255.0
        error += float(np.square(decode(vectors[start : start + step]) - pictures).sum())
        mean_image_error += float(np.square(pictures - mean_image).sum())
    return Reconstruction(mse=error / pixels.size, mean_image_mse=mean_image_error / pixels.size)


def squared_distances(vectors: Vectors, queries: NDArray[np.intp]) -> NDArray[np.float64]:
    """From some shoes to all: (N, D) vectors and (Q,) indices -> (Q, N) float64, by |a|^2 - 2ab + |b|^2.

    Products of float32 values are exact in float64, so nothing is lost to cancellation that float32 had.
    """
    chosen = vectors[queries].astype(np.float64)
    distances = np.empty((len(queries), len(vectors)))
    step = max(1, BLOCK // vectors.shape[1])
    for start in range(0, len(vectors), step):
        part = vectors[start : start + step].astype(np.float64)
        columns = distances[:, start : start + step]
        np.matmul(chosen, part.T, out=columns)
        columns *= -2.0
        columns += np.einsum("nd,nd->n", part, part)
    distances += np.einsum("qd,qd->q", chosen, chosen)[:, None]
    return distances


class _RetrievalSums:
    """Recall and average precision under one notion of likeness, summed over blocks of queries."""

    def __init__(self, labels: Labels) -> None:
        self._known = labels.known
        self._table = labels.table.astype(np.float32)
        self._total = len(labels.table)
        self._queries = 0
        self._found = dict.fromkeys(RECALL_AT, 0)
        self._average_precision = 0.0

    def add(self, queries: NDArray[np.intp], order: NDArray[np.intp]) -> None:
        """Count a block of `rank_others`: (Q,) shoes and their (Q, N - 1) ranked others."""
        is_query = self._known[queries]
        queries, order = queries[is_query], order[is_query]
        if not len(queries):
            return
        # Every query leaves the same number of shoes with a label: K.
        order = order[self._known[order]].reshape(len(queries), -1)
        alike = self._table[queries] @ self._table.T > 0  # (Q, N)
        hits = np.take_along_axis(alike, order, axis=1)  # (Q, K)
        alike_count = hits.sum(axis=1)
        hits, alike_count = hits[alike_count > 0], alike_count[alike_count > 0]
        self._queries += len(hits)
        for k in RECALL_AT:
            self._found[k] += int(hits[:, :k].any(axis=1).sum())
        rank = np.arange(1, hits.shape[1] + 1)
        counted = hits & (rank <= alike_count[:, None])
        precision = np.cumsum(hits, axis=1) / rank
        self._average_precision += float(((precision * counted).sum(axis=1) / alike_count).sum())

    def result(self) -> Retrieval | None:
        """The means over what was added."""
        if not self._queries:
            return None
        return Retrieval(
            queries=self._queries,
            left_out=self._total - self._queries,
            recall={k: found / self._queries for k, found in self._found.items()},
            map_at_r=self._average_precision / self._queries,
        )
