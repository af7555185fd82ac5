"""The networks of a reproduction: each trained into its folder, or loaded from what an earlier run left there."""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.checkpoint import Checkpoint, load_checkpoint
from training.checkpointing import STAGING, STATE_FILE, is_state_of
from training.config import TrainConfig
from training.data.images import ImageSet
from training.train import train

__all__ = ["Trained", "read_trained", "train_or_resume"]


@dataclass(frozen=True)
class Trained:
    """A network and how it came to be.

    Attributes:
        title: names it in tables and pictures.
        seed: of its training.
        history: figures of each epoch, as `training.train` keeps them.
    """

    title: str
    seed: int
    checkpoint: Checkpoint
    history: tuple[dict[str, Any], ...]

    @property
    def seconds(self) -> float:
        """Of all epochs, without the measurements after them."""
        return float(sum(epoch["seconds"] for epoch in self.history))

    @property
    def images_per_second(self) -> float:
        """The mean over the epochs."""
        return float(np.mean([epoch["images_per_second"] for epoch in self.history]))


def read_trained(folder: Path, title: str, seed: int, load: Callable[[Path], Checkpoint] = load_checkpoint) -> Trained:
    """What a training left in its folder, whose network `load` reads. Raises ArtifactError."""
    history = json.loads((folder / "metrics.json").read_text())["history"]
    return Trained(title, seed, load(folder), tuple(history))


def train_or_resume(
    images: ImageSet,
    config: TrainConfig,
    out: Path,
    *,
    device: torch.device,
    source: str,
    excluded: Collection[str] = (),
) -> None:
    """Train into `out` with our trainer.

    A run of the same settings that was stopped there goes on, and one that is finished is left alone; one of other
    settings is replaced.

    Args:
        images: the training pictures.
        config: the run.
        out: the checkpoint's folder.
        device: where to train.
        source: what the pictures were read from.
        excluded: ids that were kept out of `images`, for the record.
    """
    # Not from the state of a run with other settings, which is replaced.
    states = [path for path in (out / STATE_FILE, out / STAGING / STATE_FILE) if path.exists()]
    resume = all(is_state_of(path, config.fingerprint(images.ids)) for path in states)
    train(images, config, out, device=device, source=source, resume=resume, overwrite=True, excluded=excluded)
