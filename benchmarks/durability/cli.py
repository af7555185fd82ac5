"""The command line of `python -m benchmarks.durability`."""

import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.durability.cycles import Journal, run_cycles
from benchmarks.durability.disk import Step, can_mount, run_in_small_disk
from model.command import run_command
from model.progress import progress

__all__ = ["app", "main", "summarize"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def run(
    *,
    cycles: Annotated[int, typer.Option(min=0, help="How often a writer is killed.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the operations and of the moments.")] = 0,
    disk: Annotated[bool, typer.Option(help="Try a full and a read-only disk as well.")] = True,
    out: Annotated[Path | None, typer.Option("--json", help="A JSON file for the figures.", show_default=False)] = None,
) -> None:
    """Kill writers with SIGKILL, fill the disk, make it read-only, and look at what is left."""
    facts: dict[str, Any] = {"seed": seed, "load_before": os.getloadavg()[0]}
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="solemate-durability-") as name:
        journal = _run_cycles(Path(name) / "catalog", cycles, seed)
        facts["seconds"] = time.perf_counter() - began
        facts["files_left"] = sorted(path.name for path in (Path(name) / "catalog").glob("*"))
        steps = _run_disk(Path(name) / "disk") if disk else []
    facts["load_after"] = os.getloadavg()[0]
    figures = {**facts, **summarize(journal), "disk": [asdict(each) for each in steps]}
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps({**figures, "all": [asdict(each) for each in journal.cycles]}, indent=1) + "\n")
    _print(figures, steps)
    if journal.problems or any(step.problem for step in steps):
        sys.exit(1)


def _run_cycles(folder: Path, cycles: int, seed: int) -> Journal:
    journal = Journal()
    with progress(desc="kill", unit="cycles", total=cycles) as shown:
        for journal in run_cycles(folder, cycles, seed=seed):
            shown.update(journal.last_block)
    return journal


def _run_disk(folder: Path) -> list[Step]:
    if not can_mount():
        print("the disk was not tried: mounting one takes root and Linux", file=sys.stderr)
        return []
    folder.mkdir()
    return run_in_small_disk(folder)


def summarize(journal: Journal) -> dict[str, Any]:
    """The figures of a journal."""
    cycles = journal.cycles
    starts = {
        name: _spread([cycle.start_seconds for cycle in cycles if choose(cycle.rebuilt)])
        for name, choose in (("all", lambda _: True), ("index_rebuilt", bool), ("index_read", lambda each: not each))
    }
    return {
        "cycles": len(cycles),
        "acknowledged": sum(cycle.acknowledged for cycle in cycles),
        "killed_within_an_operation": sum(cycle.unacknowledged for cycle in cycles),
        "of_those_there_wholly": sum(cycle.survived for cycle in cycles),
        "of_those_there_later": sum(cycle.late for cycle in cycles),
        "index_damaged_besides": sum(cycle.damage != "nothing" for cycle in cycles),
        "index_rebuilt": sum(cycle.rebuilt for cycle in cycles),
        "answers_checked_by_readers": journal.answers,
        "start_ms": starts,
        "problems": journal.problems,
    }


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    if not seconds:
        return {}
    p50, p99 = np.percentile(seconds, [50, 99])
    return {"p50": 1000 * float(p50), "p99": 1000 * float(p99), "max": 1000 * max(seconds)}


def _print(figures: dict[str, Any], steps: Sequence[Step]) -> None:
    for name, value in figures.items():
        if name not in {"disk", "start_ms", "problems"}:
            shown = f"{value:,.1f}" if isinstance(value, float) else value
            print(f"{name.replace('_', ' ')}: {shown}")
    for name, spread in figures["start_ms"].items():
        print(f"start, {name.replace('_', ' ')}: " + ", ".join(f"{key} {each:.1f} ms" for key, each in spread.items()))
    for step in steps:
        print(f"{'WRONG' if step.problem else 'ok'}: {step.name}: {step.problem or step.said or 'as it was'}")
    for problem in figures["problems"]:
        print(f"WRONG: {problem}")


def main() -> None:
    """Run the command line."""
    logging.basicConfig(level=logging.ERROR, format="%(message)s", stream=sys.stderr)
    run_command(app)
