"""Where the time of one of solemate's training steps goes."""

import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils.hooks import RemovableHandle

from benchmarks.training.ours import configure
from benchmarks.training.plan import Plan
from model.catalog import read_catalog
from model.preprocess import Preprocessor
from training.data.images import ImageSet, load_images
from training.distributed import ProcessGroup
from training.execution import tune
from training.train import Run, prepare_run, train_step

STEP, ENCODER, DECODER = "benchmark: step", "benchmark: encoder", "benchmark: decoder"
"""Spans that the profile is cut by."""

BACKWARD = "autograd::engine::evaluate_function: "
"""How torch begins the name of each node of the backward pass."""

BACKWARD_KINDS = {
    "ConvolutionBackward": "backward: convolutions",
    "NativeBatchNormBackward": "backward: batch normalisation",
    "LeakyReluBackward": "backward: activations",
    "AddmmBackward": "backward: linear layers",
}
BATCH = "batch: gather, scale, mirror"
ENCODING, HEADS, DECODING = "forward: encoder", "forward: mean, log-variance, sample", "forward: decoder"
OBJECTIVE = "forward: objective"
BACKWARD_REST = "backward: the rest"
NORM, OPTIMIZER, FIGURES = "gradient's norm", "optimizer", "reading the figures"
PYTHON = "Python between the operators"

PARTS = (
    BATCH, ENCODING, HEADS, DECODING, OBJECTIVE, *BACKWARD_KINDS.values(), BACKWARD_REST, NORM, OPTIMIZER, FIGURES
)  # fmt: skip
"""Of a step, in the order of time; Python comes between them."""


@dataclass(frozen=True)
class Profile:
    """Of a step, on the CPU.

    Attributes:
        shoes: in a batch.
        threads: of torch.
        precision: of its convolutions; as with the threads, what was named or was measured to be fastest.
        step: milliseconds without the profiler, the median.
        without_triplets: the same without the triplet term, its forward and backward computation.
        profiled: milliseconds under the profiler, the mean.
        parts: what it did -> its milliseconds of `profiled`.
    """

    shoes: int
    threads: int
    precision: str
    step: float
    without_triplets: float
    profiled: float
    parts: dict[str, float]

    def to_markdown(self) -> str:
        """The table, and what to know of it."""
        rows = [f"| {name} | {value:.2f} | {100 * value / self.profiled:.1f} |" for name, value in self.parts.items()]
        table = "\n".join(["| part | ms | % |", "| --- | ---: | ---: |", *rows])
        triplets = self.step - self.without_triplets
        return (
            f"A step of {self.shoes} shoes in {self.precision}, {self.threads} threads: {self.step:.1f} ms, "
            f"{1000 * self.shoes / self.step:,.0f} images/s; under the profiler {self.profiled:.1f} ms:\n\n"
            f"{table}\n\n"
            f"Without the triplet term a step takes {self.without_triplets:.1f} ms: its forward and backward "
            f"computation is {triplets:.1f} ms, {100 * triplets / self.step:.1f} %."
        )

    def to_json(self) -> dict[str, Any]:
        """The fields, in milliseconds, and `format_version`."""
        return {"format_version": 1, **asdict(self)}


def profile_step(plan: Plan, *, steps: int) -> Profile:
    """Train `steps` steps with the triplet term and without, in turn, and `steps` under torch's profiler."""
    config = configure(plan)
    images = load_images(read_catalog(plan.catalog), Preprocessor(config.preprocess))
    without = replace(config, objective=replace(config.objective, triplet_weight=0.0))
    runs = [prepare_run(images, each, torch.device("cpu"), ProcessGroup(), None) for each in (config, without)]
    generator = torch.Generator().manual_seed(config.seed)
    execution = tune(runs[0], train_step)
    with execution.applied():
        for run in runs:
            run.state.execution = execution
            run.state.network.train()
            _time_step(run, images, generator)  # the first one makes the optimizer's state and picks kernels
        times = [[_time_step(run, images, generator) for run in runs] for _ in range(steps)]
        profiled, parts = _profile(runs[0], images, generator, steps)
    step, without_triplets = (1000 * median(column) for column in zip(*times, strict=True))
    return Profile(
        shoes=min(plan.batch_size, len(images)),
        threads=execution.threads,
        precision=execution.precision,
        step=step,
        without_triplets=without_triplets,
        profiled=profiled,
        parts=parts,
    )


def sort_events(events: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Add up a step's events by what they are part of.

    Args:
        events: (name, microseconds) of the outermost events, in the order of time.

    Returns:
        each of PARTS -> microseconds.
    """
    parts = dict.fromkeys(PARTS, 0.0)
    stage = BATCH
    for name, duration in events:
        here = stage
        if name == ENCODER:
            here, stage = ENCODING, HEADS
        elif name == DECODER:
            here, stage = DECODING, OBJECTIVE
        elif name.startswith("Optimizer.zero_grad"):
            here, stage = OPTIMIZER, BACKWARD_REST
        elif name.startswith(BACKWARD):
            kind = name.removeprefix(BACKWARD).rstrip("0123456789")
            here, stage = BACKWARD_KINDS.get(kind, BACKWARD_REST), NORM
        elif name.startswith("Optimizer.step"):
            here, stage = OPTIMIZER, FIGURES
        parts[here] += duration
    return parts


def _profile(run: Run, images: ImageSet, generator: torch.Generator, steps: int) -> tuple[float, dict[str, float]]:
    """Milliseconds of a step, and of its parts."""
    hooks = [*_span(run.state.network.encoder, ENCODER), *_span(run.state.network.decoder, DECODER)]
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(steps):
            with record_function(STEP):
                _time_step(run, images, generator)
    for hook in hooks:
        hook.remove()
    whole, parts = 0.0, dict.fromkeys(PARTS, 0.0)
    for event in profiler.events():
        if event.name == STEP:
            whole += event.time_range.elapsed_us()
            inner = ((child.name, child.time_range.elapsed_us()) for child in event.cpu_children)
            for part, duration in sort_events(inner).items():
                parts[part] += duration
    parts[PYTHON] = whole - sum(parts.values())
    scale = 1000 * steps
    return whole / scale, {part: duration / scale for part, duration in parts.items()}


def _span(module: nn.Module, name: str) -> list[RemovableHandle]:
    """Mark a module's forward pass as one event."""
    spans = ExitStack()

    def enter(*_: object) -> None:
        spans.enter_context(record_function(name))

    def leave(*_: object) -> None:
        spans.close()

    return [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]


def _time_step(run: Run, images: ImageSet, generator: torch.Generator) -> float:
    """Seconds of a step on random shoes, in the midst of the training."""
    rows = torch.randperm(len(images), generator=generator)[: run.config.batch_size]
    began = time.perf_counter()
    train_step(run, rows, 0.5, generator)
    return time.perf_counter() - began
