"""Runs the sides in turn, each training in a process of its own."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.training.plan import Plan, Timings
from model.errors import SolemateError

_log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
LINES_OF_LOG = 15


class SideFailed(SolemateError):
    """A side's process ended with an error; the message has the last lines that it wrote."""


@dataclass(frozen=True)
class Side:
    """Who trains.

    Attributes:
        name: as it is shown.
        module: to run.
        precision: for the plan.
        python: the interpreter.
    """

    name: str
    module: str
    precision: str = "auto"
    python: Path = Path(sys.executable)


@dataclass(frozen=True)
class Run:
    """One side's training in one round.

    Attributes:
        side: its name.
        round: from 1.
        images: in an epoch.
        imports: seconds from the process's start until everything was imported.
        loading: seconds from then until the shoes were at hand.
        whole: seconds from the process's start to its end.
        timings: what the side said.
    """

    side: str
    round: int
    images: int
    imports: float
    loading: float
    whole: float
    timings: Timings

    @property
    def images_per_second(self) -> float:
        """Of all epochs but the first."""
        steady = self.timings.epochs[1:]
        return self.images * len(steady) / sum(steady)

    @property
    def start_up(self) -> float:
        """Seconds until the first epoch could start: imports, and the pictures where they are loaded at once."""
        return self.imports + self.loading


def choose_sides(peers_python: Path) -> list[Side]:
    """Two of solemate, in its own choice of precision and in float32; the plain loop; pythae where it is installed."""
    sides = [
        Side("solemate", "benchmarks.training.ours"),
        Side("solemate in float32", "benchmarks.training.ours", precision="float32"),
        Side("plain PyTorch loop", "benchmarks.training.plain"),
    ]
    if _has_pythae(peers_python):
        # Not resolved: a virtual environment's interpreter knows its packages by its own path.
        sides.append(Side("pythae", "benchmarks.training.pythae_peer", python=peers_python.absolute()))
    else:
        _log.warning(
            "skipped pythae: %s is not there or lacks it; benchmarks/README.md says how to make it", peers_python
        )
    return sides


def _has_pythae(python: Path) -> bool:
    question = "import importlib.util, sys; sys.exit(importlib.util.find_spec('pythae') is None)"
    return python.exists() and subprocess.run([python, "-c", question], check=False).returncode == 0


def run_rounds(plan: Plan, sides: Sequence[Side], rounds: int) -> Iterator[Run]:
    """Each side once in each round, so that what else the machine does meets all alike.

    Raises:
        SideFailed: a training ended with an error.
    """
    for number in range(1, rounds + 1):
        for side in sides:
            run = _run_side(replace(plan, precision=side.precision), side, number)
            _log.info(
                "round %d of %d: %s, %.0f images/s, %.1f s in all",
                number, rounds, side.name, run.images_per_second, run.whole,
            )  # fmt: skip
            yield run


def _run_side(plan: Plan, side: Side, number: int) -> Run:
    with TemporaryDirectory(prefix="solemate-benchmark-") as name:
        folder = Path(name)
        plan.write(folder)
        log = folder / "log.txt"
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with log.open("wb") as file:
            began = time.perf_counter()
            done = subprocess.run(
                [side.python, "-m", side.module, folder],
                env=environment, stdout=file, stderr=subprocess.STDOUT, check=False,
            )  # fmt: skip
            whole = time.perf_counter() - began
        if done.returncode:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LINES_OF_LOG:]
            raise SideFailed(f"{side.name} ended with status {done.returncode}:\n" + "\n".join(lines))
        timings = Timings.read(folder)
    return Run(
        side=side.name,
        round=number,
        images=len(plan.images),
        imports=timings.imported - began,
        loading=timings.loaded - timings.imported,
        whole=whole,
        timings=timings,
    )
