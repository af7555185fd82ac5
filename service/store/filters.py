"""Which shoes have which attribute, in memory: filters and facets in milliseconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model.errors import QueryError
from service.store.base import Filter

__all__ = ["AttributeTable", "Column"]

VALUES_LISTED = 20


@dataclass(frozen=True)
class Column:
    """One attribute: P pairs of a row and the code of a value that the row has, in no particular order.

    Attributes:
        codes_of: value -> code, 0 to V - 1; values that no row has any more keep theirs.
        rows: (P,) int32.
        codes: (P,) int32.
        counts: (V,) int64, how many rows have each value.
    """

    codes_of: Mapping[str, int]
    rows: NDArray[np.int32]
    codes: NDArray[np.int32]
    counts: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", np.bincount(self.codes, minlength=len(self.codes_of)))

    def updated(self, moved: NDArray[np.int32], changed: Sequence[tuple[int, tuple[str, ...]]]) -> "Column":
        """A column with rows moved (see `AttributeTable.updated`), and the values of the changed ones added."""
        codes_of = dict(self.codes_of)
        pairs = [
            (row, codes_of.setdefault(value, len(codes_of)))
            for row, values in changed
            for value in dict.fromkeys(values)
        ]
        new = np.array(pairs, dtype=np.int32).reshape(-1, 2)
        rows = moved[self.rows]
        kept = rows >= 0
        return Column(
            codes_of,
            np.concatenate([rows[kept], new[:, 0]]),
            np.concatenate([self.codes[kept], new[:, 1]]),
        )

    def known(self, counts: NDArray[np.int64]) -> dict[str, int]:
        """Value -> count, most frequent first, without the values whose count is 0."""
        pairs = ((value, int(counts[code])) for value, code in self.codes_of.items() if counts[code])
        return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))


EMPTY_COLUMN = Column({}, np.empty(0, np.int32), np.empty(0, np.int32))


@dataclass(frozen=True)
class AttributeTable:
    """The attributes of N rows, column by column. Immutable: `updated` makes another."""

    size: int = 0
    columns: Mapping[str, Column] = field(default_factory=dict)

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
        columns = {name: self.columns.get(name, EMPTY_COLUMN).updated(moved, by_name[name]) for name in sorted(by_name)}
        return AttributeTable(size, {name: column for name, column in columns.items() if column.counts.any()})

    def mask(self, filter: Filter | None) -> NDArray[np.bool_] | None:
        """(N,), True for the rows that pass; None if every one does because nothing is asked.

        Raises:
            QueryError: an attribute, or a value of it, that no row has.
        """
        if not filter:
            return None
        passing = np.ones(self.size, dtype=np.bool_)
        for name, values in filter.items():
            if (column := self.columns.get(name)) is None:
                known = ", ".join(self.columns) or "none"
                raise QueryError("filter", f"unknown attribute {name!r}; known attributes: {known}")
            allowed = np.zeros(len(column.counts), dtype=np.bool_)
            for value in values:
                allowed[self._code(name, column, value)] = True
            having = np.zeros(self.size, dtype=np.bool_)
            having[column.rows[allowed[column.codes]]] = True
            passing &= having
        return passing

    def facets(self, mask: NDArray[np.bool_] | None) -> dict[str, dict[str, int]]:
        """Attribute -> value -> number of rows where `mask` is True; attributes by name, frequent values first."""
        facets = {}
        for name, column in self.columns.items():
            counts = column.counts
            if mask is not None:
                counts = np.bincount(column.codes[mask[column.rows]], minlength=len(counts))
            if known := column.known(counts):
                facets[name] = known
        return facets

    def _code(self, name: str, column: Column, value: str) -> int:
        code = column.codes_of.get(value)
        if code is None or not column.counts[code]:
            known = list(column.known(column.counts))
            listed = ", ".join(known[:VALUES_LISTED])
            more = f" and {len(known) - VALUES_LISTED} more" if len(known) > VALUES_LISTED else ""
            raise QueryError("filter", f"unknown value {value!r} of {name!r}; known values: {listed}{more}")
        return code
