"""The plan that `train` prints before it starts: shoes, conditions, time; and warnings about the data."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from model.errors import TrainingError
from model.tvae import FREE, TVAE
from training.conditions import count_values, judge_attributes
from training.config import TrainConfig
from training.data.images import ImageSet, split_by_group
from training.objective import ConditionLabels

BATCHES = 2
"""Batches that the speed is measured with, after one to warm up."""

FEW_SHOES = 200
"""Training shoes below which a warning of overfitting is given: about three batches of the default size."""
LISTED = 4
"""Attributes that a warning lists at most."""
PLAIN = (
    "nothing tells which shoes are alike, so this trains a plain VAE: search will go by how whole pictures look, and "
    "offers no conditions"
)
HELP = (
    "What would help: a folder for each kind of shoe (boots/, sandals/), or a CSV file with columns whose values "
    "several shoes share. --triplet-weight 0 asks for a plain VAE, and for no warning"
)


@dataclass(frozen=True)
class Plan:
    """A training that is about to start.

    Attributes:
        config: of the run.
        network: the name of its network.
        shoes: to train on.
        held_out: to measure on.
        left_out: why how many shoes of the catalogue are neither: reason -> number.
        named: whether the conditions were asked for by name.
        attributes: of the catalogue: name -> why it can't be a condition, or None.
        values: attribute -> (values, shoes that have one).
        parameters: of the network.
        device: where it runs.
        images_per_second: as measured.
    """

    config: TrainConfig
    network: str
    shoes: int
    held_out: int
    left_out: Mapping[str, int]
    named: bool
    attributes: Mapping[str, str | None]
    values: Mapping[str, tuple[int, int]]
    parameters: int
    device: str
    images_per_second: float

    def to_text(self) -> str:
        """Several lines, for a person."""
        left_out = "".join(f"; {count:,} left out ({why})" for why, count in self.left_out.items() if count)
        lines = [
            f"shoes       {self.shoes:,} to train on, {self.held_out:,} held out to measure on{left_out}",
            *_column("conditions", self._conditions()),
            *_column("left out", self._attributes_left_out()),
            f"network     {self._network()}",
            f"time        {self._time()}",
        ]
        return "\n".join(["The plan:", *(f"  {line}" for line in lines)])

    def _conditions(self) -> list[str]:
        told = []
        for condition in self.config.conditions:
            facts = []
            for name in condition.attributes:
                values, having = self.values.get(name, (0, 0))
                facts.append(f"{name!r}: {values:,} values on {having:,} shoes")
            told.append(f"{condition.name}, from {'; '.join(facts)}" + (" (as asked for)" if self.named else ""))
        return told or ["none: the vectors order shoes by nothing but how their pictures look"]

    def _attributes_left_out(self) -> list[str]:
        used = {name for condition in self.config.conditions for name in condition.attributes}
        other = "not asked for" if self.named or not self.config.objective.triplet_weight else "enough others"
        return [f"{name}: {reason or other}" for name, reason in self.attributes.items() if name not in used]

    def _network(self) -> str:
        shape = self.config.network
        slices = ", ".join(f"{'the rest' if part.name == FREE else part.name} {part.size}" for part in shape.slices)
        return f"{self.network}, {self.parameters / 1e6:.1f} million parameters; {shape.latent_size} numbers: {slices}"

    def _time(self) -> str:
        epochs, drawing = self.config.epochs, self.config.drawing_epochs
        seconds = epochs * self.shoes / self.images_per_second
        at_most = "at most " if self.config.patience else ""
        more = ", and more for the perceptual term" if self.config.objective.perceptual_weight else ""
        more += f", and {drawing} cheaper epochs for the drawings" if drawing else ""
        return (
            f"{at_most}{epochs} epochs on {self.device}: about {_round_time(seconds)}{more} "
            f"({self.images_per_second:,.0f} images a second in a short trial)"
        )


def make_plan(
    images: ImageSet,
    config: TrainConfig,
    *,
    network: str,
    named: bool,
    left_out: Mapping[str, int],
    device: torch.device,
    processes: int = 1,
) -> Plan:
    """The plan of a run of `processes` on a device each; takes a moment, in which some steps are timed.

    `named` tells whether the conditions were asked for by name; `left_out` is as in `Plan`.
    """
    kept, held_out = split_by_group(images.groups, config.validation_share, config.seed)
    return Plan(
        config=config,
        network=network,
        shoes=len(kept),
        held_out=len(held_out),
        left_out=left_out,
        named=named,
        attributes=judge_attributes(images.attributes),
        values={
            name: (len(values), sum(name in each for each in images.attributes))
            for name, values in count_values(images.attributes).items()
        },
        parameters=_count_parameters(config),
        device=device.type if processes == 1 else f"{processes} x {device.type}",
        images_per_second=processes * measure_speed(config, device),
    )


def measure_speed(config: TrainConfig, device: torch.device) -> float:
    """Images a second through the network and back, timed on random ones; no random state is changed."""
    size = min(config.batch_size, 32)
    with torch.random.fork_rng():
        tvae = TVAE(config.network).to(device=device).to(memory_format=torch.channels_last)
        shape = (size, config.preprocess.channels, config.preprocess.size, config.preprocess.size)
        pictures = torch.rand(shape, device=device).contiguous(memory_format=torch.channels_last)
        start = 0.0
        for step in range(1 + BATCHES):
            if step == 1:
                _wait(device)
                start = time.perf_counter()
            posterior = tvae.encode(pictures, pictures)
            tvae.decode_logits(posterior.mean).square().mean().backward()  # type: ignore[no-untyped-call]
        _wait(device)
    return BATCHES * size / max(time.perf_counter() - start, 1e-6)


def _count_parameters(config: TrainConfig) -> int:
    with torch.device("meta"):
        return sum(each.numel() for each in TVAE(config.network).parameters())


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _column(title: str, entries: Sequence[str]) -> list[str]:
    return [f"{title if index == 0 else '':11} {entry}" for index, entry in enumerate(entries)]


def _round_time(seconds: float) -> str:
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(1, round(seconds))} seconds"


def check_sizes(kept: int, held_out: int, config: TrainConfig, processes: int) -> None:
    """Raise TrainingError where there are too few shoes to train on or to measure on."""
    needed = max(2, processes)
    if kept < needed:
        raise TrainingError(f"{kept} shoes are left to train on; expected at least {needed}")
    if config.batch_size < processes:
        raise TrainingError(f"batch_size is {config.batch_size}; {processes} processes need one shoe each")
    if config.patience and held_out < 2:
        raise TrainingError(
            f"patience is {config.patience}, but {held_out} shoes are held out to measure on: expected at least 2; "
            f"validation_share is {config.validation_share}"
        )


def find_shortcomings(images: ImageSet, config: TrainConfig, conditions: Sequence[ConditionLabels]) -> list[str]:
    """Each reason why a run will learn less than its configuration asks for; none where all is well.

    `images` are all shoes, held-out ones included; `conditions` are of the shoes to train on.
    """
    kept, held_out = map(len, split_by_group(images.groups, config.validation_share, config.seed))
    found = []
    if not conditions and (config.objective.triplet_weight > 0 or config.objective.label_weight > 0):
        found.append(f"{PLAIN}. {_describe_attributes(images.attributes)}. {HELP}")
    if kept < FEW_SHOES:
        found.append(
            f"{kept} shoes are few to train on: expect a network that knows these by heart and orders others badly. "
            f"Some hundreds are a start; with few, --erase 0.5 and --reframe 1 help"
        )
    if config.validation_share > 0 and held_out < 2:
        found.append(
            f"{held_out} shoes are held out, too few to measure on: nothing will tell how good this network is. "
            f"A greater --validation-share or more shoes would"
        )
    found += [text for each in conditions if (text := _describe_rarity(each, config.batch_size))]
    return found


def _describe_attributes(attributes: Sequence[Mapping[str, tuple[str, ...]]]) -> str:
    """Why none of the catalogue's attributes orders its shoes."""
    reasons = [f"{name!r}: {reason or 'not asked for'}" for name, reason in judge_attributes(attributes).items()]
    if not reasons:
        return "No shoe has an attribute"
    more = [f"and {len(reasons) - LISTED} more"] if len(reasons) > LISTED else []
    return "Of the attributes, " + "; ".join(reasons[:LISTED] + more)


def _describe_rarity(condition: ConditionLabels, batch_size: int) -> str | None:
    """Of a condition for whose values most batches hold no two alike shoes, and so no triplet."""
    table = condition.table
    shoes = len(table)
    counts = table.sum(dim=0)
    share = float((counts * (counts - 1)).sum()) / (shoes * (shoes - 1))
    batch = min(batch_size, shoes)
    pairs = share * batch * (batch - 1) / 2
    if pairs >= 1:
        return None
    return (
        f"the attribute {condition.attribute!r} hardly trains: two shoes share one of its {table.shape[1]:,} values in "
        f"about one batch of {1 / pairs:,.0f}. A coarser attribute or a larger --batch-size would help"
    )
