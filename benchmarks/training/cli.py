"""The command line of `python -m benchmarks.training`."""

import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.training.catalog import draw_shoes, make_plan
from benchmarks.training.profiling import Profile, profile_step
from benchmarks.training.report import Machine, Report
from benchmarks.training.rounds import choose_sides, run_rounds
from model.command import run_command
from model.files import write_json
from training.config import one_of

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

WORK = Path("artifacts/benchmarks")
PEERS_PYTHON = Path("artifacts/peers-training/bin/python")
PROFILED_STEPS = 30


@app.command()
def measure(
    *,
    catalog: Annotated[
        str | None, typer.Option(help="What to train on; left out, a drawn catalogue.", show_default=False)
    ] = None,
    shoes: Annotated[int, typer.Option(min=2, help="Of the drawn catalogue.")] = 2000,
    network: Annotated[str, typer.Option(help="shoes or shoes-large.")] = "shoes",
    epochs: Annotated[int, typer.Option(min=2, help="Of each training; images/s leaves out the first.")] = 4,
    rounds: Annotated[int, typer.Option(min=1, help="How often each side trains, in turn.")] = 3,
    batch_size: Annotated[int, typer.Option(min=2)] = 64,
    peers_python: Annotated[Path, typer.Option(help="The interpreter that has pythae.")] = PEERS_PYTHON,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    profile: Annotated[
        bool, typer.Option("--profile", help="Instead: where the time of a step goes, on the CPU.")
    ] = False,
    precision: Annotated[
        str, typer.Option(help="With --profile: auto, bf16 or float32. The comparison has both.")
    ] = "auto",
    out: Annotated[Path | None, typer.Option(help="A JSON file for the figures.", show_default=False)] = None,
) -> None:
    """Compare the speed of solemate's training with a plain PyTorch loop's and pythae's."""
    plan = make_plan(
        catalog or draw_shoes(WORK, shoes),
        network=one_of("network", network, ("shoes", "shoes-large")),
        epochs=epochs,
        batch_size=batch_size,
        device=one_of("device", device, ("auto", "cpu", "cuda")),
    )
    result: Profile | Report
    if profile:
        result = profile_step(replace(plan, precision=precision), steps=PROFILED_STEPS)
    else:
        machine = Machine.look()
        result = Report(plan, machine, tuple(run_rounds(plan, choose_sides(peers_python), rounds)))
    typer.echo(result.to_markdown())
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_json(out, result.to_json())


def main() -> None:
    """Run the command line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    run_command(app)
