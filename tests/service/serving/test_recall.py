"""Comparing a sample of searches with exact ones."""

import logging
import threading
import time
from collections.abc import Callable
from random import Random

import pytest

from service.serving.recall import REST, RecallSampler
from service.store.base import Recall
from tests.support.samples import value


class Noted:
    """What a sampler noted."""

    def __init__(self) -> None:
        self.pairs: list[tuple[int, int]] = []
        self.done = threading.Event()

    def note(self, found: int, expected: int) -> None:
        """What the sampler calls."""
        self.pairs.append((found, expected))
        self.done.set()

    def wait(self) -> None:
        """Until something has been noted, and the thread has ended."""
        assert self.done.wait(5)
        self.done.clear()
        join()


def test_the_recall_of_an_index_is_a_metric() -> None:
    """What a store says of its index is what is measured."""
    RecallSampler(0.0).note_index("heel", 0.9875)
    assert value("solemate_index_recall", condition="heel") == 0.9875


def join() -> None:
    """Wait for the comparisons that are under way."""
    for thread in threading.enumerate():
        if thread.name == "recall":
            thread.join(5)


def always(count: int = 9) -> Callable[[int], Recall]:
    """A comparison that is quick."""
    return lambda index: Recall(count, 10)


def test_comparison_is_noted() -> None:
    """A search that is drawn is compared, off the caller's thread, and the outcome noted."""
    noted = Noted()
    threads = []

    def compare(index: int) -> Recall:
        threads.append(threading.current_thread())
        return Recall(9, 10)

    RecallSampler(1, note=noted.note).offer(1, compare)
    noted.wait()
    assert noted.pairs == [(9, 10)]
    assert threads != [threading.current_thread()]


def test_share_zero_compares_nothing() -> None:
    """With a share of 0 no search is ever compared."""
    noted = Noted()
    sampler = RecallSampler(0, note=noted.note)
    for _ in range(100):
        sampler.offer(8, always())
    join()
    assert noted.pairs == []


def test_one_at_a_time() -> None:
    """While a comparison is under way no other begins, and the caller does not wait."""
    noted, hold, begun = Noted(), threading.Event(), threading.Event()
    sampler = RecallSampler(1, note=noted.note)

    def compare(index: int) -> Recall:
        begun.set()
        assert hold.wait(5)
        return Recall(1, 1)

    sampler.offer(1, compare)
    assert begun.wait(5)
    for _ in range(10):
        sampler.offer(1, always())
    hold.set()
    noted.wait()
    assert noted.pairs == [(1, 1)]


def test_long_comparisons_are_rare() -> None:
    """After a comparison none begins for many times as long as it took."""
    noted = Noted()
    sampler = RecallSampler(1, note=noted.note)

    def compare(index: int) -> Recall:
        time.sleep(0.01)
        return Recall(1, 1)

    sampler.offer(1, compare)
    noted.wait()
    ended = time.perf_counter()
    while not noted.done.is_set():
        sampler.offer(1, always())
        time.sleep(0.001)
    assert time.perf_counter() - ended > 0.01 * REST * 0.8
    join()


def test_any_search_of_a_batch_may_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of searches answered together each is as likely to be compared as if it were alone."""
    monkeypatch.setattr("service.serving.recall.REST", 0)
    noted, drawn = Noted(), []
    sampler = RecallSampler(0.02, note=noted.note, random=Random(1))

    def compare(index: int) -> Recall:
        drawn.append(index)
        return Recall(1, 1)

    for _ in range(500):
        sampler.offer(10, compare)
        join()
    assert 60 < len(drawn) < 140  # 500 batches of 10, of which 2 in 100 searches: 100
    assert set(drawn) == set(range(10))


def test_failing_comparison_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A comparison that fails is told in the log, and does not stop the next."""
    noted = Noted()
    sampler = RecallSampler(1, note=noted.note)

    def fail(index: int) -> Recall:
        raise RuntimeError("no memory")

    with caplog.at_level(logging.ERROR):
        sampler.offer(1, fail)
        join()
    assert "no memory" in caplog.text
    while not noted.pairs:
        sampler.offer(1, always())
        join()
