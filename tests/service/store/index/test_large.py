"""The search of a large catalogue: exact where it has to be, nearly so where it may, from vectors that are shared."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from service.store.index import large
from service.store.index.exact import Neighbours, Selection, nearest
from service.store.index.ivf import InvertedIndex
from service.store.index.large import SharedIndex
from service.store.index.tuning import Tuned, tune
from tests.service.store.clusters import clusters

VECTORS = clusters(5000, dimension=12)


@pytest.fixture(scope="module")
def tuned() -> Tuned:
    """An index of 5,000 vectors that finds 0.98 of the neighbours."""
    made = tune(InvertedIndex.build(VECTORS), VECTORS, 0.98)
    assert made is not None
    return made


def share_found(found: list[Neighbours], queries: NDArray[np.float32], k: int, rows: NDArray[np.int64]) -> float:
    """Of the exact answers."""
    exact = [nearest(VECTORS, query, k, rows).rows.tolist() for query in queries]
    return float(np.mean([len(set(a.rows.tolist()) & set(b)) / len(b) for a, b in zip(found, exact, strict=True)]))


@settings(max_examples=60)
@given(data=st.data(), count=st.integers(1, 90), k=st.integers(1, 100), queries=st.integers(1, 20))
def test_without_an_index_it_is_exact(data: st.DataObject, count: int, k: int, queries: int) -> None:
    """However many ties there are, and however few rows are looked at once, in a slice of wider vectors."""
    numbers = st.integers(-1, 1).map(float)
    wide = data.draw(arrays.arrays(np.float32, (count, 5), elements=numbers))
    asked = data.draw(arrays.arrays(np.float32, (queries, 3), elements=numbers))
    mask = data.draw(arrays.arrays(np.bool_, count))
    vectors = wide[:, 1:4]
    index = SharedIndex(vectors)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large, "ROWS_AT_ONCE", data.draw(st.integers(1, 100)))
        for selection in (None, Selection(count, mask=mask)):
            rows = np.arange(count) if selection is None else np.flatnonzero(mask)
            for query, answer in zip(asked, index.search(asked, k, selection), strict=True):
                expected = nearest(vectors, query, k, rows)
                assert answer.rows.tolist() == expected.rows.tolist()
                assert answer.distances.tolist() == expected.distances.tolist()


def test_an_index_finds_nearly_all_with_exact_distances(tuned: Tuned) -> None:
    """For few neighbours and for many, in batches and alone; what is found has its true distance, nearest first."""
    queries = clusters(5000, dimension=12, seed=0)[::50] + np.float32(0.05)
    index, every = SharedIndex(VECTORS, tuned), np.arange(len(VECTORS))
    for k in (1, 10, 16, 17, 100, 1000):
        found = index.search(queries[:40], k)
        assert share_found(found, queries[:40], k, every) > 0.96
        for query, answer in zip(queries, found, strict=False):
            assert len(answer.rows) == k
            np.testing.assert_array_equal(answer.distances, nearest(VECTORS, query, k, answer.rows).distances)
            alone = index.search(query[None], k)[0]
            assert alone.rows.tolist() == answer.rows.tolist()


def test_more_than_it_is_tuned_for_is_exact(tuned: Tuned) -> None:
    """No setting is for so many neighbours, so all vectors are looked through."""
    found = SharedIndex(VECTORS, tuned).search(VECTORS[:2], 2000)
    assert share_found(found, VECTORS[:2], 2000, np.arange(len(VECTORS))) == 1.0


def test_what_is_selected_may_lie_anywhere(tuned: Tuned) -> None:
    """Rows near the query, far from it, or all over: k are found, and nearly all of them the right ones."""
    centre = VECTORS[0]
    distances = np.linalg.norm(VECTORS - centre, axis=1)
    queries = centre[None] + np.random.default_rng(0).normal(size=(20, 12)).astype(np.float32) * np.float32(0.1)
    order = np.argsort(distances)
    for rows in (order[:1000], order[-1000:], order[::3], order[2000:2010]):
        selection = Selection(len(VECTORS), rows=np.sort(rows))
        found = SharedIndex(VECTORS, tuned).search(queries, 10, selection)
        assert all(set(answer.rows.tolist()) <= set(rows.tolist()) for answer in found)
        assert [len(answer.rows) for answer in found] == [10] * 20
        assert share_found(found, queries, 10, np.sort(rows)) > 0.96


def test_nothing_selected_is_nothing_found(tuned: Tuned) -> None:
    """No error, and no row."""
    selection = Selection(len(VECTORS), rows=np.empty(0, np.int64))
    assert [len(found.rows) for found in SharedIndex(VECTORS, tuned).search(VECTORS[:3], 5, selection)] == [0, 0, 0]


def test_conditions_copy_no_vectors() -> None:
    """The index of a slice looks at the matrix that it was given."""
    index = SharedIndex(VECTORS[:, 3:7])
    assert np.shares_memory(index._vectors, VECTORS)


def test_searches_share_no_parameters(tuned: Tuned) -> None:
    """Threads that want few and many neighbours at once get what each would get alone."""
    index, wanted = SharedIndex(VECTORS, tuned), (1, 10, 50, 300, 1000)
    alone = {k: [found.rows.tolist() for found in index.search(VECTORS[:10], k)] for k in wanted}
    differences: list[int] = []

    def search(k: int) -> None:
        answers = (index.search(VECTORS[:10], k) for _ in range(5))
        differences.extend(alone[k] != [found.rows.tolist() for found in answer] for answer in answers)

    threads = [threading.Thread(target=search, args=(k,)) for k in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert differences == [False] * 25
