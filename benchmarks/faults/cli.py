"""`python -m benchmarks.faults`: what can go wrong is made to go wrong, and the service is looked at meanwhile."""

import json
import logging
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.faults.artifacts import try_artifacts
from benchmarks.faults.described import try_described
from benchmarks.faults.disk import try_disk
from benchmarks.faults.ground import Ground, make_ground
from benchmarks.faults.kills import try_batcher, try_workers
from benchmarks.faults.mixed import try_mixed
from benchmarks.faults.overload import try_overload
from benchmarks.faults.pictures import try_pictures
from benchmarks.faults.reloads import try_reloads
from benchmarks.faults.report import Trial, format_table, to_json
from benchmarks.faults.scale import SHORT, Scale
from benchmarks.faults.slow import try_slow
from benchmarks.faults.stops import try_stops

__all__ = ["FAULTS", "app", "main"]

logger = logging.getLogger("benchmarks.faults")

FAULTS: dict[str, Callable[[Ground, Scale], Iterator[Trial]]] = {
    "described": try_described,
    "pictures": try_pictures,
    "slow": try_slow,
    "mixed": try_mixed,
    "overload": try_overload,
    "batcher": try_batcher,
    "workers": try_workers,
    "artifacts": try_artifacts,
    "reloads": try_reloads,
    "disk": try_disk,
    "stops": try_stops,
}
"""Name on the command line -> what tries it."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def run(
    names: Annotated[
        list[str] | None, typer.Argument(help=f"Of: {', '.join(FAULTS)}.", show_default="all of them")
    ] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="The short form: to see that all of it works.")] = False,
    work: Annotated[Path, typer.Option(help="Where networks, catalogues and logs are kept between runs.")] = Path(
        "artifacts/benchmark-faults"
    ),
    out: Annotated[Path | None, typer.Option("--json", help="Write all figures here too.", show_default=False)] = None,
) -> None:
    """Try each fault, and print what happened; the exit status is 1 where something did not hold."""
    chosen = list(names or FAULTS)
    if unknown := set(chosen) - FAULTS.keys():
        raise typer.BadParameter(f"no fault {', '.join(sorted(unknown))}; known are: {', '.join(FAULTS)}")
    ground = make_ground(work)
    facts = _describe()
    trials: list[Trial] = []
    for name in chosen:
        began = time.monotonic()
        for trial in FAULTS[name](ground, SHORT if quick else Scale()):
            logger.info("%s: %s", trial.fault, trial.happened)
            trials.append(trial)
        facts["seconds"][name] = round(time.monotonic() - began, 1)
    print(format_table(trials))
    print(f"\n{facts['machine']}; load before {facts['load_before']:.1f}; seconds: {facts['seconds']}")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(to_json(trials, facts), indent=2) + "\n", "utf-8")
    if not all(trial.held for trial in trials):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    app()


def _describe() -> dict[str, Any]:
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    return {
        "machine": f"{cpu.partition(':')[2].strip() or platform.machine()}, {len(os.sched_getaffinity(0))} CPUs",
        "load_before": os.getloadavg()[0],
        "seconds": {},
    }
