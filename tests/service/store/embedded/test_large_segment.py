"""The search of a large segment: exact where it has to be, nearly so where it may."""

import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from service.store.base import OVERALL, Item
from service.store.embedded import snapshot
from service.store.embedded.snapshot import Layout, Segment
from service.store.index.exact import Neighbours, Selection, nearest
from service.store.index.ivf import InvertedIndex
from service.store.index.tuning import tune
from tests.service.store.clusters import clusters

VECTORS = clusters(5000, dimension=12)


@pytest.fixture(scope="module")
def segment() -> Segment:
    """Of 5,000 vectors, with an index that finds 0.98 of the neighbours."""
    tuned = tune(InvertedIndex.build(VECTORS), VECTORS, 0.98)
    assert tuned is not None
    items = [Item(str(number), "", {}) for number in range(len(VECTORS))]
    numbers = np.arange(len(VECTORS))
    return Segment(Layout({}, 100), seq=1, numbers=numbers, items=items, vectors=VECTORS).with_tuned(OVERALL, tuned)


@pytest.fixture(autouse=True)
def _few_are_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Selections of more than twenty rows go by the index as well."""
    monkeypatch.setattr(snapshot, "SCANNED_ROWS", 20)


def share_found(found: list[Neighbours], queries: NDArray[np.float32], k: int, rows: NDArray[np.int64]) -> float:
    """Of the exact answers."""
    exact = [nearest(VECTORS, query, k, rows).rows.tolist() for query in queries]
    return float(np.mean([len(set(a.rows.tolist()) & set(b)) / len(b) for a, b in zip(found, exact, strict=True)]))


def test_an_index_finds_nearly_all_with_exact_distances(segment: Segment) -> None:
    """For few neighbours and for many, in batches and alone; what is found has its true distance, nearest first."""
    queries = clusters(5000, dimension=12, seed=0)[::50] + np.float32(0.05)
    every = np.arange(len(VECTORS))
    for k in (1, 10, 16, 17, 100, 1000):
        found = segment.search(queries[:40], k, OVERALL, None)
        assert share_found(found, queries[:40], k, every) > 0.96
        for query, answer in zip(queries, found, strict=False):
            assert len(answer.rows) == k
            np.testing.assert_array_equal(answer.distances, nearest(VECTORS, query, k, answer.rows).distances)
            alone = segment.search(query[None], k, OVERALL, None)[0]
            assert alone.rows.tolist() == answer.rows.tolist()


def test_more_than_it_is_tuned_for_is_exact(segment: Segment) -> None:
    """No setting is for so many neighbours, so all vectors are looked through."""
    found = segment.search(VECTORS[:2], 2000, OVERALL, None)
    assert share_found(found, VECTORS[:2], 2000, np.arange(len(VECTORS))) == 1.0


def test_what_is_selected_may_lie_anywhere(segment: Segment) -> None:
    """Rows near the query, far from it, or all over: k are found, and nearly all of them the right ones."""
    centre = VECTORS[0]
    distances = np.linalg.norm(VECTORS - centre, axis=1)
    queries = centre[None] + np.random.default_rng(0).normal(size=(20, 12)).astype(np.float32) * np.float32(0.1)
    order = np.argsort(distances)
    for rows in (order[:1000], order[-1000:], order[::3], order[2000:2010]):
        selection = Selection(len(VECTORS), rows=np.sort(rows))
        found = segment.search(queries, 10, OVERALL, selection)
        assert all(set(answer.rows.tolist()) <= set(rows.tolist()) for answer in found)
        assert [len(answer.rows) for answer in found] == [10] * 20
        assert share_found(found, queries, 10, np.sort(rows)) > 0.96


def test_nothing_selected_is_nothing_found(segment: Segment) -> None:
    """No error, and no row."""
    selection = Selection(len(VECTORS), rows=np.empty(0, np.int64))
    assert [len(found.rows) for found in segment.search(VECTORS[:3], 5, OVERALL, selection)] == [0, 0, 0]


def test_searches_share_no_parameters(segment: Segment) -> None:
    """Threads that want few and many neighbours at once get what each would get alone."""
    wanted = (1, 10, 50, 300, 1000)
    alone = {k: [found.rows.tolist() for found in segment.search(VECTORS[:10], k, OVERALL, None)] for k in wanted}
    differences: list[int] = []

    def search(k: int) -> None:
        answers = (segment.search(VECTORS[:10], k, OVERALL, None) for _ in range(5))
        differences.extend(alone[k] != [found.rows.tolist() for found in answer] for answer in answers)

    threads = [threading.Thread(target=search, args=(k,)) for k in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert differences == [False] * 25
