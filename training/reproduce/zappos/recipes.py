"""The four networks that are trained on UT-Zap50K: VAE, triplet network, and TVAE without slices and with them."""

import logging
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from model.checkpoint import Condition
from model.tvae import PRESETS
from training.conditions import cut_latent
from training.config import TrainConfig, one_of
from training.data.images import ImageSet
from training.evaluation.csn import ATTRIBUTES
from training.reproduce.common.runs import Trained, read_trained, train_or_resume

__all__ = ["NETWORKS", "OUR_EPOCHS", "RECIPES", "Recipe", "shoe_config", "train_shoes"]

_log = logging.getLogger(__name__)

OUR_EPOCHS = TrainConfig.epochs
NETWORKS = ("shoes", "shoes-large")
LATENT_SIZE = 64

WHOLE = "all"
"""The name of the one slice that all four conditions share."""


@dataclass(frozen=True)
class Recipe:
    """One of the four networks of the report.

    Attributes:
        key: names its folder.
        title: names it in tables and pictures.
        triplets: of none of the conditions, of all of them on the whole vector, or of each on a slice of its own.
        decodes: trained by the ELBO; without it the decoder is left as it was made.
    """

    key: str
    title: str
    triplets: Literal["none", "whole", "slices"]
    decodes: bool = True


RECIPES = (
    Recipe("vae", "VAE", "none"),
    Recipe("triplet-network", "triplet network", "whole", decodes=False),
    Recipe("tvae", "TVAE, one slice", "whole"),
    Recipe("conditional-tvae", "TVAE, slices", "slices"),
)


def shoe_config(recipe: Recipe, *, network: str = "shoes", epochs: int = OUR_EPOCHS, seed: int = 0) -> TrainConfig:
    """The settings of `python -m training train`, with the terms and the slices of the recipe.

    The category is that of the lists, which is coarser than the one that `train` takes for UT-Zap50K: a slice that
    keeps subcategories apart is far from right about which of them are of one type.

    All networks have the same layers, budget, pictures and miner, and those with triplets the same weight of each
    condition's. None of the shoes is held out, since the shoes to measure on are apart already.

    Raises:
        TrainingError: no such network.
    """
    base = TrainConfig()
    shape = PRESETS[one_of("network", network, NETWORKS)]
    conditions: list[tuple[Condition, int | None]] = []
    if recipe.triplets == "whole":
        conditions = [(Condition(WHOLE, tuple(ATTRIBUTES.values())), LATENT_SIZE)]
    elif recipe.triplets == "slices":
        conditions = [(Condition(name, (attribute,)), None) for name, attribute in ATTRIBUTES.items()]
    cut, named = cut_latent(shape, LATENT_SIZE, conditions)
    return replace(
        base,
        network=cut,
        conditions=named,
        objective=replace(
            base.objective,
            elbo_weight=1.0 if recipe.decodes else 0.0,
            triplet_weight=base.objective.triplet_weight if named else 0.0,
        ),
        epochs=epochs,
        validation_share=0.0,
        seed=seed,
    )


def train_shoes(
    recipe: Recipe,
    images: ImageSet,
    config: TrainConfig,
    out: Path,
    *,
    device: torch.device,
    source: str,
    excluded: Collection[str],
) -> Trained:
    """Train into `out`, or load what an earlier run of the same settings left there.

    Args:
        recipe: which of the four.
        images: the training shoes.
        config: of the recipe.
        out: the checkpoint's folder.
        device: where to train.
        source: what the catalogue was read from.
        excluded: ids of the shoes that were kept out of `images`.
    """
    _log.info("%s, seed %d", recipe.title, config.seed)
    train_or_resume(images, config, out, device=device, source=source, excluded=excluded)
    return read_trained(out, recipe.title, config.seed)
