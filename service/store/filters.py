"""Which shoes a search may find: an expression over their attributes, which every store evaluates in its own way."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

__all__ = [
    "All",
    "AnyOf",
    "Filter",
    "HasValue",
    "InRange",
    "Not",
    "canonical",
    "find_leaves",
    "parse_date",
    "parse_number",
    "replace_leaves",
]


@dataclass(frozen=True, slots=True)
class HasValue:
    """The attribute has one of these values, to the letter."""

    attribute: str
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class InRange:
    """The attribute has a value between two bounds.

    Values that are no numbers, or with `dates` no dates, are in no range.

    Attributes:
        attribute: its name.
        low: the least value; None: there is no bound.
        high: the largest value, likewise.
        open_low: `low` itself is out of it.
        open_high: `high` itself is out of it.
        dates: values and bounds are dates, in seconds as `parse_date` gives them; otherwise numbers.
    """

    attribute: str
    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False
    dates: bool = False

    def parse(self, value: str) -> float:
        """A value of the attribute as a number to compare; NaN if it is none."""
        parsed = parse_date(value) if self.dates else parse_number(value)
        return math.nan if parsed is None else parsed


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of the parts holds at least."""

    parts: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold; so it is of shoes that lack its attribute."""

    part: "Filter"


Filter: TypeAlias = HasValue | InRange | All | AnyOf | Not
"""An expression; where a filter is optional, None lets every shoe pass."""


def find_leaves(filter: Filter) -> Iterator[HasValue | InRange]:
    """The comparisons in an expression, from left to right."""
    match filter:
        case All(parts) | AnyOf(parts):
            for part in parts:
                yield from find_leaves(part)
        case Not(part):
            yield from find_leaves(part)
        case HasValue() | InRange():
            yield filter


def parse_number(text: str) -> float | None:
    """A number as people write it; None for anything else, also for what only Python takes for one."""
    if "_" in text:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def parse_date(text: str) -> float | None:
    """An ISO date such as 2020-01-31, with or without a time, in seconds since 1970; None for anything else.

    A time without a zone is taken as UTC.
    """
    if text[4:5] != "-":  # 20200131 is a number
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def canonical(filter: Filter | None) -> list[object]:
    """What is required, written alike for expressions that differ only in the order of their parts."""
    parts = () if filter is None else filter.parts if isinstance(filter, All) else (filter,)
    return sorted(map(_write, parts), key=repr)


def _write(filter: Filter) -> object:
    match filter:
        case HasValue(attribute, values):
            return attribute, sorted(values)
        case InRange():
            return filter
        case Not(part):
            return "not", _write(part)
        case All(parts) | AnyOf(parts):
            return type(filter).__name__, sorted(map(_write, parts), key=repr)


def replace_leaves(filter: Filter, change: Callable[[HasValue | InRange], Filter]) -> Filter:
    """The expression with each of its comparisons changed."""
    match filter:
        case All(parts):
            return All(tuple(replace_leaves(part, change) for part in parts))
        case AnyOf(parts):
            return AnyOf(tuple(replace_leaves(part, change) for part in parts))
        case Not(part):
            return Not(replace_leaves(part, change))
        case HasValue() | InRange():
            return change(filter)
