"""The exact index alone: against a loop, with ties, masks and odd numbers."""

import threading

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from service.store.index.faiss import omp_threads
from service.store.index.flat import FlatIndex


def by_hand(
    vectors: NDArray[np.float32], query: NDArray[np.float32], k: int, mask: NDArray[np.bool_]
) -> tuple[list[int], list[float]]:
    """The definition: sort by distance, then by row."""
    distances = np.linalg.norm(vectors.astype(float) - query.astype(float), axis=1)
    rows = sorted(np.flatnonzero(mask).tolist(), key=lambda row: (distances[row], row))[:k]
    return rows, [float(distances[row]) for row in rows]


@settings(max_examples=80)
@given(data=st.data(), count=st.integers(1, 90), k=st.integers(1, 100), queries=st.integers(1, 20))
def test_agrees_with_a_loop_however_many_ties_there_are(data: st.DataObject, count: int, k: int, queries: int) -> None:
    """Few different numbers make many equal distances; the order is by distance, then by row."""
    numbers = st.integers(-1, 1).map(float)
    vectors = data.draw(arrays.arrays(np.float32, (count, 3), elements=numbers))
    asked = data.draw(arrays.arrays(np.float32, (queries, 3), elements=numbers))
    mask = data.draw(arrays.arrays(np.bool_, count))
    index = FlatIndex.of(vectors)
    for chosen in (mask, None):
        answers = index.search(asked, k, chosen)
        for query, answer in zip(asked, answers, strict=True):
            rows, distances = by_hand(vectors, query, k, np.ones(count, np.bool_) if chosen is None else chosen)
            for found in (answer, index.exact(query, k, chosen)):
                assert found.rows.tolist() == rows
                assert found.distances.tolist() == pytest.approx(distances)


def test_ties_beyond_the_spare_candidates_are_found() -> None:
    """A thousand equal vectors, of which the first k are the answer, with and without a mask."""
    vectors = np.zeros((1000, 4), dtype=np.float32)
    vectors[:10] = 5.0
    query = np.zeros((1, 4), dtype=np.float32)
    assert FlatIndex.of(vectors).search(query, 3)[0].rows.tolist() == [10, 11, 12]
    odd = np.arange(1000) % 2 == 1
    assert FlatIndex.of(vectors).search(query, 3, odd)[0].rows.tolist() == [11, 13, 15]


def test_distances_that_float32_cannot_tell_apart_are_told_apart() -> None:
    """Neighbours far from the origin are ordered by their exact distances."""
    steps = np.arange(100, dtype=np.float32)[::-1] * 2.0**-10
    vectors = np.stack([1000.0 + steps, np.full(100, 1000.0)], axis=1).astype(np.float32)
    query = np.full((1, 2), 1000.0, dtype=np.float32)
    answer = FlatIndex.of(vectors).search(query, 5)[0]
    assert answer.rows.tolist() == [99, 98, 97, 96, 95]
    assert answer.distances.tolist() == [0.0, *(2.0**-10 * step for step in range(1, 5))]


@pytest.mark.parametrize("scale", [1e-30, 1e25, 1e38])
def test_squares_beyond_float32_are_no_trouble(scale: float) -> None:
    """Where FAISS's float32 squares vanish or overflow, the order and the number of hits are still right."""
    vectors = (np.arange(60, dtype=np.float32)[::-1, None] / 60 * np.float32(scale)).astype(np.float32)
    answer = FlatIndex.of(vectors).search(np.zeros((1, 1), dtype=np.float32), 5)[0]
    assert answer.rows.tolist() == [59, 58, 57, 56, 55]
    assert answer.distances.tolist() == pytest.approx([step / 60 * scale for step in range(5)], rel=1e-5)


def test_an_empty_mask_or_index_gives_nothing() -> None:
    """One empty answer for each query."""
    query = np.zeros((2, 3), dtype=np.float32)
    full, empty = FlatIndex.of(np.zeros((5, 3), np.float32)), FlatIndex.of(np.zeros((0, 3), np.float32))
    for answers in (full.search(query, 4, np.zeros(5, np.bool_)), empty.search(query, 4)):
        assert [answer.rows.tolist() for answer in answers] == [[], []]


def test_the_index_does_not_change_with_what_it_was_made_of() -> None:
    """It copies, and hands out copies."""
    vectors = np.ones((3, 2), dtype=np.float32)
    index = FlatIndex.of(vectors)
    vectors[:] = 7.0
    index.vectors(np.array([0]))[:] = 7.0
    assert index.vectors(np.arange(3)).tolist() == [[1.0, 1.0]] * 3


def test_reads_back_what_it_wrote_and_no_other_kind() -> None:
    """A flat index with Euclidean distance, or an error."""
    vectors = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    again = FlatIndex.from_bytes(memoryview(FlatIndex.of(vectors).to_bytes()))
    np.testing.assert_array_equal(again.vectors(np.arange(30)), vectors)
    other = faiss.serialize_index(faiss.IndexFlatIP(4)).tobytes()
    with pytest.raises(ValueError, match="not an IndexFlatL2"):
        FlatIndex.from_bytes(memoryview(other))


def test_threads_are_set_for_the_calling_thread_and_put_back() -> None:
    """OpenMP counts per thread, so a server's threads need it set in each of them."""
    seen = []

    def look() -> None:
        before = faiss.omp_get_max_threads()
        with omp_threads(3):
            seen.append(faiss.omp_get_max_threads())
        seen.append(faiss.omp_get_max_threads() - before)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [3, 0]
