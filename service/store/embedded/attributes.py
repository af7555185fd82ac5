"""Attribute lists in memory: filters and facets in milliseconds.

For each value of an attribute the rows that have it are kept side by side, in their order. So a filter that lets few
rows pass touches few: it costs what it finds, not what there is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from service.store.filters import All, AnyOf, Filter, HasId, HasValue, InRange, Not


@dataclass(frozen=True)
class Column:
    """One attribute: for each of its V values the rows that have it.

    Attributes:
        codes_of: value -> code, 0 to V - 1; values that no row has any more keep theirs.
        rows: (P,) int32, the rows of value 0, then those of value 1 and so on, ascending within each.
        starts: (V + 1,) int64, where each value's rows begin.
    """

    codes_of: Mapping[str, int]
    rows: NDArray[np.int32]
    starts: NDArray[np.int64]

    @property
    def counts(self) -> NDArray[np.int64]:
        """(V,), how many rows have each value."""
        return np.diff(self.starts)

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """(V,), the values as numbers; NaN for those that are none."""
        return self._parse(InRange(""))

    @cached_property
    def dates(self) -> NDArray[np.float64]:
        """(V,), the values as dates; NaN for those that are none."""
        return self._parse(InRange("", dates=True))

    def _parse(self, range: InRange) -> NDArray[np.float64]:
        return np.fromiter(map(range.parse, self.codes_of), np.float64, len(self.codes_of))

    def can_compare(self, range: InRange) -> bool:
        """Whether any value is of the kind that a range compares."""
        return not bool(np.isnan(self.dates if range.dates else self.numbers).all())

    def within(self, range: InRange) -> NDArray[np.int32]:
        """The rows that have a value in a range, ascending, each once."""
        values = self.dates if range.dates else self.numbers
        chosen = ~np.isnan(values)
        if range.low is not None:
            chosen &= values > range.low if range.open_low else values >= range.low
        if range.high is not None:
            chosen &= values < range.high if range.open_high else values <= range.high
        rows: NDArray[np.int32] = np.unique(self.rows[np.repeat(chosen, self.counts)])
        return rows

    def having(self, values: Iterable[str]) -> NDArray[np.int32]:
        """The rows that have any of some values, ascending, each once."""
        codes = [code for value in values if (code := self.codes_of.get(value)) is not None]
        parts = [self.rows[self.starts[code] : self.starts[code + 1]] for code in codes]
        if len(parts) == 1:
            return parts[0]
        return np.unique(np.concatenate([np.empty(0, np.int32), *parts]))

    def updated(self, moved: NDArray[np.int32], changed: Sequence[tuple[int, tuple[str, ...]]], size: int) -> "Column":
        """A column with rows moved (see `AttributeTable.updated`), and the values of the changed ones added."""
        codes_of = dict(self.codes_of)
        pairs = [
            (codes_of.setdefault(value, len(codes_of)), row)
            for row, values in changed
            for value in dict.fromkeys(values)
        ]
        new = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        rows = moved[self.rows]
        kept = rows >= 0
        codes = np.repeat(np.arange(len(self.counts)), self.counts)
        keys = np.concatenate([codes[kept] * size + rows[kept], new[:, 0] * size + new[:, 1]])
        return column_of(codes_of, keys, size)

    def count(self, mask: NDArray[np.bool_] | None) -> dict[str, int]:
        """Value -> number of its rows where `mask`, (N,), is True; None: of all its rows."""
        starts = self.starts if mask is None else np.concatenate([[0], np.cumsum(mask[self.rows])])[self.starts]
        counts = np.diff(starts).tolist()
        return {value: counts[code] for value, code in self.codes_of.items()}


NO_ROWS: Mapping[str, int] = MappingProxyType({})

EMPTY_COLUMN = Column({}, np.empty(0, np.int32), np.zeros(1, np.int64))


@dataclass(frozen=True)
class AttributeTable:
    """The attributes of N rows, column by column. Immutable: `updated` makes another."""

    size: int = 0
    columns: Mapping[str, Column] = field(default_factory=dict)

    @classmethod
    def of(cls, attributes: Sequence[Mapping[str, tuple[str, ...]]]) -> "AttributeTable":
        """The table of rows with these attributes. Quick where many rows share one and the same mapping."""
        size = len(attributes)
        positions: dict[int, int] = {}
        position_of = np.fromiter(
            (positions.setdefault(id(each), len(positions)) for each in attributes), np.int64, size
        )
        distinct = dict(zip(position_of.tolist(), attributes, strict=True))
        order = np.argsort(position_of, kind="stable").astype(np.int32)  # the rows of each mapping side by side
        counts = np.bincount(position_of, minlength=len(positions))
        ends = np.cumsum(counts)
        pairs: dict[str, list[tuple[int, int]]] = {}
        codes_of: dict[str, dict[str, int]] = {}
        for position, mapping in distinct.items():
            for name, values in mapping.items():
                codes = codes_of.setdefault(name, {})
                new = [(codes.setdefault(value, len(codes)), position) for value in dict.fromkeys(values)]
                pairs.setdefault(name, []).extend(new)
        columns = {}
        for name in sorted(name for name, found in pairs.items() if found):
            codes, chosen = np.array(pairs[name], dtype=np.int64).T
            lengths = counts[chosen]
            within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            rows = order[np.repeat(ends[chosen] - lengths, lengths) + within]
            columns[name] = column_of(codes_of[name], np.repeat(codes, lengths) * size + rows, size)
        return cls(size, columns)

    def updated(
        self, moved: NDArray[np.int32], changed: Sequence[tuple[int, Mapping[str, tuple[str, ...]]]], size: int
    ) -> "AttributeTable":
        """The table after some rows have gone, moved, changed or come.

        Args:
            moved: (N,), where each row is now; -1 for the removed and for the changed.
            changed: the new row and the attributes of each shoe that changed or came.
            size: number of rows afterwards.
        """
        by_name: dict[str, list[tuple[int, tuple[str, ...]]]] = {name: [] for name in self.columns}
        for row, attributes in changed:
            for name, values in attributes.items():
                by_name.setdefault(name, []).append((row, values))
        columns = {
            name: self.columns.get(name, EMPTY_COLUMN).updated(moved, by_name[name], size) for name in sorted(by_name)
        }
        return AttributeTable(size, {name: column for name, column in columns.items() if len(column.rows)})

    def rows(self, filter: Filter, row_of: Mapping[str, int] = NO_ROWS) -> NDArray[np.int32]:
        """The rows that pass, ascending; none for an attribute or a value that no row has.

        Args:
            filter: the expression.
            row_of: id -> the shoe's row.
        """
        match filter:
            case HasValue(attribute, values):
                return self.column(attribute).having(values)
            case InRange():
                return self.column(filter.attribute).within(filter)
            case HasId(ids):
                return np.array(sorted(row_of[item_id] for item_id in ids if item_id in row_of), dtype=np.int32)
            case Not(part):
                return np.flatnonzero(~self._mark(self.rows(part, row_of))).astype(np.int32)
            case AnyOf(parts):
                found = (self.rows(part, row_of) for part in parts)
                return np.unique(np.concatenate([np.empty(0, np.int32), *found]))
            case All(parts):
                return self._rows_of_all(parts, row_of)

    def _rows_of_all(self, parts: Sequence[Filter], row_of: Mapping[str, int]) -> NDArray[np.int32]:
        """The rows that pass every part: the few of the narrowest are looked up among those of the others."""
        required = sorted((self.rows(part, row_of) for part in parts if not isinstance(part, Not)), key=len)
        passing = required[0] if required else np.arange(self.size, dtype=np.int32)
        for other in required[1:]:
            passing = passing[self._mark(other)[passing]]
        for part in parts:
            if isinstance(part, Not):
                passing = passing[~self._mark(self.rows(part.part, row_of))[passing]]
        return passing

    def _mark(self, rows: NDArray[np.int32]) -> NDArray[np.bool_]:
        """(N,), True for some rows."""
        mask = np.zeros(self.size, dtype=np.bool_)
        mask[rows] = True
        return mask

    def column(self, attribute: str) -> Column:
        """Of an attribute; an empty one where no row has it."""
        return self.columns.get(attribute, EMPTY_COLUMN)

    def facets(self, mask: NDArray[np.bool_] | None) -> dict[str, dict[str, int]]:
        """Attribute -> value -> number of rows where `mask` is True, or of all; in no order, and with zeros."""
        return {name: column.count(mask) for name, column in self.columns.items()}


def column_of(codes_of: Mapping[str, int], keys: NDArray[np.int64], size: int) -> Column:
    """A column of pairs of a code and a row of `size`, each written as code * size + row; sorts `keys`."""
    keys.sort()  # numbers, since that takes a fraction of sorting pairs
    starts = np.searchsorted(keys, np.arange(len(codes_of) + 1) * size)
    return Column(codes_of, (keys % max(size, 1)).astype(np.int32), starts)
