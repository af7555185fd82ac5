"""The weighted search: exact whatever the weights, the vectors and the batch, and without a copy of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.store.base import Weights, scale_of
from service.store.index.exact import ExactIndex, Selection
from tests.service.store.naive import DIMENSION, SLICES, distance

Matrix = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def nearest(vectors: Matrix, query: Matrix, weights: Weights, k: int) -> list[int]:
    """By the definition, one by one; ties by row."""
    return sorted(range(len(vectors)), key=lambda row: distance(query, vectors[row], weights))[:k]


def draw(count: int, seed: int = 0, *, loc: float = 0.0, scale: float = 1.0) -> Matrix:
    """Random vectors."""
    return np.random.default_rng(seed).normal(loc, scale, size=(count, DIMENSION)).astype(np.float32)


@given(
    weights=st.dictionaries(
        st.sampled_from(list(SLICES)), st.floats(1e-3, 1e3) | st.just(0.0), min_size=1, max_size=3
    ).filter(lambda weights: any(weights.values())),
    seed=st.integers(0, 1000),
    count=st.integers(1, 300),
    k=st.integers(1, 40),
    masked=st.booleans(),
)
@settings(max_examples=60)
def test_agrees_with_a_loop(weights: dict[str, float], seed: int, count: int, k: int, masked: bool) -> None:
    """Rows and distances are those of the definition, for any weights, with and without a mask."""
    vectors, queries = draw(count, seed), draw(3, seed + 1)
    mask = np.random.default_rng(seed).random(count) < 0.3 if masked else None
    rows = np.arange(count) if mask is None else np.flatnonzero(mask)
    selection = None if mask is None else Selection(count, mask=mask)
    answers = ExactIndex(vectors, SLICES).search(queries, k, selection, weights)
    for query, found in zip(queries, answers, strict=True):
        expected = rows[nearest(vectors[rows], query, weights, k)]
        np.testing.assert_array_equal(found.rows, expected)
        np.testing.assert_allclose(
            found.distances, [distance(query, vectors[row], weights) for row in expected], rtol=1e-9
        )


@pytest.mark.parametrize("loc", [0.0, 30.0, 1000.0, 1e18])
def test_exact_where_the_product_has_no_digits_left(loc: float) -> None:
    """Far from the origin, or out of float32's range, the answers are still those of the definition."""
    vectors = draw(400, loc=loc)
    weights = {"category": 0.7, "closure": 0.3}
    index = ExactIndex(vectors, SLICES)
    for query, found in zip(vectors[:40], index.search(vectors[:40], 5, weights=weights), strict=True):
        expected = nearest(vectors, query, weights, 5)
        np.testing.assert_array_equal(found.rows, expected)
        np.testing.assert_allclose(found.distances, [distance(query, vectors[row], weights) for row in expected])
        assert found.distances[0] == 0.0


@pytest.mark.parametrize("factor", [1e-300, 1e-30, 1e30, 1e300])
def test_only_the_ratio_of_weights_decides(factor: float) -> None:
    """Weights however large or small order as their ratio does, and scale the distances by their root."""
    vectors, queries = draw(200), draw(4, 9)
    index = ExactIndex(vectors, SLICES)
    plain = index.search(queries, 9, weights={"category": 1.0, "free": 0.25})
    scaled = index.search(queries, 9, weights={"category": factor, "free": 0.25 * factor})
    for one, other in zip(plain, scaled, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_allclose(other.distances, one.distances * np.sqrt(factor))


def test_a_share_too_small_for_float32_still_decides_ties() -> None:
    """Where the heavy slice can't tell shoes apart, the lightest weight orders them."""
    vectors = np.zeros((50, DIMENSION), dtype=np.float32)
    vectors[:, 7] = np.arange(50)[::-1]
    found = ExactIndex(vectors, SLICES).search(vectors[:1] * 0, 3, weights={"category": 1.0, "free": 1e-30})[0]
    assert found.rows.tolist() == [49, 48, 47]


def test_large_batches_and_all_rows() -> None:
    """More queries than one product takes, and more neighbours than there are rows, are answered like each alone."""
    vectors, queries = draw(30), draw(100, 5)
    index = ExactIndex(vectors, SLICES)
    weights = {"closure": 1.0, "free": 3.0}
    for query, found in zip(queries, index.search(queries, 99, weights=weights), strict=True):
        alone = index.search(query[None], 99, weights=weights)[0]
        assert len(found.rows) == 30
        np.testing.assert_array_equal(found.rows, alone.rows)
    nothing = index.search(queries[:2], 3, Selection(30, mask=np.zeros(30, dtype=np.bool_)), weights)
    assert [len(found.rows) for found in nothing] == [0, 0]


def test_scale_makes_the_weighted_distance_euclidean() -> None:
    """Vectors times the scale are as far from each other as the weights say."""
    one, other = draw(2)
    weights = {"category": 0.7, "free": 2.0}
    scale = scale_of(weights, SLICES, DIMENSION)
    assert np.linalg.norm(one * scale - other * scale) == pytest.approx(distance(one, other, weights))
