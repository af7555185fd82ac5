"""Filters: which shoes a search may find, as expressions over attributes, and as clients write them.

Every store evaluates the expressions in its own way. Clients write texts, `Attribute:Value` and ranges, and JSON.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from reprlib import Repr
from typing import Any, TypeAlias

from model.errors import QueryError
from model.text import MAX_ECHO, nfc

MAX_DEPTH = 8
"""Levels of an expression in JSON."""

MAX_LEAVES = 200
"""Comparisons in one filter."""

MAX_VALUES = 1000
"""Values that one filter compares attributes to."""

MAX_IDS = 10_000
"""Ids in one filter."""

MAX_TERMS = MAX_VALUES + MAX_LEAVES
"""Terms that one filter may be given as: each has a comparison of its own, or a value of one."""

MOST = {"comparisons": MAX_LEAVES, "values": MAX_VALUES, "ids": MAX_IDS, "characters": 2**21}
"""What a filter consists of -> how many of them it may have."""

DAY = 86_400.0

DATE_LENGTH = len("2020-01-31")

COMPARISONS = (">=", "<=", ">", "<")

COMBINATIONS = ("all", "any", "not")

EXPECTED_NODE = (
    'expected a text such as "Gender:Women", {"attribute": "Brand", "values": ["Ana"]}, {"attribute": "price", '
    '"min": 20, "max": 80}, {"ids": ["7000100.150"]}, or {"all": [...]}, {"any": [...]} or {"not": [...]} of such'
)


SHOWN = Repr()
"""Writes no more of a wrong value than a message repeats, however large the value is."""
SHOWN.maxstring = MAX_ECHO


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


class _Counts(Counter[str]):
    """How much of each kind in `MOST` a filter has, counted while it is parsed: the first too many ends that."""

    def take(self, **numbers: int) -> None:
        """Count some more. Raises QueryError."""
        for kind, number in numbers.items():
            self[kind] += number
            if self[kind] > MOST[kind]:
                raise QueryError("filter", f"the filter has more than {MOST[kind]:,} {kind}")


def parse_filter(given: Sequence[str | Mapping[str, Any]]) -> Filter | None:
    """Several terms as one filter; None if there are none.

    Texts: `Attribute:Value`; a value may hold colons itself. `price:>=20`, `price:<80`, `price:20..80` compare numbers,
    and dates such as 2020-01-31. `-` before any of them excludes. Values and intervals of one attribute are
    alternatives; all else is required. A text that begins with a brace is an expression in JSON, which can also name
    shoes by their ids.

    Raises:
        QueryError: a term is none of these, or there is more of them than `MOST`.
    """
    counts, valued = _Counts(), set[str]()
    parts: list[Filter] = []
    alternatives: dict[str, list[HasValue | InRange]] = {}
    for term in given:
        if not isinstance(term, str) or term.lstrip().startswith("{"):
            parts.append(_parse_expression(term, counts))
            continue
        leaf = _parse_text(term, counts)
        if isinstance(leaf, HasValue):
            valued.add(leaf.attribute)
        else:
            counts.take(comparisons=1)
        if isinstance(leaf, Not) or (isinstance(leaf, InRange) and None in {leaf.low, leaf.high}):
            parts.append(leaf)
        else:
            alternatives.setdefault(leaf.attribute, []).append(leaf)
    counts.take(comparisons=len(valued))  # one for all values of an attribute
    required = [*map(_join, alternatives.values()), *parts]
    if not required:
        return None
    return required[0] if len(required) == 1 else All(tuple(required))


def _join(leaves: Sequence[HasValue | InRange]) -> Filter:
    """Alternatives of one attribute."""
    values = frozenset(value for leaf in leaves if isinstance(leaf, HasValue) for value in leaf.values)
    ranges = tuple(leaf for leaf in leaves if isinstance(leaf, InRange))
    parts: tuple[Filter, ...] = (HasValue(leaves[0].attribute, values), *ranges) if values else ranges
    return parts[0] if len(parts) == 1 else AnyOf(parts)


def _parse_text(text: str, counts: _Counts) -> "HasValue | InRange | Not":
    counts.take(characters=len(text))
    attribute, colon, value = nfc(text).partition(":")
    excludes = attribute.startswith("-")
    attribute = attribute.removeprefix("-")
    if not (attribute and colon and value):
        raise QueryError("filter", f"filter {text[:MAX_ECHO]!r} is not Attribute:Value, such as Gender:Women")
    leaf: HasValue | InRange | None = _parse_range(attribute, value)
    if leaf is None:
        counts.take(values=1)
        leaf = HasValue(attribute, frozenset({value}))
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
        shown = " and ".join(repr(text[:MAX_ECHO]) for text in bounds.values())
        raise QueryError(
            "filter",
            f"{attribute[:MAX_ECHO]} is compared to {shown}; expected a number, or a date such as 2020-01-31",
        )
    return InRange(
        attribute,
        low=found.get(">=", found.get(">")),
        high=found.get("<=", found.get("<")),
        open_low=">" in found,
        open_high="<" in found,
        dates=is_date,
    )


def _parse_expression(given: object, counts: _Counts) -> Filter:
    if isinstance(given, str):
        counts.take(characters=len(given))
        try:
            return _parse_node(json.loads(given), MAX_DEPTH, counts)
        except (ValueError, RecursionError):
            raise QueryError("filter", f"filter {given[:MAX_ECHO]!r} is no JSON; {EXPECTED_NODE}") from None
    return _parse_node(given, MAX_DEPTH, counts)


def _parse_node(node: object, depth: int, counts: _Counts) -> Filter:
    if not depth:
        raise QueryError("filter", f"the filter has more than {MAX_DEPTH} levels")
    if isinstance(node, str) and not node.lstrip().startswith("{"):
        counts.take(comparisons=1)
        return _parse_text(node, counts)
    if not (isinstance(node, dict) and node):
        raise _unexpected(node)
    if "attribute" in node:
        return _parse_leaf(node, counts)
    if "ids" in node:
        return _parse_ids(node, counts)
    parts: list[Filter] = []
    for name, nodes in node.items():
        if name not in COMBINATIONS or not isinstance(nodes, list) or not nodes:
            raise _unexpected(node)
        inner = tuple(_parse_node(each, depth - 1, counts) for each in nodes)
        if name == "all":
            parts.append(All(inner))
        else:
            parts.append(AnyOf(inner) if name == "any" else Not(AnyOf(inner)))
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _parse_leaf(node: dict[str, Any], counts: _Counts) -> Filter:
    counts.take(comparisons=1)
    attribute, values = node["attribute"], node.get("values")
    bounds = {sign: node[name] for name, sign in (("min", ">="), ("max", "<=")) if name in node}
    others = node.keys() - {"attribute", "values", "min", "max"}
    if not (isinstance(attribute, str) and attribute) or others or (values is None) != bool(bounds):
        raise _unexpected(node)
    if values is None:
        if any(isinstance(bound, bool) or not isinstance(bound, str | int | float) for bound in bounds.values()):
            raise _unexpected(node)
        return _make_range(nfc(attribute), **{sign: str(bound) for sign, bound in bounds.items()})
    _count_texts(node, values, "values", counts)
    return HasValue(nfc(attribute), frozenset(map(nfc, values)))


def _parse_ids(node: dict[str, Any], counts: _Counts) -> HasId:
    counts.take(comparisons=1)
    if len(node) > 1:
        raise _unexpected(node)
    _count_texts(node, node["ids"], "ids", counts)
    return HasId(frozenset(map(nfc, node["ids"])))


def _count_texts(node: dict[str, Any], texts: object, kind: str, counts: _Counts) -> None:
    """Count what has to be a list of texts. Raises QueryError."""
    if not (isinstance(texts, list) and texts):
        raise _unexpected(node)
    counts.take(**{kind: len(texts)})
    if not all(isinstance(text, str) for text in texts):
        raise _unexpected(node)
    counts.take(characters=sum(map(len, texts)))


def _unexpected(node: object) -> QueryError:
    shown = node if isinstance(node, str) else SHOWN.repr(node)
    return QueryError("filter", f"filter {shown[:MAX_ECHO]!r} is none; {EXPECTED_NODE}")
