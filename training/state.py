"""Where a run stands, on disk, for an exact resume. No pickle: tensors as safetensors, the rest as its metadata."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from model.errors import ArtifactCorrupt, TrainingError
from model.files import write_atomic
from model.tvae import TVAE
from training.ema import WeightAverage

__all__ = ["STATE_FILE", "RunState", "is_state_of", "load_state", "save_state"]

STATE_FILE = "resume.safetensors"


@dataclass
class RunState:
    """Everything that the next epoch depends on. All randomness is drawn from (seed, epoch), so no generator is in it.

    Attributes:
        classifiers: of the label term, which are needed in training only.
        epoch: epochs that are done.
        history: figures of each epoch.
        average: of the weights, where the run keeps one.
        best: the weights that measured best so far, where the run may stop early.
    """

    network: TVAE
    classifiers: nn.ModuleList
    optimizer: torch.optim.Optimizer
    epoch: int
    history: list[dict[str, Any]]
    average: WeightAverage | None = None
    best: TVAE | None = None

    @property
    def current(self) -> TVAE:
        """The weights to measure and to use: the average, where there is one."""
        return self.network if self.average is None else self.average.network


def save_state(folder: Path, state: RunState, fingerprint: str) -> None:
    """Write the state atomically. Raises OSError; the state before is then still there."""
    networks: dict[str, nn.Module | None] = {
        "network": state.network,
        "classifiers": state.classifiers,
        "best": state.best,
    }
    if state.average is not None:
        networks["average"] = state.average.network
    tensors = {
        f"{role}.{name}": value.detach().cpu()
        for role, network in networks.items()
        if network is not None
        for name, value in network.state_dict().items()
    }
    for index, moments in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value.detach().cpu() for name, value in moments.items()}
    metadata = {
        "fingerprint": fingerprint,
        "progress": json.dumps({"epoch": state.epoch, "history": state.history}),
    }
    contiguous = {name: value.contiguous() for name, value in tensors.items()}
    write_atomic(folder / STATE_FILE, safetensors.torch.save(contiguous, metadata=metadata))


def load_state(folder: Path, state: RunState, fingerprint: str) -> None:
    """Put a saved state into `state`'s network and optimizer.

    Raises:
        TrainingError: the state is of a run with other settings or other shoes.
        ArtifactCorrupt: the file is damaged.
    """
    path = folder / STATE_FILE
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        if metadata["fingerprint"] != fingerprint:
            raise TrainingError(
                f"{path} is of a run with other settings or other shoes: repeat that run's options to resume it, or "
                f"leave --resume out to start anew"
            )
        progress = json.loads(metadata["progress"])
        state.network.load_state_dict(_part(tensors, "network"))
        state.classifiers.load_state_dict(_part(tensors, "classifiers"))
        if state.average is not None:
            state.average.network.load_state_dict(_part(tensors, "average"))
        if best := _part(tensors, "best"):
            state.best = copy.deepcopy(state.network).eval()
            state.best.load_state_dict(best)
        _load_moments(state.optimizer, _part(tensors, "optimizer"))
        state.epoch, state.history = int(progress["epoch"]), list(progress["history"])
    except (safetensors.SafetensorError, LookupError, ValueError, RuntimeError) as error:
        raise ArtifactCorrupt(f"{path} can't be read ({error}); delete it to start the training anew") from None


def is_state_of(path: Path, fingerprint: str) -> bool:
    """Is there a readable state, and is it of the run of this fingerprint?"""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return bool((file.metadata() or {}).get("fingerprint") == fingerprint)
    except (FileNotFoundError, NotADirectoryError, safetensors.SafetensorError):
        return False


def _part(tensors: Mapping[str, torch.Tensor], role: str) -> dict[str, torch.Tensor]:
    """What is named `role.`, without that."""
    return {name.removeprefix(f"{role}."): value for name, value in tensors.items() if name.startswith(f"{role}.")}


def _load_moments(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        index, _, moment = name.partition(".")
        moments.setdefault(int(index), {})[moment] = _laid_out_as(parameters[int(index)], value)
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})


def _laid_out_as(parameter: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """The fused optimizer walks a parameter and its moments side by side in memory: their strides must agree."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter).copy_(value)
