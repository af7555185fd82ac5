"""The objective: the ELBO of a picture, the triplet and label terms of each condition's slice, and what photos add."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from model.checkpoint import Condition
from model.tvae import Posterior
from training.data.labels import Labels
from training.distributed import Team
from training.losses import (
    Likelihood,
    instance_loss,
    kl_divergence,
    label_loss,
    pairwise_distances,
    reconstruction_loss,
    triplet_loss,
)
from training.perceptual import LAYERS
from training.triplets import MINERS, MinerName

__all__ = ["ConditionLabels", "Objective", "ObjectiveConfig", "Terms", "condition_labels", "name_figure"]


@dataclass(frozen=True)
class ObjectiveConfig:
    """How the terms are weighed.

    Attributes:
        likelihood: of the pixels.
        observation_std: of the Gaussian likelihood, in units of the pixels' range.
        elbo_weight: of the picture's ELBO; 0 leaves the decoder alone: a triplet network.
        kl_weight: of the KL term after its warm-up; 1 is the ELBO.
        kl_warmup: the share of the training over which the KL term's weight grows from 0.
        triplet_weight: of each condition's triplet term, in nats; 0 is the plain VAE.
        label_weight: of each condition's label term, in nats; 0 does without classifiers.
        instance_weight: of the term by which a photo finds the catalogue picture of its own shoe, in nats.
        instance_temperature: of that term's softmax over cosines.
        margin: of the triplet term, in units of the mean vector.
        miner: which triplets of a batch count.
        smooth: the triplet term's softplus in place of its hinge.
        perceptual_weight: of the difference between VGG19's features, in nats; 0 does without VGG19.
        perceptual_layers: of VGG19, whose features are compared.
    """

    likelihood: Likelihood = "gaussian"
    observation_std: float = 0.1
    elbo_weight: float = 1.0
    kl_weight: float = 1.0
    kl_warmup: float = 0.1
    triplet_weight: float = 3000.0
    label_weight: float = 0.0
    instance_weight: float = 0.0
    instance_temperature: float = 0.1
    margin: float = 0.0
    miner: MinerName = "batch-all"
    smooth: bool = True
    perceptual_weight: float = 0.0
    perceptual_layers: tuple[str, ...] = LAYERS


def name_figure(condition: str, attribute: str) -> str:
    """How figures about an attribute that acts on a condition's slice are labelled."""
    return condition if condition == attribute else f"{condition}/{attribute}"


class ConditionLabels(NamedTuple):
    """One attribute that acts on one slice. `table: (N, V) float32`, as `Labels.table`."""

    condition: str
    attribute: str
    start: int
    stop: int
    table: torch.Tensor

    @property
    def name(self) -> str:
        """How figures about it are labelled."""
        return name_figure(self.condition, self.attribute)


def condition_labels(
    conditions: Sequence[Condition], bounds: Mapping[str, tuple[int, int]], labels: Mapping[str, Labels]
) -> list[ConditionLabels]:
    """Pair each condition's slice with the labels of each of its attributes."""
    return [
        ConditionLabels(
            each.name, attribute, *bounds[each.name], torch.from_numpy(labels[attribute].table).to(torch.float32)
        )
        for each in conditions
        for attribute in each.attributes
    ]


@dataclass(frozen=True)
class Terms:
    """What one batch gave.

    Attributes:
        total: () what is minimised, in nats per pixel.
        reconstruction: () nats per picture.
        kl: () nats per picture.
        triplet: condition -> () loss.
        label: condition -> () loss, in nats per picture.
        instance: () loss, in nats; None without photos.
        perceptual: () mean squared difference of features, summed over layers; None without VGG19.
    """

    total: torch.Tensor
    reconstruction: torch.Tensor
    kl: torch.Tensor
    triplet: Mapping[str, torch.Tensor] = field(default_factory=dict)
    label: Mapping[str, torch.Tensor] = field(default_factory=dict)
    perceptual: torch.Tensor | None = None
    instance: torch.Tensor | None = None

    def named(self) -> dict[str, float]:
        """The terms as numbers."""
        figures = {"loss": self.total.item(), "reconstruction": self.reconstruction.item(), "kl": self.kl.item()}
        if self.perceptual is not None:
            figures["perceptual"] = self.perceptual.item()
        if self.instance is not None:
            figures["instance"] = self.instance.item()
        figures |= {f"triplet/{name}": value.item() for name, value in self.triplet.items()}
        figures |= {f"label/{name}": value.item() for name, value in self.label.items()}
        return figures


class Objective:
    """Computes the terms of a batch. Deterministic given the generator."""

    def __init__(
        self,
        config: ObjectiveConfig,
        conditions: Sequence[ConditionLabels],
        team: Team | None = None,
        instance: slice | None = None,
    ) -> None:
        """`instance` is the slice of the mean vector that tells one shoe from another, if there is one."""
        self.instance = instance
        self.config = config
        self.conditions = conditions
        self.team = team or Team()

    def __call__(
        self,
        images: torch.Tensor,
        logits: torch.Tensor,
        posterior: Posterior,
        rows: torch.Tensor,
        *,
        progress: float,
        generator: torch.Generator,
        perceptual: torch.Tensor | None = None,
        guesses: Sequence[torch.Tensor] = (),
        references: torch.Tensor | None = None,
        drawing_weights: torch.Tensor | None = None,
    ) -> Terms:
        """The terms of one batch of B shoes, of which this process has b: all of them, where it is alone.

        Args:
            images: (b, C, H, W) in [0, 1]: what is to be drawn; of what was encoded a part may have been hidden.
            logits: (b, C, H, W): its reconstruction.
            posterior: (b, D) each.
            rows: (B,) indices of the shoes in the training set, for their labels.
            progress: share of the training that is done, in [0, 1], for the KL term's warm-up.
            generator: for the miner; lives on the CPU.
            perceptual: (b,) how far the features are apart, where VGG19 is used.
            references: (b, D - free) ordered slices of the catalogue pictures, where photos were shown: then the
                triplets' anchors are both what was shown and the catalogue pictures, and their positives and
                negatives are catalogue pictures.
            drawing_weights: (b,) of each picture's reconstruction in its mean; None weighs them alike.
            guesses: each condition's classifier's logits, where there are classifiers: (b, V), or (2 b, V) of what was
                shown and of the references.

        Returns:
            terms whose average over the processes is that of the whole batch.
        """
        config = self.config
        part = self.team.weigh(len(images), len(rows))
        drawn = reconstruction_loss(logits, images, config.likelihood, config.observation_std)
        if drawing_weights is not None:
            drawn = drawn * drawing_weights / drawing_weights.mean()
        reconstruction = part * drawn.mean()
        kl = part * kl_divergence(posterior).mean()
        warm = min(1.0, progress / config.kl_warmup) if config.kl_warmup > 0 else 1.0
        total = config.elbo_weight * (reconstruction + warm * config.kl_weight * kl)
        features = None if perceptual is None else part * perceptual.mean()
        if features is not None:
            total = total + config.perceptual_weight * features
        triplet = {}
        if config.triplet_weight > 0 and self.conditions:
            means = self.team.gather(posterior.mean, len(rows))
            others = means if references is None else self.team.gather(references, len(rows))
            anchors = means if references is None else torch.cat([means[:, : others.shape[1]], others])
            for each in self.conditions:
                part_of = slice(each.start, each.stop)
                term = self._triplet_term(anchors[:, part_of], others[:, part_of], each, rows, generator)
                triplet[each.name] = term
                total = total + config.triplet_weight * term
        label = {}
        own = self.team.share(rows)
        for each, logits_of_values in zip(self.conditions, guesses, strict=bool(guesses)):
            table = each.table[own].to(images.device)
            label[each.name] = part * label_loss(logits_of_values, _repeat(table, len(logits_of_values))).mean()
            total = total + config.label_weight * label[each.name]
        instance = None
        if references is not None and self.instance is not None:
            photos, known = (self.team.gather(each, len(rows)) for each in (posterior.mean, references))
            instance = instance_loss(photos[:, self.instance], known[:, self.instance], config.instance_temperature)
            total = total + config.instance_weight * instance
        return Terms(total / math.prod(images.shape[1:]), reconstruction, kl, triplet, label, features, instance)

    def _triplet_term(
        self,
        vectors: torch.Tensor,
        others: torch.Tensor,
        labels: ConditionLabels,
        rows: torch.Tensor,
        generator: torch.Generator,
    ) -> torch.Tensor:
        table = labels.table[rows].to(vectors.device)
        known = table.any(dim=1)
        shared = (table @ table.T) > 0
        different = ~shared & known[:, None] & known[None, :]
        alike = shared.fill_diagonal_(fill_value=False)
        distances = pairwise_distances(vectors, others)
        alike, different = _repeat(alike, len(vectors)), _repeat(different, len(vectors))
        triplets = MINERS[self.config.miner](distances.detach(), alike, different, generator)
        return triplet_loss(distances, triplets, self.config.margin, smooth=self.config.smooth)


def _repeat(table: torch.Tensor, rows: int) -> torch.Tensor:
    """(B, V) -> (rows, V), one below the other; `rows` is a multiple of B."""
    return table if rows == len(table) else table.repeat(rows // len(table), 1)
