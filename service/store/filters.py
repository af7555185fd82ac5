"""Filters: which shoes a search may find, as expressions over attributes, and as clients write them.

Every store evaluates the expressions in its own way. Clients write texts, `Attribute:Value` and ranges, and JSON.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from model.errors import QueryError
from model.text import nfc

__all__ = [
    "MAX_IDS",
    "All",
    "AnyOf",
    "Filter",
    "HasId",
    "HasValue",
    "InRange",
    "Not",
    "canonical",
    "find_leaves",
    "parse_date",
    "parse_filter",
    "parse_number",
    "replace_leaves",
]

MAX_DEPTH = 8
"""Levels of an expression in JSON."""

MAX_LEAVES = 200
"""Comparisons in one filter."""

MAX_IDS = 10_000
"""Ids in one filter."""

DAY = 86_400.0

DATE_LENGTH = len("2020-01-31")

COMPARISONS = (">=", "<=", ">", "<")

COMBINATIONS = ("all", "any", "not")

EXPECTED_NODE = (
    'expected a text such as "Gender:Women", {"attribute": "Brand", "values": ["Ana"]}, {"attribute": "price", '
    '"min": 20, "max": 80}, {"ids": ["7000100.150"]}, or {"all": [...]}, {"any": [...]} or {"not": [...]} of such'
)


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
class HasId:
    """The shoe has one of these ids; some of them may be no shoe's."""

    ids: frozenset[str]


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


Filter: TypeAlias = HasValue | InRange | HasId | All | AnyOf | Not
"""An expression; where a filter is optional, None lets every shoe pass."""


def find_leaves(filter: Filter) -> Iterator[HasValue | InRange]:
    """The comparisons of attributes in an expression, from left to right."""
    return (leaf for leaf in _find_leaves(filter) if not isinstance(leaf, HasId))


def _find_leaves(filter: Filter) -> Iterator[HasValue | InRange | HasId]:
    match filter:
        case All(parts) | AnyOf(parts):
            for part in parts:
                yield from _find_leaves(part)
        case Not(part):
            yield from _find_leaves(part)
        case HasValue() | InRange() | HasId():
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
        case HasId(ids):
            return None, sorted(ids)  # no attribute's name
        case Not(part):
            return "not", _write(part)
        case All(parts) | AnyOf(parts):
            return type(filter).__name__, sorted(map(_write, parts), key=repr)


def replace_leaves(filter: Filter, change: Callable[[HasValue | InRange], Filter]) -> Filter:
    """The expression with each of its comparisons of attributes changed."""
    match filter:
        case All(parts):
            return All(tuple(replace_leaves(part, change) for part in parts))
        case AnyOf(parts):
            return AnyOf(tuple(replace_leaves(part, change) for part in parts))
        case Not(part):
            return Not(replace_leaves(part, change))
        case HasValue() | InRange():
            return change(filter)
        case HasId():
            return filter


def parse_filter(given: Sequence[str | Mapping[str, Any]]) -> Filter | None:
    """Several terms as one filter; None if there are none.

    Texts: `Attribute:Value`; a value may hold colons itself. `price:>=20`, `price:<80`, `price:20..80` compare numbers,
    and dates such as 2020-01-31. `-` before any of them excludes. Values and intervals of one attribute are
    alternatives; all else is required. A text that begins with a brace is an expression in JSON, which can also name
    shoes by their ids.

    Raises:
        QueryError: a term is none of these.
    """
    parts: list[Filter] = []
    alternatives: dict[str, list[HasValue | InRange]] = {}
    for term in given:
        if not isinstance(term, str) or term.lstrip().startswith("{"):
            parts.append(_parse_expression(term))
            continue
        leaf = _parse_text(term)
        if isinstance(leaf, Not) or (isinstance(leaf, InRange) and None in {leaf.low, leaf.high}):
            parts.append(leaf)
        else:
            alternatives.setdefault(leaf.attribute, []).append(leaf)
    required = [*map(_join, alternatives.values()), *parts]
    if not required:
        return None
    whole = required[0] if len(required) == 1 else All(tuple(required))
    leaves = list(_find_leaves(whole))
    if len(leaves) > MAX_LEAVES:
        raise QueryError("filter", f"the filter has more than {MAX_LEAVES} comparisons")
    ids = sum(len(leaf.ids) for leaf in leaves if isinstance(leaf, HasId))
    if ids > MAX_IDS:
        raise QueryError("filter", f"the filter has {ids:,} ids; expected at most {MAX_IDS:,}")
    return whole


def _join(leaves: Sequence[HasValue | InRange]) -> Filter:
    """Alternatives of one attribute."""
    values = frozenset(value for leaf in leaves if isinstance(leaf, HasValue) for value in leaf.values)
    ranges = tuple(leaf for leaf in leaves if isinstance(leaf, InRange))
    parts: tuple[Filter, ...] = (HasValue(leaves[0].attribute, values), *ranges) if values else ranges
    return parts[0] if len(parts) == 1 else AnyOf(parts)


def _parse_text(text: str) -> "HasValue | InRange | Not":
    attribute, colon, value = nfc(text).partition(":")
    excludes = attribute.startswith("-")
    attribute = attribute.removeprefix("-")
    if not (attribute and colon and value):
        raise QueryError("filter", f"filter {text!r} is not Attribute:Value, such as Gender:Women")
    leaf = _parse_range(attribute, value) or HasValue(attribute, frozenset({value}))
    return Not(leaf) if excludes else leaf


def _parse_range(attribute: str, value: str) -> InRange | None:
    """`>=20`, `<2020-01-31` or `20..80`; None for a value that is no range. Raises QueryError."""
    for sign in COMPARISONS:
        if value.startswith(sign):
            bound = value.removeprefix(sign)
            return _make_range(attribute, **{sign: bound})
    low, dots, high = value.partition("..")
    if dots and all(parse_number(each) is not None or parse_date(each) is not None for each in (low, high)):
        return _make_range(attribute, **{">=": low, "<=": high})
    return None


def _make_range(attribute: str, **bounds: str) -> InRange:
    """A range of bounds by their signs. Raises QueryError for one that is neither number nor date, or for both."""
    numbers = {sign: parse_number(text) for sign, text in bounds.items()}
    dates = {sign: parse_date(text) for sign, text in bounds.items()}
    if all(value is not None for value in numbers.values()):
        found, is_date = numbers, False
    elif all(value is not None for value in dates.values()):
        # What is at most a day reaches to its end, and what is after it begins there.
        late = {sign for sign, text in bounds.items() if sign in {"<=", ">"} and len(text) == DATE_LENGTH}
        bounds = {{"<=": "<", ">": ">="}[sign] if sign in late else sign: text for sign, text in bounds.items()}
        found = {
            sign: value + DAY if old in late and value is not None else value
            for (old, value), sign in zip(dates.items(), bounds, strict=True)
        }
        is_date = True
    else:
        shown = " and ".join(repr(text[:80]) for text in bounds.values())
        raise QueryError(
            "filter", f"{attribute} is compared to {shown}; expected a number, or a date such as 2020-01-31"
        )
    return InRange(
        attribute,
        low=found.get(">=", found.get(">")),
        high=found.get("<=", found.get("<")),
        open_low=">" in found,
        open_high="<" in found,
        dates=is_date,
    )


def _parse_expression(given: object) -> Filter:
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            raise QueryError("filter", f"filter {str(given)[:80]!r} is no JSON; {EXPECTED_NODE}") from None
    return _parse_node(given, MAX_DEPTH)


def _parse_node(node: object, depth: int) -> Filter:
    if not depth:
        raise QueryError("filter", f"the filter has more than {MAX_DEPTH} levels")
    if isinstance(node, str) and not node.lstrip().startswith("{"):
        return _parse_text(node)
    if not (isinstance(node, dict) and node):
        raise _unexpected(node)
    if "attribute" in node:
        return _parse_leaf(node)
    if "ids" in node:
        return _parse_ids(node)
    parts: list[Filter] = []
    for name, nodes in node.items():
        if name not in COMBINATIONS or not isinstance(nodes, list) or not nodes:
            raise _unexpected(node)
        inner = tuple(_parse_node(each, depth - 1) for each in nodes)
        if name == "all":
            parts.append(All(inner))
        else:
            parts.append(AnyOf(inner) if name == "any" else Not(AnyOf(inner)))
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _parse_leaf(node: dict[str, Any]) -> Filter:
    attribute, values = node["attribute"], node.get("values")
    bounds = {sign: node[name] for name, sign in (("min", ">="), ("max", "<=")) if name in node}
    others = node.keys() - {"attribute", "values", "min", "max"}
    if not (isinstance(attribute, str) and attribute) or others or (values is None) != bool(bounds):
        raise _unexpected(node)
    if values is None:
        if any(isinstance(bound, bool) or not isinstance(bound, str | int | float) for bound in bounds.values()):
            raise _unexpected(node)
        return _make_range(nfc(attribute), **{sign: str(bound) for sign, bound in bounds.items()})
    if not (isinstance(values, list) and values and all(isinstance(value, str) for value in values)):
        raise _unexpected(node)
    return HasValue(nfc(attribute), frozenset(map(nfc, values)))


def _parse_ids(node: dict[str, Any]) -> HasId:
    ids = node["ids"]
    if len(node) > 1 or not (isinstance(ids, list) and ids and all(isinstance(item_id, str) for item_id in ids)):
        raise _unexpected(node)
    return HasId(frozenset(map(nfc, ids)))


def _unexpected(node: object) -> QueryError:
    return QueryError("filter", f"filter {str(node)[:80]!r} is none; {EXPECTED_NODE}")
