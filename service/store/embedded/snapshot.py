"""Snapshots: the immutable state of a catalogue in memory, out of which every query is answered.

It has two segments: a base, which may be large and is made anew only now and then, and what has changed since, which is
small and searched exactly. A shoe of the base that was removed or changed is marked as gone there; a changed one is
among the recent ones, with its old number, and so in its old place.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from heapq import merge

import numpy as np
from numpy.typing import NDArray

from model.errors import QueryError
from service.errors import UnknownItem
from service.store.base import OVERALL, Filter, Hit, Item, Page, Weights
from service.store.checks import check_condition, check_filter, read_cursor, sort_counts, write_cursor
from service.store.embedded.database import Changes
from service.store.embedded.segment import Layout, Segment
from service.store.filters import InRange, find_leaves
from service.store.index.exact import Neighbours
from service.store.index.flat import FlatIndex

__all__ = ["Snapshot"]

Found = tuple[float, int, Item]
"""Distance, number and shoe; hits are sorted by the first two."""


class Snapshot:
    """The shoes of a catalogue.

    Attributes:
        seq: number of the last change in here.
        base: most of the shoes.
        recent: those that came or changed since the base was made.
    """

    def __init__(self, *, seq: int, base: Segment, recent: Segment) -> None:
        self.seq = seq
        self.base = base
        self.recent = recent

    @classmethod
    def of(cls, base: Segment) -> "Snapshot":
        """A catalogue that has not changed since its base was made."""
        nothing = np.empty((0, base.vectors.shape[1]), dtype=np.float32)
        recent = Segment(base.layout, seq=base.seq, numbers=np.empty(0, np.int64), items=[], vectors=nothing)
        return cls(seq=base.seq, base=base, recent=recent)

    @classmethod
    def read(cls, changes: Changes, layout: Layout, *, flat: FlatIndex | None = None) -> "Snapshot":
        """A catalogue read from its beginning; `flat` holds the vectors of `changes` where these have none."""
        vectors = changes.vectors if flat is None else flat
        return cls.of(Segment(layout, seq=changes.seq, numbers=changes.numbers, items=changes.items, vectors=vectors))

    def after(self, changes: Changes) -> "Snapshot":
        """The catalogue once `changes`, which follow this snapshot's `seq`, have happened."""
        touched = np.concatenate([changes.removed, changes.numbers])
        recent = self.recent.after(
            seq=changes.seq,
            numbers=changes.numbers,
            items=changes.items,
            vectors=changes.vectors,
            removed=changes.removed,
        )
        return Snapshot(seq=changes.seq, base=self.base.without(touched), recent=recent)

    @property
    def pending(self) -> int:
        """How many rows differ between the base and the catalogue."""
        return len(self.recent) + self.base.gone

    def compacted(self) -> "Snapshot":
        """The same catalogue, all of it in the base. Takes its time where that is large."""
        recent = self.recent
        base = self.base.after(
            seq=self.seq,
            numbers=recent.numbers,
            items=recent.items,
            vectors=recent.vectors,
            removed=np.empty(0, np.int64),
        )
        return Snapshot.of(base)

    def with_indexes(self, old: Segment, new: Segment) -> "Snapshot":
        """The same catalogue with the indexes of `new`, if its base is `old` but for shoes that have gone since."""
        if self.base.numbers is not old.numbers:
            return self
        return Snapshot(seq=self.seq, base=self.base.with_indexes_of(new), recent=self.recent)

    def __len__(self) -> int:
        return self.base.count + self.recent.count

    def get(self, item_id: str) -> Item:
        """One shoe. Raises UnknownItem."""
        segment, row = self._locate(item_id)
        return segment.items[row]

    def vector(self, item_id: str) -> NDArray[np.float32]:
        """One shoe's vector, (D,) float32, a copy. Raises UnknownItem."""
        segment, row = self._locate(item_id)
        vector: NDArray[np.float32] = segment.vectors[row].copy()
        return vector

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        *,
        condition: str | Weights,
        filter: Filter | None,
        vectors: bool = False,
    ) -> list[list[Hit]]:
        """See `VectorStore.search`; `queries` and `k` are checked already."""
        self._check(condition, filter)
        answers: list[list[Found]] = [[] for _ in queries]
        for segment in self._segments:
            found = segment.search(queries, k, condition, segment.select(filter))
            answers = [_first(k, *pair) for pair in zip(answers, _to_found(segment, found), strict=True)]
        if vectors:
            return [[Hit(item, distance, self.vector(item.id)) for distance, _, item in answer] for answer in answers]
        return [[Hit(item, distance) for distance, _, item in answer] for answer in answers]

    def page(self, *, limit: int, cursor: str | None, filter: Filter | None) -> Page:
        """See `VectorStore.page`. A cursor is the number of the last shoe before it, so removals don't shift it."""
        self._check(OVERALL, filter)
        after = -1 if cursor is None else read_cursor(cursor)
        total, shown = 0, list[tuple[int, Item]]()
        for segment in self._segments:
            selection = segment.select(filter)
            rows = np.arange(len(segment)) if selection is None else selection.rows
            start = int(np.searchsorted(segment.numbers[rows], after, side="right"))
            chosen = rows[start : start + limit + 1]
            total += len(rows)
            pairs = zip(segment.numbers[chosen].tolist(), (segment.items[row] for row in chosen.tolist()), strict=True)
            shown = list(merge(shown, pairs, key=lambda pair: pair[0]))
        is_last = len(shown) <= limit
        return Page(
            items=tuple(item for _, item in shown[:limit]),
            next=None if is_last else write_cursor(shown[limit - 1][0]),
            total=total,
        )

    def facets(self, filter: Filter | None) -> dict[str, dict[str, int]]:
        """See `VectorStore.facets`."""
        if filter is None:
            return sort_counts(self._counts)
        self._check(OVERALL, filter)
        return sort_counts(_add(*(segment.facets(filter) for segment in self._segments)))

    @property
    def _segments(self) -> tuple[Segment, ...]:
        return (self.base, self.recent) if len(self.recent) else (self.base,)

    @cached_property
    def _counts(self) -> dict[str, dict[str, int]]:
        return _add(*(segment.counts() for segment in self._segments))

    def _check(self, condition: str | Weights, filter: Filter | None) -> None:
        """Raise QueryError for a condition, an attribute or a value that the catalogue does not have."""
        check_condition(condition, self.base.layout.slices)
        if filter is None:
            return
        check_filter(filter, self._counts)
        for leaf in find_leaves(filter):
            if isinstance(leaf, InRange) and not any(segment.can_compare(leaf) for segment in self._segments):
                kind = "date" if leaf.dates else "number"
                raise QueryError("filter", f"{leaf.attribute!r} has no {kind} that could be compared to one")

    def _locate(self, item_id: str) -> tuple[Segment, int]:
        for segment in self._segments:
            if (row := segment.row(item_id)) is not None:
                return segment, row
        raise UnknownItem(item_id)


def _to_found(segment: Segment, found: Sequence[Neighbours]) -> list[list[Found]]:
    """Each query's neighbours in a segment, as shoes."""
    return [
        [
            (distance, number, segment.items[row])
            for row, number, distance in zip(
                each.rows.tolist(), segment.numbers[each.rows].tolist(), each.distances.tolist(), strict=True
            )
        ]
        for each in found
    ]


def _first(k: int, one: list[Found], other: list[Found]) -> list[Found]:
    """The k nearest of both."""
    if not one:
        return other
    return sorted([*one, *other], key=lambda found: found[:2])[:k]


def _add(*counts: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """The sums, attribute by attribute and value by value."""
    total: dict[str, dict[str, int]] = {}
    for each in counts:
        for name, values in each.items():
            of_name = total.setdefault(name, {})
            for value, number in values.items():
                of_name[value] = of_name.get(value, 0) + number
    return total
