"""The four networks that are trained on MNIST: the authors' VAE and TVAE, and ours."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from model.checkpoint import Condition
from model.preprocess import PreprocessConfig
from model.tvae import FREE, NETWORK_PRESETS, Slice
from training.config import AugmentConfig, ObjectiveConfig, TrainConfig
from training.data.images import ImageSet
from training.data.mnist import DIGIT
from training.reproduce.common.runs import Recipe, Trained, read_trained, train_or_resume
from training.reproduce.mnist.authors import AuthorsConfig, load_authors, train_authors

_log = logging.getLogger(__name__)

OUR_EPOCHS = 16
DIGIT_SIZE = 4
"""Dimensions, of 20, of the slice that is ordered by digit.

Ten tight clusters in K dimensions fit the prior as it is if their spread is 10^(-1/K) of its own, so a small slice
costs the likelihood little; and each number taken from the decoder costs it some of its own, so a large slice does.
"""


@dataclass(frozen=True)
class DigitRecipe(Recipe):
    """One of the four networks of the report.

    Attributes:
        ours: by `training.train`, or else as the authors did.
        metric: with a triplet term.
    """

    ours: bool
    metric: bool


RECIPES = (
    DigitRecipe("authors-vae", "authors' VAE", ours=False, metric=False),
    DigitRecipe("authors-tvae", "authors' TVAE", ours=False, metric=True),
    DigitRecipe("our-vae", "our VAE", ours=True, metric=False),
    DigitRecipe("our-tvae", "our TVAE", ours=True, metric=True),
)


def our_config(*, metric: bool, epochs: int = OUR_EPOCHS, seed: int = 0) -> TrainConfig:
    """Our recipe: the same network, budget and pictures with the triplet term and without.

    Triplets order a small slice of the vector and leave the rest to the decoder. The hinge, at half of the prior's
    standard deviation, lets go of a triplet that is in order, so the slice keeps the prior's scale; the mean is over
    all triplets of a batch, few of which are left to order, hence the large weight. The residual blocks do the most
    for the order: what is not in order is what the encoder takes for another digit. Three of four pictures are moved a
    little, which helps with just those; the fourth is left as it is, since the ELBO is of pictures as they are.
    """
    slices = (Slice(DIGIT, DIGIT_SIZE), Slice(FREE, NETWORK_PRESETS["mnist"].latent_size - DIGIT_SIZE))
    return TrainConfig(
        network=replace(NETWORK_PRESETS["mnist"], slices=slices),
        preprocess=PreprocessConfig(size=28, channels=1, background=0),
        conditions=(Condition(DIGIT, (DIGIT,)),) if metric else (),
        objective=ObjectiveConfig(
            likelihood="bernoulli", triplet_weight=300.0 if metric else 0.0, margin=0.5, miner="batch-all", smooth=False
        ),
        augment=AugmentConfig(flip=0.0, shift=0.03, scale=0.06, turn=0.08, moved=0.75),
        epochs=epochs,
        batch_size=128,
        learning_rate=2e-3,
        validation_share=0.0,
        seed=seed,
    )


def train_recipe(
    recipe: DigitRecipe,
    images: ImageSet,
    out: Path,
    *,
    seed: int,
    epochs: int,
    authors: AuthorsConfig,
    device: torch.device,
    source: str,
) -> Trained:
    """Train into `out`, or load what an earlier run of the same settings left there.

    `epochs` are of our recipe; of `authors`, the settings of theirs, `metric` and `seed` are replaced.
    """
    if recipe.ours:
        config = our_config(metric=recipe.metric, epochs=epochs, seed=seed)
        return train_or_resume(recipe, images, config, out, device=device, source=source)
    _log.info("%s, seed %d", recipe.title, seed)
    train_authors(images, replace(authors, metric=recipe.metric, seed=seed), out, device=device, source=source)
    return read_trained(out, recipe, seed, load_authors)
