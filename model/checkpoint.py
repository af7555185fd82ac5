"""A trained network on disk, together with its preprocessing: one folder, no pickle.

    weights.safetensors   the parameters and buffers, of the localizer too where there is one
    config.json           format version, networks, preprocessing, conditions, weights of the slices in `overall`,
                          confidence, scores, facts of the training, SHA-256 of the weights, digest of all but those
    metrics.json          what training and evaluation measured (not part of the digest)
    README.md             the model card

`config.json` is renamed into place last and names the weights by their digest, so a folder whose writer was killed
holds either the old pair or the new one; where it holds neither, loading says so.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from model.confidence import ConfidenceModel
from model.errors import ArtifactCorrupt, ArtifactError, ArtifactMissing
from model.files import sha256_bytes, write_atomic, write_json
from model.localizer import Localizer, LocalizerConfig
from model.nearness import Nearness
from model.preprocess import PreprocessConfig
from model.tvae import TVAE, Slice, TVAEConfig

__all__ = ["FORMAT_VERSION", "Checkpoint", "Condition", "load_checkpoint", "read_record", "save_checkpoint"]

FORMAT_VERSION = 1
OLDER_PREPROCESS: Mapping[str, Any] = {"color_management": False, "framing": "pad"}
"""The preprocessing of checkpoints that were made before these fields were: their vectors stay what they are."""

LOCALIZER = "localizer"
SCORES = "scores"
"""Key of the calibrated scores; unreleased versions wrote others of another meaning under `nearness`."""

TRAIN_COMMAND = "python -m training train --catalog PATH --out"


@dataclass(frozen=True)
class Condition:
    """A notion of likeness that one slice of the mean vector was trained to order.

    Attributes:
        name: the slice's name.
        attributes: the catalogue's attributes whose triplets act on it.
    """

    name: str
    attributes: tuple[str, ...]


@dataclass(frozen=True)
class Checkpoint:
    """A network, and all that is needed to use it.

    Attributes:
        tvae: in eval mode, on the CPU.
        preprocess: what makes its input.
        conditions: what its slices were trained for; slices that no condition names were left free.
        localizer: finds the shoe in a photo, in eval mode; None where the training made none.
        overall: name of a slice -> what its numbers are multiplied by in an embedding, so that the distance of whole
            vectors weighs the slices as validation shoes want it; a slice that is not named counts as it is.
        confidence: tells vectors of shoes from those of other pictures; None where the training made none.
        nearness: `overall`, or a slice -> the scores of its distances; what is not named was not calibrated.
        training: facts of the training (data, epochs, seed, ...), for people.
        digest: SHA-256 over weights and configuration without `training`, hex; "" for a network that was never saved.
    """

    tvae: TVAE
    preprocess: PreprocessConfig
    conditions: tuple[Condition, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""
    localizer: Localizer | None = None
    overall: Mapping[str, float] = field(default_factory=dict)
    confidence: ConfidenceModel | None = None
    nearness: Mapping[str, Nearness] = field(default_factory=dict)


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> str:
    """Write the checkpoint atomically; returns its digest.

    Raises:
        OSError: the folder can't be written; what was in it is as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().cpu().contiguous() for name, value in checkpoint.tvae.state_dict().items()}
    if checkpoint.localizer is not None:
        parts = checkpoint.localizer.state_dict().items()
        state |= {f"{LOCALIZER}.{name}": value.detach().cpu().contiguous() for name, value in parts}
    weights = safetensors.torch.save(state)
    config: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "network": asdict(checkpoint.tvae.config),
        "preprocess": asdict(checkpoint.preprocess),
        "conditions": [asdict(condition) for condition in checkpoint.conditions],
        "training": dict(checkpoint.training),
        "weights_sha256": sha256_bytes(weights),
    }
    if checkpoint.localizer is not None:
        config[LOCALIZER] = asdict(checkpoint.localizer.config)
    if checkpoint.overall:
        config["overall"] = dict(checkpoint.overall)
    if checkpoint.confidence is not None:
        config["confidence"] = {"bias": checkpoint.confidence.bias, "weights": list(checkpoint.confidence.weights)}
    if checkpoint.nearness:
        config[SCORES] = {name: asdict(each) for name, each in checkpoint.nearness.items()}
    config["digest"] = _digest(config)
    # The weights carry their digest in their name until the config that names them is in place: a kill in between
    # leaves the old pair whole.
    name = f"weights-{config['weights_sha256'][:12]}.safetensors"
    write_atomic(folder / name, weights)
    write_json(folder / "config.json", config)
    (folder / name).replace(folder / "weights.safetensors")
    for stale in folder.glob("weights-*.safetensors"):
        stale.unlink(missing_ok=True)
    return str(config["digest"])


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint and check all of it before any of it is used.

    Raises:
        ArtifactMissing: there is none; the message names the command that makes one.
        ArtifactCorrupt: an unknown format version, a failed digest, a truncated file, or parts that do not fit.
    """
    config, weights = _read_pair(folder)
    try:
        tvae = TVAE(_read_network(config["network"]))
        state = safetensors.torch.load(weights)
        localizer = _load_localizer(config.get(LOCALIZER), state)
        tvae.load_state_dict(state)
        overall = {name: float(weight) for name, weight in config.get("overall", {}).items()}
        confidence = _load_confidence(config.get("confidence"), tvae.config.latent_size)
        nearness = {
            name: Nearness(float(part["scale"]), float(part["power"])) for name, part in config.get(SCORES, {}).items()
        }
        conditions = tuple(
            Condition(name=part["name"], attributes=tuple(part["attributes"])) for part in config["conditions"]
        )
        preprocess = PreprocessConfig(**{**OLDER_PREPROCESS, **config["preprocess"]})
    except (KeyError, TypeError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
        raise ArtifactCorrupt(
            f"checkpoint {folder}: its parts do not fit together ({error}); {_remedy(folder)}"
        ) from None
    tvae.eval().requires_grad_(requires_grad=False)
    return Checkpoint(
        tvae=tvae,
        preprocess=preprocess,
        conditions=conditions,
        training=config["training"],
        digest=config["digest"],
        localizer=localizer,
        overall=overall,
        confidence=confidence,
        nearness=nearness,
    )


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


def _read_network(config: Mapping[str, Any]) -> TVAEConfig:
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


def _load_localizer(config: Mapping[str, Any] | None, state: dict[str, torch.Tensor]) -> Localizer | None:
    """The localizer of a checkpoint that has one; takes its tensors out of `state`."""
    if config is None:
        return None
    localizer = Localizer(LocalizerConfig(size=config["size"], widths=tuple(config["widths"])))
    own = [name for name in state if name.startswith(f"{LOCALIZER}.")]
    localizer.load_state_dict({name.removeprefix(f"{LOCALIZER}."): state.pop(name) for name in own})
    return localizer.eval().requires_grad_(requires_grad=False)


def _remedy(folder: Path) -> str:
    return f"make it anew with `{TRAIN_COMMAND} {folder}`"


def _digest(config: Mapping[str, Any]) -> str:
    """Of everything that can change an answer, and the format; not of the free-form facts."""
    bound = {key: value for key, value in config.items() if key not in {"digest", "training"}}
    return sha256_bytes(json.dumps(bound, sort_keys=True).encode())


def _read_pair(folder: Path) -> tuple[dict[str, Any], bytes]:
    """The config and the weights that it names; those of a new checkpoint where one comes in between."""
    config = _read_config(folder)
    while True:
        try:
            return config, _read_weights(folder, config["weights_sha256"])
        except ArtifactError:
            current = _read_config(folder)
            if current["digest"] == config["digest"]:
                raise
            config = current


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise ArtifactMissing(f"no checkpoint in {folder}; {_remedy(folder)}") from None
    except ValueError:
        raise ArtifactCorrupt(f"{path} is not valid JSON; {_remedy(folder)}") from None
    version = config.get("format_version") if isinstance(config, dict) else None
    if version != FORMAT_VERSION:
        raise ArtifactCorrupt(
            f"{path} has format version {version!r}; this release reads {FORMAT_VERSION}; {_remedy(folder)}"
        )
    missing = {"network", "preprocess", "conditions", "training", "weights_sha256", "digest"} - config.keys()
    if missing or config["digest"] != _digest(config):
        raise ArtifactCorrupt(f"{path} fails its digest: it was changed after it was written; {_remedy(folder)}")
    return dict(config)


def _read_weights(folder: Path, digest: str) -> bytes:
    """The weights that the config names: under their own name, or under the one they have while being written."""
    final = folder / "weights.safetensors"
    found = False
    for path in (final, folder / f"weights-{digest[:12]}.safetensors"):
        try:
            weights = path.read_bytes()
        except FileNotFoundError:
            continue
        found = True
        if sha256_bytes(weights) == digest:
            return weights
    if found:
        raise ArtifactCorrupt(f"{final} fails its digest: truncated, or changed; {_remedy(folder)}")
    raise ArtifactMissing(f"{final} is missing; {_remedy(folder)}")
