"""The command line of `python -m benchmarks.ingest`."""

import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.ingest.rounds import Result, measure
from benchmarks.serving.workload import make_network
from benchmarks.training.catalog import draw_shoes
from model.catalog import Catalog, read_catalog
from model.checkpoint import save_checkpoint
from model.command import run_command
from service.settings import count_cpus

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

WORK = Path("artifacts/benchmarks")
GOAL = 0.85
PICTURES_FOR_STATISTICS = 200


@app.command()
def run(
    *,
    catalog: Annotated[
        str | None, typer.Option(help="What to index; left out, a drawn catalogue.", show_default=False)
    ] = None,
    shoes: Annotated[int, typer.Option(min=64, help="Of the drawn catalogue.")] = 50_000,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A network; left out, one of random weights.", show_default=False)
    ] = None,
    team: Annotated[list[str] | None, typer.Option(help="processes, threads; left out, both.")] = None,
    members: Annotated[int | None, typer.Option(min=1, help="Of a team.", show_default="processors")] = None,
    part: Annotated[int, typer.Option(min=64, help="Pictures between two turns.")] = 5000,
    whole: Annotated[bool, typer.Option(help="Measure the command `index` as well, from start to end.")] = True,
    out: Annotated[Path | None, typer.Option("--json", help="A JSON file for the figures.", show_default=False)] = None,
) -> None:
    """Compare the speed of indexing with that of decoding and encoding alone."""
    source = catalog or draw_shoes(WORK, shoes)
    read = read_catalog(source)
    cpus = count_cpus()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="solemate-ingest-") as name:
        folder = Path(name)
        network = checkpoint or _make_checkpoint(read, folder / "checkpoint")
        results = []
        for kind in team or ["processes", "threads"]:
            result = measure(read, network, folder / kind, team=kind, members=members or cpus, size=part)
            print(_describe(result), flush=True)
            results.append(result)
        command = _time_command(source, network, folder / "command") if whole else None
    if command is not None:
        print(f"the whole command: {len(read.shoes) / command:,.0f} images/s, {command:.1f} s in all")
    if out is not None:
        facts = {"cpus": cpus, "load_before": load, "load_after": os.getloadavg()[0], "pictures": len(read.shoes)}
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(_to_json(results, command, facts), indent=2) + "\n", "utf-8")


def _make_checkpoint(catalog: Catalog, folder: Path) -> Path:
    """Random weights, whose normalisation fits these pictures: speed does not depend on more."""
    pictures = [shoe.image.read_bytes() for shoe in catalog.shoes[:PICTURES_FOR_STATISTICS]]
    save_checkpoint(folder, make_network(pictures, seed=0))
    return folder


def _time_command(source: str, checkpoint: Path, out: Path) -> float:
    """Seconds of `python -m service index`, with the start of Python and of torch."""
    arguments = ["--catalog", source, "--checkpoint", str(checkpoint), "--out", str(out), "--device", "cpu"]
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "service", "index", *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _ratios(result: Result) -> list[float]:
    return [each.ceiling / each.ingest for each in result.parts]


def _describe(result: Result) -> str:
    share, ratios = result.ingest_rate / result.ceiling_rate, _ratios(result)
    return (
        f"{result.team}: {result.ingest_rate:,.0f} images/s, the ceiling {result.ceiling_rate:,.0f}: {share:.1%} "
        f"(goal {GOAL:.0%}); parts {min(ratios):.1%} to {max(ratios):.1%}, median {statistics.median(ratios):.1%}; "
        f"processor time of a picture {result.ingest_cpu_ms:.3f} ms, the ceiling's {result.ceiling_cpu_ms:.3f} ms"
    )


def _to_json(results: Sequence[Result], command: float | None, facts: dict[str, Any]) -> dict[str, Any]:
    return {
        **facts,
        "command_seconds": command,
        "teams": [
            {
                "team": each.team,
                "ingest_images_per_second": each.ingest_rate,
                "ceiling_images_per_second": each.ceiling_rate,
                "share": each.ingest_rate / each.ceiling_rate,
                "share_of_processor_time": each.ceiling_cpu_ms / each.ingest_cpu_ms,
                "ingest_cpu_ms": each.ingest_cpu_ms,
                "ceiling_cpu_ms": each.ceiling_cpu_ms,
                "rest_seconds": each.rest,
                "parts": [asdict(part) for part in each.parts],
            }
            for each in results
        ],
    }


def main() -> None:
    """Run the command line."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    run_command(app)
