"""Segments: immutable rows in memory, with vectors, attributes and the indexes of each condition."""

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.store.base import OVERALL, Filter, Item, Weights
from service.store.embedded.attributes import AttributeTable
from service.store.filters import InRange
from service.store.index.exact import Neighbours, Selection, scan
from service.store.index.flat import FlatIndex
from service.store.index.large import SharedIndex
from service.store.index.tuning import Tuned
from service.store.index.weighted import WeightedIndex

__all__ = ["GONE", "Layout", "Segment"]

Vectors = NDArray[np.float32]

GONE = Item("", "", {})
"""Placeholder of a removed shoe of which nothing is known any more."""

SCANNED_SHARE = 1 / 16
"""Share of a small segment's rows up to which a selection is scanned rather than searched by FAISS."""

SCANNED_ROWS = 50_000
"""Rows of a large segment up to which a selection is scanned; that takes a few milliseconds."""


@dataclass(frozen=True)
class Layout:
    """What holds for all segments of a store.

    Attributes:
        slices: condition -> (start, stop) of its part of the vector; without `overall`.
        exact_up_to: up to so many shoes searches are exact, in a copy of each condition's slice.
        threads: how many one search may use.
    """

    slices: Mapping[str, tuple[int, int]]
    exact_up_to: int
    threads: int = 1


class Segment:
    """N rows in the order of their numbers: row i of everything in here is one shoe. Immutable.

    Attributes:
        seq: number of the last change that was known when the segment was made.
        numbers: (N,) int64, ascending.
        items: the shoes; `GONE` for those that were gone already when the segment was made.
        vectors: (N, D) float32, shared by everything that looks at them; perhaps in a mapped file.
        digest: of the file that the vectors lie in; "" if they lie in none.
        tuned: condition -> its inverted index; in a large segment, as far as they have been made.
        weighted: what searches by several slices at once; None until it is first asked for.
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
        vectors: Vectors | FlatIndex,
        attributes: AttributeTable | None = None,
        digest: str = "",
    ) -> None:
        """Take over the arguments: see above. `vectors` may be an index of them; `attributes` are the items'."""
        self.layout, self.seq, self.digest = layout, seq, digest
        self.numbers, self.items = numbers, items
        self._attributes = attributes or AttributeTable.of([item.attributes for item in items])
        self._row_of = {item.id: row for row, item in enumerate(items) if item is not GONE}
        self.present: NDArray[np.bool_] | None = None
        if len(self._row_of) < len(items):
            self.present = np.array([item is not GONE for item in items], dtype=np.bool_)
        self.gone_counts: dict[str, Counter[str]] = {}
        self.count = len(self._row_of)
        self.tuned: Mapping[str, Tuned] = {}
        self._flat: dict[str, FlatIndex] = {}
        self.weighted: WeightedIndex | None = None
        if not isinstance(vectors, FlatIndex) and not self.is_large:
            vectors = FlatIndex.of(vectors, threads=layout.threads)
        if isinstance(vectors, FlatIndex):
            self._flat[OVERALL] = vectors
            self.vectors = vectors.matrix
        else:
            self.vectors = vectors

    def __len__(self) -> int:
        """N, with those that are gone."""
        return len(self.items)

    @property
    def is_large(self) -> bool:
        """Whether there are so many rows that searches go by inverted indexes, and conditions copy nothing."""
        return len(self.items) > self.layout.exact_up_to

    @property
    def gone(self) -> int:
        """How many rows are of shoes that are no longer there."""
        return len(self.items) - self.count

    @property
    def flat(self) -> FlatIndex | None:
        """The index of the whole vectors; None in a large segment."""
        return self._flat.get(OVERALL)

    def columns(self, condition: str) -> slice:
        """The part of a vector that a condition compares."""
        return slice(*self.layout.slices.get(condition, (0, self.vectors.shape[1])))

    def view(self, condition: str) -> Vectors:
        """The vectors as a condition sees them, (N, d): not a copy."""
        return self.vectors[:, self.columns(condition)]

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
            selection = Selection(len(self), rows=self._attributes.rows(filter))
            selection = selection if self.present is None else selection.within(self.present)
        elif self.present is not None:
            selection = Selection(len(self), mask=self.present)
        return selection

    def search(
        self, queries: Vectors, k: int, condition: str | Weights, selection: Selection | None
    ) -> list[Neighbours]:
        """The k nearest rows of those selected to each query, (B, D); `condition` is a known one."""
        if not isinstance(condition, str):
            return self._weighted_index().search(queries, condition, k, None if selection is None else selection.mask)
        queries = queries[:, self.columns(condition)]
        if selection is not None and selection.count <= self._scanned():
            return scan(self.view(condition), queries, k, selection.rows)
        if self.is_large:
            index = SharedIndex(self.view(condition), self.tuned.get(condition), threads=self.layout.threads)
            return index.search(queries, k, selection)
        return self._flat_of(condition).search(queries, k, None if selection is None else selection.mask)

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

    def in_file(self, vectors: Vectors, digest: str) -> "Segment":
        """The same segment with its vectors, (N, D), where they lie in a file of that digest."""
        other = copy(self)
        other.vectors, other.digest, other.weighted = vectors, digest, None
        return other

    def with_tuned(self, condition: str, tuned: Tuned) -> "Segment":
        """The same segment with a condition's inverted index."""
        other = copy(self)
        other.tuned = {**self.tuned, condition: tuned}
        return other

    def with_indexes_of(self, other: "Segment") -> "Segment":
        """The same segment with the vectors and the indexes of another, which has the same rows."""
        changed = copy(self)
        changed.vectors, changed.digest, changed.tuned = other.vectors, other.digest, other.tuned
        changed.weighted = None
        return changed

    def without(self, numbers: NDArray[np.int64]) -> "Segment":
        """The same segment, but the shoes of some numbers are gone, as far as they are in it."""
        positions = np.searchsorted(self.numbers, numbers)
        positions = positions[positions < len(self)]
        rows = np.unique(positions[np.isin(self.numbers[positions], numbers)])
        if self.present is not None:
            rows = rows[self.present[rows]]
        if not len(rows):
            return self
        other = copy(self)
        other.present = np.ones(len(self), dtype=np.bool_) if self.present is None else self.present.copy()
        other.present[rows] = False
        other.count = self.count - len(rows)
        other.gone_counts = {name: Counter(counts) for name, counts in self.gone_counts.items()}
        for row in rows.tolist():
            for name, values in self.items[row].attributes.items():
                other.gone_counts.setdefault(name, Counter()).update(set(values))
        return other

    def after(
        self,
        *,
        seq: int,
        numbers: NDArray[np.int64],
        items: Sequence[Item],
        vectors: Vectors,
        removed: NDArray[np.int64],
    ) -> "Segment":
        """Another segment, with some shoes put in or in others' places, some removed, and nothing that is gone.

        Args:
            seq: of the last change.
            numbers: (M,), ascending, of the shoes that are new or changed.
            items: those M shoes.
            vectors: (M, D), theirs.
            removed: numbers of shoes to leave out.
        """
        kept = self.alive()
        kept = kept[~np.isin(self.numbers[kept], removed)]
        merged = np.union1d(self.numbers[kept], numbers)
        rows_kept = np.searchsorted(merged, self.numbers[kept])
        rows_changed = np.searchsorted(merged, numbers)

        all_vectors = np.empty((len(merged), self.vectors.shape[1]), dtype=np.float32)
        all_vectors[rows_kept] = self.vectors[kept]
        all_vectors[rows_changed] = vectors

        all_items: list[Item] = [GONE] * len(merged)
        for row, old in zip(rows_kept.tolist(), kept.tolist(), strict=True):
            all_items[row] = self.items[old]
        for row, item in zip(rows_changed.tolist(), items, strict=True):
            all_items[row] = item

        moved = np.full(len(self), -1, dtype=np.int32)
        moved[kept] = np.where(np.isin(rows_kept, rows_changed), -1, rows_kept)
        changed = [(row, item.attributes) for row, item in zip(rows_changed.tolist(), items, strict=True)]
        return Segment(
            self.layout,
            seq=seq,
            numbers=merged,
            items=all_items,
            vectors=all_vectors,
            attributes=self._attributes.updated(moved, changed, len(merged)),
        )

    def _weighted_index(self) -> WeightedIndex:
        """What searches with weights, made when it is first asked for."""
        if (index := self.weighted) is None:  # two threads make the same, and one of the two stays
            index = self.weighted = WeightedIndex(self.vectors, self.layout.slices)
        return index

    def _scanned(self) -> float:
        """How many selected rows are looked at one by one."""
        return SCANNED_ROWS if self.is_large else len(self) * SCANNED_SHARE

    def _flat_of(self, condition: str) -> FlatIndex:
        """The index of a condition's slice in a small segment, made when it is first asked for."""
        if (index := self._flat.get(condition)) is not None:
            return index
        index = self._flat[OVERALL].columns(*self.layout.slices[condition])
        # Two threads may both make it; they make the same, and one of the two stays.
        return self._flat.setdefault(condition, index)
