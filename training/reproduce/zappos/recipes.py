"""The four networks that are trained on UT-Zap50K: VAE, triplet network, and TVAE without slices and with them."""

from dataclasses import dataclass, replace
from typing import Literal

from model.checkpoint import Condition
from model.tvae import NETWORK_PRESETS
from training.conditions import cut_latent
from training.config import TrainConfig, one_of
from training.evaluation.csn import ATTRIBUTES
from training.reproduce.common.runs import Recipe

OUR_EPOCHS = TrainConfig.epochs
NETWORKS = ("shoes", "shoes-large")
LATENT_SIZE = 64

WHOLE = "all"
"""The name of the one slice that all four conditions share."""


@dataclass(frozen=True)
class ShoeRecipe(Recipe):
    """One of the four networks of the report.

    Attributes:
        triplets: of none of the conditions, of all of them on the whole vector, or of each on a slice of its own.
        decodes: trained by the ELBO; without it the decoder is left as it was made.
    """

    triplets: Literal["none", "whole", "slices"]
    decodes: bool = True


RECIPES = (
    ShoeRecipe("vae", "VAE", "none"),
    ShoeRecipe("triplet-network", "triplet network", "whole", decodes=False),
    ShoeRecipe("tvae", "TVAE, one slice", "whole"),
    ShoeRecipe("conditional-tvae", "TVAE, slices", "slices"),
)


def shoe_config(recipe: ShoeRecipe, *, network: str = "shoes", epochs: int = OUR_EPOCHS, seed: int = 0) -> TrainConfig:
    """The settings of `python -m training train`, with the terms and the slices of the recipe.

    The category is that of the lists, which is coarser than the one that `train` takes for UT-Zap50K: a slice that
    keeps subcategories apart is far from right about which of them are of one type.

    All networks have the same layers, budget, pictures and miner, and those with triplets the same weight of each
    condition's. None of the shoes is held out, since the shoes to measure on are apart already.
    """
    base = TrainConfig()
    shape = NETWORK_PRESETS[one_of("network", network, NETWORKS)]
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
