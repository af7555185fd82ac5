"""Snapshots: the immutable state of a catalogue in memory, out of which every query is answered.

A snapshot has two segments of rows: a base, which may be large and is made anew only now and then, and what has changed
since, which is small and searched exactly. A shoe of the base that was removed or changed is marked as gone there; a
changed one is among the recent ones, with its old number, and so in its old place.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from heapq import merge

import numpy as np
from numpy.typing import NDArray

from model.errors import QueryError
from service.errors import UnknownItem
from service.store.base import (
    OVERALL,
    Filter,
    Hit,
    Item,
    Page,
    Record,
    Weights,
    check_condition,
    check_filter,
    cursor_to_number,
    number_to_cursor,
    sort_counts,
)
from service.store.embedded.attributes import AttributeTable
from service.store.embedded.database import Changes
from service.store.filters import InRange, find_leaves
from service.store.index.exact import ExactIndex, Neighbours, Selection, Vectors
from service.store.index.ivf import Tuned

GONE = Item("", "", {})
"""Placeholder of a removed shoe of which nothing is known any more."""

SCANNED_ROWS = 50_000
"""Selected rows up to which even a large segment is searched exactly; that takes a few milliseconds."""


@dataclass(frozen=True)
class Layout:
    """What holds for all segments of a store.

    Attributes:
        slices: name -> (start, stop) of its part of the vector; without `overall`.
        exact_shoes: up to so many shoes searches are exact, in a copy of each slice; beyond them they go by inverted
            indexes, and nothing is copied.
        threads: how many one search may use.
    """

    slices: Mapping[str, tuple[int, int]]
    exact_shoes: int
    threads: int = 1


class Segment:
    """N rows in the order of their numbers: row i of everything in here is one shoe. Immutable.

    Attributes:
        seq: number of the last change that was known when the segment was made.
        numbers: (N,) int64, ascending.
        items: the shoes; `GONE` for those that were gone already when the segment was made.
        vectors: (N, D) float32, shared by everything that looks at them; perhaps in a mapped file.
        digest: of the file that the vectors lie in; "" if they lie in none.
        exact: slice, or `overall` -> its exact index, as far as they have been asked for.
        tuned: likewise -> its inverted index; in a large segment, as far as they have been made.
        count: shoes that are still there.
        present: (N,), True for the rows of shoes that are still there; None if all are.
        gone_counts: attribute -> value -> number of shoes that have gone since the segment was made.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        seq: int,
        numbers: NDArray[np.int64],
        items: list[Item],
        vectors: Vectors,
        attributes: AttributeTable | None = None,
        digest: str = "",
    ) -> None:
        """Take over the arguments: see above; `attributes` are the items'."""
        self.layout, self.seq, self.digest = layout, seq, digest
        self.numbers, self.items, self.vectors = numbers, items, vectors
        self._attributes = attributes or AttributeTable.of([item.attributes for item in items])
        self._row_of = {item.id: row for row, item in enumerate(items) if item is not GONE}
        self.present: NDArray[np.bool_] | None = None
        if len(self._row_of) < len(items):
            self.present = np.array([item is not GONE for item in items], dtype=np.bool_)
        self.gone_counts: dict[str, Counter[str]] = {}
        self.count = len(self._row_of)
        self.tuned: Mapping[str, Tuned] = {}
        self.exact: dict[str, ExactIndex] = {}

    def __len__(self) -> int:
        """N, with those that are gone."""
        return len(self.items)

    @property
    def is_large(self) -> bool:
        """Whether there are so many rows that searches go by inverted indexes, and nothing is copied."""
        return len(self.items) > self.layout.exact_shoes

    @property
    def gone(self) -> int:
        """How many rows are of shoes that are no longer there."""
        return len(self.items) - self.count

    def columns(self, slice_name: str) -> slice:
        """The numbers of a vector that a slice has; all, of `overall`."""
        return slice(*self.layout.slices.get(slice_name, (0, self.vectors.shape[1])))

    def view(self, slice_name: str) -> Vectors:
        """A slice of the vectors, (N, d): not a copy."""
        return self.vectors[:, self.columns(slice_name)]

    def row(self, item_id: str) -> int | None:
        """Where a shoe is; None if it is not there."""
        row = self._row_of.get(item_id)
        return None if row is None or (self.present is not None and not self.present[row]) else row

    def alive(self) -> NDArray[np.integer]:
        """The rows of the shoes that are there, ascending."""
        return np.arange(len(self)) if self.present is None else np.flatnonzero(self.present)

    def select(self, filter: Filter | None) -> Selection | None:
        """The rows to look at: of shoes that are there and pass the filter; None for all.

        A value that no shoe has lets none pass: whether that is an error is for the whole catalogue to say.
        """
        selection: Selection | None = None
        if filter is not None:
            selection = Selection(len(self), rows=self._attributes.rows(filter, self._row_of))
            selection = selection if self.present is None else selection.within(self.present)
        elif self.present is not None:
            selection = Selection(len(self), mask=self.present)
        return selection

    def search(
        self, queries: Vectors, k: int, condition: str | Weights, selection: Selection | None
    ) -> list[Neighbours]:
        """The k nearest rows of those selected to each query, (B, D), by a slice that there is, or by weights."""
        if not isinstance(condition, str):
            return self._exact_of(OVERALL).search(queries, k, selection, condition)
        queries, exact = queries[:, self.columns(condition)], self._exact_of(condition)
        tuned = self.tuned.get(condition)
        if tuned is None or (selection is not None and selection.count <= SCANNED_ROWS):
            return exact.search(queries, k, selection)
        found = tuned.search(self.view(condition), queries, k, selection)
        left = [position for position, each in enumerate(found) if each is None]
        rest = iter(exact.search(queries[left], k, selection) if left else ())
        return [next(rest) if each is None else each for each in found]

    def can_compare(self, range: InRange) -> bool:
        """Whether a range's attribute has a value of its kind here, perhaps of a shoe that has gone."""
        return self._attributes.column(range.attribute).can_compare(range)

    def counts(self) -> dict[str, dict[str, int]]:
        """Attribute -> value -> number of the shoes that are there; in no order, and with zeros."""
        counts = self._attributes.facets(None)
        for name, gone in self.gone_counts.items():
            for value, number in gone.items():
                counts[name][value] -= number
        return counts

    def facets(self, filter: Filter) -> dict[str, dict[str, int]]:
        """The same of the shoes that pass the filter."""
        selection = self.select(filter)
        return self._attributes.facets(None if selection is None else selection.mask)

    def changed(self, **attributes: object) -> "Segment":
        """The same segment with some attributes in place of its own."""
        other = copy(self)
        other.__dict__.update(attributes)
        return other

    def in_file(self, vectors: Vectors, digest: str) -> "Segment":
        """The same segment with its vectors, (N, D), where they lie in a file of that digest."""
        return self.changed(vectors=vectors, digest=digest, exact={})

    def with_tuned(self, slice_name: str, tuned: Tuned) -> "Segment":
        """The same segment with a slice's inverted index."""
        return self.changed(tuned={**self.tuned, slice_name: tuned})

    def without(self, numbers: NDArray[np.int64]) -> "Segment":
        """The same segment, but the shoes of some numbers are gone, as far as they are in it."""
        positions = np.searchsorted(self.numbers, numbers)
        positions = positions[positions < len(self)]
        rows = np.unique(positions[np.isin(self.numbers[positions], numbers)])
        if self.present is not None:
            rows = rows[self.present[rows]]
        if not len(rows):
            return self
        present = np.ones(len(self), dtype=np.bool_) if self.present is None else self.present.copy()
        present[rows] = False
        gone = {name: Counter(counts) for name, counts in self.gone_counts.items()}
        for row in rows.tolist():
            for name, values in self.items[row].attributes.items():
                gone.setdefault(name, Counter()).update(set(values))
        return self.changed(present=present, count=self.count - len(rows), gone_counts=gone)

    def after(self, new: "Changes | Segment", removed: Sequence[int] | NDArray[np.int64] = ()) -> "Segment":
        """Another segment, with some shoes put in or in others' places, some removed, and nothing that is gone.

        Args:
            new: the shoes that are new or changed, as of the last change.
            removed: numbers of shoes to leave out.
        """
        kept = self.alive()
        kept = kept[~np.isin(self.numbers[kept], removed)]
        merged = np.union1d(self.numbers[kept], new.numbers)
        rows_kept = np.searchsorted(merged, self.numbers[kept])
        rows_changed = np.searchsorted(merged, new.numbers)

        all_vectors = np.empty((len(merged), self.vectors.shape[1]), dtype=np.float32)
        all_vectors[rows_kept] = self.vectors[kept]
        all_vectors[rows_changed] = new.vectors

        all_items: list[Item] = [GONE] * len(merged)
        for row, old in zip(rows_kept.tolist(), kept.tolist(), strict=True):
            all_items[row] = self.items[old]
        for row, item in zip(rows_changed.tolist(), new.items, strict=True):
            all_items[row] = item

        moved = np.full(len(self), -1, dtype=np.int32)
        moved[kept] = np.where(np.isin(rows_kept, rows_changed), -1, rows_kept)
        changed = [(row, item.attributes) for row, item in zip(rows_changed.tolist(), new.items, strict=True)]
        return Segment(
            self.layout,
            seq=new.seq,
            numbers=merged,
            items=all_items,
            vectors=all_vectors,
            attributes=self._attributes.updated(moved, changed, len(merged)),
        )

    def _exact_of(self, slice_name: str) -> ExactIndex:
        """The exact index of a slice, made when it is first asked for; that of whole vectors takes weights."""
        if (index := self.exact.get(slice_name)) is None:
            vectors = self.view(slice_name) if self.is_large else np.ascontiguousarray(self.view(slice_name))
            slices = self.layout.slices if slice_name == OVERALL else None
            # Two threads may both make it; they make the same, and one of the two stays.
            index = self.exact.setdefault(slice_name, ExactIndex(vectors, slices, threads=self.layout.threads))
        return index


NumberedHit = tuple[float, int, Item]
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
    def read(cls, changes: Changes, layout: Layout) -> "Snapshot":
        """A catalogue read from its beginning."""
        seq, numbers, items, vectors = changes.seq, changes.numbers, changes.items, changes.vectors
        return cls.of(Segment(layout, seq=seq, numbers=numbers, items=items, vectors=vectors))

    def after(self, changes: Changes) -> "Snapshot":
        """The catalogue once `changes`, which follow this snapshot's `seq`, have happened."""
        touched = np.concatenate([changes.removed, changes.numbers])
        recent = self.recent.after(changes, changes.removed)
        return Snapshot(seq=changes.seq, base=self.base.without(touched), recent=recent)

    @property
    def pending(self) -> int:
        """How many rows differ between the base and the catalogue."""
        return len(self.recent) + self.base.gone

    def compacted(self) -> "Snapshot":
        """The same catalogue, all of it in the base. Takes its time where that is large."""
        return Snapshot.of(self.base.after(self.recent))

    def with_indexes(self, old: Segment, new: Segment) -> "Snapshot":
        """The same catalogue with the indexes of `new`, if its base is `old` but for shoes that have gone since."""
        if self.base.numbers is not old.numbers:
            return self
        base = self.base.in_file(new.vectors, new.digest).changed(tuned=new.tuned)
        return Snapshot(seq=self.seq, base=base, recent=self.recent)

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
        answers: list[list[NumberedHit]] = [[] for _ in queries]
        for segment in self._segments:
            found = segment.search(queries, k, condition, segment.select(filter))
            answers = [_first(k, *pair) for pair in zip(answers, _to_hits(segment, found), strict=True)]
        if vectors:
            return [[Hit(item, distance, self.vector(item.id)) for distance, _, item in answer] for answer in answers]
        return [[Hit(item, distance) for distance, _, item in answer] for answer in answers]

    def page(self, *, limit: int, cursor: str | None, filter: Filter | None) -> Page:
        """See `VectorStore.page`. A cursor is the number of the last shoe before it, so removals don't shift it."""
        self._check(OVERALL, filter)
        after = -1 if cursor is None else cursor_to_number(cursor)
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
            next=None if is_last else number_to_cursor(shown[limit - 1][0]),
            total=total,
        )

    def sample(self, count: int) -> list[Record]:
        """See `VectorStore.sample`: at equal distances in the order of rows."""
        positions = np.linspace(0, len(self) - 1, min(count, len(self))).astype(np.int64)
        records, start = list[Record](), 0
        for segment in self._segments:
            rows = segment.alive()
            chosen = rows[positions[(start <= positions) & (positions < start + len(rows))] - start]
            records += [Record(segment.items[row], segment.vectors[row].copy()) for row in chosen.tolist()]
            start += len(rows)
        return records

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


def _to_hits(segment: Segment, found: Sequence[Neighbours]) -> list[list[NumberedHit]]:
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


def _first(k: int, one: list[NumberedHit], other: list[NumberedHit]) -> list[NumberedHit]:
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
