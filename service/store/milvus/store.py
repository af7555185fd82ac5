"""The catalogue in Milvus as a `VectorStore`."""

import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pymilvus import MilvusClient

from model.errors import QueryError, SolemateError
from service.errors import StoreUnavailable, UnknownItem
from service.milvus_address import Address
from service.store.base import (
    OVERALL,
    Filter,
    Hit,
    Item,
    Page,
    Record,
    StoreInfo,
    Weights,
    check_vectors,
    require_positive,
)
from service.store.embedded.database import Facts, require_same
from service.store.embedded.snapshot import read_cursor, write_cursor
from service.store.index.weighted import check_weights
from service.store.milvus import layout as layouts
from service.store.milvus.attributes import Attributes
from service.store.milvus.claims import LEASE_SECONDS
from service.store.milvus.editing import Editor
from service.store.milvus.layout import Layout
from service.store.milvus.link import Link
from service.store.milvus.records import ITEM_FIELDS, decode_item, decode_vector, digest, encode
from service.store.milvus.search import Question, Searcher
from service.store.milvus.tables import WINDOW, Row, Tables
from service.store.milvus.versions import Version, Versions

__all__ = ["MilvusStore"]

logger = logging.getLogger(__name__)


class MilvusStore:
    """A `VectorStore` in a Milvus server. Safe for several threads, processes and machines.

    It keeps nothing of the catalogue but what it found out about the state that its shoes are in now.
    """

    def __init__(self, link: Link, layout: Layout) -> None:
        """See `open` and `create`."""
        self._link, self._layout = link, layout
        self._tables = Tables(link)
        self._versions = Versions(link, layout)
        self._attributes = Attributes(self._tables, layout)
        self._searcher = Searcher(link, self._tables, layout)
        self._editor = Editor(self._tables, layout, self._versions)
        self._mending = threading.Lock()
        self._closed = threading.Event()
        link.probe = self._probe

    @classmethod
    def create(
        cls,
        address: Address,
        *,
        dimension: int,
        slices: Mapping[str, tuple[int, int]],
        checkpoint: str,
        root: str | Path,
        token: str = "",
    ) -> "MilvusStore":
        """Make an empty store, or open the one that is there if these facts are its own.

        Args:
            address: where.
            dimension: D, the size of every vector.
            slices: condition -> (start, stop) of its part of the vector; without `overall`.
            checkpoint: digest of the checkpoint that makes the vectors.
            root: the folder under which the pictures lie.
            token: `user:password` or an API key; "" for none.

        Raises:
            ArtifactMismatch: a store with other facts is there.
            ArtifactCorrupt: the collection that is there is no store.
            StoreUnavailable: Milvus does not answer.
            ValueError: a slice does not lie within the vector, or is called `overall`.
        """
        for name, (start, stop) in slices.items():
            if name == OVERALL or not 0 <= start < stop <= dimension:
                raise ValueError(f"the slice {name!r} ({start}, {stop}) does not fit a vector of {dimension}")
        pairs = {name: (int(start), int(stop)) for name, (start, stop) in slices.items()}
        wanted = Facts(int(dimension), pairs, checkpoint, str(root))
        link = Link(address, token=token)
        try:
            layout = layouts.create(link, wanted)
            require_same(Path(str(address)), layout.facts, wanted)
            return cls(link, layout)
        except BaseException:
            link.close()
            raise

    @classmethod
    def open(cls, address: Address, *, token: str = "") -> "MilvusStore":
        """Open the store at `address`.

        Raises:
            ArtifactMissing: there is none; the message names the command that makes one.
            ArtifactCorrupt: the collection that is there is no store.
            StoreUnavailable: Milvus does not answer.
        """
        link = Link(address, token=token)
        try:
            return cls(link, layouts.open_layout(link))
        except BaseException:
            link.close()
            raise

    @staticmethod
    def remove(address: Address, *, token: str = "") -> None:
        """Drop the store's collections, and no others, so that `create` starts anew. Raises StoreUnavailable."""
        link = Link(address, token=token)
        try:
            layouts.remove(link)
        finally:
            link.close()

    def info(self) -> StoreInfo:
        """What is in the store now; the fingerprint is the same in every replica that sees the same catalogue."""
        version, facts = self._version(), self._layout.facts
        return StoreInfo(
            count=self._attributes.count("", version),
            dimension=facts.dimension,
            slices=dict(facts.slices),
            checkpoint=facts.checkpoint,
            fingerprint=version.fingerprint,
            root=facts.root,
            uuid=self._layout.uuid,
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
        """See `VectorStore.search`. Equal distances come in the order of insertion."""
        require_positive("k", k)
        checked = check_vectors(queries, self._layout.facts.dimension)
        weights = self._weights(condition)
        version = self._version()
        expression = self._attributes.expression(filter, version)
        question = Question(min(k, WINDOW), weights, expression, version.moment, vectors)
        return self._searcher.search(checked, question) if len(checked) else []

    def get(self, item_id: str) -> Item:
        """One shoe. Raises UnknownItem."""
        return decode_item(self._row(item_id, ITEM_FIELDS))

    def vector(self, item_id: str) -> NDArray[np.float32]:
        """One shoe's vector, (D,) float32. Raises UnknownItem."""
        row = self._row(item_id, ["number", "id", "overall"])
        return decode_vector(row["overall"], self._layout.facts.dimension)

    def page(self, *, limit: int, cursor: str | None = None, filter: Filter | None = None) -> Page:
        """Shoes in the order of their insertion, `limit` at a time; one that is replaced keeps its place."""
        require_positive("limit", limit)
        last = -1 if cursor is None else read_cursor(cursor)
        version = self._version()
        passing = self._attributes.expression(filter, version)
        # One more than that, to see whether it is the last page.
        rows = self._tables.first(self._layout.main, passing, ITEM_FIELDS, version.moment, after=last, limit=limit + 1)
        shown = rows[:limit]
        return Page(
            items=tuple(decode_item(row) for row in shown),
            next=write_cursor(int(shown[-1]["number"])) if len(rows) > limit else None,
            total=self._attributes.count(passing, version),
        )

    def facets(self, filter: Filter | None = None) -> dict[str, dict[str, int]]:
        """See `VectorStore.facets`: attributes by name, values most frequent first, no zeros."""
        version = self._version()
        return self._attributes.facets(self._attributes.expression(filter, version), version)

    def upsert(self, records: Iterable[Record], *, overwrite: bool = True) -> int:
        """Insert or replace by id, all or nothing; durable, and in the next answer of every replica, once it returns.

        Returns:
            How many records were given; of several with one id, the last one stays.

        Raises:
            QueryError: a record's vector has the wrong shape or a value that is not finite, or its texts are too long.
            ItemExists: one of the ids is there, and `overwrite` is False.
            StoreBusy: others are changing the same shoes.
            StoreUnavailable: Milvus does not answer.
        """
        encoded = [encode(record, self._layout.facts.dimension) for record in records]
        if encoded:
            self._editor.upsert({shoe.row.id: shoe for shoe in encoded}, overwrite=overwrite)
        return len(encoded)

    def patch(self, item_id: str, attributes: Mapping[str, tuple[str, ...]]) -> Item:
        """See `VectorStore.patch`. Raises as `upsert`, and UnknownItem."""
        return self._editor.patch(item_id, attributes)

    def delete(self, ids: Sequence[str]) -> int:
        """Remove by id, all or nothing; durable once it returns. Returns how many were there. Raises as `upsert`."""
        return self._editor.delete(ids) if ids else 0

    def close(self) -> None:
        """End the connection."""
        self._closed.set()
        self._link.close()

    def _weights(self, condition: str | Weights) -> Weights:
        """What to compare by, as weights of places. Raises QueryError."""
        slices = self._layout.facts.slices
        if not isinstance(condition, str):
            check_weights(condition, slices)
            return condition
        if condition != OVERALL and condition not in slices:
            known = ", ".join([OVERALL, *slices])
            raise QueryError("condition", f"unknown condition {condition!r}; known conditions: {known}")
        return {condition: 1.0}

    def _row(self, item_id: str, fields: Sequence[str]) -> Row:
        """The row of one shoe. Raises UnknownItem."""
        moment = self._version().moment
        rows = self._tables.query(self._layout.main, f"key == {digest(item_id)}", fields, moment)
        for row in rows:
            if row["id"] == item_id:
                return row
        raise UnknownItem(item_id)

    def _version(self) -> Version:
        """How the catalogue is now, with every change that was acknowledged before this call, by any process."""
        version = self._versions.read()
        try:
            version.require_whole()
        except StoreUnavailable:
            self._mend_aside()
            raise
        return version

    def _mend_aside(self) -> None:
        """Have a thread finish the change that was cut short, unless one is at it."""
        if self._mending.acquire(blocking=False):
            threading.Thread(target=self._mend, name="store-mend", daemon=True).start()

    def _mend(self) -> None:
        try:
            until = time.monotonic() + 2 * LEASE_SECONDS
            while time.monotonic() < until and not self._versions.read().quiet:
                self._editor.mend()
                if self._closed.wait(1.0):
                    return
        except SolemateError as error:
            logger.warning("a change that was cut short is not finished yet: %s", error)
        finally:
            self._mending.release()

    def _probe(self, client: MilvusClient, seconds: float) -> None:
        """Fail unless the shoes can be read, from every collection."""
        for collection in self._layout.collections:
            client.query(collection, filter="number > 0", output_fields=["number"], limit=1, timeout=seconds)
