"""`python -m benchmarks.milvus`: a real Milvus, measured, and killed."""

import json
import logging
import platform
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.milvus.faults import Book, Outage, run_faults
from benchmarks.milvus.server import MilvusProcess
from benchmarks.milvus.speed import Measured, measure
from service.milvus_address import Index

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)

Command = Annotated[Path, typer.Option("--server", help="milvus-server, of an environment with the package `milvus`.")]
Data = Annotated[Path | None, typer.Option(help="The server's folder.", show_default="a temporary one")]
Out = Annotated[Path | None, typer.Option(help="A file for all figures, as JSON.", show_default="none")]


@app.command()
def speed(
    *,
    server: Command = Path("artifacts/peers/milvus/bin/milvus-server"),
    data: Data = None,
    sizes: Annotated[str, typer.Option(help="Shoes, between commas.")] = "10000,100000",
    indexes: Annotated[str, typer.Option(help="flat, hnsw or both.")] = "flat,hnsw",
    seconds: Annotated[float, typer.Option(help="Of each load.")] = 6.0,
    writers: Annotated[int, typer.Option(min=1, help="That fill a store at once.")] = 1,
    strong: Annotated[bool, typer.Option("--strong", help="Also read at the consistency level Strong.")] = False,
    out: Out = None,
) -> None:
    """Fill stores, search them, and print how fast they are and what they find."""
    results: list[Measured] = []
    with (
        tempfile.TemporaryDirectory(prefix="milvus-") as temporary,
        MilvusProcess(server, data or Path(temporary)) as process,
    ):
        for size in (int(each) for each in sizes.split(",")):
            for name in indexes.split(","):
                index: Index = "hnsw" if name == "hnsw" else "flat"
                results.append(measure(process, size, index, seconds=seconds, writers=writers))
                print(format_speed(results[-1:]), flush=True)
            if strong:
                results.append(measure(process, size, index, strong=True, seconds=seconds, fresh=False))
    print(f"\n{format_speed(results)}")
    if out is not None:
        out.write_text(json.dumps({"host": platform.platform(), "results": [asdict(each) for each in results]}))


@app.command()
def faults(
    *,
    server: Command = Path("artifacts/peers/milvus/bin/milvus-server"),
    data: Data = None,
    kills: Annotated[int, typer.Option(min=0, help="How often the server is killed.")] = 5,
    calm: Annotated[float, typer.Option(help="Seconds before each.")] = 10.0,
    out: Out = None,
) -> None:
    """Kill the server and start it again, while two replicas of the service are asked and somebody writes."""
    with (
        tempfile.TemporaryDirectory(prefix="milvus-") as temporary,
        MilvusProcess(server, data or Path(temporary) / "milvus") as process,
    ):
        book, outages, compared = run_faults(process, Path(temporary), kills=kills, calm=calm)
    print(format_faults(book, outages, compared))
    if out is not None:
        book.statuses, statuses = Counter(), dict(book.statuses)  # asdict takes a Counter for something else
        figures = asdict(book) | {
            "statuses": statuses,
            "outages": [asdict(each) for each in outages],
            "compared": compared,
        }
        out.write_text(json.dumps(figures))
    sys.exit(bool(book.problems))


def format_speed(results: list[Measured]) -> str:
    """A table in Markdown."""
    loads = list(results[0].p50)
    head = ["shoes", "index", "reads", "insert/s (writers)", "replace p50", *(f"{load} p50 / p99 ms" for load in loads)]
    head += [f"{load} req/s, CPU ms here + there" for load in loads] + ["recall@10", "filtered", "server MiB"]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    for each in results:
        cells = [f"{each.shoes:,}", each.index, "strong" if each.strong else "session"]
        cells += ["" if each.insert != each.insert else f"{each.insert:,.0f} ({each.writers})", f"{each.write:.0f} ms"]
        cells += [f"{each.p50[load]:.1f} / {each.p99[load]:.1f}" for load in loads]
        cells += [f"{each.rate[load]:.0f}, {each.ours[load]:.1f} + {each.theirs[load]:.1f}" for load in loads]
        cells += [f"{each.recall:.4f}", f"{each.filtered:.4f}", f"{each.memory:,.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def format_faults(book: Book, outages: list[Outage], compared: int) -> str:
    """All of it, for people."""
    lines = ["| kill | away s | start s | 503 after s | Milvus finds s | replicas answer s | a change is taken s |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    lines += [
        f"| {number} | {each.down:.1f} | {each.start:.1f} | {each.noticed:.1f} | {each.usable:.1f} "
        f"| {each.recovered:.1f} | {each.written:.1f} |"
        for number, each in enumerate(outages, start=1)
    ]
    slow = ", ".join(f"{status}: {seconds:.1f} s" for status, seconds in sorted(book.slow.items()))
    lines += [
        "",
        f"answers to readers: {dict(book.statuses)}; the slowest {slow}; 503 without Retry-After: {book.without_retry}",
        f"changes acknowledged: {book.acknowledged}; attempts refused meanwhile: {book.refused}",
        f"a change was in a replica's answer {book.seen} times {book.late:.2f} s later at most; 503 {book.away} times",
        f"answers of the two replicas compared in the end: {compared}",
        f"wrong answers, lost writes, phantoms, differences: {len(book.problems)}",
        *book.problems[:20],
    ]
    return "\n".join(lines)


logging.basicConfig(level=logging.WARNING)
