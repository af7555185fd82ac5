"""What a training run is: every choice that changes its result."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeVar

from model.catalog.columns import NUMBERS, find_kind, is_nearly_unique
from model.checkpoint import Condition
from model.errors import TrainingError
from model.files import sha256_bytes
from model.preprocess import PreprocessConfig
from model.text import nfc
from model.tvae import FREE, INSTANCE, PRESETS, Slice, TVAEConfig
from training.augment import AugmentConfig
from training.objective import ObjectiveConfig
from training.photos.stage import PhotoConfig

__all__ = [
    "Precision",
    "TrainConfig",
    "choose_conditions",
    "cut_latent",
    "judge_attributes",
    "one_of",
    "parse_condition",
    "parse_threads",
]

T = TypeVar("T", bound=str)

USUAL_CONDITIONS = {"category": "SubCategory", "closure": "Closure", "gender": "Gender", "heel": "HeelHeight"}
"""UT-Zap50K's conditions, and the attribute of each (Veit et al., "Conditional Similarity Networks", 2017)."""

MOST_CONDITIONS = 4
"""Attributes that are taken for conditions where none are asked for."""

CONDITION_SIZE = 8
"""Numbers of a condition's slice beside an instance slice, unless its text names a size."""

KIND_NAME = re.compile(r"(sub[ _-]?)?(category|class|group|kind|label|type)|level\d+", re.IGNORECASE)
"""Names of attributes whose numbers are names of kinds, such as those of folders `0` to `9`."""

Precision = Literal["auto", "bf16", "float32"]

MOST_THREADS = 1024


@dataclass(frozen=True)
class TrainConfig:
    """A training run.

    Attributes:
        network: its slices carry the conditions' names.
        preprocess: what makes the network's input.
        conditions: what the slices are to order; none of them is the plain VAE.
        photos: how it learns from photos; by default it does not.
        epochs: passes over the training shoes.
        batch_size: shoes in a step.
        learning_rate: the peak of a one-cycle schedule: a short warm-up, then a cosine down to almost 0.
        weight_decay: of AdamW.
        clip_norm: bound on the gradient's norm, for a loss in nats per pixel.
        balance: 0 takes each shoe once an epoch; 1 draws the values of the conditions equally often.
        validation_share: of the shoes' groups, held out.
        validate_every: epochs between two measurements on the held-out shoes; the last epoch is always measured.
        patience: measurements without a better one after which the training stops and keeps the best weights; 0: none.
        ema_decay: of the average of the weights that is measured and kept; 0 keeps the weights themselves.
        precision: of the convolutions in training; `auto` is what a few timed steps find to be faster.
        threads: of torch in training; None is, on a CPU, what a few timed steps find to be fastest.
        seed: of everything random.
    """

    network: TVAEConfig = PRESETS["shoes"]
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    conditions: tuple[Condition, ...] = ()
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    photos: PhotoConfig = field(default_factory=PhotoConfig)
    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    clip_norm: float = 1.0
    balance: float = 0.0
    validation_share: float = 0.1
    validate_every: int = 1
    patience: int = 0
    ema_decay: float = 0.0
    precision: Precision = "auto"
    threads: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("epochs", 1, 10**6),
            ("batch_size", 2, 10**6),
            ("validation_share", 0.0, 0.9),
            ("validate_every", 1, 10**6),
            ("patience", 0, 10**6),
            ("ema_decay", 0.0, 0.99999),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise TrainingError(f"{name} is {value}; expected {low} to {high}")
        if self.learning_rate <= 0:
            raise TrainingError(f"learning_rate is {self.learning_rate}; expected a positive number")
        if self.threads is not None and not 1 <= self.threads <= MOST_THREADS:
            raise TrainingError(f"threads is {self.threads}; expected 1 to {MOST_THREADS}")

    def fingerprint(self, ids: Sequence[str], vgg_sha256: str | None = None) -> str:
        """Of the run: two runs with the same one that are computed alike give the same network.

        A resumed run is computed as it was begun. Two runs are where `threads` and `precision` name how, or where the
        same was found to be fastest.

        Args:
            ids: of the shoes.
            vgg_sha256: of VGG19's weights, where the objective uses them.
        """
        content: dict[str, Any] = {"config": asdict(self), "ids": list(ids), "vgg": vgg_sha256}
        return sha256_bytes(json.dumps(content, sort_keys=True).encode())


def parse_condition(text: str) -> tuple[Condition, int | None]:
    """Read `articleType`, `type=articleType`, `type=articleType:16` or `style=Category+Closure:16`.

    Returns:
        the condition, and the size of its slice where the text names one.

    Raises:
        TrainingError: the text is none of these.
    """
    text = nfc(text)
    body, colon, size = text.rpartition(":")
    if not colon:
        body, size = text, ""
    elif not size.isdecimal() or int(size) < 1:
        raise TrainingError(f"condition {text!r}: {size!r} is no slice size; expected NAME=ATTRIBUTE:SIZE")
    name, equals, names = body.partition("=")
    attributes = tuple(part.strip() for part in (names if equals else name).split("+"))
    name = name.strip() if equals else "+".join(attributes)
    if not name or not all(attributes) or name in {FREE, INSTANCE, "overall"} or "/" in name:
        raise TrainingError(
            f"condition {text!r}: expected ATTRIBUTE, NAME=ATTRIBUTE or NAME=ATTRIBUTE+ATTRIBUTE, each with an "
            f"optional :SIZE; the names {FREE!r}, {INSTANCE!r} and 'overall' are taken"
        )
    return Condition(name=name, attributes=attributes), int(size) if size else None


def cut_latent(
    network: TVAEConfig, latent_size: int, parsed: Sequence[tuple[Condition, int | None]], instance_size: int = 0
) -> tuple[TVAEConfig, tuple[Condition, ...]]:
    """Cut the mean vector into the conditions' slices and a free remainder.

    A condition without a size gets an equal share, as does the free remainder; beside an instance slice, of
    `instance_size` numbers, it gets 8, and there has to be a remainder.

    Raises:
        TrainingError: the slices do not fit, or two conditions have one name.
    """
    share = CONDITION_SIZE if instance_size else latent_size // (len(parsed) + 1)
    slices = [Slice(condition.name, size or share) for condition, size in parsed]
    if instance_size:
        slices.append(Slice(INSTANCE, instance_size))
    names = [part.name for part in slices]
    if len(set(names)) != len(names):
        raise TrainingError(f"two conditions have the same name: {', '.join(names)}")
    rest = latent_size - sum(part.size for part in slices)
    if rest < (1 if instance_size else 0) or any(part.size < 1 for part in slices):
        sizes = ", ".join(f"{part.name}:{part.size}" for part in slices)
        beside = f", of which {FREE!r} needs some" if instance_size else ""
        raise TrainingError(f"the slices {sizes} do not fit into a mean vector of {latent_size}{beside}")
    if rest:
        slices.append(Slice(FREE, rest))
    return replace(network, slices=tuple(slices)), tuple(condition for condition, _ in parsed)


def choose_conditions(
    texts: Sequence[str] | None, attributes: Sequence[Mapping[str, tuple[str, ...]]], triplet_weight: float
) -> list[tuple[Condition, int | None]]:
    """The conditions asked for. Where none are: UT-Zap50K's, or else the first four attributes that can order shoes.

    Links, numbers, free text and what is nearly another for each shoe are taken only where they are asked for.

    Args:
        texts: as `parse_condition` reads them.
        attributes: of each shoe.
        triplet_weight: 0 asks for the plain VAE, which has no conditions.
    """
    if triplet_weight == 0:
        return []
    if texts is not None:
        return [parse_condition(text) for text in texts]
    able = [name for name, reason in judge_attributes(attributes).items() if reason is None]
    usual = [(name, attribute) for name, attribute in USUAL_CONDITIONS.items() if attribute in able]
    chosen = usual or [(name, name) for name in able[:MOST_CONDITIONS]]
    return [(Condition(name=name, attributes=(attribute,)), None) for name, attribute in chosen]


def judge_attributes(attributes: Sequence[Mapping[str, tuple[str, ...]]]) -> dict[str, str | None]:
    """For each attribute, in the order they are met, why it is never taken for a condition; None for one that may be.

    Args:
        attributes: of each shoe.
    """
    counts: dict[str, Counter[str]] = {}
    for each in attributes:
        for name, values in each.items():
            counts.setdefault(name, Counter()).update(values)
    return {name: _find_reason(name, values, len(attributes)) for name, values in counts.items()}


def _find_reason(name: str, counts: Mapping[str, int], shoes: int) -> str | None:
    """Why an attribute can't make triplets for most shoes, or says nothing of what shoes are like."""
    shared = sum(count for count in counts.values() if count > 1)
    if name in {FREE, INSTANCE, "overall"} or not frozenset("/:,").isdisjoint(name):
        return "no name for a condition; give it one with --condition NAME=ATTRIBUTE"
    if len(counts) < 2:
        return "all shoes have the same value"
    kind = find_kind(counts)
    if kind is not None and not (kind == NUMBERS and KIND_NAME.fullmatch(name)):
        return kind
    if is_nearly_unique(counts):
        return "nearly every shoe has a value of its own"
    if shared < shoes / 2:
        return "most shoes have no value that another shoe has"
    return None


def parse_threads(text: str) -> int | None:
    """`auto` as None, or a number. Raises TrainingError."""
    if text == "auto":
        return None
    if not text.isdecimal():
        raise TrainingError(f"threads is {text!r}; expected auto, or a number from 1 to {MOST_THREADS}")
    return int(text)


def one_of(name: str, value: str, known: Sequence[T]) -> T:
    """`value` as one of the known words. Raises TrainingError that lists them."""
    for each in known:
        if each == value:
            return each
    raise TrainingError(f"{name} is {value!r}; expected one of: {', '.join(known)}")
