"""Writers of a store are killed at odd moments: what was acknowledged is there, and nothing is torn."""

import ctypes
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from copy import copy
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.sharedctypes import RawValue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.store.base import Hit, Record
from service.store.embedded.store import EmbeddedStore
from tests.service.store.naive import NaiveStore
from tests.support.scale import LONG
from tests.system.durability import (
    CLOCK,
    PLACE,
    TOGETHER,
    find_difference,
    find_wrong_answer,
    make_operation,
    make_store,
)

SEED = 3
KILLS = 1000 if LONG else 12
BLOCK = 25 if LONG else 6
"""Kills with readers, and then as many without: only when no process has the store open is its log recovered."""

LONGEST_SECONDS = 0.1
"""A writer is killed at a random time up to this after its first operation has begun."""

OPERATIONS_AT_ONCE = 6
"""After so many the writer closes the store, which writes the index's file, and opens it again."""

Clock = Any
"""A number in shared memory: the last upsert that was acknowledged. Torn by no kill, and needs no lock."""


def after(truth: NaiveStore, *numbers: int) -> NaiveStore:
    """What is true once these operations are done too."""
    result = copy(truth)
    result.records = dict(truth.records)
    for number in numbers:
        make_operation(SEED, number).run(result)
    return result


def write(folder: Path, first: int, pipe: Connection, clock: Clock) -> None:
    """In a process of its own: do the operations from `first` on, and say `begin` and `done` with each one's number."""
    numbers = count(first)
    while True:
        with closing(EmbeddedStore.open(folder)) as store:
            for _ in range(OPERATIONS_AT_ONCE):
                number = next(numbers)
                operation = make_operation(SEED, number)
                pipe.send(("begin", number))
                operation.run(store)
                pipe.send(("done", number))
                if operation.upserts:
                    clock.value = number


def read(folder: Path, clock: Clock, stop: Event, pipe: Connection) -> None:
    """In a process of its own: search all the time, and send the number of answers and what was wrong with one."""
    answers, problem = 0, ""
    try:
        with closing(EmbeddedStore.open(folder)) as store:
            while not stop.is_set() and not problem:
                acknowledged = clock.value
                problem = find_torn(store.search(PLACE[None], len(TOGETHER))[0], acknowledged)
                answers += 1
                time.sleep(0.001)
    except Exception as error:  # noqa: BLE001 - whatever it is, the test is to hear of it
        problem = f"a reader failed: {error!r}"
    pipe.send((answers, problem))


def find_torn(hits: list[Hit], acknowledged: int) -> str:
    """Shoes that are stored together are found together, as of an operation no older than the acknowledged one."""
    if acknowledged < 0:
        return ""
    names, steps = sorted(hit.item.id for hit in hits), {hit.item.attributes[CLOCK] for hit in hits}
    if names != sorted(TOGETHER) or len(steps) != 1 or len({hit.distance for hit in hits}) != 1:
        return f"a torn answer: {hits}"
    step = int(steps.pop()[0])
    return "" if step >= acknowledged else f"an answer of operation {step} after {acknowledged} was acknowledged"


@contextmanager
def reading(context: ForkServerContext, folder: Path, clock: Clock) -> Iterator[None]:
    """Two processes search meanwhile; at the end they must have found nothing wrong."""
    stop = context.Event()
    pipes, processes = [], []
    for _ in range(2):
        ours, theirs = context.Pipe(duplex=False)
        processes.append(context.Process(target=read, args=(folder, clock, stop, theirs), daemon=True))
        processes[-1].start()
        theirs.close()
        pipes.append(ours)
    try:
        yield
        stop.set()
        for pipe in pipes:
            answers, problem = pipe.recv()
            assert problem == ""
            assert answers > 0
    finally:
        for process in processes:
            process.kill()
            process.join()
        for pipe in pipes:
            pipe.close()


class Killer:
    """Kills writers, and knows what was acknowledged.

    Attributes:
        acknowledged: operations.
        interrupted: operations that had begun and were not acknowledged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.acknowledged, self.interrupted = folder, 0, 0
        # Copies of a process that has loaded the store and done nothing with it: a few milliseconds each.
        self.context: ForkServerContext = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload([__name__])
        self.clock: Clock = RawValue(ctypes.c_long, -1)
        self._truth, self._next = NaiveStore(), 0
        self._doubtful: list[int] = []  # begun, not acknowledged, not there so far, and not overwritten
        self._random, self._rng = random.Random(SEED), np.random.default_rng(SEED)

    def run(self) -> None:
        """Kill one writer, harm the derived file besides, and compare what is left with what was acknowledged."""
        acknowledged, pending = self._kill_a_writer()
        self.acknowledged += len(acknowledged)
        self.interrupted += pending is not None
        self._next = max([self._next, *(number + 1 for number in acknowledged), (pending or 0) + 1])
        self._random.choices([lambda: None, self._remove, self._cut, self._flip], [85, 5, 5, 5])[0]()
        with closing(EmbeddedStore.open(self.folder)) as store:
            candidates = list(self._candidates(acknowledged, pending))
            differences = [find_difference(store, truth) for _, _, truth in candidates]
            assert None in differences, "; or ".join(filter(None, differences))
            late, last, truth = candidates[differences.index(None)]
            assert find_wrong_answer(store, truth, self._rng) is None
        self._truth = truth
        # What was begun may still come. What came before that may not, once anything was written after it.
        earlier = [] if acknowledged or late is not None else self._doubtful
        self._doubtful = [number for number in [*earlier, pending] if number is not None and number != last]

    def _candidates(
        self, acknowledged: Sequence[int], pending: int | None
    ) -> Iterator[tuple[int | None, int | None, NaiveStore]]:
        """All that may be in the store: an earlier writer's operation that came late, the one under way, the truth."""
        for late in (None, *self._doubtful):
            truth = after(self._truth, *([] if late is None else [late]), *acknowledged)
            yield late, None, truth
            if pending is not None:
                yield late, pending, after(truth, pending)

    def _kill_a_writer(self) -> tuple[list[int], int | None]:
        """Start one, kill it at an odd moment; returns what it had acknowledged, and what it had only begun."""
        pipe, theirs = self.context.Pipe(duplex=False)
        process = self.context.Process(target=write, args=(self.folder, self._next, theirs, self.clock), daemon=True)
        process.start()
        theirs.close()
        with closing(pipe):
            if self._random.random() < 0.85:
                assert pipe.poll(60)
                time.sleep(self._random.uniform(0, LONGEST_SECONDS))
            else:  # while it starts
                time.sleep(self._random.uniform(0, LONGEST_SECONDS / 2))
            process.kill()
            process.join()
            messages = list(drain(pipe))
        process.close()
        acknowledged = [number for word, number in messages if word == "done"]
        pending = [number for word, number in messages if word == "begin"][len(acknowledged) :]
        return acknowledged, pending[0] if pending else None

    def _remove(self) -> None:
        for path in self.folder.glob("vectors.bin"):
            path.unlink()

    def _cut(self) -> None:
        for path in self.folder.glob("vectors.bin"):
            path.write_bytes(path.read_bytes()[: self._random.randrange(path.stat().st_size)])

    def _flip(self) -> None:
        for path in self.folder.glob("vectors.bin"):
            data = bytearray(path.read_bytes())
            data[self._random.randrange(len(data))] ^= 0x55
            path.write_bytes(data)


def drain(pipe: Connection) -> Iterator[tuple[str, int]]:
    """What a killed process had sent: the pipe holds it until it is read."""
    while True:
        try:
            yield pipe.recv()
        except (EOFError, OSError):
            return


@pytest.mark.slow
def test_nothing_is_lost_over_kills(tmp_path: Path) -> None:
    """After kill -9 under load what was acknowledged is there, nothing is torn, and readers saw only whole changes."""
    make_store(tmp_path / "catalog").close()
    killer = Killer(tmp_path / "catalog")
    for number in range(0, KILLS, 2 * BLOCK):
        with reading(killer.context, killer.folder, killer.clock):
            for _ in range(min(BLOCK, KILLS - number)):
                killer.run()
        for _ in range(min(BLOCK, KILLS - number - BLOCK)):
            killer.run()
    assert killer.acknowledged > 0
    assert killer.interrupted > 0


def lose(store: EmbeddedStore, truth: NaiveStore) -> None:
    """One acknowledged shoe is gone."""
    store.delete([next(iter(truth.records))])


def invent(store: EmbeddedStore, truth: NaiveStore) -> None:
    """Part of an operation that never was is there."""
    store.upsert([next(record for record in make_operation(SEED, 50).upserts if record.item.id not in truth.records)])


def tear(store: EmbeddedStore, truth: NaiveStore) -> None:
    """Of a shoe, the vector is an older one."""
    first, second = list(truth.records.values())[:2]
    store.upsert([Record(first.item, second.vector)])


@pytest.mark.parametrize(("harm", "said"), [(lose, "lost"), (invent, "too many"), (tear, "the vector of")])
def test_the_judge_sees_harm(tmp_path: Path, harm: Callable[[EmbeddedStore, NaiveStore], None], said: str) -> None:
    """A right store passes; one that lost, invented or tore something, and a wrong answer, do not."""
    truth = after(NaiveStore(), *range(12))
    with closing(make_store(tmp_path)) as store:
        for number in range(12):
            make_operation(SEED, number).run(store)
        assert find_difference(store, truth) is None
        assert find_wrong_answer(store, truth, np.random.default_rng(0)) is None
        moved = after(truth)
        first = next(iter(moved.records.values()))
        moved.records[first.item.id] = Record(first.item, np.zeros_like(first.vector))
        assert find_wrong_answer(store, moved, np.random.default_rng(0)) is not None
        harm(store, truth)
        assert said in (find_difference(store, truth) or "")
