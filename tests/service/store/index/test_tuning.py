"""Recall as it is measured, and the effort that it is paid with."""

import logging

import numpy as np
import pytest
from numpy.typing import NDArray

from service.store.index.exact import ExactIndex, rank
from service.store.index.ivf import InvertedIndex, Setting, Stopped, Tuned
from service.store.index.tuning import DEPTHS, probes_to_try, tune
from tests.service.store.clusters import clusters

VECTORS = clusters(4000, dimension=12)


@pytest.fixture(scope="module")
def index() -> InvertedIndex:
    """Of 4,000 vectors."""
    return InvertedIndex.build(VECTORS)


def recall_by_hand(tuned: Tuned, vectors: NDArray[np.float32], setting: Setting, k: int) -> float:
    """The share of the k nearest that a search with a setting finds: of rows, or between them, whichever is lower."""
    rows = np.arange(0, len(vectors), 7)
    exact_index, shares = ExactIndex(vectors), []
    for queries, own in ((vectors[rows], rows), ((vectors[rows] + vectors[rows[::-1]]) / 2, np.full(len(rows), -1))):
        found = 0
        for query, row in zip(queries[:, None], own.tolist(), strict=True):
            exact = [each for each in exact_index.search(query, k + 1)[0].rows.tolist() if each != row][:k]
            candidates = tuned.index.candidates(query, setting.candidates + 1, probes=setting.probes)
            near = [each for each in rank(vectors, query, candidates, k + 1)[0].rows.tolist() if each != row]
            found += len(set(exact) & set(near[:k]))
        shares.append(found / (len(rows) * k))
    return min(shares)


def test_the_measured_recall_is_that_of_searches(index: InvertedIndex) -> None:
    """What is reported is what one counts on other rows, and it is enough, at every depth."""
    tuned = tune(index, VECTORS, 0.95)
    assert tuned is not None
    assert [setting.depth for setting in tuned.settings] == list(DEPTHS)
    assert tuned.recall >= 0.95
    assert recall_by_hand(tuned, VECTORS, tuned.settings[0], 10) == pytest.approx(tuned.recall, abs=0.02)
    for setting in tuned.settings[:2]:
        assert setting.recall >= 0.95
        assert recall_by_hand(tuned, VECTORS, setting, setting.depth) == pytest.approx(setting.recall, abs=0.02)


def test_a_higher_recall_is_paid_for(index: InvertedIndex) -> None:
    """More lists or more candidates are looked at, until it holds."""
    low, high = tune(index, VECTORS, 0.5), tune(index, VECTORS, 0.999)
    assert low is not None
    assert high is not None
    assert 0.5 <= low.recall < high.recall
    assert high.recall >= 0.999
    one, other = low.settings[0], high.settings[0]
    assert one.probes * one.candidates < other.probes * other.candidates


def test_what_cannot_be_reached_is_none(index: InvertedIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that never finds the right rows has no settings, however much it looks at."""
    search = InvertedIndex.candidates

    def last(index: InvertedIndex, queries: NDArray[np.float32], count: int, *, probes: int) -> NDArray[np.int64]:
        rows = search(index, queries, len(VECTORS), probes=probes)
        return np.ascontiguousarray(rows[:, ::-1][:, :count])

    monkeypatch.setattr(InvertedIndex, "candidates", last)
    assert tune(index, VECTORS, 0.9) is None


def test_equal_vectors_are_as_good_as_each_other() -> None:
    """Of many copies of a vector any ten are the nearest: finding others than the exact search did is no loss."""
    copies = np.repeat(clusters(40, seed=3), 100, axis=0)
    tuned = tune(InvertedIndex.build(copies), copies, 0.98)
    assert tuned is not None
    assert tuned.recall >= 0.98


@pytest.mark.parametrize("count", [1, 2, 16])
def test_too_few_vectors_to_draw_from(count: int) -> None:
    """Where there are not even the fewest neighbours, nothing can be measured."""
    assert tune(InvertedIndex.build(VECTORS[:count]), VECTORS[:count], 0.5) is None


def test_a_tuning_can_be_stopped(index: InvertedIndex) -> None:
    """It gives up when it next asks."""
    with pytest.raises(Stopped):
        tune(index, VECTORS, 0.9, stop=lambda: True)


def test_numbers_of_lists_end_with_all() -> None:
    """They rise from one, and the last is every list."""
    for lists in (1, 2, 7, 2048):
        tried = list(probes_to_try(lists))
        assert tried == sorted(set(tried))
        assert (tried[0], tried[-1]) == (1, lists)


def test_nothing_is_logged_or_printed(index: InvertedIndex, caplog: pytest.LogCaptureFixture) -> None:
    """Whether it was enough is for the caller to say."""
    with caplog.at_level(logging.DEBUG):
        tune(index, VECTORS, 0.9)
    assert not caplog.records
