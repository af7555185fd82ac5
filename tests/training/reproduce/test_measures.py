import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from model.checkpoint import Checkpoint, Condition
from model.embedder import Embedder
from model.preprocess import PreprocessConfig
from model.tvae import TVAE, Slice, TVAEConfig
from tests.model.networks import fixed_weights
from training.data.images import ImageSet
from training.data.mnist import DIGIT
from training.reproduce.measures import hard_triplets, measure_bounds, measure_order, parts_of, tighter_bound

NETWORK = TVAEConfig(image_size=4, channels=1, widths=(), hidden=6, slices=(Slice(DIGIT, 2), Slice("free", 1)))
CHECKPOINT = Checkpoint(fixed_weights(TVAE(NETWORK)), PreprocessConfig(4, 1, 0), (Condition(DIGIT, (DIGIT,)),))


def _images(count: int, seed: int) -> ImageSet:
    random = np.random.default_rng(seed)
    ids = tuple(map(str, range(count)))
    attributes = tuple({DIGIT: (str(index % 3),)} for index in range(count))
    return ImageSet(ids, ids, random.integers(0, 256, (count, 1, 4, 4), dtype=np.uint8), attributes)


def test_parts_are_the_trained_slices_and_the_whole() -> None:
    """A slice that is the whole vector is measured once, and free slices not at all."""
    assert parts_of(CHECKPOINT) == {DIGIT: (0, 2), "overall": (0, 3)}
    whole = replace(NETWORK, slices=(Slice(DIGIT, 3),))
    assert parts_of(replace(CHECKPOINT, tvae=TVAE(whole))) == {"overall": (0, 3)}
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


def test_bounds_are_in_order() -> None:
    """More samples tighten the bound; with one it is the negative ELBO's, but for the KL term's closed form."""
    images = _images(40, 3)
    loose = measure_bounds(CHECKPOINT.tvae, images, samples=1, images=40)
    tight = measure_bounds(CHECKPOINT.tvae, images, samples=200, images=40)
    assert loose.negative_elbo == pytest.approx(loose.reconstruction + loose.kl)
    assert loose.importance == pytest.approx(loose.negative_elbo, abs=1.0)
    assert tight.importance < loose.importance
    assert measure_bounds(CHECKPOINT.tvae, images, samples=1, images=40) == loose


def test_the_tighter_bound_is_exact_where_the_picture_does_not_matter() -> None:
    """With a decoder that ignores its latent and the prior as posterior, every sample gives log p(picture) itself."""
    tvae = TVAE(NETWORK).eval()
    with torch.no_grad():
        for parameter in tvae.parameters():
            parameter.zero_()
    images = torch.rand(5, 1, 4, 4)
    bound = tighter_bound(tvae, images, 3, torch.Generator().manual_seed(0))
    assert torch.allclose(bound, torch.full((5,), 16 * math.log(2), dtype=bound.dtype))
