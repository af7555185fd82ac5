"""Execution settings, threads and precision: chosen by timing training steps of the run itself.

A processor's flags don't tell which is fastest: bfloat16 can be slower than float32 where the instructions exist, and
two threads slower than one where other work has the second processor.
"""

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import TYPE_CHECKING, Literal

import torch

from training.config import Precision, TrainConfig
from training.distributed import ProcessGroup

if TYPE_CHECKING:
    from training.train import Run

_log = logging.getLogger(__name__)

Step = Callable[["Run", torch.Tensor, float, torch.Generator], object]
"""`training.train.train_step`."""

PRECISIONS: tuple[Literal["float32", "bf16"], ...] = ("float32", "bf16")

ROUNDS = 3
"""Timed steps of each candidate, after an untimed first one, which prepares kernels and memory."""
MAX_SHARE = 0.1
"""Share of the run's steps that timing may take; shorter runs are not timed, since that would not pay."""
BUDGET = 20.0
"""Seconds of timing after which no further round begins."""
DROP_RATIO = 1.5
"""A candidate whose median is this many times that of the fastest one is dropped from the next rounds."""
FIRST_DROP_SECONDS, FIRST_DROP_RATIO = 3.0, 3.0
"""A candidate is dropped after its first step if that took more than these seconds and this ratio of the fastest."""
TIE_RATIO = 1.05
"""Candidates within this ratio of the fastest one are tied; the one with fewer threads, then float32, is chosen."""
BF16_ROUNDS = 12
"""Timed convolutions of each precision, of which the fastest counts: other work on the machine only adds to a time."""
SLOW_BF16 = 1.5
"""bf16 is no candidate where a small convolution in it takes this many times float32's seconds."""


@dataclass(frozen=True)
class Execution:
    """Threads and precision. Another choice gives other roundings, so a resumed run needs the same.

    Attributes:
        threads: of torch, within one operation.
        precision: of the convolutions.
    """

    threads: int
    precision: Literal["float32", "bf16"]

    def __str__(self) -> str:
        return f"{self.threads} thread{'s' if self.threads > 1 else ''} in {self.precision}"

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block, torch computes on these threads; the precision is the step's own affair."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def usual_execution(config: TrainConfig, process_group: ProcessGroup) -> Execution:
    """What the configuration names, and torch's own threads and float32 where it leaves the choice open."""
    # The mean over the processes, so that all record the same on machines that differ.
    threads = int(process_group.mean({"threads": float(torch.get_num_threads())})["threads"])
    return Execution(config.threads or threads, "float32" if config.precision == "auto" else config.precision)


@cache
def time_bf16(device: torch.device) -> float:
    """Seconds of a small convolution, forwards and backwards, in bf16, relative to those in float32.

    A processor without instructions for bf16 emulates it, up to sixty times slower (measured on AMD Zen 3). A GPU is
    taken at its word: 1.0 where it says that it has them, and infinity where it does not. Timed once a process.
    """
    if device.type == "cuda":
        return 1.0 if torch.cuda.is_bf16_supported(including_emulation=False) else math.inf
    with torch.random.fork_rng(devices=[]):
        convolution, images = torch.nn.Conv2d(32, 32, 3), torch.rand(8, 32, 32, 32)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(BF16_ROUNDS + 1):
        for narrow, taken in seconds.items():
            began = time.perf_counter()
            with torch.autocast(device.type, torch.bfloat16, enabled=narrow):
                result = convolution(images)
            result.float().square().mean().backward()
            taken.append(time.perf_counter() - began)
    return min(seconds[True][1:]) / min(seconds[False][1:])


def choose_precision(precision: Precision, device: torch.device) -> Literal["float32", "bf16"]:
    """What is named; of `auto` the faster one by `time_bf16`."""
    if precision == "auto":
        return "bf16" if time_bf16(device) <= 1.0 else "float32"
    return precision


def list_candidates(
    config: TrainConfig, usual: Execution, device: torch.device, process_group: ProcessGroup, bf16_time: float
) -> list[Execution]:
    """What to choose from, the more frugal first: fewer threads, then float32 before bf16.

    The threads are the powers of two up to torch's own number, which heeds OMP_NUM_THREADS and the processors that the
    process may use, but neither what else they do nor a container's quota. On a GPU and among several
    processes, which `torchrun` gives their threads, they stay as they are. `bf16_time` is of `time_bf16`.
    """
    threads = [usual.threads]
    if config.threads is None and device.type == "cpu" and process_group.world_size == 1:
        threads = [2**power for power in range(usual.threads.bit_length()) if 2**power < usual.threads] + threads
    precisions = PRECISIONS if config.precision == "auto" else (usual.precision,)
    if config.precision == "auto" and bf16_time >= SLOW_BF16:
        precisions = ("float32",)
    return [Execution(count, precision) for count in threads for precision in precisions]


def tune(
    run: "Run",
    step: Step,
    clock: Callable[[], float] = time.perf_counter,
    time_bf16: Callable[[torch.device], float] = time_bf16,
) -> Execution:
    """The fastest candidate for this run; leaves weights, optimizer and random streams to the bit as they were.

    All processes must call it; they come to the same choice.

    Args:
        run: a run that is about to start.
        step: a training step; it must have ended on the device when it returns.
        clock: seconds.
        time_bf16: as the function of that name.
    """
    usual = run.state.execution
    bf16_time = run.process_group.mean({"bf16": time_bf16(run.device)})["bf16"]
    candidates = list_candidates(run.config, usual, run.device, run.process_group, bf16_time)
    if len(candidates) == 1:
        return usual
    steps = run.config.epochs * math.ceil(len(run.pixels) / run.config.batch_size)
    if len(candidates) * (1 + ROUNDS) > MAX_SHARE * steps:
        _log.info("training on %s: %d steps are too few to time the alternatives", usual, steps)
        return usual
    with _preserve_state(run):
        seconds = _measure(run, candidates, step, clock)
    limit = TIE_RATIO * min(seconds.values())
    chosen = next(each for each in candidates if seconds.get(each, math.inf) <= limit)
    shoes = min(run.config.batch_size, len(run.pixels))
    figures = ", ".join(f"{shoes / took:.0f} on {each}" for each, took in seconds.items())
    _log.info("training on %s, by timing a few steps; images/s: %s", chosen, figures)
    return chosen


def _measure(run: "Run", candidates: list[Execution], step: Step, clock: Callable[[], float]) -> dict[Execution, float]:
    """Seconds of a step for each candidate, the median; from its first step alone where it was given up after that.

    The candidates take turns, so that other work on the machine hits them alike.
    """
    generator = torch.Generator().manual_seed(run.config.seed)
    rows = torch.randperm(len(run.pixels), generator=generator)[: run.config.batch_size]

    def seconds_of(candidate: Execution) -> float:
        run.state.execution = candidate
        with candidate.applied():
            began = clock()
            step(run, rows, 0.0, generator)
            return run.process_group.mean({"seconds": clock() - began})["seconds"]

    run.state.network.train()
    step(run, rows, 0.0, generator)  # a warm-up, which loads libraries
    first = {each: seconds_of(each) for each in candidates}
    spent = sum(first.values())
    fastest = min(first.values())
    contenders = [each for each in candidates if first[each] <= max(FIRST_DROP_SECONDS, FIRST_DROP_RATIO * fastest)]
    times: dict[Execution, list[float]] = {each: [] for each in contenders}
    for _ in range(ROUNDS):
        for each in contenders:
            times[each].append(seconds_of(each))
            spent += times[each][-1]
        if spent > BUDGET:
            break
        fastest = min(median(times[each]) for each in contenders)
        contenders = [each for each in contenders if median(times[each]) <= DROP_RATIO * fastest]
    return {each: median(times[each]) if each in times else first[each] for each in candidates}


@contextmanager
def _preserve_state(run: "Run") -> Iterator[None]:
    """After the block, what a training step changes is as it was before it."""
    state = run.state
    modules = (state.network, state.classifiers)
    weights = [{name: value.clone() for name, value in each.state_dict().items()} for each in modules]
    optimizer, execution = copy.deepcopy(state.optimizer.state_dict()), state.execution
    with torch.random.fork_rng(devices=[run.device] if run.device.type == "cuda" else []):
        try:
            yield
        finally:
            for module, values in zip(modules, weights, strict=True):
                module.load_state_dict(values)
            state.optimizer.load_state_dict(optimizer)
            state.optimizer.zero_grad(set_to_none=True)
            state.execution = execution
