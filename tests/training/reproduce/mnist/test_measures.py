from dataclasses import replace

import numpy as np
import pytest

from model.checkpoint import Checkpoint, Condition
from model.embedder import Embedder
from model.preprocess import PreprocessConfig
from model.tvae import Slice
from tests.model.networks import fixed_weights
from training.data.images import ImageSet
from training.data.mnist import DIGIT
from training.reproduce.mnist.authors import AuthorsNetwork, AuthorsNetworkConfig
from training.reproduce.mnist.measures import hard_triplets, measure_order, parts_of

NETWORK = AuthorsNetworkConfig(image_size=4, channels=1, hidden=6, slices=(Slice(DIGIT, 2), Slice("free", 1)))
CHECKPOINT = Checkpoint(
    fixed_weights(AuthorsNetwork(NETWORK)),
    preprocess=PreprocessConfig(4, 1, 0),
    conditions=(Condition(DIGIT, (DIGIT,)),),
)


def _images(count: int, seed: int) -> ImageSet:
    random = np.random.default_rng(seed)
    ids = tuple(map(str, range(count)))
    attributes = tuple({DIGIT: (str(index % 3),)} for index in range(count))
    return ImageSet(ids, ids, random.integers(0, 256, (count, 1, 4, 4), dtype=np.uint8), attributes)


def test_parts_are_the_trained_slices_and_the_whole() -> None:
    """A slice that is the whole vector is measured once, and free slices not at all."""
    assert parts_of(CHECKPOINT) == {DIGIT: (0, 2), "overall": (0, 3)}
    whole = replace(NETWORK, slices=(Slice(DIGIT, 3),))
    assert parts_of(replace(CHECKPOINT, tvae=AuthorsNetwork(whole))) == {"overall": (0, 3)}
    assert parts_of(replace(CHECKPOINT, conditions=())) == {"overall": (0, 3)}


def test_order_against_a_plain_loop() -> None:
    """Hard triplets and neighbours' votes are those that a loop over distances finds."""
    training, test = _images(31, 1), _images(18, 2)
    triplets = np.array([[0, 3, 1], [1, 4, 2], [2, 5, 0]])
    embedder = Embedder(CHECKPOINT)
    hard = hard_triplets(test, seed=0)
    measured = measure_order(embedder, training, test, triplets, hard)["overall"]
    known, vectors = embedder.embed_pixels(training.pixels), embedder.embed_pixels(test.pixels)
    distance = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    digits = np.arange(18) % 3
    assert measured.triplet_accuracy == np.mean([distance[a, p] < distance[a, n] for a, p, n in triplets])
    votes = 0
    for vector, digit in zip(vectors, digits, strict=True):
        nearest = np.argsort(np.linalg.norm(known - vector, axis=1))[:5] % 3
        counts = np.bincount(nearest, minlength=3)
        tied = np.flatnonzero(counts == counts.max())
        # Of a tied vote, those win whose ranks add up to less.
        votes += min(tied, key=lambda value: sum(np.flatnonzero(nearest == value))) == digit
    assert measured.knn == votes / 18
    assert measured.hard_triplet_accuracy == np.mean([distance[a, p] < distance[a, n] for a, p, n in hard])
    nearest_other = np.where(digits[:, None] == digits, np.inf, distance).min(axis=1)
    assert measured.hardest_triplet_accuracy == np.mean([distance[a, p] < nearest_other[a] for a, p, _ in hard])


def test_hard_triplets_against_a_plain_loop() -> None:
    """Every picture is an anchor once; its positive is another of its digit; its negative looks most like it."""
    test = _images(18, 2)
    triplets = hard_triplets(test, seed=0)
    pixels = test.pixels.reshape(18, -1).astype(np.float64)
    assert triplets[:, 0].tolist() == list(range(18))
    assert sorted(triplets[:, 1]) == list(range(18))
    for anchor, positive, negative in triplets:
        assert positive % 3 == anchor % 3
        assert positive != anchor
        others = [index for index in range(18) if index % 3 != anchor % 3]
        assert negative == min(others, key=lambda index: np.linalg.norm(pixels[index] - pixels[anchor]))


def test_a_perfect_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where each digit has a place of its own, every measure of order is 1."""
    images = _images(30, 1)
    embedder = Embedder(CHECKPOINT)
    places = np.eye(3, dtype=np.float32)[np.arange(30) % 3] + np.linspace(0, 0.1, 30, dtype=np.float32)[:, None]
    monkeypatch.setattr(embedder, "embed_pixels", lambda pixels: places)
    order = measure_order(embedder, images, images, np.array([[0, 3, 1]]), hard_triplets(images))["overall"]
    assert set(vars(order).values()) == {1.0}
