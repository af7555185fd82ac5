"""What is trained: the authors' VAE and TVAE, and ours."""

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors
import torch

from model.checkpoint import Checkpoint, Condition, load_checkpoint
from model.preprocess import PreprocessConfig
from model.tvae import FREE, PRESETS, Slice
from training.augment import AugmentConfig
from training.config import TrainConfig
from training.data.images import ImageSet
from training.data.mnist import DIGIT
from training.objective import ObjectiveConfig
from training.reproduce.authors import AuthorsConfig, train_authors
from training.state import STATE_FILE
from training.trainer import train

__all__ = ["OUR_EPOCHS", "RECIPES", "Recipe", "Trained", "our_config", "train_recipe"]

_log = logging.getLogger(__name__)

OUR_EPOCHS = 8
DIGIT_SIZE = 4
"""Of the 20 numbers, those that are ordered by digit.

Ten tight clusters in K dimensions fit the prior as it is if their spread is 10^(-1/K) of its own, so a small slice
costs the likelihood little; and each number taken from the decoder costs it some of its own, so a large slice does.
"""


@dataclass(frozen=True)
class Recipe:
    """One of the four networks of the report.

    Attributes:
        key: names its folder.
        title: names it in tables and pictures.
        ours: by `training.trainer`, or else as the authors did.
        metric: with a triplet term.
    """

    key: str
    title: str
    ours: bool
    metric: bool


RECIPES = (
    Recipe("authors-vae", "authors' VAE", ours=False, metric=False),
    Recipe("authors-tvae", "authors' TVAE", ours=False, metric=True),
    Recipe("our-vae", "our VAE", ours=True, metric=False),
    Recipe("our-tvae", "our TVAE", ours=True, metric=True),
)


@dataclass(frozen=True)
class Trained:
    """A network and how it came to be.

    Attributes:
        history: figures of each epoch, as `training.trainer` keeps them.
    """

    recipe: Recipe
    seed: int
    checkpoint: Checkpoint
    history: tuple[dict[str, Any], ...]

    @property
    def seconds(self) -> float:
        """Of all epochs, without the measurements after them."""
        return float(sum(epoch["seconds"] for epoch in self.history))


def our_config(*, metric: bool, epochs: int = OUR_EPOCHS, seed: int = 0) -> TrainConfig:
    """Our recipe: the same network, budget and pictures with the triplet term and without.

    Triplets order a small slice of the vector and leave the rest to the decoder. The hinge, at half of the prior's
    standard deviation, lets go of a triplet that is in order, so the slice keeps the prior's scale; the mean is over
    all triplets of a batch, few of which are left to order, hence the large weight. The residual blocks do the most
    for the order: what is not in order is what the encoder takes for another digit.
    """
    slices = (Slice(DIGIT, DIGIT_SIZE), Slice(FREE, PRESETS["mnist"].latent_size - DIGIT_SIZE))
    return TrainConfig(
        network=replace(PRESETS["mnist"], slices=slices),
        preprocess=PreprocessConfig(size=28, channels=1, background=0),
        conditions=(Condition(DIGIT, (DIGIT,)),) if metric else (),
        objective=ObjectiveConfig(
            likelihood="bernoulli",
            triplet_weight=300.0 if metric else 0.0,
            margin=0.5,
            miner="batch-all",
            smooth=False,
        ),
        augment=AugmentConfig(flip=0.0, shift=0.0, scale=0.0, turn=0.0),
        epochs=epochs,
        batch_size=128,
        learning_rate=2e-3,
        validation_share=0.0,
        seed=seed,
    )


def train_recipe(
    recipe: Recipe,
    images: ImageSet,
    out: Path,
    *,
    seed: int,
    epochs: int,
    authors: AuthorsConfig,
    device: torch.device,
    source: str,
) -> Trained:
    """Train into `out`, or take up what an earlier run of the same settings left there.

    Args:
        recipe: which of the four.
        images: the training pictures.
        out: the checkpoint's folder.
        seed: of everything random.
        epochs: of our recipe.
        authors: the settings of theirs; its `metric` and `seed` are replaced.
        device: where to train.
        source: what the pictures were read from.
    """
    _log.info("%s, seed %d", recipe.title, seed)
    if recipe.ours:
        config = our_config(metric=recipe.metric, epochs=epochs, seed=seed)
        resume = _is_of(out / STATE_FILE, config.fingerprint(images.ids))
        train(images, config, out, device=device, source=source, resume=resume)
    else:
        chosen = replace(authors, metric=recipe.metric, seed=seed)
        train_authors(images, chosen, out, device=device, source=source)
    history = json.loads((out / "metrics.json").read_text())["history"]
    return Trained(recipe, seed, load_checkpoint(out), tuple(history))


def _is_of(state: Path, fingerprint: str) -> bool:
    """May the run go on from what is there? Not from the state of a run with other settings, which it replaces."""
    try:
        with safetensors.safe_open(state, framework="pt") as file:
            return bool((file.metadata() or {}).get("fingerprint") == fingerprint)
    except (FileNotFoundError, safetensors.SafetensorError):
        # None, or a damaged one, which the trainer tells of.
        return True
