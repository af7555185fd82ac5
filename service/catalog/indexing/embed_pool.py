"""Many pictures into vectors: a worker pool that decodes and embeds them, in order and with a bounded amount under way.

Each worker takes a chunk of pictures, decodes it and runs the network on it with one thread. Whoever asked meanwhile
stores what came before. A large catalogue is worth workers that are processes: Python's lock lets threads decode and
call the network side by side only in part. A small one is done before processes have loaded the network.
"""

import multiprocessing
import multiprocessing.synchronize
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.base_checkpoint import Runtime
from model.catalog import BadRow, Shoe, decode_picture
from model.embedder import Embedder, PictureEmbedder, Vector
from model.errors import ArtifactMismatch, SolemateError
from model.runtime import open_embedder

CHUNK = 64
"""Pictures of a chunk, which a worker decodes and puts through the network as one batch."""

CHUNKS_AHEAD = 4
"""Chunks under way for each worker, so that it is busy while a batch is stored."""

WORTH_PROCESSES = 20_000
"""Pictures from which processes are faster than threads, in spite of their start."""

OMP_THREADS = "OMP_NUM_THREADS"

RUNTIME_MODULES: Mapping[Runtime, str] = {"onnx": "model.onnx_checkpoint", "torch": "model.checkpoint"}


EmbeddedShoe = tuple[Shoe, Vector | BadRow]
"""A shoe with its vector, (D,) float32, or with the reason why it has none."""


class PoolBroken(SolemateError):
    """A process that embeds pictures has ended before its work was done."""


Halt = threading.Event | multiprocessing.synchronize.Event
"""Tells the workers, once it is set, that nobody waits for their work any more."""


@dataclass(frozen=True)
class EmbedderRecipe:
    """How a process makes the embedder that another process has.

    Attributes:
        checkpoint: the folder.
        digest: what it must hold.
        device: where the network runs.
        runtime: what runs it.
    """

    checkpoint: Path
    digest: str
    device: str
    runtime: Runtime = "torch"

    def load(self) -> Embedder:
        """Make it. Raises ArtifactMismatch if there is another checkpoint by now."""
        embedder = open_embedder(self.checkpoint, runtime=self.runtime, device=self.device)
        if embedder.checkpoint.digest != self.digest:
            raise ArtifactMismatch(f"{self.checkpoint} was replaced while it was in use; run the same command again")
        return embedder


@dataclass(frozen=True, slots=True)
class Chunk:
    """What a worker made of some pictures.

    Attributes:
        vectors: (G, D) float32, of those that could be used, in their order.
        reasons: position among all of them -> why that one could not.
    """

    vectors: NDArray[np.float32]
    reasons: Mapping[int, str]


class EmbedPool:
    """workers that embed pictures. See `threads` and `processes`."""

    def __init__(self, executor: Executor, work: Callable[[Sequence[str]], Chunk], workers: int) -> None:
        self._executor, self._work, self._workers = executor, work, workers

    def embed(self, shoes: Iterable[Shoe], chunk: int = CHUNK) -> Generator[list[EmbeddedShoe], None, None]:
        """Embed the shoes' pictures, in the shoes' order, chunk by chunk.

        Args:
            shoes: taken as they are needed: a bounded number is ahead of the caller.
            chunk: shoes to give together, at least 1.

        Yields:
            Shoes, each with its vector, (D,) float32, or with the reason why it has none.
        """
        source = iter(shoes)
        pending: deque[tuple[list[Shoe], Future[Chunk]]] = deque()

        def submit() -> None:
            if taken := list(islice(source, chunk)):
                # Plain texts, which cost less to send than paths and shoes.
                pending.append((taken, self._executor.submit(self._work, [str(shoe.image) for shoe in taken])))

        try:
            for _ in range(self._workers * CHUNKS_AHEAD):
                submit()
            while pending:
                taken, future = pending.popleft()
                done = future.result()
                submit()
                yield _put_together(taken, done)
        except BrokenExecutor as error:
            raise PoolBroken(
                "a process that embeds pictures has ended before its time; perhaps there was too little memory. What "
                "was stored stays: run the same command again, with fewer --workers"
            ) from error


PoolFactory = Callable[[int], AbstractContextManager[EmbedPool]]
"""Number of pictures -> a worker pool for them."""


def choose_pool(
    pictures: int, *, embedder: PictureEmbedder, recipe: EmbedderRecipe, workers: int
) -> AbstractContextManager[EmbedPool]:
    """Processes where there is enough to do for them, else threads."""
    if workers > 1 and pictures >= WORTH_PROCESSES:
        return processes(recipe, workers)
    return threads(embedder, workers)


@contextmanager
def threads(embedder: PictureEmbedder, workers: int) -> Iterator[EmbedPool]:
    """A pool of threads of this process."""
    halt = threading.Event()
    executor = ThreadPoolExecutor(workers, thread_name_prefix="embed", initializer=_use_one_thread)
    with _ending(executor, halt):
        yield EmbedPool(executor, partial(embed_chunk, embedder, halt), workers)


@contextmanager
def processes(recipe: EmbedderRecipe, workers: int) -> Iterator[EmbedPool]:
    """A pool of processes. They end with this one, however it ends."""
    # A process is forked from one that has loaded the runtime, once for all, and has not run it: it has no threads.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, RUNTIME_MODULES[recipe.runtime]])
    halt = context.Event()
    with _one_openmp_thread():
        executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_join, initargs=(recipe, halt))
        with _ending(executor, halt):
            yield EmbedPool(executor, _work, workers)


@contextmanager
def _ending(executor: Executor, halt: Halt) -> Iterator[None]:
    """Leave what is under way at the end, and wait for the workers to be gone."""
    try:
        yield
    finally:
        halt.set()
        executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _one_openmp_thread() -> Iterator[None]:
    """For the processes that are started within: they read it when they load NumPy and what runs the network."""
    before = os.environ.get(OMP_THREADS)
    os.environ[OMP_THREADS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[OMP_THREADS]
        else:
            os.environ[OMP_THREADS] = before


def embed_chunk(embedder: PictureEmbedder, halt: Halt, paths: Sequence[str]) -> Chunk:
    """Decode and embed some files. A bad one is left out by itself. Raises CancelledError once `halt` is set."""
    pixels: list[NDArray[np.uint8]] = []
    reasons: dict[int, str] = {}
    for position, path in enumerate(paths):
        if halt.is_set():
            raise CancelledError
        picture = decode_picture(Path(path), embedder.preprocessor)
        if isinstance(picture, str):
            reasons[position] = picture
        else:
            pixels.append(picture)
    vectors = embedder.embed_pixels(np.stack(pixels)) if pixels else np.empty((0, embedder.dimension), np.float32)
    return Chunk(vectors, reasons)


def _put_together(shoes: Sequence[Shoe], chunk: Chunk) -> list[EmbeddedShoe]:
    vectors = iter(chunk.vectors)
    return [
        (shoe, BadRow(shoe.id, chunk.reasons[position]) if position in chunk.reasons else next(vectors))
        for position, shoe in enumerate(shoes)
    ]


def _use_one_thread() -> None:
    """Two threads of one embedding spin for each other; there are as many workers as processors.

    ONNX Runtime has a single one from the start (`open_embedder`).
    """
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


_embed_here: list[Callable[[Sequence[str]], Chunk]] = []
"""What this process does with a chunk, if it is one of a pool."""


def _join(recipe: EmbedderRecipe, halt: Halt) -> None:
    # A Ctrl-C goes to all of a terminal's processes; this one ends when its parent says so, or is gone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _use_one_thread()
    load = cache(recipe.load)  # with the first chunk, so that an error reaches its caller
    _embed_here.append(lambda paths: embed_chunk(load(), halt, paths))


def _work(paths: Sequence[str]) -> Chunk:
    return _embed_here[0](paths)


def _end_with_parent() -> None:
    """End with the parent process, even if it is killed: its pipes stay open, as each worker holds both ends."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
