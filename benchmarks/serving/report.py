"""From measurements to one table: medians over the rounds, and ratios to the best peer and to the ceiling."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from benchmarks.serving.ceiling import Ceiling
from benchmarks.serving.load import Load

OURS = "solemate"

GOAL_P50, GOAL_CPU = 0.85, 1.5
"""With one client at most: its median beside the best peer's, and processor time beside the ceiling's of a picture."""

GOAL_RATE, GOAL_CEILING = 2.0, 0.6
"""With more, at least: times the best peer's rate, at a lower p99; and with the most, the share of the ceiling."""

SERVED = ("onnx", "torch")
"""The ceiling's encoders that the service has: ratios are to the faster one."""


@dataclass(frozen=True)
class Measurement:
    """One server under one load, once.

    Attributes:
        server: its title.
        clients: how many at once.
        round: which repetition, from 0.
        load: what the clients saw.
        cpu_ms: processor time of the server's processes for one request, in milliseconds.
        peak_mib: the sum of its processes' peaks of memory meanwhile.
    """

    server: str
    clients: int
    round: int
    load: Load
    cpu_ms: float
    peak_mib: float


@dataclass(frozen=True)
class Row:
    """A line of the table: medians over the rounds, and the sum of the errors. The ceiling has no clients.

    `slowest` and `fastest` are the rounds' lowest and highest rates; `of_peer` and `of_ceiling` are ratios of rates,
    None where there is nothing to compare with.
    """

    server: str
    clients: int | None
    rate: float
    slowest: float
    fastest: float
    p50_ms: float | None
    p99_ms: float | None
    errors: int
    cpu_ms: float
    peak_mib: float
    of_peer: float | None
    of_ceiling: float | None


def make_rows(measurements: Sequence[Measurement], ceilings: Mapping[str, Sequence[Ceiling]]) -> list[Row]:
    """The rows, by clients and then in the order of measurement.

    Args:
        measurements: of all servers, loads and rounds.
        ceilings: encoder -> its rounds.
    """
    top = max((median(each.rate for each in ceilings[name]) for name in SERVED if name in ceilings), default=None)
    best = {
        clients: max((_rate(some) for server, some in _groups(measurements, clients) if server != OURS), default=None)
        for clients in sorted({each.clients for each in measurements})
    }
    rows = [
        _summarise(server, clients, some, best[clients], top)
        for clients in best
        for server, some in _groups(measurements, clients)
    ]
    return rows + [_summarise_ceiling(name, rounds, top) for name, rounds in ceilings.items()]


def _groups(measurements: Iterable[Measurement], clients: int) -> list[tuple[str, list[Measurement]]]:
    groups: dict[str, list[Measurement]] = {}
    for each in measurements:
        if each.clients == clients:
            groups.setdefault(each.server, []).append(each)
    return sorted(groups.items(), key=lambda group: group[0] != OURS)


def _rate(some: Sequence[Measurement]) -> float:
    return median(each.load.rate for each in some)


def _summarise(server: str, clients: int, some: Sequence[Measurement], best: float | None, top: float | None) -> Row:
    rate = _rate(some)
    return Row(
        server=server,
        clients=clients,
        rate=rate,
        slowest=min(each.load.rate for each in some),
        fastest=max(each.load.rate for each in some),
        p50_ms=median(each.load.p50_ms for each in some),
        p99_ms=median(each.load.p99_ms for each in some),
        errors=sum(each.load.errors for each in some),
        cpu_ms=median(each.cpu_ms for each in some),
        peak_mib=median(each.peak_mib for each in some),
        of_peer=rate / best if best else None,
        of_ceiling=rate / top if top else None,
    )


def _title(encoder: str) -> str:
    return f"no HTTP, {encoder}"


def _summarise_ceiling(name: str, rounds: Sequence[Ceiling], top: float | None) -> Row:
    rate = median(each.rate for each in rounds)
    return Row(
        server=_title(name),
        clients=None,
        rate=rate,
        slowest=min(each.rate for each in rounds),
        fastest=max(each.rate for each in rounds),
        p50_ms=None,
        p99_ms=None,
        errors=0,
        cpu_ms=median(each.cpu_ms for each in rounds),
        peak_mib=median(each.peak_mib for each in rounds),
        of_peer=None,
        of_ceiling=rate / top if top else None,
    )


def format_table(rows: Sequence[Row]) -> str:
    """The rows in Markdown."""
    head = (
        "clients", "server", "requests/s", "lowest-highest", "p50 ms", "p99 ms", "errors", "CPU ms/request",
        "peak MiB", "x best peer", "of the ceiling",
    )  # fmt: skip
    lines = [head, ["---:", "---", *["---:"] * (len(head) - 2)]]
    lines += [_format_row(row) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _format_row(row: Row) -> list[str]:
    return [
        _show(row.clients, "{}"),
        row.server,
        f"{row.rate:,.0f}",
        f"{row.slowest:,.0f}-{row.fastest:,.0f}",
        _show(row.p50_ms, "{:.1f}"),
        _show(row.p99_ms, "{:.1f}"),
        str(row.errors),
        f"{row.cpu_ms:.2f}",
        f"{row.peak_mib:,.0f}",
        _show(row.of_peer, "{:.2f}"),
        _show(row.of_ceiling, "{:.0%}"),
    ]


def _show(value: float | None, spelling: str) -> str:
    return "" if value is None else spelling.format(value)


def describe_goals(rows: Sequence[Row]) -> list[str]:
    """What was aimed at and what came of it, a line each; none where our server was not measured.

    With more clients than one, the goal is a rate and a p99 beside the peer of the best rate; with the fewest, a p50
    beside the peer of the best p50, and processor time beside what a picture takes without HTTP.
    """
    ours = {row.clients: row for row in rows if row.server == OURS and row.clients is not None}
    if not ours:
        return []
    few, many = min(ours), max(ours)
    lines = []
    for clients, row in ours.items():
        peers = [each for each in rows if each.clients == clients and each.server != OURS]
        if peers and clients == few:
            best = min(peers, key=lambda each: each.p50_ms or 0)
            ratio = (row.p50_ms or 0) / (best.p50_ms or 1)
            lines.append(
                f"{_count(clients)}: p50 {row.p50_ms:.2f} ms, {ratio:.2f} of that of {best.server}; goal at most "
                f"{GOAL_P50}: {_verdict(is_met=ratio <= GOAL_P50)}"
            )
        if peers and clients > 1:
            best = max(peers, key=lambda each: each.rate)
            ratio = row.rate / best.rate
            is_met = ratio >= GOAL_RATE and (row.p99_ms or 0) < (best.p99_ms or 0)
            lines.append(
                f"{_count(clients)}: {ratio:.2f} times the rate of {best.server}, p99 {row.p99_ms:.1f} ms to its "
                f"{best.p99_ms:.1f}; goal {GOAL_RATE} times at a lower p99: {_verdict(is_met=is_met)}"
            )
    ceilings = [row for row in rows if row.server in [_title(name) for name in SERVED]]
    if ceilings:
        top = max(ceilings, key=lambda each: each.rate)
        ratio, share = ours[few].cpu_ms / top.cpu_ms, ours[many].of_ceiling or 0
        lines.append(
            f"{_count(few)}: {ours[few].cpu_ms:.2f} ms of processor a request, {ratio:.2f} times the ceiling's; goal "
            f"at most {GOAL_CPU}: {_verdict(is_met=ratio <= GOAL_CPU)}"
        )
        lines.append(
            f"{_count(many)}: {share:.0%} of the ceiling; goal {GOAL_CEILING:.0%}: "
            f"{_verdict(is_met=share >= GOAL_CEILING)}"
        )
    return lines


def _count(clients: int) -> str:
    return "1 client" if clients == 1 else f"{clients} clients"


def _verdict(*, is_met: bool) -> str:
    return "met" if is_met else "not met"


def to_json(
    rows: Sequence[Row],
    measurements: Sequence[Measurement],
    ceilings: Mapping[str, Sequence[Ceiling]],
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything, the single rounds too."""
    return {
        "facts": dict(facts),
        "rows": [asdict(row) for row in rows],
        "goals": describe_goals(rows),
        "measurements": [asdict(each) for each in measurements],
        "ceilings": {name: [asdict(each) for each in rounds] for name, rounds in ceilings.items()},
    }
