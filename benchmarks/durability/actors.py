"""The processes that are killed, and those that search meanwhile."""

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from benchmarks.durability.operations import CLOCK, PLACE, TOGETHER, make_operation
from service.store.base import Hit
from service.store.embedded.store import EmbeddedStore

__all__ = ["Clock", "Readers", "actors_context", "start_writer"]

Clock = Any
"""A number in shared memory: the last upsert that was acknowledged. Torn by no kill, and needs no lock."""

OPERATIONS_AT_ONCE = 6
"""After so many the writer closes the store, which writes the index's file, and opens it again."""


def actors_context() -> ForkServerContext:
    """Starts processes as copies of one that has loaded the store and done nothing with it: a few milliseconds each."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def start_writer(
    context: ForkServerContext, folder: Path, seed: int, first: int, clock: Clock
) -> tuple[BaseProcess, Connection]:
    """A process that does the operations from `first` on until it is killed.

    Returns:
        The process, and the pipe through which it tells `begin` and `done` with the number of each operation.
    """
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_write, args=(folder, seed, first, theirs, clock), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _write(folder: Path, seed: int, first: int, pipe: Connection, clock: Clock) -> None:
    numbers = count(first)
    while True:
        with closing(EmbeddedStore.open(folder)) as store:
            for _ in range(OPERATIONS_AT_ONCE):
                number = next(numbers)
                operation = make_operation(seed, number)
                pipe.send(("begin", number))
                operation.run(store)
                pipe.send(("done", number))
                if operation.upserts:
                    clock.value = number


class Readers:
    """Processes that search all the time, and check what must hold at every moment."""

    def __init__(self, context: ForkServerContext, folder: Path, clock: Clock, members: int) -> None:
        self._stop = context.Event()
        self._pipes, self._processes = [], []
        for _ in range(members):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_read, args=(folder, clock, self._stop, theirs), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def finish(self) -> tuple[int, list[str]]:
        """End them; returns how many answers they checked, and what was wrong."""
        self._stop.set()
        answers, wrong = 0, []
        for pipe in self._pipes:
            try:
                checked, problem = pipe.recv()
            except EOFError:
                checked, problem = 0, "a reader has died"
            answers += checked
            wrong += [problem] if problem else []
        for process in self._processes:
            process.join()
        return answers, wrong


@contextmanager
def reading(context: ForkServerContext, folder: Path, clock: Clock, members: int) -> Iterator[Readers]:
    """Readers that are gone at the end, whatever happens."""
    readers = Readers(context, folder, clock, members)
    try:
        yield readers
    finally:
        for process in readers._processes:  # noqa: SLF001
            process.kill()


def _read(folder: Path, clock: Clock, stop: Event, pipe: Connection) -> None:
    answers, problem = 0, ""
    try:
        with closing(EmbeddedStore.open(folder)) as store:
            while not stop.is_set() and not problem:
                acknowledged = clock.value
                problem = _find_problem(store.search(PLACE[None], len(TOGETHER))[0], acknowledged)
                answers += 1
                time.sleep(0.001)
    except Exception as error:  # noqa: BLE001 - whatever it is, the judge is to hear of it
        problem = f"a reader failed: {error!r}"
    pipe.send((answers, problem))


def _find_problem(hits: list[Hit], acknowledged: int) -> str:
    """Shoes that are stored together are found together, as of an operation no older than the acknowledged one."""
    if acknowledged < 0:
        return ""
    names, steps = sorted(hit.item.id for hit in hits), {hit.item.attributes[CLOCK] for hit in hits}
    if names != sorted(TOGETHER) or len(steps) != 1 or len({hit.distance for hit in hits}) != 1:
        return f"a torn answer: {hits}"
    step = int(steps.pop()[0])
    return "" if step >= acknowledged else f"an answer of operation {step} after {acknowledged} was acknowledged"
