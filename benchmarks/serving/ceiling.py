"""What the machine could do at most: the same work in so many processes, batches of 32, and no HTTP."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.serving import processes
from benchmarks.serving.peers.work import MAX_BATCH, Work
from benchmarks.serving.workload import Workload
from model.runtime import open_embedder

Encoder = Literal["onnx", "torch", "torch in bfloat16"]
STAGES = ("decode", "encode", "search")
BATCH = MAX_BATCH
WARM_BATCHES = 5
"""The first ones choose kernels and touch memory."""
START_SECONDS = 120.0


@dataclass(frozen=True)
class Ceiling:
    """What all processes did together.

    Attributes:
        rate: pictures a second.
        stages_ms: stage -> processor time of a picture in it, in milliseconds.
        cpu_ms: processor time of a picture, in milliseconds.
        peak_mib: the sum of the processes' peaks of memory.
    """

    rate: float
    stages_ms: dict[str, float]
    cpu_ms: float
    peak_mib: float


@dataclass(frozen=True)
class Job:
    """What one process does; see `run_ceiling`."""

    folder: Path
    pictures: Sequence[bytes]
    encoder: Encoder
    seconds: float


@dataclass(frozen=True)
class Done:
    """What one process did: pictures, wall time, processor time of each stage and of all, peak of memory."""

    pictures: int
    seconds: float
    stages: tuple[float, ...]
    cpu: float
    mib: float


def run_ceiling(workload: Workload, *, encoder: Encoder, workers: int, seconds: float) -> Ceiling:
    """Decode, encode and search in `workers` processes of one thread, for so long.

    `onnx` and `torch` are the service's runtimes. `torch in bfloat16` is not: its vectors would not be the index's.
    """
    context = multiprocessing.get_context("spawn")  # torch's threads don't live through a fork
    barrier, results = context.Barrier(workers), context.Queue()
    job = Job(workload.folder, workload.pictures, encoder, seconds)
    children = [context.Process(target=_child, args=(job, barrier, results), daemon=True) for _ in range(workers)]
    with _one_thread():
        for child in children:
            child.start()
    done: list[Done] = [results.get(timeout=seconds + START_SECONDS) for _ in children]
    for child in children:
        child.join()
    pictures = sum(each.pictures for each in done)
    totals = [sum(each.stages[number] for each in done) for number in range(len(STAGES))]
    return Ceiling(
        rate=sum(each.pictures / each.seconds for each in done),
        stages_ms={name: 1000 * total / pictures for name, total in zip(STAGES, totals, strict=True)},
        cpu_ms=1000 * sum(each.cpu for each in done) / pictures,
        peak_mib=sum(each.mib for each in done),
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """What is started within reads it when it loads torch and FAISS."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def _child(job: Job, barrier: Barrier, results: "Queue[Done]") -> None:
    results.put(work(job, barrier.wait))


def work(job: Job, wait: Callable[[], object]) -> Done:
    """Load everything, warm up, `wait` until the others have, and work until the time is over."""
    stages = _Stages(job)
    for _ in range(WARM_BATCHES):
        stages.run()
    wait()
    times = np.zeros(len(STAGES))
    pictures, start, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() < start + job.seconds:
        times += stages.run()
        pictures += BATCH
    took, used = time.perf_counter() - start, time.process_time() - cpu
    return Done(pictures, took, tuple(times.tolist()), used, processes.peak_mib([os.getpid()]))


class _Stages:
    """The work on one batch after the other."""

    def __init__(self, job: Job) -> None:
        runtime: Literal["onnx", "torch"] = "onnx" if job.encoder == "onnx" else "torch"
        self._embedder = open_embedder(job.folder / "checkpoint", runtime=runtime)
        self._plain = Work(job.folder)
        self._encode = self._encode_in_bfloat16 if job.encoder == "torch in bfloat16" else self._embedder.embed_pixels
        self._pictures = cycle(job.pictures)

    def run(self) -> NDArray[np.float64]:
        """One batch; returns each stage's processor time, (3,) seconds."""
        times = [time.process_time()]
        pixels = np.stack([self._embedder.preprocessor.decode(jpeg) for jpeg in islice(self._pictures, BATCH)])
        times.append(time.process_time())
        vectors = self._encode(pixels)
        times.append(time.process_time())
        self._plain.search(vectors)
        times.append(time.process_time())
        return np.diff(times)

    def _encode_in_bfloat16(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self._plain.encode(pixels)
