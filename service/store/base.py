"""The `VectorStore` protocol, its types, and the checks that stores share."""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.errors import ArtifactMismatch, QueryError
from model.nearness import OVERALL
from model.text import MAX_ECHO
from service.errors import UnknownItem
from service.store.filters import Filter, HasValue, find_leaves

__all__ = [
    "OVERALL",
    "REBUILD",
    "ROUNDING",
    "Counts",
    "Filter",
    "Hit",
    "IndexKind",
    "Item",
    "Page",
    "Record",
    "StoreInfo",
    "StoreSpec",
    "VectorStore",
    "Weights",
    "check_condition",
    "check_filter",
    "check_vector",
    "check_vectors",
    "check_weights",
    "cursor_to_number",
    "encode_attributes",
    "find_item",
    "iterate_items",
    "iterate_records",
    "number_to_cursor",
    "require_positive",
    "require_same",
    "scale_of",
    "sort_counts",
]

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
            picture that was uploaded, `/uploads/` and its name (see `service.catalog.images`).
        attributes: attribute -> its values (one or several; attributes without a value are absent).
    """

    id: str
    image: str
    attributes: Mapping[str, tuple[str, ...]]

    def patched(self, attributes: Mapping[str, tuple[str, ...]]) -> "Item":
        """The item with these attributes in place of its own of the same names; no values remove one."""
        kept = {name: values for name, values in {**self.attributes, **attributes}.items() if values}
        return Item(self.id, self.image, kept)


@dataclass(frozen=True)
class Record:
    """An item with its vector. `vector: (D,) float32`."""

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
        slices: name -> (start, stop) of its part of the vector; without `overall`.
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
            queries: (B, D) float32, finite, as `check_vectors` gives them; whole also where `condition` is a slice.
            k: at least 1.
            condition: `overall`, or one of `StoreInfo.slices`, or weights of several of them.
            filter: only shoes that pass it.
            vectors: whether hits are to carry their vectors.

        Returns:
            For each query its hits; equal distances come in the order of insertion.

        Raises:
            QueryError: an unknown condition, filter attribute or value of it (the message lists the known ones), a
                range of an attribute that has none of its kind,
                weights that are none, or k below 1. Its field is `condition`, `filter` or `k`.
        """
        ...

    def get(self, item_id: str) -> Item:
        """One shoe. Raises UnknownItem."""
        ...

    def vector(self, item_id: str) -> NDArray[np.float32]:
        """One shoe's vector, (D,) float32, the caller's own. Raises UnknownItem."""
        ...

    def record(self, item_id: str) -> Record:
        """One shoe with its vector, both of one moment; the vector is the caller's own. Raises UnknownItem."""
        ...

    def page(self, *, limit: int, cursor: str | None = None, filter: Filter | None = None) -> Page:
        """Shoes in the order of insertion, `limit` at a time; one that is replaced keeps its place.

        Raises:
            QueryError: a cursor that no page gave (field `cursor`), a limit below 1, or an unknown filter.
        """
        ...

    def sample(self, count: int) -> list[Record]:
        """At most so many shoes with their vectors, all over the catalogue; the same ones until it changes. Quick."""
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
            StoreBusy: somebody else's change takes too long, or another catalogue is in this one's place.
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
            StoreBusy: somebody else's change takes too long, or another catalogue is in this one's place.
            ArtifactError: the store can't be written.
        """
        ...

    def delete(self, ids: Sequence[str]) -> int:
        """Remove by id, all or nothing (in Milvus shoe by shoe); then durable. Returns how many were there."""
        ...

    def close(self) -> None:
        """Release files and connections."""
        ...


def find_item(store: VectorStore, item_id: str) -> Item | None:
    """One shoe of a store; None if none has that id."""
    try:
        return store.get(item_id)
    except UnknownItem:
        return None


def iterate_items(store: VectorStore, *, filter: Filter | None = None) -> Iterator[Item]:
    """Every shoe of a store that passes the filter, in the order of insertion.

    The store may be changed meanwhile: a shoe that is added or removed since the first was given may be there or not.

    Args:
        store: is read page by page, as the shoes are taken.
        filter: None lets every shoe pass.

    Raises:
        QueryError, ArtifactError, StoreUnavailable: as `VectorStore.page`.
    """
    cursor: str | None = None
    while True:
        page = store.page(limit=ITEMS_AT_ONCE, cursor=cursor, filter=filter)
        yield from page.items
        cursor = page.next
        if cursor is None:
            return


def iterate_records(store: VectorStore) -> Iterator[Record]:
    """Every shoe with its vector, as `iterate_items` gives them, without those that are removed meanwhile."""
    for item in iterate_items(store):
        with suppress(UnknownItem):
            yield store.record(item.id)


REBUILD = "index it anew with `python -m service index --rebuild`"

ROUNDING = 2.0**-24
"""Unit roundoff of float32: the largest relative error of one operation."""

VALUES_LISTED = 20

ITEMS_AT_ONCE = 1000
"""Shoes that `iterate_items` reads at once."""

Counts = Mapping[str, Mapping[str, int]]
"""Attribute -> value -> number of shoes."""

# Made once: json.dumps makes one for each shoe.
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True)
class StoreSpec:
    """The specification of a store, fixed when it is created.

    Attributes:
        dimension: D, the size of every vector.
        slices: name -> (start, stop).
        checkpoint: digest of the checkpoint that made the vectors.
        root: the folder under which the pictures lie.
    """

    dimension: int
    slices: Mapping[str, tuple[int, int]]
    checkpoint: str
    root: str

    def __post_init__(self) -> None:
        """Raise ValueError for a slice outside the vector, or one called `overall`."""
        for name, (start, stop) in self.slices.items():
            if name == OVERALL or not 0 <= start < stop <= self.dimension:
                raise ValueError(f"the slice {name!r} ({start}, {stop}) does not fit a vector of {self.dimension}")

    @classmethod
    def of(
        cls, dimension: int, slices: Mapping[str, tuple[int, int]], checkpoint: str, root: str | Path
    ) -> "StoreSpec":
        """The specification with these values, numbers and the folder converted to plain ones. Raises ValueError."""
        pairs = {name: (int(start), int(stop)) for name, (start, stop) in slices.items()}
        return cls(int(dimension), pairs, checkpoint, str(root))


def require_same(location: str | Path, found: StoreSpec, wanted: StoreSpec) -> None:
    """Raise ArtifactMismatch, with everything that differs."""
    differences = [
        f"{name} {getattr(found, name)!r}, not {getattr(wanted, name)!r}"
        for name in ("checkpoint", "dimension", "slices", "root")
        if getattr(found, name) != getattr(wanted, name)
    ]
    if differences:
        raise ArtifactMismatch(
            f"{location} was indexed with {'; '.join(differences)}; {REBUILD}, or choose another --out"
        )


def encode_attributes(item: Item) -> str:
    """A shoe's attributes as JSON, without empty ones. Raises QueryError for a text that is not Unicode."""
    attributes = _to_json({name: list(values) for name, values in item.attributes.items() if values})
    try:
        f"{item.id}{item.image}{attributes}".encode()
    except UnicodeEncodeError as error:
        raise QueryError("id", f"shoe {item.id!r} has text that is not Unicode: {error}") from error
    return attributes


def check_vectors(vectors: ArrayLike, dimension: int, field: str = "vector") -> NDArray[np.float32]:
    """Vectors from outside as (B, dimension) float32: the one check of a vector, whatever it comes with.

    Raises:
        QueryError: of `field`: another shape, or a number that is not finite in float32.
    """
    with np.errstate(over="ignore"):
        checked = np.ascontiguousarray(vectors, dtype=np.float32)
    if checked.ndim != 2 or checked.shape[1] != dimension:
        found = f"has {checked.shape[1]} numbers" if checked.ndim == 2 else f"is one of the shape {checked.shape[1:]}"
        raise QueryError(field, f"the vector {found}; expected {dimension}")
    if not np.isfinite(checked).all():
        raise QueryError(field, "the vector holds a number that is not finite in float32")
    return checked


def check_vector(record: Record, dimension: int) -> NDArray[np.float32]:
    """A shoe's vector as (dimension,) float32, little-endian. Raises QueryError, which names the shoe."""
    try:
        (vector,) = check_vectors(record.vector[None], dimension)
    except QueryError as error:
        raise QueryError(error.field, f"shoe {record.item.id!r}: {error}") from None
    return np.ascontiguousarray(vector, dtype="<f4")


def require_positive(field: str, value: int) -> None:
    """Raise QueryError unless `value` is at least 1."""
    if value < 1:
        raise QueryError(field, f"{field} must be at least 1, not {value}")


def check_condition(condition: str | Weights, slices: Mapping[str, tuple[int, int]]) -> Weights:
    """The condition as weights, also of `overall`. Raises QueryError, of the field `condition`."""
    if not isinstance(condition, str):
        check_weights(condition, slices)
        return condition
    if condition != OVERALL and condition not in slices:
        known = ", ".join([OVERALL, *slices])
        raise QueryError("condition", f"unknown condition {condition[:MAX_ECHO]!r}; known conditions: {known}")
    return {condition: 1.0}


def check_weights(weights: Weights, slices: Mapping[str, tuple[int, int]]) -> None:
    """Raise QueryError, of the field `condition`, unless these are weights of slices that there are."""
    if unknown := [name for name in weights if name not in slices]:
        raise QueryError(
            "condition",
            f"no slice {unknown[0][:MAX_ECHO]!r} to give a weight; expected some of: {', '.join(slices) or 'none'}",
        )
    for name, weight in weights.items():
        if not (isfinite(weight) and weight >= 0):
            raise QueryError("condition", f"the weight of {name} is {weight}; expected a number that is at least 0")
    if not any(weights.values()):
        raise QueryError("condition", "all weights are 0; expected one at least that is above")


def scale_of(weights: Weights, slices: Mapping[str, tuple[int, int]], dimension: int) -> NDArray[np.float64]:
    """(D,) factors after which the Euclidean distance of vectors is the weighted one; slices may overlap."""
    squared = np.zeros(dimension)
    for name, weight in weights.items():
        squared[slice(*slices[name])] += weight
    return np.sqrt(squared)


def sort_counts(counts: Counts) -> dict[str, dict[str, int]]:
    """The same, attributes by name, frequent values first, without zeros."""
    ordered = {}
    for name in sorted(counts):
        pairs = [(value, count) for value, count in counts[name].items() if count]
        if pairs:
            ordered[name] = dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))
    return ordered


def check_filter(filter: Filter, known: Counts) -> None:
    """Raise QueryError for an attribute, or a value of it, that no shoe has. `known`: of all shoes."""
    for leaf in find_leaves(filter):
        name = leaf.attribute
        if not any(known.get(name, {}).values()):
            attributes = ", ".join(sort_counts(known)) or "none"
            raise QueryError("filter", f"unknown attribute {name[:MAX_ECHO]!r}; known attributes: {attributes}")
        for value in leaf.values if isinstance(leaf, HasValue) else ():
            if not known[name].get(value):
                listed = list(sort_counts({name: known[name]})[name])
                shown = ", ".join(listed[:VALUES_LISTED])
                more = f" and {len(listed) - VALUES_LISTED} more" if len(listed) > VALUES_LISTED else ""
                raise QueryError(
                    "filter", f"unknown value {value[:MAX_ECHO]!r} of {name!r}; known values: {shown}{more}"
                )


def number_to_cursor(number: int) -> str:
    """An opaque text for a shoe's number."""
    return base64.urlsafe_b64encode(str(number).encode()).decode().rstrip("=")


def cursor_to_number(cursor: str) -> int:
    """The number in a cursor. Raises QueryError for a text that `number_to_cursor` never gave."""
    try:
        number = int(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        number = -1
    if not 0 <= number < 2**63 or number_to_cursor(number) != cursor:
        raise QueryError("cursor", f"{cursor[:MAX_ECHO]!r} is no cursor; leave it out to begin at the first page")
    return number
