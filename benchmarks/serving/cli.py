"""`python -m benchmarks.serving`: our service beside what a user would pick instead, on this machine."""

import json
import logging
import os
import platform
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.serving import processes
from benchmarks.serving.ceiling import STAGES, Ceiling, Encoder, run_ceiling
from benchmarks.serving.load import BenchmarkError, find_wrk, prepare, run_load
from benchmarks.serving.report import Measurement, describe_goals, format_table, make_rows, to_json
from benchmarks.serving.servers import SERVERS, Server, check_answers, find_python, serve, versions
from benchmarks.serving.workload import Workload, make_workload

logger = logging.getLogger("benchmarks.serving")

WARM_SECONDS = 3.0
"""How long a server is warmed up after its start: BentoML tunes its batching meanwhile, torch chooses kernels."""
WARM_CLIENTS = 8
ENCODERS: tuple[Encoder, ...] = ("onnx", "torch", "torch in bfloat16")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True)
class Plan:
    """What is measured how.

    Attributes:
        clients: how many at once, one load after the other.
        seconds: of each load.
        rounds: how often all of it is repeated.
        workers: processes of each server.
        warm_seconds: how long each server is warmed up after its start.
    """

    clients: tuple[int, ...] = (1, 8, 32)
    seconds: float = 6.0
    rounds: int = 3
    workers: int = 2
    warm_seconds: float = WARM_SECONDS


@app.command()
def run(
    *,
    server: Annotated[
        list[str] | None, typer.Option(help="Only this one; may be repeated.", show_default="all that are installed")
    ] = None,
    clients: Annotated[
        list[int] | None, typer.Option(min=1, help="How many at once; may be repeated.", show_default="1, 8, 32")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.5, help="How long each load lasts.")] = Plan.seconds,
    rounds: Annotated[int, typer.Option(min=1, help="How often everything is repeated.")] = Plan.rounds,
    workers: Annotated[int, typer.Option(min=1, help="Processes of each server.")] = Plan.workers,
    ceiling: Annotated[bool, typer.Option(help="Also without HTTP, by each encoder.")] = True,
    quick: Annotated[
        bool, typer.Option("--quick", help="One round of two seconds: to see that all of it works.")
    ] = False,
    environments: Annotated[Path, typer.Option(help="Where the peers' virtual environments are, by name.")] = Path(
        "artifacts/peers"
    ),
    work: Annotated[Path, typer.Option(help="Where the vectors and pictures are kept between runs.")] = Path(
        "artifacts/benchmark-serving"
    ),
    checkpoint: Annotated[
        Path | None, typer.Option(help="The network to serve.", show_default="one of random weights")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of JPEGs to search by.", show_default="drawn shoes")
    ] = None,
    items: Annotated[int, typer.Option(min=1000, help="Vectors to search.")] = 50_000,
    out: Annotated[Path | None, typer.Option("--json", help="Write all figures here too.", show_default=False)] = None,
) -> None:
    """Measure how many searches by picture a second each server answers, and how fast."""
    plan = Plan(tuple(clients or Plan.clients), 2.0 if quick else seconds, 1 if quick else rounds, workers)
    chosen = _choose(server)
    pythons = _find_installed(chosen, environments)
    workload = make_workload(work.resolve(), items=items, checkpoint=checkpoint, images=images)
    facts = _describe(plan, workload, pythons)
    started = time.monotonic()
    measurements: list[Measurement] = []
    ceilings: dict[str, list[Ceiling]] = {}
    for number in range(plan.rounds):
        for each in _rotated(list(pythons), number):
            logger.info("round %d: %s", number + 1, each.title)
            measurements += measure(each, pythons[each], workload, plan, number)
        for encoder in ENCODERS if ceiling else ():
            logger.info("round %d: no HTTP, %s", number + 1, encoder)
            done = run_ceiling(workload, encoder=encoder, workers=workers, seconds=plan.seconds)
            ceilings.setdefault(encoder, []).append(done)
    facts["minutes"] = round((time.monotonic() - started) / 60, 1)
    _print(measurements, ceilings, facts, out)


def main() -> None:
    """Run the command line; what can't be measured is one line, and exit status 1."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        app()
    except BenchmarkError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


def measure(server: Server, python: Path, workload: Workload, plan: Plan, round: int) -> Iterator[Measurement]:
    """Start a server, warm it up, put it under each load in turn, check its answers once more, and stop it.

    Raises:
        BenchmarkError: it does not come up, or its answers are wrong.
    """
    requests = prepare(server.path, server.field, workload.pictures)
    scratch = workload.folder / "requests"
    port = find_port()
    with serve(server, python, workload, port=port, workers=plan.workers) as running:
        run_load(port, requests, clients=WARM_CLIENTS, seconds=plan.warm_seconds, scratch=scratch)
        for clients in plan.clients:
            processes.reset_peaks(running.members)
            before = processes.cpu_seconds(running.members)
            load = run_load(port, requests, clients=clients, seconds=plan.seconds, scratch=scratch)
            used = processes.cpu_seconds(running.members) - before
            yield Measurement(
                server=server.title,
                clients=clients,
                round=round,
                load=load,
                cpu_ms=1000 * used / max(1, load.requests),
                peak_mib=processes.peak_mib(running.members),
            )
        check_answers(server, workload, port)


def _choose(names: Sequence[str] | None) -> list[Server]:
    known = {each.name: each for each in SERVERS}
    unknown = set(names or ()) - known.keys()
    if unknown:
        raise typer.BadParameter(f"no server {', '.join(sorted(unknown))}; known are: {', '.join(known)}")
    return [known[name] for name in names or known]


def _find_installed(chosen: Sequence[Server], environments: Path) -> dict[Server, Path]:
    found = {}
    for server in chosen:
        python = find_python(server, environments.absolute())
        if python is None:
            logger.warning("%s is left out: nothing is installed in %s", server.title, environments / server.name)
        else:
            found[server] = python
    return found


def _rotated(servers: Sequence[Server], by: int) -> list[Server]:
    """Another one comes first in each round, so that a drift of the machine meets all of them alike."""
    shift = by % len(servers) if servers else 0
    return [*servers[shift:], *servers[:shift]]


def find_port() -> int:
    """A port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _describe(plan: Plan, workload: Workload, pythons: dict[Server, Path]) -> dict[str, Any]:
    """What the figures depend on."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    return {
        "machine": f"{cpu.partition(':')[2].strip() or platform.machine()}, {len(os.sched_getaffinity(0))} CPUs",
        "load_before": os.getloadavg()[0],
        "generator": "wrk" if find_wrk() else "python",
        "items": workload.items,
        "pictures": len(workload.pictures),
        "bytes_of_a_picture": round(sum(map(len, workload.pictures)) / len(workload.pictures)),
        "seconds": plan.seconds,
        "rounds": plan.rounds,
        "workers": plan.workers,
        "versions": {
            server.title: ", ".join(f"{name} {version}" for name, version in versions(server, python).items())
            for server, python in pythons.items()
        },
    }


def _print(
    measurements: Sequence[Measurement], ceilings: dict[str, list[Ceiling]], facts: dict[str, Any], out: Path | None
) -> None:
    rows = make_rows(measurements, ceilings)
    print(format_table(rows), end="\n\n")
    for line in describe_goals(rows):
        print(f"- {line}")
    for name, rounds in ceilings.items():
        stages = ", ".join(f"{stage} {rounds[-1].stages_ms[stage]:.2f}" for stage in STAGES)
        print(f"- a picture without HTTP, {name}, ms: {stages}")
    for name, value in facts.items():
        shown = "; ".join(f"{key}: {each}" for key, each in value.items()) if isinstance(value, dict) else value
        print(f"- {name.replace('_', ' ')}: {shown}")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(to_json(rows, measurements, ceilings, facts), indent=2) + "\n", "utf-8")
