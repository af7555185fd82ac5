"""The scan of chosen rows: quick, and still the definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from service.store.index import exact
from service.store.index.exact import nearest, scan


def by_hand(
    vectors: NDArray[np.float32], query: NDArray[np.float32], k: int, rows: NDArray[np.int64]
) -> tuple[list[int], list[float]]:
    """Sort by distance, then by row."""
    distances = {row: float(np.linalg.norm(vectors[row].astype(float) - query.astype(float))) for row in rows.tolist()}
    first = sorted(distances, key=lambda row: (distances[row], row))[:k]
    return first, [distances[row] for row in first]


@settings(max_examples=80)
@given(data=st.data(), count=st.integers(1, 120), k=st.integers(1, 60))
def test_agrees_with_a_loop_however_many_ties_there_are(data: st.DataObject, count: int, k: int) -> None:
    """Few different numbers make many equal distances; the order is by distance, then by row, in a slice as well."""
    numbers = st.integers(-1, 1).map(float)
    wide = data.draw(arrays.arrays(np.float32, (count, 5), elements=numbers))
    queries = data.draw(arrays.arrays(np.float32, (3, 3), elements=numbers))
    rows = np.flatnonzero(data.draw(arrays.arrays(np.bool_, count)))
    vectors = wide[:, 1:4]
    for query, found in zip(queries, scan(vectors, queries, k, rows), strict=True):
        expected, distances = by_hand(vectors, query, k, rows)
        for each in (found, nearest(vectors, query, k, rows)):
            assert each.rows.tolist() == expected
            assert each.distances.tolist() == pytest.approx(distances)


def test_many_rows_are_looked_at_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few rows are looked at once, the answer is the same."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(1000, 6)).astype(np.float32)
    rows = np.flatnonzero(random.random(1000) < 0.7)
    whole = scan(vectors, vectors[:4], 7, rows)
    monkeypatch.setattr(exact, "ROWS_AT_ONCE", 37)
    for one, other in zip(whole, scan(vectors, vectors[:4], 7, rows), strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_array_equal(one.distances, other.distances)


@pytest.mark.parametrize("scale", [1e-30, 1e25])
def test_numbers_that_float32_cannot_square(scale: float) -> None:
    """Where squares leave float32's range the distances in float64 decide."""
    random = np.random.default_rng(1)
    vectors = (random.normal(size=(200, 4)) * scale).astype(np.float32)
    rows = np.arange(0, 200, 2)
    found = scan(vectors, vectors[:1], 5, rows)[0]
    assert found.rows.tolist() == by_hand(vectors, vectors[0], 5, rows)[0]


def test_near_vectors_far_from_zero_are_told_apart() -> None:
    """Subtracting comes before squaring, so small differences of large numbers count."""
    vectors = np.full((100, 4), 3000.0, dtype=np.float32)
    vectors[:, 0] += np.arange(100, dtype=np.float32)[::-1] / 1024
    found = scan(vectors, vectors[-1:], 3, np.arange(100))[0]
    assert found.rows.tolist() == [99, 98, 97]
