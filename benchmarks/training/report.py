"""The measurements as a table for people and as JSON for programs."""

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.training.plan import Plan
from benchmarks.training.rounds import Run


@dataclass(frozen=True)
class Machine:
    """Where it was measured.

    Attributes:
        processor: its name.
        cores: that this process may use.
        bf16: the instructions for bfloat16 that torch finds in the CPU.
        load: processes that wanted to run, over the minute before the first training; about 0 where it is quiet.
    """

    processor: str
    cores: int
    bf16: tuple[str, ...]
    load: float

    @classmethod
    def look(cls) -> "Machine":
        """This machine, now."""
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        affinity = getattr(os, "sched_getaffinity", None)
        return cls(
            processor=_name_processor(),
            cores=len(affinity(0)) if affinity else os.cpu_count() or 1,
            bf16=tuple(name for name in ("avx512_bf16", "amx_bf16") if capabilities.get(name)),
            load=os.getloadavg()[0],
        )


@dataclass(frozen=True)
class Report:
    """All runs, at least one of each side; solemate's own is the first."""

    plan: Plan
    machine: Machine
    runs: tuple[Run, ...]

    def to_markdown(self) -> str:
        """What was trained, the table, and what to know of it."""
        plan, machine = self.plan, self.machine
        rounds = max(run.round for run in self.runs)
        facts = (
            f"{len(plan.images):,} shoes, network `{plan.network}`, batches of {plan.batch_size}, on "
            f"`{plan.torch_device.type}`; medians of {rounds} rounds of {plan.epochs} epochs each, in turn. "
            f"{machine.processor}, {machine.cores} cores ({', '.join(machine.bf16) or 'no bfloat16'}); load before: "
            f"{machine.load:.1f}."
        )
        header = (
            f"| training | images/s | ratio | whole process, {plan.epochs} epochs, s | ratio | start-up, s | "
            "of it pictures, s | first epoch, s |"
        )
        rows = [self._row(side) for side in self._sides]
        return "\n\n".join([facts, "\n".join([header, "| --- |" + " ---: |" * 7, *rows]), self._notes()])

    def to_json(self) -> dict[str, Any]:
        """Everything, in seconds and images a second.

        {"format_version": 1, "machine", "plan": {...}, "sides": {name: {figure: median}}, "runs": [...]}
        """
        sides = {
            side: {
                "images_per_second": self._median(side, lambda run: run.images_per_second),
                "whole": self._median(side, lambda run: run.whole),
                "start_up": self._median(side, lambda run: run.start_up),
                "loading": self._median(side, lambda run: run.loading),
                "first_epoch": self._median(side, lambda run: run.timings.epochs[0]),
                "speed_ratios": self._ratios(side, _compare_speed),
                "whole_ratios": self._ratios(side, _compare_whole),
            }
            for side in self._sides
        }
        plan = {name: value for name, value in asdict(self.plan).items() if name not in {"images", "labels"}}
        return {
            "format_version": 1,
            "machine": asdict(self.machine),
            "plan": {**plan, "shoes": len(self.plan.images)},
            "sides": sides,
            "runs": [{**asdict(run), "images_per_second": run.images_per_second} for run in self.runs],
        }

    @property
    def _sides(self) -> list[str]:
        return list(dict.fromkeys(run.side for run in self.runs))

    def _row(self, side: str) -> str:
        own = side == self._sides[0]
        return (
            f"| {side} | {self._median(side, lambda run: run.images_per_second):,.0f} | "
            f"{'' if own else _show_ratios(self._ratios(side, _compare_speed))} | "
            f"{self._median(side, lambda run: run.whole):.1f} | "
            f"{'' if own else _show_ratios(self._ratios(side, _compare_whole))} | "
            f"{self._median(side, lambda run: run.start_up):.1f} | "
            f"{self._median(side, lambda run: run.loading):.1f} | "
            f"{self._median(side, lambda run: run.timings.epochs[0]):.1f} |"
        )

    def _notes(self) -> str:
        figures = {side: self._of(side)[-1].timings.figures for side in self._sides}
        losses = [
            f"{side} {each['reconstruction']:,.0f} and {each['kl']:.1f}"
            for side, each in figures.items()
            if "reconstruction" in each
        ]
        versions = sorted({f"{name} {each}" for run in self.runs for name, each in run.timings.versions.items()})
        threads = {side: self._of(side)[0].timings.threads for side in self._sides}
        return (
            "images/s leaves out the first epoch. Ratio: how many times as fast solemate was; the rounds' median, and "
            "in brackets the lowest and the highest.\n"
            f"Threads of torch: {'; '.join(f'{side} {count}' for side, count in threads.items())}. "
            f"Versions: {', '.join(versions)}.\n"
            f"Reconstruction and KL in the last epoch, nats per picture: {'; '.join(losses)}."
        )

    def _of(self, side: str) -> list[Run]:
        return [run for run in self.runs if run.side == side]

    def _median(self, side: str, figure: Callable[[Run], float]) -> float:
        return median(figure(run) for run in self._of(side))

    def _ratios(self, side: str, compare: Callable[[Run, Run], float]) -> list[float]:
        """How many times as fast solemate was, in each round."""
        return [compare(own, other) for own, other in zip(self._of(self._sides[0]), self._of(side), strict=True)]


def _compare_speed(own: Run, other: Run) -> float:
    return own.images_per_second / other.images_per_second


def _compare_whole(own: Run, other: Run) -> float:
    return other.whole / own.whole


def _show_ratios(ratios: Sequence[float]) -> str:
    return f"**{median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f})"


def _name_processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
