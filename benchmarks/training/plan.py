"""What every side trains on, and what it says of it. Light: a peer's environment has little more than torch."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch

from model.tvae import NETWORK_PRESETS, Slice, TVAEConfig

PLAN_FILE = "plan.json"
TIMINGS_FILE = "timings.json"


@dataclass(frozen=True)
class Plan:
    """The same for every side, but for the precision.

    Attributes:
        catalog: as `read_catalog` takes it.
        network: the preset's name.
        slices: of the mean vector.
        attributes: slice -> the attribute that orders it.
        images: the path of each shoe's picture.
        labels: slice -> each shoe's class by that attribute; -1 where it has none.
        epochs: passes over all shoes.
        batch_size: shoes in a step.
        device: auto, cpu or cuda.
        precision: of solemate's training; the others know float32 only.
    """

    catalog: str
    network: str
    slices: tuple[Slice, ...]
    attributes: Mapping[str, str]
    images: tuple[str, ...]
    labels: Mapping[str, tuple[int, ...]]
    epochs: int
    batch_size: int
    device: str = "auto"
    precision: str = "auto"

    @property
    def tvae_config(self) -> TVAEConfig:
        """The network."""
        return replace(NETWORK_PRESETS[self.network], slices=self.slices)

    @property
    def torch_device(self) -> torch.device:
        """`auto` is the GPU where there is one."""
        auto = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.device(auto if self.device == "auto" else self.device)

    def write(self, folder: Path) -> None:
        """Into PLAN_FILE."""
        (folder / PLAN_FILE).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Plan":
        """What `write` wrote."""
        content: dict[str, Any] = json.loads((folder / PLAN_FILE).read_text(encoding="utf-8"))
        content["slices"] = tuple(Slice(**each) for each in content["slices"])
        content["images"] = tuple(content["images"])
        content["labels"] = {name: tuple(classes) for name, classes in content["labels"].items()}
        return cls(**content)


class Trained(NamedTuple):
    """What one side's training gives.

    Attributes:
        loaded: the moment when the pictures were in memory, or, where they are opened anew in each epoch, listed.
        epochs: seconds of each, without what comes between them.
        figures: means over the last epoch's batches, such as `reconstruction` in nats per picture.
    """

    loaded: float
    epochs: tuple[float, ...]
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Timings:
    """What one side's process leaves. Moments are of `time.perf_counter`, whose clock all processes share.

    Attributes:
        imported: the moment when everything was imported.
        loaded: as in `Trained`.
        epochs: as in `Trained`.
        figures: as in `Trained`.
        threads: of torch.
        versions: of the packages that compute.
    """

    imported: float
    loaded: float
    epochs: tuple[float, ...]
    figures: Mapping[str, float]
    threads: int
    versions: Mapping[str, str]

    @classmethod
    def read(cls, folder: Path) -> "Timings":
        """From TIMINGS_FILE."""
        content: dict[str, Any] = json.loads((folder / TIMINGS_FILE).read_text(encoding="utf-8"))
        return cls(**{**content, "epochs": tuple(content["epochs"])})


def run_side(train: Callable[[Plan, Path], Trained], *packages: str) -> None:
    """Be a side's process: train by the plan in the folder that the command line names, and leave the timings there.

    Args:
        train: takes the plan and the folder, in which it may write.
        packages: whose versions are recorded.
    """
    imported = time.perf_counter()
    folder = Path(sys.argv[1])
    trained = train(Plan.read(folder), folder)
    versions = {package: version(package) for package in packages}
    timings = Timings(imported, *trained, threads=torch.get_num_threads(), versions=versions)
    (folder / TIMINGS_FILE).write_text(json.dumps(asdict(timings)), encoding="utf-8")
