"""The tables of a report: figures over several seeds, in Markdown and for a terminal."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

__all__ = ["Spread", "to_columns", "to_pipe"]


@dataclass(frozen=True)
class Spread:
    """A figure over the seeds. `deviation` is the sample's standard deviation; None of one seed."""

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of at least one value."""
        return cls(mean(values), stdev(values) if len(values) > 1 else None)

    def to_text(self, scale: float, digits: int) -> str:
        """Such as "99.71 ± 0.03"."""
        text = f"{scale * self.mean:.{digits}f}"
        return text if self.deviation is None else f"{text} ± {scale * self.deviation:.{digits}f}"


def to_pipe(table: Sequence[Sequence[str]], names: int) -> str:
    """A Markdown table whose first `names` columns are words; the first row is its head."""
    rule = ["---" if column < names else "--:" for column in range(len(table[0]))]
    return "\n".join("| " + " | ".join(row) + " |" for row in [table[0], rule, *table[1:]])


def to_columns(table: Sequence[Sequence[str]]) -> str:
    """The table for a terminal: columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
    return "\n".join(line.rstrip() for line in lines)
