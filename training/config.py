"""The configuration of a training: every choice that changes its result, and the only place of its defaults."""

import json
import math
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from model.checkpoint import Condition
from model.errors import TrainingError
from model.files import sha256_bytes
from model.preprocess import PreprocessConfig
from model.tvae import NETWORK_PRESETS, TVAEConfig
from training.losses import Likelihood
from training.miners import MINERS, MinerName

T = TypeVar("T", bound=str)

Precision = Literal["auto", "bf16", "float32"]

MAX_THREADS = 1024

NETWORK = "shoes"
"""The network that is trained where none is named."""

NETWORKS = ("shoes", "shoes-large", "mnist")

PERCEPTUAL_LAYERS = ("relu1_1", "relu2_1", "relu3_1")
"""Of VGG19, as in "Deep Feature Consistent Variational Autoencoder" (Hou et al., 2017), its model VAE-123."""

REFRAMED = {"shift": 0.04, "scale": 0.08, "turn": 0.05}
"""What `--reframe 1` sets of `AugmentConfig`."""


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
    perceptual_layers: tuple[str, ...] = PERCEPTUAL_LAYERS


@dataclass(frozen=True)
class AugmentConfig:
    """How much to change. All zero: nothing.

    Only mirror images by default: a catalogue frames shoes of a kind alike, and networks that had to ignore the framing
    ordered held-out shoes of the same catalogue worse. Photos that are framed freely ask for the rest.

    Attributes:
        flip: the chance of a mirror image.
        shift: at most this share of the picture's side.
        scale: at most this much larger or smaller.
        turn: at most this many radians.
        colour: at most this much brighter or darker, for each channel alike.
        moved: the chance that a picture is shifted, scaled and turned at all.
        erase: the chance that a grey square hides a part of what is encoded; what is to be drawn stays whole.
    """

    flip: float = 0.5
    shift: float = 0.0
    scale: float = 0.0
    turn: float = 0.0
    colour: float = 0.0
    moved: float = 0.75
    erase: float = 0.0

    @property
    def moves(self) -> bool:
        """Is any picture shifted, scaled or turned?"""
        return max(self.shift, self.scale, self.turn) > 0


@dataclass(frozen=True)
class PhotoConfig:
    """How a network learns from photos.

    Attributes:
        views: photo views of each shoe; 0 learns from catalogue pictures alone, without a localizer.
        share: chance that a view is shown in place of the catalogue picture.
        drawing_weight: of the reconstruction of a shoe that is shown by a view, where a catalogue picture's is 1: what
            a view does not show of its shoe can't be drawn.
        samples: composites that the localizer is taught on, at most: few shoes take fewer.
        drawing_stage: epochs after the others, as a share of them, in which only what draws learns: the decoder and the
            free remainder's encoder.
        drawing_stage_share: as `share`, in these epochs.
    """

    views: int = 0
    share: float = 0.5
    drawing_weight: float = 0.25
    samples: int = 80_000
    drawing_stage: float = 0.75
    drawing_stage_share: float = 0.1


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

    network: TVAEConfig = NETWORK_PRESETS[NETWORK]
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
        if self.threads is not None and not 1 <= self.threads <= MAX_THREADS:
            raise TrainingError(f"threads is {self.threads}; expected 1 to {MAX_THREADS}")

    @property
    def drawing_epochs(self) -> int:
        """Epochs of the drawing stage, after the `epochs`: 0 without photos, or where one encoder does all."""
        if not (self.photos.views and self.network.has_two_encoders):
            return 0
        return math.ceil(self.epochs * self.photos.drawing_stage)

    @property
    def total_epochs(self) -> int:
        """Epochs of all stages."""
        return self.epochs + self.drawing_epochs

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


RUN_OPTIONS = (
    "epochs", "batch_size", "learning_rate", "balance", "validation_share", "validate_every", "patience", "ema_decay",
    "precision", "seed",
)  # fmt: skip
"""Fields of `TrainConfig` that are options of `train`, by the same name."""

OBJECTIVE_OPTIONS = (
    "likelihood", "observation_std", "triplet_weight", "label_weight", "instance_weight", "margin", "smooth", "miner",
    "perceptual_weight",
)  # fmt: skip
"""Fields of `ObjectiveConfig` that are."""


def default_options() -> dict[str, Any]:
    """The options of `train` that make a `TrainConfig`, by the values that give the default one."""
    config = TrainConfig()
    augment = config.augment
    return {
        **{name: getattr(config, name) for name in RUN_OPTIONS},
        **{name: getattr(config.objective, name) for name in OBJECTIVE_OPTIONS},
        "threads": "auto" if config.threads is None else str(config.threads),
        "perceptual_layer": list(config.objective.perceptual_layers),
        "network": NETWORK,
        "latent_size": config.network.latent_size,
        "image_size": None,
        "photo_views": config.photos.views,
        "flip": augment.flip,
        "reframe": augment.shift / REFRAMED["shift"],
        "brighten": augment.colour,
        "erase": augment.erase,
    }


def make_config(options: Mapping[str, Any]) -> TrainConfig:
    """The configuration that options of `train` ask for; conditions and slices come with the catalogue.

    Args:
        options: at least those of `default_options`; others are passed over.

    Raises:
        TrainingError: a value is unknown or out of range.
    """
    objective = {name: options[name] for name in OBJECTIVE_OPTIONS}
    objective["likelihood"] = one_of("likelihood", objective["likelihood"], get_args(Likelihood))
    objective["miner"] = one_of("miner", objective["miner"], tuple(MINERS))
    run = {name: options[name] for name in RUN_OPTIONS}
    run["precision"] = one_of("precision", run["precision"], get_args(Precision))
    network = _enlarge(NETWORK_PRESETS[one_of("network", options["network"], NETWORKS)], options["image_size"])
    return TrainConfig(
        network=network,
        preprocess=PreprocessConfig(
            size=network.image_size, channels=network.channels, framing="subject" if options["photo_views"] else "pad"
        ),
        photos=PhotoConfig(views=options["photo_views"]),
        augment=AugmentConfig(
            **{name: amount * options["reframe"] for name, amount in REFRAMED.items()},
            flip=options["flip"],
            colour=options["brighten"],
            erase=options["erase"],
        ),
        objective=ObjectiveConfig(**objective, perceptual_layers=tuple(options["perceptual_layer"])),
        threads=parse_threads(options["threads"]),
        **run,
    )


def _enlarge(network: TVAEConfig, size: int | None) -> TVAEConfig:
    """The network for larger pictures: each doubling of their side adds a halving, with half of the feature maps.

    Raises TrainingError for a size that no doubling gives; None is the network's own.
    """
    sizes = [network.image_size * 2**doublings for doublings in range(3)]
    if size is not None and size not in sizes:
        raise TrainingError(f"image_size is {size}; expected one of: {', '.join(map(str, sizes))}")
    while size is not None and network.image_size < size:
        network = replace(
            network,
            image_size=2 * network.image_size,
            widths=(max(1, network.widths[0] // 2), *network.widths),
            encoder_blocks=(0, *network.encoder_blocks) if network.encoder_blocks else (),
        )
    return network


def read_options(path: Path, known: Collection[str]) -> dict[str, Any]:
    """Options of `train` from a TOML file: lines such as `batch_size = 128`, named as the flags are, with underscores.

    Returns:
        option, one of `known`, -> its value as text, true or false, or a list of texts: as flags give them.

    Raises:
        TrainingError: the file can't be read, is not TOML, or has another key or kind of value.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TrainingError(f"can't read options from {path}: {error}") from error
    unknown = [key for key in content if key not in known]
    if unknown:
        raise TrainingError(f"{path} has unknown keys: {', '.join(unknown)}; known are: {', '.join(sorted(known))}")
    return {key: _to_flag(path, key, value) for key, value in content.items()}


def _to_flag(path: Path, key: str, value: object) -> str | bool | list[str]:
    if isinstance(value, bool):
        return value
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return value
    raise TrainingError(f"{path}: {key} is {value!r}; expected a number, a text, true, false or a list of texts")


def parse_threads(text: str) -> int | None:
    """`auto` as None, or a number. Raises TrainingError."""
    if text == "auto":
        return None
    if not text.isdecimal():
        raise TrainingError(f"threads is {text!r}; expected auto, or a number from 1 to {MAX_THREADS}")
    return int(text)


def one_of(name: str, value: str, known: Sequence[T]) -> T:
    """`value` as one of the known words. Raises TrainingError that lists them."""
    for each in known:
        if each == value:
            return each
    raise TrainingError(f"{name} is {value!r}; expected one of: {', '.join(known)}")
