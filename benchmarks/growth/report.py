"""From what the sides told to one table, and what of the goals was met."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OURS = "solemate"
MIB = 2**20
FLOAT = 4


@dataclass(frozen=True)
class Goals:
    """What is wanted of solemate.

    Attributes:
        count: at so many vectors.
        recall: recall@10, at least.
        p50: milliseconds of a search, one client, at most.
        memory: of one condition's searches, as a multiple of the raw vectors, at most.
        filtered: milliseconds of an exact search among a hundredth of them, at most.
    """

    count: int = 1_000_000
    recall: float = 0.98
    p50: float = 1.0
    memory: float = 1.6
    filtered: float = 5.0


GOALS = Goals()


@dataclass(frozen=True)
class Result:
    """What one side told of one catalogue.

    Attributes:
        side: its title.
        count: N.
        dimension: D.
        built: see `benchmarks.growth.side.build`.
        searched: see `benchmarks.growth.side.search`.
    """

    side: str
    count: int
    dimension: int
    built: Mapping[str, Any]
    searched: Mapping[str, Any]

    @property
    def index_seconds(self) -> tuple[float, float]:
        """By the clock and of processors, to build the index alone."""
        told = self.built
        seconds, cpu = told.get("index_seconds", told["seconds"]), told.get("index_cpu_seconds", told["cpu_seconds"])
        return float(seconds), float(cpu)

    @property
    def memory(self) -> float | None:
        """Bytes of the index, with the vectors."""
        memory = self.searched.get("index_memory") or self.searched["memory"]
        return None if memory is None else float(memory)

    @property
    def of_raw(self) -> float | None:
        """The same as a multiple of the raw vectors."""
        return None if self.memory is None else self.memory / (FLOAT * self.count * self.dimension)


HEAD = (
    "| vectors | side | build s | CPU s | MiB | x raw | recall@10 | 1 client: p50, p99 ms | searches/s "
    "| 8 clients: p50, p99 ms | searches/s | in a hundredth: p50, p99 ms | recall |"
)


def format_table(results: Sequence[Result]) -> str:
    """Markdown, by numbers of vectors."""
    rule = "| " + " | ".join(["---:", "---", *["---:"] * 11]) + " |"
    return "\n".join([HEAD, rule, *(format_row(each) for each in results)])


def format_row(result: Result) -> str:
    """One line of the table."""
    seconds, cpu = result.index_seconds
    memory = "" if result.memory is None else f"{result.memory / MIB:,.0f}"
    of_raw = "" if result.of_raw is None else f"{result.of_raw:.2f}"
    cells = [f"{result.count:,}", result.side, f"{seconds:,.1f}", f"{cpu:,.1f}", memory, of_raw]
    cells.append(f"{result.searched['recall']:.4f}")
    for latency in result.searched["latencies"]:
        cells += [_spell(latency), f"{latency['per_second']:,.0f}"]
    filtered = result.searched["filtered"]
    cells += ["", ""] if filtered is None else [_spell(filtered), f"{filtered['recall']:.4f}"]
    return f"| {' | '.join(cells)} |"


def describe_goals(results: Sequence[Result], goals: Goals = GOALS) -> list[str]:
    """One line for each goal at its number of vectors, if that was measured: whether it was met, and by what."""
    ours = next((each for each in results if each.side == OURS and each.count == goals.count), None)
    if ours is None:
        return []
    searched, filtered = ours.searched, ours.searched["filtered"]
    p50 = searched["latencies"][0]["p50"]
    of_raw = ours.of_raw or 0.0
    in_lot = f"ten nearest in a hundredth {filtered['p50']:.3f} ms, recall {filtered['recall']:.4f}"
    judged = [
        (searched["recall"] >= goals.recall, f"recall@10 {searched['recall']:.4f}; goal: at least {goals.recall}"),
        (p50 <= goals.p50, f"p50 of one client {p50:.3f} ms; goal: at most {goals.p50}"),
        (of_raw <= goals.memory, f"memory of one condition {of_raw:.2f} x raw; goal: at most {goals.memory}"),
        (
            filtered["p50"] <= goals.filtered and filtered["recall"] == 1.0,
            f"{in_lot}; goal: exact, at most {goals.filtered} ms",
        ),
    ]
    return [f"{'met' if met else 'MISSED'}: {text}" for met, text in judged]


def _spell(latency: Mapping[str, float]) -> str:
    return f"{latency['p50']:.3f}, {latency['p99']:.3f}"
