"""`python -m benchmarks.growth`: solemate's store beside plain HNSW libraries, by thousands and by millions."""

import json
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from benchmarks.growth.catalogs import FILES, make_catalog
from benchmarks.growth.report import OURS, Result, describe_goals, format_table
from benchmarks.growth.workload import Drawn, draw
from model.command import run_command

logger = logging.getLogger("benchmarks.growth")

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = (1, 8)

Step = Literal["build", "search"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True)
class Side:
    """One way to search vectors.

    Attributes:
        name: on the command line, of its folder, and of its virtual environment.
        title: in the table.
        module: what is run; see `benchmarks.growth.side`.
    """

    name: str
    title: str
    module: str


SIDES = (
    Side("solemate", OURS, "benchmarks.growth.ours"),
    Side("hnswlib", "hnswlib", "benchmarks.growth.peers.hnsw"),
    Side("usearch", "usearch", "benchmarks.growth.peers.usearch_peer"),
    Side("milvus", "Milvus", "benchmarks.growth.peers.milvus_peer"),
)


@app.command()
def run(
    *,
    size: Annotated[
        list[int] | None, typer.Option(min=1000, help="How many vectors; repeatable.", show_default="10k, 100k, 1M")
    ] = None,
    side: Annotated[
        list[str] | None, typer.Option(help="Only this one; repeatable.", show_default="all that are installed")
    ] = None,
    step: Annotated[
        str, typer.Option(help="build, search, or both: what is built is kept, and can be searched again.")
    ] = "both",
    milvus: Annotated[str | None, typer.Option(help="Address of a Milvus server to measure too.")] = None,
    checkpoint: Annotated[Path, typer.Option(help="Embeds the drawn shoes.")] = Path("artifacts/checkpoint"),
    shoes: Annotated[int, typer.Option(min=1000, help="Shoes to draw.")] = 8000,
    asked: Annotated[int, typer.Option(min=1000, help="Other shoes to draw, to ask for.")] = 2000,
    goal: Annotated[float, typer.Option(min=0, max=1, help="recall@10 that the peers' effort is raised to.")] = 0.98,
    threads: Annotated[int, typer.Option(min=1, help="For building.")] = 1,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long each load lasts.")] = 4.0,
    environments: Annotated[Path, typer.Option(help="Where the peers' virtual environments are, by name.")] = Path(
        "artifacts/peers"
    ),
    work: Annotated[Path, typer.Option(help="Where vectors and indexes are kept.")] = Path(
        "artifacts/benchmark-growth"
    ),
    out: Annotated[Path | None, typer.Option("--json", help="Write all figures here too.", show_default=False)] = None,
) -> None:
    """Build an index of each number of vectors on each side, and measure its searches."""
    if step not in ("build", "search", "both"):
        raise typer.BadParameter(f"step is {step!r}; expected build, search or both")
    pythons = find_pythons(side, environments.absolute(), milvus)
    drawn = draw(work.resolve(), checkpoint, shoes=shoes, asked=asked)
    options = {
        "slices": drawn.slices,
        "goal": goal,
        "threads": threads,
        "clients": CLIENTS,
        "seconds": seconds,
        "milvus": milvus,
    }
    results: list[Result] = []
    catalogs: dict[str, Any] = {}
    for count in size or (10_000, 100_000, 1_000_000):
        folder = work.resolve() / str(count)
        catalogs[f"{count:,}"] = facts = make_catalog(folder, drawn, count)
        for each, python in pythons.items():
            job = {**{name: str(folder / f"{name}.npy") for name in FILES}, **options}
            if do(each, python, folder / each.name, job=job, made_from=facts["made_from"], step=step):
                results.append(read(each, folder / each.name, count, drawn))
    _print(results, {"machine": describe_machine(), "catalogues": catalogs, "threads": threads}, out)


def find_pythons(names: Sequence[str] | None, environments: Path, milvus: str | None) -> dict[Side, Path]:
    """The sides to measure, each with its interpreter; the log says which have no environment and are left out."""
    known = {each.name: each for each in SIDES}
    if unknown := set(names or ()) - known.keys():
        raise typer.BadParameter(f"no side {', '.join(sorted(unknown))}; known are: {', '.join(known)}")
    found = {}
    for name in names or known:
        python = Path(sys.executable) if name == "solemate" else environments / name / "bin" / "python"
        if name == "milvus" and milvus is None:
            continue
        if python.exists():
            found[known[name]] = python
        else:
            logger.warning("%s is left out: nothing is installed in %s", known[name].title, environments / name)
    return found


def do(side: Side, python: Path, folder: Path, *, job: dict[str, Any], made_from: dict[str, Any], step: str) -> bool:
    """Build a side's index unless it is there, and search it, as far as that is asked for; whether it was searched."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "job.json").write_text(json.dumps(job), "utf-8")
    key = folder / "key.json"
    is_built = key.exists() and json.loads(key.read_text("utf-8")) == made_from
    if not is_built and step == "search":
        logger.warning("%s is left out: it has not been built in %s", side.title, folder)
        return False
    if not is_built:
        key.unlink(missing_ok=True)
        start(side, python, "build", folder)
        key.write_text(json.dumps(made_from), "utf-8")
    if step != "build":
        start(side, python, "search", folder)
    return step != "build"


def start(side: Side, python: Path, step: Step, folder: Path) -> None:
    """Run one step in a process of its own. Raises CalledProcessError if it fails."""
    logger.info("%s: %s in %s", side.title, step, folder)
    # One thread for each search; how many build is in the job.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run([python, "-m", side.module, step, folder], cwd=ROOT, env=environment, check=True)


def read(side: Side, folder: Path, count: int, drawn: Drawn) -> Result:
    """What a side left in its folder."""
    built, searched = (json.loads((folder / f"{name}.json").read_text("utf-8")) for name in ("built", "searched"))
    return Result(side.title, count, drawn.shoes.shape[1], built, searched)


def describe_machine() -> str:
    """Its processor, and how much else it has to do."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    name = cpu.partition(":")[2].strip() or platform.machine()
    return f"{name}, {len(os.sched_getaffinity(0))} CPUs, load {os.getloadavg()[0]:.1f}"


def _print(results: Sequence[Result], facts: dict[str, Any], out: Path | None) -> None:
    if results:
        print(format_table(results), end="\n\n")
    for line in describe_goals(results):
        print(f"- {line}")
    for name, value in facts.items():
        print(f"- {name}: {value}")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        rows = [
            {"side": each.side, "count": each.count, "built": each.built, "searched": each.searched} for each in results
        ]
        out.write_text(json.dumps({"facts": facts, "results": rows}, indent=2) + "\n", "utf-8")


def main() -> None:
    """Run the command line."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    run_command(app)
