"""The training loss: ELBO, triplet and label terms of each condition's slice, instance and perceptual terms."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from model.checkpoint import Condition
from model.errors import TrainingError
from model.tvae import Posterior
from training.config import ObjectiveConfig
from training.data.labels import encode_labels
from training.distributed import ProcessGroup
from training.losses import (
    instance_loss,
    kl_divergence,
    label_loss,
    pairwise_distances,
    reconstruction_loss,
    triplet_loss,
)
from training.miners import MINERS


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


def encode_conditions(
    conditions: Sequence[Condition],
    bounds: Mapping[str, tuple[int, int]],
    attributes: Sequence[Mapping[str, tuple[str, ...]]],
) -> list[ConditionLabels]:
    """The labels of each condition's attributes, with the bounds of its slice.

    Args:
        conditions: of the run.
        bounds: slice -> (start, stop) in the mean vector.
        attributes: of each shoe to train on.

    Raises:
        TrainingError: no shoe has one of the attributes, or none of them makes a triplet.
    """
    encoded = []
    for condition in conditions:
        for attribute in condition.attributes:
            labels = encode_labels(attributes, attribute)
            if not labels.makes_triplets():
                raise TrainingError(
                    f"the attribute {attribute!r} can order nothing: among the {len(attributes)} shoes to train on "
                    f"none shares a value with a second one and differs from a third one"
                )
            table = torch.from_numpy(labels.table).to(torch.float32)
            encoded.append(ConditionLabels(condition.name, attribute, *bounds[condition.name], table))
    return encoded


@dataclass(frozen=True)
class Terms:
    """What one batch gave.

    Attributes:
        total: () what is minimised, in nats for each number of a picture (C * H * W).
        reconstruction: () nats per picture.
        kl: () nats per picture.
        triplet: name of a condition, or of its attribute (`name_figure`) -> () loss.
        label: likewise, in nats per picture.
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


def summarize(figures: Mapping[str, float]) -> str:
    """The terms that a person watches, on one short line; `figures` as `Terms.named` gives them."""
    parts = [f"rec {figures['reconstruction']:.0f}", f"kl {figures['kl']:.1f}"]
    parts += [f"{name.removeprefix('triplet/')} {value:.2f}" for name, value in figures.items() if "triplet/" in name]
    return " ".join(parts)


class Objective:
    """Computes the terms of a batch. Deterministic given the generator."""

    def __init__(
        self,
        config: ObjectiveConfig,
        conditions: Sequence[ConditionLabels],
        process_group: ProcessGroup | None = None,
        instance: slice | None = None,
    ) -> None:
        """`instance` is the slice of the mean vector that tells one shoe from another, if there is one."""
        self.instance = instance
        self.config = config
        self.conditions = conditions
        self.process_group = process_group or ProcessGroup()

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
        class_logits: Sequence[torch.Tensor] = (),
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
            class_logits: of each condition's classifier, where there are classifiers: (b, V), or (2 b, V) of what was
                shown and of the references.

        Returns:
            terms whose average over the processes is that of the whole batch.
        """
        config = self.config
        part = self.process_group.shard_weight(len(images), len(rows))
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
            means = self.process_group.gather(posterior.mean, len(rows))
            others = means if references is None else self.process_group.gather(references, len(rows))
            anchors = means if references is None else torch.cat([means[:, : others.shape[1]], others])
            for each in self.conditions:
                part_of = slice(each.start, each.stop)
                term = self._triplet_term(anchors[:, part_of], others[:, part_of], each, rows, generator)
                triplet[each.name] = term
                total = total + config.triplet_weight * term
        label = {}
        own = self.process_group.shard(rows)
        for each, value_logits in zip(self.conditions, class_logits, strict=bool(class_logits)):
            table = each.table[own].to(images.device)
            label[each.name] = part * label_loss(value_logits, _repeat(table, len(value_logits))).mean()
            total = total + config.label_weight * label[each.name]
        instance = None
        if references is not None and self.instance is not None:
            photos, known = (self.process_group.gather(each, len(rows)) for each in (posterior.mean, references))
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
