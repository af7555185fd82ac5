"""Metrics of how a network orders MNIST's test pictures, by Euclidean distances of mean vectors."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from model.base_checkpoint import BaseCheckpoint
from model.embedder import Embedder
from model.nearness import OVERALL
from model.tvae import to_float
from training.data.images import ImageSet
from training.data.labels import Labels, encode_labels
from training.data.mnist import DIGIT
from training.evaluation.metrics import measure_retrieval, measure_triplets, squared_distances

__all__ = ["OVERALL", "Order", "hard_triplets", "measure_order", "parts_of"]

NEIGHBOURS = 5
CHUNK = 250
"""Pictures or queries in a batch."""


@dataclass(frozen=True)
class Order:
    """How well one part of the vector orders the held-out pictures by digit; shares in [0, 1].

    Attributes:
        triplet_accuracy: of the fixed list; a tie is wrong.
        hard_triplet_accuracy: of `hard_triplets`, whose negatives look most like the anchor, pixel by pixel.
        hardest_triplet_accuracy: of the same anchors and positives, each with the negative that this very embedding
            puts nearest to the anchor: one wrong picture in the midst of a digit breaks most of that digit's.
        recall_at_1: pictures whose nearest other held-out picture is of their digit.
        map_at_r: see `training.evaluation.metrics.Retrieval`.
        knn: pictures whose digit is that of most of their five nearest *training* pictures.
    """

    triplet_accuracy: float
    hard_triplet_accuracy: float
    hardest_triplet_accuracy: float
    recall_at_1: float
    map_at_r: float
    knn: float


def parts_of(checkpoint: BaseCheckpoint) -> dict[str, tuple[int, int]]:
    """The parts of the vector to measure, as (start, stop): the trained slices, and the whole."""
    bounds = checkpoint.network.slice_bounds
    whole = (0, checkpoint.network.latent_size)
    parts = {condition.name: bounds[condition.name] for condition in checkpoint.conditions}
    return {**{name: part for name, part in parts.items() if part != whole}, OVERALL: whole}


def hard_triplets(test: ImageSet, seed: int = 0) -> NDArray[np.intp]:
    """A list that depends on the pictures alone: each of them once as the anchor.

    Args:
        test: N held-out pictures, at least two of each digit and two digits.
        seed: of the positives, which are random ones of the anchor's digit.

    Returns:
        (N, 3) indices; the negative is the picture of another digit at the smallest squared distance of pixels.
    """
    digits = _digits(encode_labels(test.attributes, DIGIT))
    rng = np.random.default_rng(seed)
    triplets = np.stack([np.arange(len(digits))] * 3, axis=1)
    for digit in np.unique(digits):
        members = rng.permutation(np.flatnonzero(digits == digit))
        # Each member's successor on a random circle: never itself.
        triplets[members, 1] = np.roll(members, 1)
    pixels = to_float(test.pixels).flatten(1)
    for queries in torch.split(torch.arange(len(pixels)), CHUNK):
        distances = torch.cdist(pixels[queries], pixels)
        distances[torch.from_numpy(digits[queries.numpy(), None] == digits)] = torch.inf
        triplets[queries.numpy(), 2] = distances.argmin(dim=1).numpy()
    return triplets


def measure_order(
    embedder: Embedder, training: ImageSet, test: ImageSet, triplets: NDArray[np.intp], hard: NDArray[np.intp]
) -> Mapping[str, Order]:
    """Measure each part of the vector.

    Args:
        embedder: of the checkpoint.
        training: the reference of the nearest neighbours' vote.
        test: what is ordered.
        triplets: (M, 3) indices into `test`.
        hard: as `hard_triplets` gives them.

    Returns:
        part -> its order; the whole vector's is the last.
    """
    known, held_out = embedder.embed_pixels(training.pixels), embedder.embed_pixels(test.pixels)
    known_labels, labels = encode_labels(training.attributes, DIGIT), encode_labels(test.attributes, DIGIT)
    voters = KNeighborsClassifier(min(NEIGHBOURS, len(training)), algorithm="brute", weights=_rank_weights)
    measured = {}
    for name, (start, stop) in parts_of(embedder.checkpoint).items():
        vectors = np.ascontiguousarray(held_out[:, start:stop])
        (retrieval,) = measure_retrieval(vectors, [labels])
        assert retrieval is not None
        measured[name] = Order(
            triplet_accuracy=measure_triplets(vectors, triplets),
            hard_triplet_accuracy=measure_triplets(vectors, hard),
            hardest_triplet_accuracy=_hardest_triplets(vectors, _digits(labels), hard),
            recall_at_1=retrieval.recall[1],
            map_at_r=retrieval.map_at_r,
            knn=float(voters.fit(known[:, start:stop], _digits(known_labels)).score(vectors, _digits(labels))),
        )
    return measured


def _digits(labels: Labels) -> NDArray[np.intp]:
    """(N,) each picture's value, as an index that means the same digit in both parts."""
    values = np.array([int(value) for value in labels.values], dtype=np.intp)
    digits: NDArray[np.intp] = values[labels.table.argmax(axis=1)]
    return digits


def _hardest_triplets(vectors: NDArray[np.float32], digits: NDArray[np.intp], hard: NDArray[np.intp]) -> float:
    right = 0
    for part in np.array_split(hard, math.ceil(len(hard) / CHUNK)):
        anchors, positives = part[:, 0], part[:, 1]
        distances = squared_distances(vectors, anchors)
        to_positive = distances[np.arange(len(part)), positives]
        distances[digits[anchors][:, None] == digits[None, :]] = np.inf
        right += int((to_positive < distances.min(axis=1)).sum())
    return right / len(hard)


def _rank_weights(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """(Q, K) votes of the neighbours, a little less for each rank: that decides ties and nothing else."""
    return np.tile(1.0 - 0.01 * np.arange(distances.shape[1]), (len(distances), 1))
