"""The networks of a reproduction: trained into a folder each, or taken up from what an earlier run left there."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch

from model.checkpoint import Checkpoint, load_checkpoint
from training.config import TrainConfig
from training.data.images import ImageSet
from training.state import STATE_FILE
from training.trainer import train

__all__ = ["Trained", "read_trained", "train_or_take_up"]


@dataclass(frozen=True)
class Trained:
    """A network and how it came to be.

    Attributes:
        title: names it in tables and pictures.
        seed: of its training.
        history: figures of each epoch, as `training.trainer` keeps them.
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


def read_trained(folder: Path, title: str, seed: int) -> Trained:
    """What a training left in its folder. Raises ArtifactError."""
    history = json.loads((folder / "metrics.json").read_text())["history"]
    return Trained(title, seed, load_checkpoint(folder), tuple(history))


def train_or_take_up(
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
    resume = _is_of(out / STATE_FILE, config.fingerprint(images.ids))
    train(images, config, out, device=device, source=source, resume=resume, excluded=excluded)


def _is_of(state: Path, fingerprint: str) -> bool:
    """May the run go on from what is there? Not from the state of a run with other settings, which it replaces."""
    try:
        with safetensors.safe_open(state, framework="pt") as file:
            return bool((file.metadata() or {}).get("fingerprint") == fingerprint)
    except (FileNotFoundError, safetensors.SafetensorError):
        # None, or a damaged one, which the trainer tells of.
        return True
