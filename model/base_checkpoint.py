"""What a checkpoint holds beside its networks, and how they are asked, whatever runs them. Needs no torch.

`model/checkpoint.py` has the networks as torch modules, `model/onnx_checkpoint.py` as ONNX Runtime's sessions.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from model.confidence import ConfidenceModel
from model.config import Slice, TVAEConfig
from model.errors import ArtifactCorrupt, ArtifactMissing
from model.files import sha256_bytes
from model.localization import MaskNetwork
from model.nearness import Nearness
from model.preprocess import PreprocessConfig

FORMAT_VERSION = 1
OLDER_PREPROCESS: Mapping[str, Any] = {"color_management": False, "framing": "pad"}
"""The preprocessing of checkpoints that were made before these fields were: their vectors stay what they are."""

LOCALIZER = "localizer"
SCORES = "scores"
"""Key of the calibrated scores; unreleased versions wrote others of another meaning under `nearness`."""

TRAIN_COMMAND = "python -m training train --catalog PATH --out"

Runtime = Literal["onnx", "torch"]


@dataclass(frozen=True)
class Condition:
    """A notion of likeness that one slice of the mean vector was trained to order.

    Attributes:
        name: the slice's name.
        attributes: the catalogue's attributes whose triplets act on it.
    """

    name: str
    attributes: tuple[str, ...]


class Networks(Protocol):
    """The networks of a checkpoint, ready to be asked. Safe in many threads."""

    @property
    def runtime(self) -> Runtime:
        """What runs them."""
        ...

    @property
    def localizer(self) -> MaskNetwork | None:
        """Finds the shoe in a photo; None where the training made none."""
        ...

    def embed(self, pixels: NDArray[np.uint8], /) -> NDArray[np.float32]:
        """(B, C, H, W) uint8 -> (B, D) float32: the posterior's mean, its slices scaled by `overall`."""
        ...

    def decode(self, vectors: NDArray[np.float32], /) -> NDArray[np.float32]:
        """(B, D) float32, as `embed` gives -> (B, C, H, W) float32 in [0, 1], without a scale mark."""
        ...


@dataclass(frozen=True, kw_only=True)
class BaseCheckpoint(ABC):
    """A checkpoint without its networks.

    Attributes:
        preprocess: what makes the networks' input.
        conditions: what the slices were trained for; slices that no condition names were left free.
        overall: name of a slice -> what its numbers are multiplied by in an embedding, so that the distance of whole
            vectors weighs the slices as validation shoes want it; a slice that is not named counts as it is.
        confidence: tells vectors of shoes from those of other pictures; None where the training made none.
        nearness: `overall`, or a slice -> the scores of its distances; what is not named was not calibrated.
        training: facts of the training (data, epochs, seed, ...), for people.
        digest: SHA-256 over weights and configuration without `training`, hex; "" for a network that was never saved.
    """

    preprocess: PreprocessConfig
    conditions: tuple[Condition, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""
    overall: Mapping[str, float] = field(default_factory=dict)
    confidence: ConfidenceModel | None = None
    nearness: Mapping[str, Nearness] = field(default_factory=dict)

    @property
    @abstractmethod
    def network(self) -> TVAEConfig:
        """The shape of encoder and decoder."""

    @abstractmethod
    def open_networks(self, device: str) -> Networks:
        """The networks, ready to be asked on that device."""


def read_record(folder: Path, digest: str) -> tuple[str | None, Mapping[str, Any]]:
    """What a checkpoint's folder tells people of its training: the model card, and `metrics.json`.

    Args:
        folder: of the checkpoint.
        digest: of the checkpoint that is asked about: neither file is part of it.

    Returns:
        The card in Markdown, or None; and the metrics, or nothing: what is missing, or belongs to another checkpoint.
    """
    try:
        card: str | None = (folder / "README.md").read_text(encoding="utf-8")
    except (OSError, ValueError):
        card = None
    try:
        metrics = json.loads((folder / "metrics.json").read_bytes())
    except (OSError, ValueError):
        metrics = {}
    matches = isinstance(metrics, dict) and metrics.get("checkpoint") == digest
    return card if card is not None and digest in card else None, metrics if matches else {}


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json`, with its digest checked. Raises ArtifactMissing or ArtifactCorrupt."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise ArtifactMissing(f"no checkpoint in {folder}; {remedy_of(folder)}") from None
    except ValueError:
        raise ArtifactCorrupt(f"{path} is not valid JSON; {remedy_of(folder)}") from None
    version = config.get("format_version") if isinstance(config, dict) else None
    if version != FORMAT_VERSION:
        raise ArtifactCorrupt(
            f"{path} has format version {version!r}; this release reads {FORMAT_VERSION}; {remedy_of(folder)}"
        )
    missing = {"network", "preprocess", "conditions", "training", "weights_sha256", "digest"} - config.keys()
    if missing or config["digest"] != digest_of(config):
        raise ArtifactCorrupt(f"{path} fails its digest: it was changed after it was written; {remedy_of(folder)}")
    return dict(config)


def read_facts(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `BaseCheckpoint`. Raises KeyError, TypeError or ValueError where something does not fit."""
    return {
        "preprocess": PreprocessConfig(**{**OLDER_PREPROCESS, **config["preprocess"]}),
        "conditions": tuple(Condition(part["name"], tuple(part["attributes"])) for part in config["conditions"]),
        "training": config["training"],
        "digest": config["digest"],
        "overall": {name: float(weight) for name, weight in config.get("overall", {}).items()},
        "confidence": _load_confidence(config.get("confidence"), read_network(config["network"]).latent_size),
        "nearness": {
            name: Nearness(float(part["scale"]), float(part["power"])) for name, part in config.get(SCORES, {}).items()
        },
    }


def read_network(config: Mapping[str, Any]) -> TVAEConfig:
    """The networks' shape, as releases so far have written it. Raises as `read_facts` does."""
    network = dict(config)
    if network.pop("hidden", 0):  # older releases wrote it, 0 for convolutions
        raise ValueError("a network without convolutions, which only `solemate reproduce mnist` makes and reads")
    network["widths"] = tuple(network["widths"])
    network["encoder_blocks"] = tuple(network.get("encoder_blocks", ()))
    network["slices"] = tuple(Slice(**part) for part in network["slices"])
    return TVAEConfig(**network)


def _load_confidence(config: Mapping[str, Any] | None, dimension: int) -> ConfidenceModel | None:
    if config is None:
        return None
    weights = tuple(float(weight) for weight in config["weights"])
    if len(weights) == 2 * dimension + 2:  # older checkpoints, whose features were others
        return None
    if len(weights) != 2 * dimension + 3:
        raise ValueError(f"confidence has {len(weights)} weights; expected {2 * dimension + 3}")
    return ConfidenceModel(float(config["bias"]), weights)


def remedy_of(folder: Path) -> str:
    """How a checkpoint is made, for messages."""
    return f"make it anew with `{TRAIN_COMMAND} {folder}`"


def digest_of(config: Mapping[str, Any]) -> str:
    """Of everything that can change an answer, and the format; not of the free-form facts."""
    bound = {key: value for key, value in config.items() if key not in {"digest", "training"}}
    return sha256_bytes(json.dumps(bound, sort_keys=True).encode())
