"""A trained network on disk, together with its preprocessing: one folder, no pickle.

    weights.safetensors   the parameters and buffers, of the localizer too where there is one
    config.json           format version, networks, preprocessing, conditions, weights of the slices in `overall`,
                          confidence, scores, facts of the training, SHA-256 of the weights, digest of all but those
    metrics.json          what training and evaluation measured (not part of the digest)
    README.md             the model card

`config.json` is renamed into place last and names the weights by their digest, so a folder whose writer was killed
holds either the old pair or the new one; where it holds neither, loading says so.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from model.base_checkpoint import (
    FORMAT_VERSION,
    LOCALIZER,
    SCORES,
    BaseCheckpoint,
    Condition,
    digest_of,
    read_config,
    read_facts,
    read_network,
    read_record,
    remedy_of,
)
from model.config import TVAEConfig
from model.errors import ArtifactCorrupt, ArtifactError, ArtifactMissing
from model.files import sha256_bytes, write_atomic, write_json
from model.inference import TorchNetworks
from model.localizer import Localizer, LocalizerConfig
from model.tvae import TVAE

__all__ = ["FORMAT_VERSION", "Checkpoint", "Condition", "load_checkpoint", "read_record", "save_checkpoint"]


@dataclass(frozen=True)
class Checkpoint(BaseCheckpoint):
    """A network, and all that is needed to use it.

    Attributes:
        tvae: in eval mode, on the CPU.
        localizer: finds the shoe in a photo, in eval mode; None where the training made none.
    """

    tvae: TVAE
    localizer: Localizer | None = None

    @property
    def network(self) -> TVAEConfig:
        """See BaseCheckpoint."""
        return self.tvae.config

    def open_networks(self, device: str) -> TorchNetworks:
        """See BaseCheckpoint."""
        return TorchNetworks(
            self.tvae,
            self.localizer,
            overall=self.overall,
            marked=self.preprocess.framing == "subject",
            device=device,
        )


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
    config["digest"] = digest_of(config)
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
        tvae = TVAE(read_network(config["network"]))
        state = safetensors.torch.load(weights)
        localizer = _load_localizer(config.get(LOCALIZER), state)
        tvae.load_state_dict(state)
        facts = read_facts(config)
    except (KeyError, TypeError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
        raise ArtifactCorrupt(
            f"checkpoint {folder}: its parts do not fit together ({error}); {remedy_of(folder)}"
        ) from None
    tvae.eval().requires_grad_(requires_grad=False)
    return Checkpoint(tvae, localizer, **facts)


def _load_localizer(config: Mapping[str, Any] | None, state: dict[str, torch.Tensor]) -> Localizer | None:
    """The localizer of a checkpoint that has one; takes its tensors out of `state`."""
    if config is None:
        return None
    localizer = Localizer(LocalizerConfig(size=config["size"], widths=tuple(config["widths"])))
    own = [name for name in state if name.startswith(f"{LOCALIZER}.")]
    localizer.load_state_dict({name.removeprefix(f"{LOCALIZER}."): state.pop(name) for name in own})
    return localizer.eval().requires_grad_(requires_grad=False)


def _read_pair(folder: Path) -> tuple[dict[str, Any], bytes]:
    """The config and the weights that it names; those of a new checkpoint where one comes in between."""
    config = read_config(folder)
    while True:
        try:
            return config, _read_weights(folder, config["weights_sha256"])
        except ArtifactError:
            current = read_config(folder)
            if current["digest"] == config["digest"]:
                raise
            config = current


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
        raise ArtifactCorrupt(f"{final} fails its digest: truncated, or changed; {remedy_of(folder)}")
    raise ArtifactMissing(f"{final} is missing; {remedy_of(folder)}")
