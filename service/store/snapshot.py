"""The catalogue at one moment, in memory and immutable: every question is answered out of one of these."""

import base64
import binascii
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from model.errors import QueryError, UnknownItem
from service.store.base import OVERALL, Filter, Hit, Item, Page, Recall, Weights
from service.store.filters import AttributeTable
from service.store.flat import FlatIndex, Neighbours
from service.store.truth import Changes
from service.store.weighted import WeightedIndex, check_weights

__all__ = ["Snapshot"]


class Snapshot:
    """N shoes in the order of their numbers; row i of the index, of the items and of the attributes is one shoe.

    Attributes:
        seq: number of the last change in here.
        index: the whole vectors.
    """

    def __init__(
        self,
        *,
        seq: int,
        numbers: NDArray[np.int64],
        items: list[Item],
        attributes: AttributeTable,
        index: FlatIndex,
        slices: Mapping[str, tuple[int, int]],
    ) -> None:
        self.seq = seq
        self.index = index
        self._numbers = numbers
        self._items = items
        self._attributes = attributes
        self._slices = slices
        self._row_of = {item.id: row for row, item in enumerate(items)}
        self._indexes = {OVERALL: index}
        self._weighted: WeightedIndex | None = None

    @classmethod
    def of(cls, changes: Changes, index: FlatIndex, slices: Mapping[str, tuple[int, int]]) -> "Snapshot":
        """A catalogue read from its beginning; `index` holds the vectors of `changes`, row by row."""
        count = len(changes.items)
        rows = [(row, item.attributes) for row, item in enumerate(changes.items)]
        return cls(
            seq=changes.seq,
            numbers=changes.numbers,
            items=changes.items,
            attributes=AttributeTable().updated(np.empty(0, np.int32), rows, count),
            index=index,
            slices=slices,
        )

    def after(self, changes: Changes, *, threads: int) -> "Snapshot":
        """The catalogue once `changes`, which follow this snapshot's `seq`, have happened."""
        kept = np.flatnonzero(~np.isin(self._numbers, changes.removed))
        numbers = np.union1d(self._numbers[kept], changes.numbers)
        rows_kept = np.searchsorted(numbers, self._numbers[kept])
        rows_changed = np.searchsorted(numbers, changes.numbers)

        vectors = np.empty((len(numbers), self.index.dimension), dtype=np.float32)
        vectors[rows_kept] = self.index.vectors(kept)
        vectors[rows_changed] = changes.vectors

        items = dict(zip(rows_kept.tolist(), (self._items[row] for row in kept.tolist()), strict=True))
        items.update(zip(rows_changed.tolist(), changes.items, strict=True))

        moved = np.full(len(self._items), -1, dtype=np.int32)
        moved[kept] = np.where(np.isin(rows_kept, rows_changed), -1, rows_kept)
        changed = [(row, item.attributes) for row, item in zip(rows_changed.tolist(), changes.items, strict=True)]
        return Snapshot(
            seq=changes.seq,
            numbers=numbers,
            items=[items[row] for row in range(len(numbers))],
            attributes=self._attributes.updated(moved, changed, len(numbers)),
            index=FlatIndex.of(vectors, threads=threads),
            slices=self._slices,
        )

    def __len__(self) -> int:
        return len(self._items)

    def ids(self) -> set[str]:
        """Every shoe's id."""
        return set(self._row_of)

    def get(self, item_id: str) -> Item:
        """One shoe. Raises UnknownItem."""
        return self._items[self._row(item_id)]

    def vector(self, item_id: str) -> NDArray[np.float32]:
        """One shoe's vector, (D,) float32, a copy. Raises UnknownItem."""
        return self.index.vectors(np.array([self._row(item_id)])).reshape(-1)

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        *,
        condition: str | Weights,
        filter: Filter | None,
        exclude: str | None,
        vectors: bool = False,
    ) -> list[list[Hit]]:
        """See `VectorStore.search`; `queries` and `k` are checked already."""
        mask = self._mask(filter, exclude)
        return [
            self._hits(found, vectors=vectors) for found in self._search(queries, k, condition=condition, mask=mask)
        ]

    def _search(
        self, queries: NDArray[np.float32], k: int, *, condition: str | Weights, mask: NDArray[np.bool_] | None
    ) -> list[Neighbours]:
        if isinstance(condition, str):
            return self._index_of(condition).search(queries[:, self._columns(condition)], k, mask)
        return self._weighted_index(condition).search(queries, condition, k, mask)

    def _hits(self, found: Neighbours, *, vectors: bool) -> list[Hit]:
        pairs = zip(found.rows.tolist(), found.distances.tolist(), strict=True)
        if not vectors:
            return [Hit(self._items[row], distance) for row, distance in pairs]
        copies = self.index.vectors(found.rows)
        return [Hit(self._items[row], distance, vector) for (row, distance), vector in zip(pairs, copies, strict=True)]

    def compare(
        self,
        query: NDArray[np.float32],
        hits: Sequence[Hit],
        k: int,
        *,
        condition: str | Weights,
        filter: Filter | None,
        exclude: str | None,
    ) -> Recall:
        """How `hits`, the answer of `search` to one query, (D,), compare with the exact one. Takes its time."""
        mask = self._mask(filter, exclude)
        if isinstance(condition, str):
            exact = self._index_of(condition).exact(query[self._columns(condition)], k, mask)
        else:
            exact = self._weighted_index(condition).exact(query, condition, k, mask)
        expected = {self._items[row].id for row in exact.rows.tolist()}
        return Recall(len(expected.intersection(hit.item.id for hit in hits)), len(expected))

    def page(self, *, limit: int, cursor: str | None, filter: Filter | None) -> Page:
        """See `VectorStore.page`. A cursor is the number of the last shoe before it, so removals don't shift it."""
        mask = self._attributes.mask(filter)
        rows = np.arange(len(self)) if mask is None else np.flatnonzero(mask)
        start = 0 if cursor is None else np.searchsorted(self._numbers[rows], read_cursor(cursor), side="right")
        shown = rows[start : start + limit]
        is_last = start + limit >= len(rows)
        return Page(
            items=tuple(self._items[row] for row in shown.tolist()),
            next=None if is_last else write_cursor(int(self._numbers[shown[-1]])),
            total=len(rows),
        )

    def facets(self, filter: Filter | None) -> dict[str, dict[str, int]]:
        """See `VectorStore.facets`."""
        return self._attributes.facets(self._attributes.mask(filter))

    def _mask(self, filter: Filter | None, exclude: str | None) -> NDArray[np.bool_] | None:
        """(N,), True for the rows to look at; None for all. Raises QueryError."""
        mask = self._attributes.mask(filter)
        if exclude in self._row_of:
            mask = np.ones(len(self), dtype=np.bool_) if mask is None else mask
            mask[self._row_of[exclude]] = False
        return mask

    def _columns(self, condition: str) -> slice:
        """The part of a vector that a condition compares."""
        return slice(*self._slices.get(condition, (0, self.index.dimension)))

    def _row(self, item_id: str) -> int:
        try:
            return self._row_of[item_id]
        except KeyError:
            raise UnknownItem(item_id) from None

    def _weighted_index(self, weights: Weights) -> WeightedIndex:
        """What searches with weights, made when it is first asked for. Raises QueryError."""
        check_weights(weights, self._slices)
        if self._weighted is None:  # as below, one of the two stays
            self._weighted = WeightedIndex(self.index.matrix, self._slices)
        return self._weighted

    def _index_of(self, condition: str) -> FlatIndex:
        """The index of a condition's slice, made when it is first asked for. Raises QueryError."""
        if (index := self._indexes.get(condition)) is not None:
            return index
        if condition not in self._slices:
            known = ", ".join([OVERALL, *self._slices])
            raise QueryError("condition", f"unknown condition {condition!r}; known conditions: {known}")
        index = self.index.columns(*self._slices[condition])
        # Two threads may both make it; they make the same, and one of the two stays.
        return self._indexes.setdefault(condition, index)


def write_cursor(number: int) -> str:
    """An opaque text for a shoe's number."""
    return base64.urlsafe_b64encode(str(number).encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> int:
    """The number in a cursor. Raises QueryError for a text that `write_cursor` never gave."""
    try:
        number = int(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        number = -1
    if not 0 <= number < 2**63 or write_cursor(number) != cursor:
        raise QueryError("cursor", f"{cursor!r} is no cursor; leave it out to begin at the first page")
    return number
