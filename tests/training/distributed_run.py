"""What the tests of several processes start: `torchrun -m tests.training.distributed_run SCENARIO OUT`."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from model.checkpoint import Condition
from model.errors import TrainingError
from model.preprocess import PreprocessConfig
from model.tvae import Slice, TVAEConfig
from tests.training.images import coloured_squares
from training import train as trainer
from training.config import ObjectiveConfig, TrainConfig
from training.distributed import ProcessGroup, join_process_group
from training.train import train

CONFIG = TrainConfig(
    network=TVAEConfig(image_size=16, widths=(8, 16), blocks=1, slices=(Slice("colour", 4), Slice("free", 4))),
    preprocess=PreprocessConfig(size=16),
    conditions=(Condition("colour", ("Colour",)),),
    objective=ObjectiveConfig(triplet_weight=1000.0, label_weight=100.0),
    epochs=4,
    batch_size=31,
    learning_rate=2e-3,
    validation_share=0.2,
    precision="float32",
    ema_decay=0.9,
    patience=10,
)
"""The batches are of odd sizes, so that two processes can't cut them in halves."""


def run(out: Path, process_group: ProcessGroup, *, resume: bool = False, **changes: Any) -> None:
    """Train on squares."""
    config = replace(CONFIG, **changes)
    train(
        coloured_squares(103),
        config,
        out,
        device=process_group.device,
        source="squares",
        save_every=0.0,
        resume=resume,
        process_group=process_group,
    )


def _stop_after(epochs: int, error: type[Exception]) -> Any:
    whole: Callable[..., dict[str, Any] | None] = trainer.train_epoch

    def epoch(run: Any, *rest: Any) -> dict[str, Any] | None:
        if run.state.epoch == epochs:
            raise error(f"stopped after epoch {epochs}")
        return whole(run, *rest)

    return patch.object(trainer, "train_epoch", epoch)


def train_and_resume(out: Path, process_group: ProcessGroup) -> None:
    """A whole run; the same one cut in two; and one that the processes do not agree on."""
    run(out / "whole", process_group)
    try:
        with _stop_after(2, MemoryError):
            run(out / "cut", process_group)
    except MemoryError:
        run(out / "cut", process_group, resume=True)
    try:
        run(out / "refused", process_group, seed=process_group.rank)
    except TrainingError as error:
        (out / f"refused-{process_group.rank}.txt").write_text(str(error))


def fail(out: Path, process_group: ProcessGroup) -> None:
    """One process fails, the other waits for it."""
    if process_group.is_leader:
        run(out, process_group)
    else:
        with _stop_after(1, TrainingError):
            run(out, process_group)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with join_process_group(torch.device("cpu")) as joined:
        {"train": train_and_resume, "fail": fail}[sys.argv[1]](Path(sys.argv[2]), joined)
    names = [task.joinpath("comm").read_text() for task in Path("/proc/self/task").glob("*")]
    Path(sys.argv[2], f"threads-{joined.rank}.txt").write_text("".join(names))
