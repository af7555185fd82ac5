"""Kill a writer, again and again, and look at what is left."""

import ctypes
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.sharedctypes import RawValue
from pathlib import Path

import numpy as np

from benchmarks.durability.actors import Clock, actors_context, reading, start_writer
from benchmarks.durability.operations import make_operation, make_store
from benchmarks.durability.truth import Truth, find_difference, find_wrong_answer
from service.store.embedded.store import EmbeddedStore

__all__ = ["Cycle", "Journal", "run_cycles"]

BLOCK = 25
"""Cycles with readers, and then as many without: only when no process has the store open is its log recovered."""

READERS = 2
LONGEST_SECONDS = 0.1
"""A writer is killed at a random time up to this after its first operation has begun."""

START_SECONDS = 60.0

Damage = Callable[[Path, random.Random], None]


@dataclass(frozen=True)
class Cycle:
    """What one kill left.

    Attributes:
        acknowledged: operations of this writer that were.
        unacknowledged: whether one had begun and was not: it may be there wholly, or not at all.
        survived: whether that one is there.
        late: whether one of an earlier writer is there that was not acknowledged, and not there at first: SQLite's log
            had held it, whole, and another process had the log open, so that it was read anew only now.
        readers: whether others searched meanwhile.
        damage: what was done to the index's file besides.
        rebuilt: whether the start made the index anew.
        start_seconds: how long the start took after the kill.
        problem: what was wrong; empty if nothing was.
    """

    acknowledged: int
    unacknowledged: bool
    survived: bool
    late: bool
    readers: bool
    damage: str
    rebuilt: bool
    start_seconds: float
    problem: str


@dataclass
class Journal:
    """All cycles, and what the readers saw; `last_block` cycles are new."""

    cycles: list[Cycle] = field(default_factory=list)
    answers: int = 0
    reader_problems: list[str] = field(default_factory=list)
    last_block: int = 0

    @property
    def problems(self) -> list[str]:
        """Everything that was wrong."""
        return [cycle.problem for cycle in self.cycles if cycle.problem] + self.reader_problems


def run_cycles(folder: Path, cycles: int, *, seed: int = 0, block: int = BLOCK) -> Iterator[Journal]:
    """Run so many cycles on the store in `folder`; yields the journal after each block of them.

    It ends after the block in which something was wrong.
    """
    make_store(folder).close()
    judge = _Judge(folder, seed)
    journal = Journal()
    while len(journal.cycles) < cycles and not journal.problems:
        count = min(block, cycles - len(journal.cycles))
        with_readers = len(journal.cycles) // block % 2 == 0
        context = judge.context
        with reading(context, folder, judge.clock, READERS) if with_readers else nullcontext() as readers:
            for _ in range(count):
                journal.cycles.append(judge.run(readers=with_readers))
            if readers is not None:
                answers, problems = readers.finish()
                journal.answers += answers
                journal.reader_problems += problems
        journal.last_block = count
        yield journal


@dataclass(frozen=True)
class _Candidate:
    """What may be in the store: with which operation of an earlier writer, and with which of the last one."""

    truth: Truth
    late: int | None
    pending: int | None


class _Judge:
    """Knows what was acknowledged, and compares."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.context: ForkServerContext = actors_context()
        self.clock: Clock = RawValue(ctypes.c_long, -1)
        self._folder, self._seed, self._next = folder, seed, 0
        self._truth = Truth()
        self._doubtful: list[int] = []  # begun, not acknowledged, not there so far, and not overwritten
        self._random = random.Random(seed)
        self._rng = np.random.default_rng(seed)

    def run(self, *, readers: bool) -> Cycle:
        """One writer, its end, and what is left."""
        acknowledged, pending = self._kill_a_writer()
        candidates = self._make_candidates(acknowledged, pending)
        damage = self._random.choices([_nothing, _remove, _truncate, _flip], [85, 5, 5, 5])[0]
        damage(self._folder, self._random)
        before = _index_files(self._folder)
        began = time.perf_counter()
        with closing(EmbeddedStore.open(self._folder)) as store:
            took = time.perf_counter() - began
            differences = [find_difference(store, candidate.truth) for candidate in candidates]
            if None in differences:
                found = candidates[differences.index(None)]
                problem = find_wrong_answer(store, found.truth, self._rng) or ""
            else:
                found, problem = candidates[0], "; or ".join(filter(None, differences))
        self._truth = found.truth
        # What was begun may still come. What came before that may not, once anything was written after it.
        earlier = [] if acknowledged or found.late is not None else self._doubtful
        self._doubtful = [number for number in [*earlier, pending] if number is not None and number != found.pending]
        return Cycle(
            acknowledged=len(acknowledged),
            unacknowledged=pending is not None,
            survived=found.pending is not None,
            late=found.late is not None,
            readers=readers,
            damage=damage.__name__.strip("_"),
            rebuilt=_index_files(self._folder) != before,
            start_seconds=took,
            problem=problem,
        )

    def _make_candidates(self, acknowledged: Sequence[int], pending: int | None) -> list["_Candidate"]:
        """All that may be in the store, the likeliest first."""
        begun = [*acknowledged] if pending is None else [*acknowledged, pending]
        self._next = max([self._next, *(number + 1 for number in begun)])
        candidates = []
        for late in (None, *self._doubtful):
            truth = self._truth if late is None else self._truth.after(make_operation(self._seed, late))
            for number in acknowledged:
                truth = truth.after(make_operation(self._seed, number))
            candidates.append(_Candidate(truth, late, None))
            if pending is not None:
                candidates.append(_Candidate(truth.after(make_operation(self._seed, pending)), late, pending))
        return candidates

    def _kill_a_writer(self) -> tuple[list[int], int | None]:
        """Start one, kill it at an odd moment; returns what it had acknowledged, and what it had only begun."""
        process, pipe = start_writer(self.context, self._folder, self._seed, self._next, self.clock)
        with closing(pipe):
            if self._random.random() < 0.85:
                if not pipe.poll(START_SECONDS):
                    raise TimeoutError("a writer has not begun to write")
                time.sleep(self._random.uniform(0, LONGEST_SECONDS))
            else:  # while it starts
                time.sleep(self._random.uniform(0, LONGEST_SECONDS / 2))
            process.kill()
            process.join()
            messages = list(_drain(pipe))
        process.close()
        acknowledged = [number for word, number in messages if word == "done"]
        pending = [number for word, number in messages if word == "begin"][len(acknowledged) :]
        return acknowledged, pending[0] if pending else None


def _drain(pipe: Connection) -> Iterator[tuple[str, int]]:
    """What a killed process had sent: the pipe holds it until it is read."""
    while True:
        try:
            yield pipe.recv()
        except (EOFError, OSError):
            return


def _index_files(folder: Path) -> dict[str, tuple[int, int]]:
    """The derived files, and which of their versions they are."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("*.faiss")}


def _nothing(_folder: Path, _random: random.Random) -> None:
    """Leave the index's file as the kill did."""


def _remove(folder: Path, _random: random.Random) -> None:
    for path in folder.glob("*.faiss"):
        path.unlink()


def _truncate(folder: Path, random: random.Random) -> None:
    for path in folder.glob("*.faiss"):
        path.write_bytes(path.read_bytes()[: random.randrange(path.stat().st_size)])


def _flip(folder: Path, random: random.Random) -> None:
    for path in folder.glob("*.faiss"):
        data = bytearray(path.read_bytes())
        data[random.randrange(len(data))] ^= 0x55
        path.write_bytes(data)
