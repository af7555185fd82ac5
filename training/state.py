"""Where a run stands, on disk, for an exact resume. No pickle: tensors as safetensors, the rest as its metadata."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from model.errors import ArtifactCorrupt, TrainingError
from model.files import write_atomic

__all__ = ["STATE_FILE", "RunState", "load_state", "save_state"]

STATE_FILE = "resume.safetensors"


@dataclass
class RunState:
    """Everything that the next epoch depends on. All randomness is drawn from (seed, epoch), so no generator is in it.

    Attributes:
        epoch: epochs that are done.
        history: figures of each epoch.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    epoch: int
    history: list[dict[str, Any]]


def save_state(folder: Path, state: RunState, fingerprint: str) -> None:
    """Write the state atomically. Raises OSError; the state before is then still there."""
    tensors = {f"network.{name}": value.detach().cpu() for name, value in state.network.state_dict().items()}
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
        network = {
            name.removeprefix("network."): value for name, value in tensors.items() if name.startswith("network.")
        }
        state.network.load_state_dict(network)
        parameters = [each for group in state.optimizer.param_groups for each in group["params"]]
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "optimizer":
                index, _, moment = rest.partition(".")
                moments.setdefault(int(index), {})[moment] = _laid_out_as(parameters[int(index)], value)
        groups = state.optimizer.state_dict()["param_groups"]
        state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        state.epoch, state.history = int(progress["epoch"]), list(progress["history"])
    except (safetensors.SafetensorError, LookupError, ValueError, RuntimeError) as error:
        raise ArtifactCorrupt(f"{path} can't be read ({error}); delete it to start the training anew") from None


def _laid_out_as(parameter: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """The fused optimizer walks a parameter and its moments side by side in memory: their strides must agree."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter).copy_(value)
