"""What the machine could do at most: so many processes that decode and encode, and do nothing with the vectors."""

import ctypes
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import numpy as np

from model.checkpoint import load_checkpoint
from model.embedder import Embedder

CHUNK = 64
"""Pictures that go through the network at once."""

READY_SECONDS = 300.0


class Ceiling:
    """Processes of one thread that have loaded the network, and wait for pictures."""

    def __init__(self, pipes: Sequence[Connection], following: "Synchronized[int]") -> None:
        self._pipes, self._next = pipes, following

    def run(self, start: int, stop: int) -> float:
        """Decode and encode the pictures from `start` to `stop`; returns the seconds it took all of them."""
        self._next.value = start
        began = time.perf_counter()
        for pipe in self._pipes:
            pipe.send(stop)
        for pipe in self._pipes:
            pipe.recv()
        return time.perf_counter() - began


@contextmanager
def run_ceiling(checkpoint: Path, pictures: Sequence[Path], members: int) -> Iterator[Ceiling]:
    """Start the processes, and end them."""
    context = multiprocessing.get_context("spawn")
    following = context.Value(ctypes.c_long, 0)
    pipes, children = [], []
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        for _ in range(members):
            ours, theirs = context.Pipe()
            names = [str(path) for path in pictures]
            child = context.Process(target=_work, args=(checkpoint, names, theirs, following), daemon=True)
            child.start()
            theirs.close()
            pipes.append(ours)
            children.append(child)
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
    try:
        for pipe in pipes:
            if not pipe.poll(READY_SECONDS):
                raise TimeoutError("a process of the ceiling has not loaded the network")
            pipe.recv()
        yield Ceiling(pipes, following)
    finally:
        for pipe in pipes:
            pipe.close()
        for child in children:
            child.join()


def _work(checkpoint: Path, names: Sequence[str], pipe: Connection, following: "Synchronized[int]") -> None:
    embedder = Embedder(load_checkpoint(checkpoint))
    _embed(embedder, names[:CHUNK])  # the first one chooses kernels and touches memory
    pipe.send(None)
    while True:
        try:
            stop: int = pipe.recv()
        except EOFError:
            return
        while True:
            # Whoever is free takes the next ones, so that none waits for a slower one.
            with following.get_lock():
                start = following.value
                following.value += CHUNK
            if start >= stop:
                break
            _embed(embedder, names[start : min(start + CHUNK, stop)])
        pipe.send(None)


def _embed(embedder: Embedder, names: Sequence[str]) -> None:
    embedder.embed_pixels(np.stack([embedder.preprocessor.decode_file(Path(name)) for name in names]))
