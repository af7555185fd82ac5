"""What was tried and what happened, as a table and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Trial", "format_table", "to_json"]


@dataclass(frozen=True)
class Trial:
    """One thing that was tried.

    Attributes:
        fault: the name on the command line.
        tried: what was done to the service.
        happened: what came of it.
        held: whether that is what should have.
        figures: what it was counted from.
    """

    fault: str
    tried: str
    happened: str
    held: bool
    figures: Mapping[str, Any] = field(default_factory=dict)


def format_table(trials: Sequence[Trial]) -> str:
    """The trials in Markdown."""
    lines = ["| fault | tried | what happened | |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {each.fault} | {each.tried} | {each.happened} | {'held' if each.held else '**did not hold**'} |"
        for each in trials
    ]
    return "\n".join(lines)


def to_json(trials: Sequence[Trial], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Everything."""
    return {"facts": dict(facts), "trials": [vars(each) for each in trials]}
