"""The matrix product alone: its candidates hold the answer, and its floor is one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.store.index.flat import STRIDES, FlatIndex, Product, least_rows

ROWS = 5 * STRIDES + 7


def exact(vectors: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float64]:
    """Squared distances, by the definition."""
    differences = vectors.astype(np.float64) - query.astype(np.float64)
    squared: NDArray[np.float64] = np.square(differences).sum(axis=1)
    return squared


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 4 * STRIDES + 3),
    columns=st.integers(1, 9),
    share=st.floats(0, 1),
    values=st.sampled_from([2, 50, 10**9]),
)
def test_least_rows(seed: int, rows: int, columns: int, share: float, values: int) -> None:
    """The least numbers of each column are found, however many there are and however many are equal."""
    random = np.random.default_rng(seed)
    scores = random.integers(0, values, (rows, columns)).astype(np.float32)
    count = max(1, round(share * rows))
    chosen = least_rows(scores, count)
    assert chosen.shape == (columns, count)
    for column, found in enumerate(chosen):
        assert len(set(found.tolist())) == count
        expected = np.sort(scores[:, column])[:count]
        np.testing.assert_array_equal(np.sort(scores[found, column]), expected)


@pytest.mark.parametrize("offset", [0.0, 3.0, 1000.0])
@pytest.mark.parametrize("masked", [False, True])
def test_no_other_row_is_below_the_floor(offset: float, masked: bool) -> None:
    """Every row that is no candidate is at least as far as the floor says, also where rounding hides the distances."""
    random = np.random.default_rng(0)
    vectors = (random.normal(size=(ROWS, 12)) + offset).astype(np.float32)
    queries = (vectors[:9] + random.normal(size=(9, 12)) * 0.01).astype(np.float32)
    mask = random.random(ROWS) < 0.5 if masked else None
    found = Product(vectors).search(queries, 20, mask)
    passing = np.arange(ROWS) if mask is None else np.flatnonzero(mask)
    for query, rows, floor in zip(queries, found.rows, found.floor, strict=True):
        assert set(rows.tolist()) <= set(passing.tolist())
        others = np.setdiff1d(passing, rows)
        assert exact(vectors[others], query).min() >= floor
    if not offset:
        # Where there is little rounding the floor is worth something.
        nearest = [np.sort(exact(vectors[passing], query))[9] for query in queries]
        assert (found.floor > nearest).all()


@pytest.mark.parametrize("scale", [1e-30, 1e25])
def test_lengths_that_float32_cannot_square_do_not_fit(scale: float) -> None:
    """Such vectors and queries are left to those who subtract before they square."""
    vectors = np.full((4, 3), scale, dtype=np.float32)
    ones = np.ones((4, 3), dtype=np.float32)
    assert not Product(vectors).fits(ones)
    assert not Product(np.zeros((0, 3), dtype=np.float32)).fits(ones)
    assert Product(ones).fits(ones)
    assert Product(ones).fits(vectors) == (scale < 1)


@pytest.mark.parametrize("offset", [0.0, 30.0, 1000.0])
@pytest.mark.parametrize("masked", [False, True])
def test_many_queries_are_answered_as_each_alone(offset: float, masked: bool) -> None:
    """A search among forty others gives the rows and the distances that it gives alone."""
    random = np.random.default_rng(1)
    vectors = (random.normal(size=(ROWS, 6)) + offset).astype(np.float32)
    vectors[100:140] = vectors[7]  # more equal ones than the spare candidates
    queries = np.concatenate([vectors[:20], random.normal(size=(21, 6)).astype(np.float32) + np.float32(offset)])
    index = FlatIndex.of(vectors)
    mask = random.random(ROWS) < 0.7 if masked else None
    together = index.search(queries, 5, mask)
    for query, answer in zip(queries, together, strict=True):
        alone = index.search(query[None], 5, mask)[0]
        by_hand = index.exact(query, 5, mask)
        for other in (alone, by_hand):
            np.testing.assert_array_equal(answer.rows, other.rows)
            np.testing.assert_array_equal(answer.distances, other.distances)
