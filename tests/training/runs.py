"""A training small enough for tests, and how to stop it midway."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from model.checkpoint import Condition
from model.preprocess import PreprocessConfig
from model.tvae import Slice, TVAEConfig
from tests.training.images import coloured_squares
from training import trainer
from training.config import TrainConfig
from training.objective import ObjectiveConfig

__all__ = ["CONFIG", "CPU", "IMAGES", "stop_after"]

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


def stop_after(epochs: int, error: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trainings raise the error after so many epochs."""
    whole: Callable[..., dict[str, Any]] = trainer._epoch

    def epoch(run: Any, shown: Any) -> dict[str, Any]:
        if run.state.epoch == epochs:
            raise error
        return whole(run, shown)

    monkeypatch.setattr(trainer, "_epoch", epoch)
