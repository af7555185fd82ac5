"""The catalogue in Milvus, for when one machine is not enough: many stateless replicas of the service over one truth.

Milvus is taken as it is: a row a shoe, which an upsert replaces as a whole; its own consistency levels; the last write
of a shoe wins. What it does not promise, such as several shoes at once, is not built on top of it: docs/scaling.md.
"""

import hashlib
import json
import secrets
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from model.errors import QueryError
from service.errors import ItemExists, StoreUnavailable, UnknownItem
from service.milvus_address import Address
from service.store import base
from service.store.base import OVERALL, Hit, Item, Page, Record, StoreInfo, Weights
from service.store.filters import Filter, HasValue, find_leaves
from service.store.milvus import schema
from service.store.milvus.connection import Connection
from service.store.milvus.schema import ITEM_FIELDS, Catalog, Row, Rows, decode

LITE_WRITES = threading.Lock()
"""Of two writes at once, Milvus Lite can lose one: its collections have no lock of their own."""

SPARE = 16
"""Candidates beyond k, enough to see where most ties at the k-th place end."""

LONGEST = 1e15
"""Longer queries are as good as equally far from all shoes, and their squares soon leave float32's range."""


class MilvusStore:
    """A `VectorStore` in a Milvus server. Safe for several threads, processes and machines.

    What others have written is read at Milvus's consistency level Session, unless the address says strong. Shoes are
    written one by one, and the last write of a shoe wins: see docs/scaling.md.
    """

    def __init__(self, connection: Connection, catalog: Catalog) -> None:
        """See `open`."""
        self._connection, self._catalog = connection, catalog
        self._rows, self._whole = Rows(connection), schema.field_of(catalog.parts[OVERALL])
        self._writing = LITE_WRITES if connection.address.is_lite else threading.Lock()
        self._count_values = lru_cache(maxsize=64)(self._read_values)

    @classmethod
    def open(cls, address: Address, *, create: base.StoreSpec | None = None, token: str = "") -> "MilvusStore":
        """See `open_catalog`, and `Connection` for `token`. Raises ArtifactMismatch for one of another spec, too."""
        connection = Connection(address, token=token)
        try:
            catalog = schema.open_catalog(connection, create)
            base.require_same(str(address), catalog.spec, create or catalog.spec)
            return cls(connection, catalog)
        except BaseException:
            connection.close()
            raise

    @staticmethod
    def remove(address: Address, *, token: str = "") -> None:
        """Drop the store's collection, if there is one. Raises StoreUnavailable."""
        with closing(Connection(address, token=token)) as connection:
            connection.ask("drop_collection")

    def info(self) -> StoreInfo:
        """What is in the store now."""
        spec = self._catalog.spec
        count, fingerprint, slices = self._rows.count(""), self._fingerprint(), dict(spec.slices)
        return StoreInfo(
            count, spec.dimension, slices, spec.checkpoint, fingerprint, root=spec.root, uuid=self._catalog.uuid
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
        base.require_positive("k", k)
        weights = base.check_condition(condition, self._catalog.spec.slices)
        expression = self._expression(filter, self._fingerprint())
        found = self._find_nearest(queries, min(k, schema.WINDOW), weights, expression)
        return found if vectors else [[Hit(hit.item, hit.distance) for hit in hits] for hits in found]

    def get(self, item_id: str) -> Item:
        """One shoe. Raises UnknownItem."""
        return decode(self._row(item_id, ITEM_FIELDS))

    def vector(self, item_id: str) -> NDArray[np.float32]:
        """One shoe's vector, (D,) float32. Raises UnknownItem."""
        return self._vector(self._row(item_id, [self._whole]))

    def record(self, item_id: str) -> Record:
        """See `VectorStore.record`. Raises UnknownItem."""
        row = self._row(item_id, [*ITEM_FIELDS, self._whole])
        return Record(decode(row), self._vector(row))

    def page(self, *, limit: int, cursor: str | None = None, filter: Filter | None = None) -> Page:
        """Shoes in the order of their insertion, `limit` at a time; one that is replaced keeps its place."""
        base.require_positive("limit", limit)
        last = self._catalog.start if cursor is None else base.cursor_to_number(cursor)
        passing = self._expression(filter, self._fingerprint())
        rows = self._rows.first(passing, after=last, limit=limit + 1)
        following = base.number_to_cursor(int(rows[limit - 1]["number"])) if len(rows) > limit else None
        return Page(tuple(map(decode, rows[:limit])), following, self._rows.count(passing))

    def sample(self, count: int) -> list[Record]:
        """See `VectorStore.sample`: those with the least keys, which are digests."""
        rows = self._rows.sample(count, [*ITEM_FIELDS, self._whole])
        return [Record(decode(row), self._vector(row)) for row in rows[:count]]

    def facets(self, filter: Filter | None = None) -> dict[str, dict[str, int]]:
        """See `VectorStore.facets`. Reads the attributes of all shoes that pass, once a state of the catalogue."""
        fingerprint = self._fingerprint()
        counts = self._count_values(self._expression(filter, fingerprint), fingerprint)
        return {name: dict(values) for name, values in counts.items()}

    def upsert(self, records: Iterable[Record], *, overwrite: bool = True) -> int:
        """See `VectorStore.upsert`; but shoe by shoe, and of two replicas that insert one, neither gets ItemExists."""
        given = list(records)
        dimension = self._catalog.spec.dimension
        new = {each.item.id: Record(each.item, base.check_vector(each, dimension)) for each in given}
        with self._writing:
            there = {item_id: int(row["number"]) for item_id, row in self._find(new, ["number"]).items()}
            if there and not overwrite:
                raise ItemExists(next(item_id for item_id in new if item_id in there))
            numbers = dict(zip(new, schema.make_numbers(), strict=False)) | there
            self._write([(record, numbers[item_id]) for item_id, record in new.items()])
        return len(given)

    def patch(self, item_id: str, attributes: Mapping[str, tuple[str, ...]]) -> Item:
        """See `VectorStore.patch`. It is read and written again: a change by another replica in between is lost."""
        with self._writing:
            row = self._row(item_id, [*ITEM_FIELDS, self._whole])
            item = decode(row).patched(attributes)
            self._write([(Record(item, self._vector(row)), int(row["number"]))])
        return item

    def delete(self, ids: Sequence[str]) -> int:
        """Remove by id, shoe by shoe. Returns how many were there."""
        with self._writing:
            there = self._find(ids, [])
            self._write([], removed=[schema.digest(item_id) for item_id in there])
        return len(there)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def _fingerprint(self) -> str:
        """Of the catalogue as it is now. Raises StoreUnavailable if another has taken its place."""
        properties = self._connection.ask("describe_collection")["properties"]
        if self._catalog.uuid not in properties.get(schema.FACTS, ""):  # its vectors may be another checkpoint's
            raise StoreUnavailable("the catalogue was made anew, and has to be loaded anew before it is served")
        return hashlib.sha256((self._catalog.uuid + properties.get(schema.CHANGED, "")).encode()).hexdigest()[:16]

    def _expression(self, filter: Filter | None, fingerprint: str) -> str:
        """What holds for the shoes that pass; "" for all. Raises QueryError for what no shoe has."""
        if filter is None:
            return ""
        expression = schema.translate(filter)
        tokens = {
            schema.digest(leaf.attribute, value)
            for leaf in find_leaves(filter)
            if isinstance(leaf, HasValue)
            for value in leaf.values or (None,)
        }
        if not self._rows.have_tokens(tokens):
            base.check_filter(filter, self._count_values("", fingerprint))
        return expression

    def _read_values(self, expression: str, _fingerprint: str) -> dict[str, dict[str, int]]:
        """Attribute -> value -> number of the shoes that an expression holds for."""
        found: dict[str, Counter[str]] = {}
        for row in self._rows.scan(expression, ["attributes"]):
            for name, values in json.loads(row["attributes"]).items():
                found.setdefault(name, Counter()).update(set(values))
        return base.sort_counts(found)

    def _write(self, shoes: Sequence[tuple[Record, int]], *, removed: Sequence[int] = ()) -> None:
        """Write shoes with their numbers and remove rows, and have another fingerprint then."""
        if shoes or removed:
            fields = self._catalog.fields.items()
            self._rows.upsert(
                [
                    schema.encode(record.item, number) | {name: record.vector[part] for name, part in fields}
                    for record, number in shoes
                ]
            )
            self._rows.delete(removed)
            self._connection.ask("alter_collection_properties", properties={schema.CHANGED: secrets.token_hex(16)})

    def _find(self, ids: Iterable[str], fields: Sequence[str]) -> dict[str, Row]:
        """Id -> row, of those that are there. Raises QueryError for one whose schema.digest is another's."""
        id_of = {schema.digest(item_id): item_id for item_id in ids}
        found = {id_of[int(row["key"])]: row for row in self._rows.find(id_of, ["key", "id", *fields])}
        for item_id, row in found.items():
            if row["id"] != item_id:
                raise QueryError("id", f"{item_id!r} can't be told from {row['id']!r}; rename one of them")
        return found

    def _vector(self, row: Row) -> NDArray[np.float32]:
        return np.array(row[self._whole], dtype=np.float32)

    def _row(self, item_id: str, fields: Sequence[str]) -> Row:
        """The row of one shoe. Raises UnknownItem."""
        if row := self._find([item_id], fields).get(item_id):
            return row
        raise UnknownItem(item_id)

    def _find_nearest(self, queries: NDArray[np.float32], k: int, weights: Weights, expression: str) -> list[list[Hit]]:
        """The k nearest shoes of each query, (B, D), of those that an expression holds for.

        Milvus finds candidates, and their distances are worked out here, in float64. Candidates are the m nearest by
        each slice that is asked about. Any shoe that is not among them is at least as far by each slice c as the last
        one there, r_c, and so by all of them together as far as sqrt(sum_c w_c r_c^2). As soon as the k-th best
        candidate is nearer than that, the k best candidates are the answer; until then m is doubled. (This is the
        threshold algorithm of Fagin, Lotem and Naor, "Optimal aggregation algorithms for middleware", 2003. Milvus's
        own hybrid search merges ranks, or scores that it squeezes into [0, 1]; neither gives distances.)
        """
        weights = {name: weight for name, weight in weights.items() if weight > 0}
        lengths = np.linalg.norm(queries.astype(np.float64), axis=1)
        shrunk = (queries * np.minimum(1.0, LONGEST / np.maximum(lengths, 1.0))[:, None]).astype(np.float32)
        answers: list[list[Hit] | None] = [None] * len(queries)
        count, parts, fields = min(k + SPARE, schema.WINDOW), self._catalog.parts, [self._whole]
        while pending := [index for index, answer in enumerate(answers) if answer is None]:
            asked = shrunk[pending]
            ranked = {each: self._rows.search(asked, parts[each], expression, count, fields) for each in weights}
            for place, index in enumerate(pending):
                nearest = {name: each[place] for name, each in ranked.items()}
                # Where one slice has no more shoes, all were looked at.
                is_all = any(len(rows) < count for rows in nearest.values())
                final = is_all or count == schema.WINDOW or lengths[index] > LONGEST
                answers[index] = self._rank(queries[index], nearest, k, weights, final=final)
            count = min(2 * count, schema.WINDOW)
        return [answer for answer in answers if answer is not None]

    def _rank(
        self, query: NDArray[np.float32], nearest: Mapping[str, Sequence[Row]], k: int, weights: Weights, *, final: bool
    ) -> list[Hit] | None:
        """The hits among the nearest by each slice; None, unless `final`, if another shoe may belong to them."""
        parts = self._catalog.parts
        by_key = {int(row["key"]): row for rows in nearest.values() for row in rows}
        rows = sorted(by_key.values(), key=lambda row: int(row["number"]))  # as ties are to come
        if not rows:
            return []
        stored = np.array([row[self._whole] for row in rows], dtype=np.float32)
        squares = np.square(stored - query.astype(np.float64))
        sums = {name: squares[:, parts[name]].sum(axis=1) for name in weights}
        distances = np.sqrt(sum(weights[name] * each for name, each in sums.items()))
        order = np.argsort(distances, kind="stable")[:k]
        if not final:
            place, floor = {int(row["key"]): index for index, row in enumerate(rows)}, 0.0
            for name, each in nearest.items():
                # Milvus ranks in float32: one subtraction, one square, and a sum.
                error = (parts[name].stop - parts[name].start + 3) * base.ROUNDING
                floor += weights[name] * sums[name][place[int(each[-1]["key"])]] * (1 - error)
            if floor <= distances[order[-1]] ** 2:
                return None
        return [Hit(decode(rows[row]), float(distances[row]), stored[row]) for row in order.tolist()]
