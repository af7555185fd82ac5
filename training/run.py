"""What a training run works with: made once from the images and the configuration."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from model.errors import TrainingError
from model.files import sha256_file
from model.localizer import Localizer
from model.tvae import INSTANCE, TVAE, Posterior, reparameterize
from training.batches import sampling_weights
from training.config import TrainConfig
from training.data.images import ImageSet, split_by_group
from training.data.labels import encode_labels
from training.distributed import Team
from training.ema import WeightAverage
from training.execution import usual_execution
from training.objective import ConditionLabels, Objective, condition_labels
from training.perceptual import PerceptualLoss, find_vgg_weights
from training.photos.batch import ViewTensors
from training.photos.confidence import Seen
from training.state import RunState
from training.validation import Validation

__all__ = ["Run", "prepare_run"]


@dataclass
class Run:
    """What stays the same through a run, beside the state that does not.

    Attributes:
        forward: (images, altered, noise) -> `Passed`, with the state's network; its gradients are the team's.
        perceptual: None where the objective has no such term.
        vgg_sha256: of its weights.
        pixels: (N, C, H, W) uint8 of the shoes to train on.
        views: photo views of these shoes; None for catalogue pictures alone.
        weights: (N,) how often to draw each; None is alike.
        validation: on the shoes held out.
        localizer: goes into the checkpoint; None without one.
        scenes: without a shoe, where the network learns from photos.
        stop: is asked before each step whether to end as by Ctrl-C.
    """

    config: TrainConfig
    device: torch.device
    team: Team
    state: RunState
    forward: nn.Module
    objective: Objective
    perceptual: PerceptualLoss | None
    vgg_sha256: str | None
    pixels: torch.Tensor
    views: ViewTensors | None
    weights: torch.Tensor | None
    validation: Validation
    localizer: Localizer | None
    scenes: Seen | None
    stop: Callable[[], bool] = field(default=lambda: False, repr=False)

    @property
    def precise(self) -> torch.autocast:
        """Within it, convolutions run in the run's precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.state.execution.precision == "bf16")


class Passed(NamedTuple):
    """What a batch of b shoes became on its way through the network.

    Attributes:
        posterior: (b, D) each.
        logits: (b, C, H, W), before the decoder's sigmoid.
        guesses: (b, V) each condition's classifier's logits, or (2 b, V) with the references' below; none where there
            are no classifiers.
        references: (b, D - free) ordered slices of the catalogue pictures, where photos were shown.
    """

    posterior: Posterior
    logits: torch.Tensor
    guesses: list[torch.Tensor]
    references: torch.Tensor | None = None


class _Pass(nn.Module):
    """Encode, guess, draw and decode in one forward call: that is what several processes can share the gradients of."""

    def __init__(self, tvae: TVAE, conditions: Sequence[ConditionLabels], classifiers: nn.ModuleList) -> None:
        super().__init__()
        self.tvae, self.classifiers = tvae, classifiers
        self.bounds = [(each.start, each.stop) for each in conditions]

    def forward(
        self, images: torch.Tensor, altered: torch.Tensor, noise: torch.Tensor, reference: torch.Tensor | None = None
    ) -> Passed:
        """(B, C, H, W) twice, and (B, D), as `TVAE.encode` takes them; with `reference` as `encode_beside` does."""
        references = None
        if reference is None:
            posterior = self.tvae.encode(images, altered)
        else:
            posterior, references = self.tvae.encode_beside(images, altered, reference)
        ordered = posterior.mean
        if references is not None:
            ordered = torch.cat([ordered[:, : references.shape[1]], references])
        guesses = [
            classifier(ordered[:, start:stop])
            for classifier, (start, stop) in zip(self.classifiers, self.bounds, strict=bool(self.classifiers))
        ]
        return Passed(posterior, self.tvae.decode_logits(reparameterize(posterior, noise)), guesses, references)


def prepare_run(
    images: ImageSet,
    config: TrainConfig,
    device: torch.device,
    team: Team,
    vgg_weights: Path | None,
    *,
    localizer: Localizer | None = None,
    scenes: Seen | None = None,
) -> Run:
    """Split the images, and make the network, its optimizer and its objective.

    Raises:
        TrainingError: too few shoes, an attribute can't make triplets, or the weights of VGG19 can't be used.
    """
    kept, held_out = split_by_group(images.groups, config.validation_share, config.seed)
    _check_sizes(len(kept), len(held_out), config, team)
    training = images.take(kept)
    conditions = _conditions(training, config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        tvae = TVAE(config.network)
        classifiers = _classifiers(conditions, config).to(device=device)
    tvae = team.adapt(tvae).to(device=device)
    tvae.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        [*tvae.parameters(), *classifiers.parameters()],
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        betas=(0.9, 0.99),
        fused=True,
    )
    average = WeightAverage(tvae, config.ema_decay) if config.ema_decay > 0 else None
    perceptual, vgg_sha256 = _perceptual(config, device, vgg_weights)
    return Run(
        config=config,
        device=device,
        team=team,
        state=RunState(
            network=tvae,
            classifiers=classifiers,
            optimizer=optimizer,
            epoch=0,
            history=[],
            execution=usual_execution(config, team),
            average=average,
        ),
        forward=team.parallel(_Pass(tvae, conditions, classifiers)),
        objective=Objective(config.objective, conditions, team, _instance_slice(config)),
        perceptual=perceptual,
        vgg_sha256=vgg_sha256,
        pixels=torch.from_numpy(training.pixels),
        views=None if training.views is None else ViewTensors.of(training.views),
        weights=sampling_weights([each.table for each in conditions], config.balance),
        validation=Validation(images.take(held_out), config),
        localizer=localizer,
        scenes=scenes,
    )


def _check_sizes(kept: int, held_out: int, config: TrainConfig, team: Team) -> None:
    needed = max(2, team.size)
    if kept < needed:
        raise TrainingError(f"{kept} shoes are left to train on; expected at least {needed}")
    if config.batch_size < team.size:
        raise TrainingError(f"batch_size is {config.batch_size}; {team.size} processes need one shoe each")
    if config.patience and held_out < 2:
        raise TrainingError(
            f"patience is {config.patience}, but {held_out} shoes are held out to measure on: expected at least 2; "
            f"validation_share is {config.validation_share}"
        )


def _conditions(training: ImageSet, config: TrainConfig) -> Sequence[ConditionLabels]:
    attributes = {name for each in config.conditions for name in each.attributes}
    labels = {name: encode_labels(training.attributes, name) for name in attributes}
    for each in labels.values():
        if not each.makes_triplets():
            raise TrainingError(
                f"the attribute {each.attribute!r} can order nothing: among the {len(training)} shoes to train on none "
                f"shares a value with a second one and differs from a third one"
            )
    return condition_labels(config.conditions, config.network.slice_bounds, labels)


def _instance_slice(config: TrainConfig) -> slice | None:
    bounds = config.network.slice_bounds.get(INSTANCE)
    return None if bounds is None else slice(*bounds)


def _classifiers(conditions: Sequence[ConditionLabels], config: TrainConfig) -> nn.ModuleList:
    """One for each condition, from its slice to its attribute's values; none where the label term has no weight."""
    chosen = conditions if config.objective.label_weight > 0 else ()
    return nn.ModuleList(nn.Linear(each.stop - each.start, each.table.shape[1]) for each in chosen)


def _perceptual(
    config: TrainConfig, device: torch.device, weights: Path | None
) -> tuple[PerceptualLoss, str] | tuple[None, None]:
    """The term and the SHA-256 of its weights, where the objective has it."""
    if config.objective.perceptual_weight == 0:
        return None, None
    path = weights or find_vgg_weights()
    return PerceptualLoss(config.objective.perceptual_layers, path).to(device), sha256_file(path)
