"""The exact index alone: against the definition, with ties, selections, weights and odd numbers."""

import threading

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from service.store.index import exact
from service.store.index.exact import STRIDES, ExactIndex, Selection, least_rows, nearest, omp_threads

ROWS = 5 * STRIDES + 7


def by_hand(
    vectors: NDArray[np.float32], query: NDArray[np.float32], k: int, rows: NDArray[np.integer]
) -> tuple[list[int], list[float]]:
    """The definition: sort by distance, then by row."""
    distances = np.linalg.norm(vectors.astype(float) - query.astype(float), axis=1)
    first = sorted(rows.tolist(), key=lambda row: (distances[row], row))[:k]
    return first, [float(distances[row]) for row in first]


@settings(max_examples=120)
@given(data=st.data(), count=st.integers(1, 120), k=st.integers(1, 100), queries=st.integers(1, 40))
def test_agrees_with_a_loop_however_many_ties_there_are(data: st.DataObject, count: int, k: int, queries: int) -> None:
    """Few different numbers make many equal distances; the order is by distance, then by row, in a slice as well.

    However few rows are looked at at once.
    """
    numbers = st.integers(-1, 1).map(float)
    wide = data.draw(arrays.arrays(np.float32, (count, 5), elements=numbers))
    asked = data.draw(arrays.arrays(np.float32, (queries, 3), elements=numbers))
    mask = data.draw(arrays.arrays(np.bool_, count))
    few = Selection(count, rows=np.flatnonzero(mask)[: count // 16])
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DEFINED_AT_ONCE", "COPIED_AT_ONCE"):
            patch.setattr(exact, name, data.draw(st.integers(1, 100)))
        for vectors in (wide[:, 1:4], np.ascontiguousarray(wide[:, 1:4])):
            for selection in (None, Selection(count, mask=mask), few):
                rows = np.arange(count) if selection is None else selection.rows
                answers = ExactIndex(vectors).search(asked, k, selection)
                for query, answer in zip(asked, answers, strict=True):
                    expected, distances = by_hand(vectors, query, k, rows)
                    for found in (answer, nearest(vectors, query, k, rows)):
                        assert found.rows.tolist() == expected
                        assert found.distances.tolist() == pytest.approx(distances)


def test_ties_beyond_the_spare_candidates_are_found() -> None:
    """A thousand equal vectors, of which the first k are the answer, with and without a selection."""
    vectors = np.zeros((1000, 4), dtype=np.float32)
    vectors[:10] = 5.0
    query, odd = np.zeros((1, 4), dtype=np.float32), Selection(1000, mask=np.arange(1000) % 2 == 1)
    assert ExactIndex(vectors).search(query, 3)[0].rows.tolist() == [10, 11, 12]
    assert ExactIndex(vectors).search(query, 3, odd)[0].rows.tolist() == [11, 13, 15]


def test_distances_that_float32_cannot_tell_apart_are_told_apart() -> None:
    """Neighbours far from the origin are ordered by their exact distances, in a selection as well."""
    steps = np.arange(100, dtype=np.float32)[::-1] * 2.0**-10
    vectors = np.stack([1000.0 + steps, np.full(100, 1000.0)], axis=1).astype(np.float32)
    query = np.full((1, 2), 1000.0, dtype=np.float32)
    for selection in (None, Selection(100, rows=np.arange(90, 100)), Selection(100, rows=np.arange(95, 100))):
        answer = ExactIndex(vectors).search(query, 5, selection)[0]
        assert answer.rows.tolist() == [99, 98, 97, 96, 95]
        assert answer.distances.tolist() == [0.0, *(2.0**-10 * step for step in range(1, 5))]


@pytest.mark.parametrize("queries", [1, 9])
@pytest.mark.parametrize("scale", [1e-30, 1e25, 1e38])
def test_squares_beyond_float32_are_no_trouble(scale: float, queries: int) -> None:
    """Where squares in float32 vanish or overflow, the order and the number of hits are still right."""
    vectors = (np.arange(60, dtype=np.float32)[::-1, None] / 60 * np.float32(scale)).astype(np.float32)
    for answer in ExactIndex(vectors).search(np.zeros((queries, 1), dtype=np.float32), 5):
        assert answer.rows.tolist() == [59, 58, 57, 56, 55]
        assert answer.distances.tolist() == pytest.approx([step / 60 * scale for step in range(5)], rel=1e-5)


@pytest.mark.parametrize("k", [1, 4])
def test_squares_at_the_end_of_float32s_range_are_told_apart(k: int) -> None:
    """Where float32 holds the squares of some rows and not those of others just as near, the order is still right."""
    rng, dimension = np.random.default_rng(0), 32
    size = np.sqrt(np.finfo(np.float32).max / dimension)
    for _ in range(20):
        vectors = (size * (1 + rng.integers(-3, 4, (12, dimension)) * 2.0**-24)).astype(np.float32)
        query = np.zeros(dimension, dtype=np.float32)
        (found,) = ExactIndex(vectors).search(query[None], k)
        assert found.rows.tolist() == by_hand(vectors, query, k, np.arange(12))[0]


def test_an_empty_selection_or_index_gives_nothing() -> None:
    """One empty answer for each query."""
    query = np.zeros((2, 3), dtype=np.float32)
    full, empty = ExactIndex(np.zeros((5, 3), np.float32)), ExactIndex(np.zeros((0, 3), np.float32))
    for answers in (full.search(query, 4, Selection(5, mask=np.zeros(5, np.bool_))), empty.search(query, 4)):
        assert [answer.rows.tolist() for answer in answers] == [[], []]


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


@pytest.mark.parametrize("offset", [0.0, 3.0, 30.0, 1000.0])
@pytest.mark.parametrize("masked", [False, True])
def test_many_queries_are_answered_as_each_alone(offset: float, masked: bool) -> None:
    """A search among forty others gives the rows and the distances that it gives alone, and that the definition gives.

    Also where rounding hides the distances.
    """
    random = np.random.default_rng(1)
    vectors = (random.normal(size=(ROWS, 6)) + offset).astype(np.float32)
    vectors[100:140] = vectors[7]  # more equal ones than the spare candidates
    queries = np.concatenate([vectors[:20], random.normal(size=(21, 6)).astype(np.float32) + np.float32(offset)])
    index = ExactIndex(vectors)
    selection = Selection(ROWS, mask=random.random(ROWS) < 0.7) if masked else None
    together = index.search(queries, 5, selection)
    for query, answer in zip(queries, together, strict=True):
        alone = index.search(query[None], 5, selection)[0]
        defined = nearest(vectors, query, 5, np.arange(ROWS) if selection is None else selection.rows)
        for other in (alone, defined):
            np.testing.assert_array_equal(answer.rows, other.rows)
            np.testing.assert_array_equal(answer.distances, other.distances)


def test_a_product_is_only_as_large_as_memory_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """With many vectors fewer queries go together, with the same answers."""
    vectors = np.random.default_rng(0).normal(size=(ROWS, 6)).astype(np.float32)
    index = ExactIndex(vectors, {"first": (0, 2)})
    whole = [index.search(vectors[:40], 7), index.search(vectors[:40], 7, weights={"first": 1.0})]
    for numbers in (7 * ROWS, ROWS // 2):
        monkeypatch.setattr(exact, "PRODUCT_NUMBERS", numbers)
        again = [index.search(vectors[:40], 7), index.search(vectors[:40], 7, weights={"first": 1.0})]
        for one, other in zip([*whole[0], *whole[1]], [*again[0], *again[1]], strict=True):
            np.testing.assert_array_equal(one.rows, other.rows)


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


CHOSEN = np.array([True, False, True, True, False])
CHOSEN_ROWS = np.array([0, 2, 3])


@pytest.mark.parametrize("selection", [Selection(5, mask=CHOSEN), Selection(5, rows=CHOSEN_ROWS)])
def test_either_form_gives_the_other(selection: Selection) -> None:
    """Rows, mask and count agree, also of those rows that another mask has."""
    assert selection.count == 3
    assert selection.rows.tolist() == [0, 2, 3]
    assert selection.mask.tolist() == CHOSEN.tolist()
    fewer = selection.within(np.array([True, True, False, True, True]))
    assert (fewer.count, fewer.rows.tolist()) == (2, [0, 3])
    assert fewer.mask.tolist() == [True, False, False, True, False]
    assert selection.rows.tolist() == [0, 2, 3]
