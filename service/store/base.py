"""The `VectorStore` protocol, its types, and the checks that stores share."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from service.store.filters import Filter

__all__ = [
    "OVERALL",
    "Filter",
    "Hit",
    "IndexKind",
    "Item",
    "Page",
    "Record",
    "StoreInfo",
    "VectorStore",
    "Weights",
    "iterate_items",
]

OVERALL = "overall"
"""The condition that compares whole vectors."""

IndexKind = Literal["exact", "approximate"]

Weights = Mapping[str, float]
"""Slice -> how much it counts: the distance is the root of the sum over slices of weight times squared distance.

Weights are finite, none is below 0 and one at least is above; slices that are not named count nothing.
"""


@dataclass(frozen=True, slots=True)
class Item:
    """A shoe of the catalogue, as the store keeps it.

    Attributes:
        id: unique in the catalogue.
        image: the picture's path, relative to the catalogue's root (`StoreInfo.root`), with forward slashes; of a
            picture that was uploaded, `/uploads/` and its name (see `service.catalog.uploads`).
        attributes: attribute -> its values (one or several; attributes without a value are absent).
    """

    id: str
    image: str
    attributes: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Record:
    """An item with its vector, on its way into the store. `vector: (D,) float32`."""

    item: Item
    vector: NDArray[np.float32]


@dataclass(frozen=True)
class Hit:
    """One answer of a search.

    Attributes:
        item: the shoe.
        distance: Euclidean, in the units of the mean vector; 0 is identical.
        vector: the shoe's whole vector, (D,) float32, where the search was asked for vectors.
    """

    item: Item
    distance: float
    vector: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Page:
    """A page of the catalogue in the order of ids' insertion; `next` is None on the last one."""

    items: tuple[Item, ...]
    next: str | None
    total: int


@dataclass(frozen=True)
class StoreInfo:
    """What a store holds.

    Attributes:
        count: shoes in it.
        dimension: D, the size of every vector.
        slices: condition -> (start, stop) of its part of the vector; without `overall`.
        checkpoint: digest of the checkpoint that made every vector in it.
        fingerprint: changes with every change of the catalogue.
        root: the folder under which the pictures lie.
        uuid: of the store: stays the same through all changes of the catalogue, and is another's in no other store.
        index: `exact`, or `approximate` where a search by whole vectors need not look at all of them.
        recall: the measured recall@10 of such a search; None where it is exact.
    """

    count: int
    dimension: int
    slices: Mapping[str, tuple[int, int]]
    checkpoint: str
    fingerprint: str
    root: str
    uuid: str
    index: IndexKind = "exact"
    recall: float | None = None


class VectorStore(Protocol):
    """Shoes and their vectors. Reads are safe from several threads at once."""

    def info(self) -> StoreInfo:
        """What is in the store now."""
        ...

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        *,
        condition: str | Weights = OVERALL,
        filter: Filter | None = None,
        vectors: bool = False,
    ) -> list[list[Hit]]:
        """The k nearest shoes of each query, nearest first; fewer where fewer pass the filter.

        Args:
            queries: (B, D) float32, finite; whole vectors also where `condition` compares only a slice.
            k: at least 1.
            condition: `overall`, or one of `StoreInfo.slices`, or weights of several of them.
            filter: only shoes that pass it.
            vectors: whether hits are to carry their vectors.

        Returns:
            For each query its hits; equal distances come in the order of insertion.

        Raises:
            QueryError: an unknown condition, filter attribute or value of it (the message lists the known ones), a
                range of an attribute that has none of its kind,
                weights that are none, k below 1, a wrong shape, or a value that is not finite. Its field is
                `condition`, `filter`, `k` or `vector`.
        """
        ...

    def get(self, item_id: str) -> Item:
        """One shoe. Raises UnknownItem."""
        ...

    def vector(self, item_id: str) -> NDArray[np.float32]:
        """One shoe's vector, (D,) float32, the caller's own. Raises UnknownItem."""
        ...

    def page(self, *, limit: int, cursor: str | None = None, filter: Filter | None = None) -> Page:
        """Shoes in the order of insertion, `limit` at a time; one that is replaced keeps its place.

        Raises:
            QueryError: a cursor that no page gave (field `cursor`), a limit below 1, or an unknown filter.
        """
        ...

    def facets(self, filter: Filter | None = None) -> dict[str, dict[str, int]]:
        """Attribute -> value -> number of shoes that have it, among those that pass the filter.

        Frequent values first, none with the number 0. Raises QueryError for an unknown filter.
        """
        ...

    def upsert(self, records: Iterable[Record], *, overwrite: bool = True) -> int:
        """Insert or replace by id, all or nothing (in Milvus shoe by shoe); durable once it returns.

        Args:
            records: shoes with their vectors.
            overwrite: False refuses to replace a shoe that is there.

        Returns:
            How many records were given; of several with one id, the last one stays.

        Raises:
            QueryError: a vector of a wrong shape, or with a value that is not finite.
            ItemExists: one of the ids is there, and was not to be replaced.
            StoreBusy: somebody else's change takes too long.
            ArtifactError: the store can't be written.
        """
        ...

    def patch(self, item_id: str, attributes: Mapping[str, tuple[str, ...]]) -> Item:
        """Replace the named attributes of one shoe, and keep the others; durable once it returns.

        Args:
            item_id: the shoe's.
            attributes: name -> its new values; none removes the attribute.

        Returns:
            The shoe as it is afterwards.

        Raises:
            UnknownItem: no shoe has that id.
            StoreBusy: somebody else's change takes too long.
            ArtifactError: the store can't be written.
        """
        ...

    def delete(self, ids: Sequence[str]) -> int:
        """Remove by id, all or nothing (in Milvus shoe by shoe); then durable. Returns how many were there."""
        ...

    def close(self) -> None:
        """Release files and connections."""
        ...


def iterate_items(store: VectorStore, *, at_once: int = 1000) -> Iterator[Item]:
    """Every shoe of a store, in the order of insertion.

    The store may be changed meanwhile: a shoe that is added or removed since the first was given may be there or not.

    Args:
        store: is read page by page, as the shoes are taken.
        at_once: shoes of a page.

    Raises:
        QueryError, ArtifactError, StoreUnavailable: as `VectorStore.page`.
    """
    cursor: str | None = None
    while True:
        page = store.page(limit=at_once, cursor=cursor)
        yield from page.items
        cursor = page.next
        if cursor is None:
            return
