"""The catalogue in Milvus as a `VectorStore`."""

import hashlib
import json
import secrets
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from model.errors import QueryError
from service.errors import ItemExists, StoreUnavailable, UnknownItem
from service.milvus_address import Address
from service.store.base import (
    OVERALL,
    Facts,
    Hit,
    Item,
    Page,
    Record,
    StoreInfo,
    Weights,
    check_condition,
    check_filter,
    check_vector,
    check_vectors,
    read_cursor,
    require_positive,
    require_same,
    sort_counts,
    write_cursor,
)
from service.store.filters import Filter, HasValue, find_leaves
from service.store.milvus.connection import Connection
from service.store.milvus.rows import ITEM_FIELDS, KEYS, WINDOW, Row, Rows, decode, digest, encode, translate
from service.store.milvus.schema import CHANGED, FACTS, Catalog, field_of, make_numbers, open_catalog
from service.store.milvus.search import Searcher

__all__ = ["MilvusStore"]

LITE_WRITES = threading.Lock()
"""Of two writes at once, Milvus Lite can lose one: its collections have no lock of their own."""

Facets = dict[str, dict[str, int]]


class MilvusStore:
    """A `VectorStore` in a Milvus server. Safe for several threads, processes and machines.

    What others have written is read at Milvus's consistency level Session, unless the address says strong. Shoes are
    written one by one, and the last write of a shoe wins: see docs/scaling.md.
    """

    def __init__(self, connection: Connection, catalog: Catalog) -> None:
        """See `open`."""
        self._connection, self._catalog = connection, catalog
        self._rows, self._whole = Rows(connection), field_of(catalog.parts[OVERALL])
        self._searcher = Searcher(self._rows, catalog, approximate=connection.address.index == "hnsw")
        self._writing = LITE_WRITES if connection.address.is_lite else threading.Lock()
        self._count_values = lru_cache(maxsize=64)(self._read_values)

    @classmethod
    def open(cls, address: Address, *, create: Facts | None = None, token: str = "") -> "MilvusStore":
        """Open the store at `address`; where none is, make an empty one of the facts `create`.

        Raises ArtifactMismatch where one of other facts is, and all else as `open_catalog`. `token`: see `Connection`.
        """
        connection = Connection(address, token=token)
        try:
            catalog = open_catalog(connection, create)
            require_same(str(address), catalog.facts, create or catalog.facts)
            return cls(connection, catalog)
        except BaseException:
            connection.close()
            raise

    @staticmethod
    def remove(address: Address, *, token: str = "") -> None:
        """Drop the store's collection, if there is one. Raises StoreUnavailable."""
        with closing(Connection(address, token=token)) as connection:
            Rows(connection).call("drop_collection")

    def info(self) -> StoreInfo:
        """What is in the store now."""
        facts = self._catalog.facts
        return StoreInfo(
            self._rows.count(""),
            facts.dimension,
            dict(facts.slices),
            checkpoint=facts.checkpoint,
            root=facts.root,
            uuid=self._catalog.uuid,
            fingerprint=self._fingerprint(),
        )

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        *,
        condition: str | Weights = OVERALL,
        filter: Filter | None = None,
        vectors: bool = False,
    ) -> list[list[Hit]]:
        """See `VectorStore.search`. At most 16,384 shoes are found, whatever `k` is."""
        require_positive("k", k)
        checked = check_vectors(queries, self._catalog.facts.dimension)
        weights = check_condition(condition, self._catalog.facts.slices)
        expression = self._expression(filter, self._fingerprint())
        return self._searcher.search(checked, min(k, WINDOW), weights, expression, vectors=vectors)

    def get(self, item_id: str) -> Item:
        """One shoe. Raises UnknownItem."""
        return decode(self._row(item_id, ITEM_FIELDS))

    def vector(self, item_id: str) -> NDArray[np.float32]:
        """One shoe's vector, (D,) float32. Raises UnknownItem."""
        return np.array(self._row(item_id, [self._whole])[self._whole], dtype=np.float32)

    def page(self, *, limit: int, cursor: str | None = None, filter: Filter | None = None) -> Page:
        """Shoes in the order of their insertion, `limit` at a time; one that is replaced keeps its place."""
        require_positive("limit", limit)
        last = self._catalog.start if cursor is None else read_cursor(cursor)
        passing = self._expression(filter, self._fingerprint())
        # One more than that, to see whether it is the last page.
        rows = self._rows.first(passing, after=last, limit=limit + 1)
        return Page(
            items=tuple(decode(row) for row in rows[:limit]),
            next=write_cursor(int(rows[limit - 1]["number"])) if len(rows) > limit else None,
            total=self._rows.count(passing),
        )

    def sample(self, count: int) -> list[Record]:
        """See `VectorStore.sample`: those with the least keys, which are digests."""
        below = KEYS if (total := self._rows.count("")) <= count else KEYS * count // total
        rows = self._rows.query(f"key < {below}", ["key", *ITEM_FIELDS, self._whole])
        rows.sort(key=lambda row: int(row["key"]))
        return [Record(decode(row), np.array(row[self._whole], dtype=np.float32)) for row in rows[:count]]

    def facets(self, filter: Filter | None = None) -> Facets:
        """See `VectorStore.facets`. Reads the attributes of all shoes that pass, once a state of the catalogue."""
        fingerprint = self._fingerprint()
        counts = self._count_values(self._expression(filter, fingerprint), fingerprint)
        return {name: dict(values) for name, values in counts.items()}

    def upsert(self, records: Iterable[Record], *, overwrite: bool = True) -> int:
        """See `VectorStore.upsert`; but shoe by shoe, and of two replicas that insert one, neither gets ItemExists."""
        given = list(records)
        vectors = {record.item.id: check_vector(record, self._catalog.facts.dimension) for record in given}
        items = {record.item.id: record.item for record in given}
        with self._writing:
            there = {item_id: int(row["number"]) for item_id, row in self._find(items, ["number"]).items()}
            if there and not overwrite:
                raise ItemExists(next(item_id for item_id in items if item_id in there))
            numbers = dict(zip(items, make_numbers(), strict=False)) | there
            self._write([self._encode(items[each], vectors[each], numbers[each]) for each in items])
        return len(given)

    def patch(self, item_id: str, attributes: Mapping[str, tuple[str, ...]]) -> Item:
        """See `VectorStore.patch`. It is read and written again: a change by another replica in between is lost."""
        with self._writing:
            row = self._row(item_id, [*ITEM_FIELDS, self._whole])
            item = decode(row)
            kept = {name: values for name, values in {**item.attributes, **attributes}.items() if values}
            item = replace(item, attributes=kept)
            self._write([self._encode(item, np.array(row[self._whole], dtype=np.float32), int(row["number"]))])
        return item

    def delete(self, ids: Sequence[str]) -> int:
        """Remove by id, shoe by shoe. Returns how many were there."""
        with self._writing:
            there = self._find(ids, [])
            self._write([], removed=[digest(item_id) for item_id in there])
        return len(there)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def _fingerprint(self) -> str:
        """Of the catalogue as it is now. Raises StoreUnavailable if another has taken its place."""
        properties = self._rows.call("describe_collection")["properties"]
        if self._catalog.uuid not in properties.get(FACTS, ""):  # its vectors may be another checkpoint's
            raise StoreUnavailable("the catalogue was made anew, and has to be loaded anew before it is served")
        return hashlib.sha256((self._catalog.uuid + properties.get(CHANGED, "")).encode()).hexdigest()[:16]

    def _expression(self, filter: Filter | None, fingerprint: str) -> str:
        """What holds for the shoes that pass; "" for all. Raises QueryError for what no shoe has."""
        if filter is None:
            return ""
        expression = translate(filter)
        for leaf in find_leaves(filter):
            if isinstance(leaf, HasValue):
                tokens = [digest(leaf.attribute, value) for value in leaf.values] or [digest(leaf.attribute, None)]
                if not all(self._rows.count(f"array_contains(tokens, {each})") for each in tokens):
                    check_filter(leaf, self._count_values("", fingerprint))
        return expression

    def _read_values(self, expression: str, _fingerprint: str) -> Facets:
        """Attribute -> value -> number of the shoes that an expression holds for."""
        found: dict[str, Counter[str]] = {}
        for row in self._rows.scan(expression, ["attributes"]):
            for name, values in json.loads(row["attributes"]).items():
                found.setdefault(name, Counter()).update(set(values))
        return sort_counts(found)

    def _encode(self, item: Item, vector: NDArray[np.float32], number: int) -> Row:
        return encode(item, number) | {field: vector[part] for field, part in self._catalog.fields.items()}

    def _write(self, rows: Sequence[Row], *, removed: Sequence[int] = ()) -> None:
        """Write and remove rows, and have another fingerprint then."""
        if rows or removed:
            self._rows.upsert(rows)
            self._rows.delete(removed)
            self._rows.call("alter_collection_properties", properties={CHANGED: secrets.token_hex(16)})

    def _find(self, ids: Iterable[str], fields: Sequence[str]) -> dict[str, Row]:
        """Id -> row, of those that are there. Raises QueryError for one whose digest is another's."""
        id_of = {digest(item_id): item_id for item_id in ids}
        found = {id_of[int(row["key"])]: row for row in self._rows.find(id_of, ["key", "id", *fields])}
        for item_id, row in found.items():
            if row["id"] != item_id:
                raise QueryError("id", f"{item_id!r} can't be told from {row['id']!r}; rename one of them")
        return found

    def _row(self, item_id: str, fields: Sequence[str]) -> Row:
        """The row of one shoe. Raises UnknownItem."""
        if row := self._find([item_id], fields).get(item_id):
            return row
        raise UnknownItem(item_id)
