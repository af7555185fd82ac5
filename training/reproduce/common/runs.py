"""The networks of a reproduction: each trained into its folder, or loaded from what an earlier run left there."""

import json
import logging
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

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """One of the networks of a report.

    Attributes:
        key: names its folder.
        title: names it in tables and pictures.
    """

    key: str
    title: str


@dataclass(frozen=True)
class Trained:
    """A network and how it came to be.

    Attributes:
        recipe: what it was trained by.
        seed: of its training.
        history: figures of each epoch, as `training.train` keeps them.
    """

    recipe: Recipe
    seed: int
    checkpoint: Checkpoint
    history: tuple[dict[str, Any], ...]

    @property
    def seconds(self) -> float:
        """Of all epochs, without the measurements after them."""
        return float(sum(epoch["seconds"] for epoch in self.history))

    def to_json(self) -> dict[str, Any]:
        """Its facts, for the report."""
        return {
            "recipe": self.recipe.key,
            "seed": self.seed,
            "epochs": len(self.history),
            "seconds": round(self.seconds, 1),
            "images_per_second": round(float(np.mean([epoch["images_per_second"] for epoch in self.history])), 1),
            "checkpoint": self.checkpoint.digest,
        }


def read_trained(folder: Path, recipe: Recipe, seed: int, load: Callable[[Path], Checkpoint]) -> Trained:
    """What a training left in its folder, whose network `load` reads. Raises ArtifactError."""
    history = json.loads((folder / "metrics.json").read_text())["history"]
    return Trained(recipe, seed, load(folder), tuple(history))


def train_or_resume(
    recipe: Recipe,
    images: ImageSet,
    config: TrainConfig,
    out: Path,
    *,
    device: torch.device,
    source: str,
    excluded: Collection[str] = (),
) -> Trained:
    """Train into `out` with our trainer.

    A run of the same settings that was stopped there goes on, and one that is finished is left alone; one of other
    settings is replaced. `source` and `excluded`, the ids that were kept out of `images`, are for the record.
    """
    _log.info("%s, seed %d", recipe.title, config.seed)
    # Not from the state of a run with other settings, which is replaced.
    states = [path for path in (out / STATE_FILE, out / STAGING / STATE_FILE) if path.exists()]
    resume = all(is_state_of(path, config.fingerprint(images.ids)) for path in states)
    train(images, config, out, device=device, source=source, resume=resume, overwrite=True, excluded=excluded)
    return read_trained(out, recipe, config.seed, load_checkpoint)
