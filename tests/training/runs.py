"""A training small enough for tests, and how to stop it midway."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from model.checkpoint import Condition
from model.preprocess import PreprocessConfig
from model.tvae import Slice, TVAEConfig
from tests.training.images import coloured_squares
from training import train as trainer
from training.config import ObjectiveConfig, TrainConfig

CPU = torch.device("cpu")
CONFIG = TrainConfig(
    network=TVAEConfig(image_size=16, widths=(8, 16), slices=(Slice("colour", 4), Slice("free", 4))),
    preprocess=PreprocessConfig(size=16),
    conditions=(Condition("colour", ("Colour",)),),
    objective=ObjectiveConfig(triplet_weight=1000.0),
    epochs=4,
    batch_size=32,
    learning_rate=5e-3,
    validation_share=0.2,
)
IMAGES = coloured_squares(160)


@contextmanager
def _act_after(epochs: int, act: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within the block, do this after so many epochs of a training."""
    whole: Callable[..., dict[str, Any] | None] = trainer.train_epoch

    def epoch(run: Any, *rest: Any) -> dict[str, Any] | None:
        if len(run.state.history) == epochs:
            act()
        return whole(run, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "train_epoch", epoch)
        yield


@contextmanager
def cut_after(epochs: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run a block whose training dies after so many epochs."""

    def die() -> None:
        raise MemoryError

    with _act_after(epochs, die, monkeypatch), pytest.raises(MemoryError):
        yield


@contextmanager
def interrupt_after(epochs: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within the block, let Ctrl-C come after so many epochs of a training."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with _act_after(epochs, lambda: os.kill(os.getpid(), signal.SIGINT), monkeypatch):
            yield
    finally:
        signal.signal(signal.SIGINT, before)
