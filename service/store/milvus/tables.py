"""Reading and writing rows: each read complete up to a moment, each write telling its own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from pymilvus import MilvusClient
from pymilvus.client.ts_utils import get_collection_ts

from service.store.milvus.link import Link, Operation

__all__ = ["WINDOW", "Tables", "batches"]

WINDOW = 16_384
"""Rows that one answer of Milvus may have."""

AT_ONCE = 1000
"""Rows of one write: Milvus cuts larger ones into messages of its own."""

WRITE_SECONDS = 8.0

T = TypeVar("T")
Row = Mapping[str, Any]


class Tables:
    """The collections of one server. For any thread."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def query(
        self, collection: str, expression: str, fields: Sequence[str], moment: int, *, limit: int = WINDOW
    ) -> list[Row]:
        """Rows that an expression holds for, complete up to `moment`; any `limit` of them where there are more."""
        rows = self._link.call(
            lambda client, seconds: client.query(
                collection,
                filter=expression,
                output_fields=list(fields),
                limit=limit,
                timeout=seconds,
                **self.complete(moment),
            )
        )
        return sorted(rows, key=number_of)

    def first(
        self, collection: str, expression: str, fields: Sequence[str], moment: int, *, after: int, limit: int
    ) -> list[Row]:
        """The rows with the lowest numbers beyond `after` that an expression holds for, `limit` of them."""
        rows: list[Row] = []
        while len(rows) < limit:
            beyond = f"number > {number_of(rows[-1]) if rows else after}"
            most = min(limit - len(rows), WINDOW)

            def ask(client: MilvusClient, seconds: float, beyond: str = beyond, most: int = most) -> list[Row]:
                found = client.query(
                    collection,
                    filter=f"{beyond} and {expression}" if expression else beyond,
                    output_fields=list(fields),
                    limit=most,
                    # As the client's own iterator asks: only so are they the lowest, in every version of Milvus. An
                    # answer ends where one of the segments does, and others may have more: an empty one is the last.
                    iterator="True",
                    reduce_stop_for_best=True,
                    guarantee_timestamp=0 if self._link.address.strong else moment,
                    timeout=seconds,
                )
                return sorted(found, key=number_of)

            some = self._link.call(ask)
            if not some:
                break
            rows += some
        return rows

    def count(self, collection: str, expression: str, moment: int) -> int:
        """How many rows an expression holds for."""
        rows = self._link.call(
            lambda client, seconds: client.query(
                collection, filter=expression, output_fields=["count(*)"], timeout=seconds, **self.complete(moment)
            )
        )
        return int(rows[0]["count(*)"])

    def write(self, collection: str, rows: Iterable[Row]) -> int:
        """Put rows in the place of those with their primary keys. Returns the moment of the last write."""
        for some in batches(rows, AT_ONCE):
            self._write(partial(put, collection, some))
        return self.moment_of(collection)

    def remove(self, collection: str, numbers: Iterable[int]) -> None:
        """Remove rows by their primary keys."""
        for some in batches(numbers, AT_ONCE):
            self._write(partial(drop, collection, some))

    def _write(self, operation: Operation[object]) -> None:
        with self._link.writing:
            self._link.call(operation, attempt=WRITE_SECONDS, seconds=WRITE_SECONDS)

    def complete(self, moment: int) -> dict[str, Any]:
        """Have a read wait until Milvus has all that was written up to `moment`; 0 is now."""
        if not moment or self._link.address.strong:
            return {"consistency_level": "Strong"}
        return {"consistency_level": "Customized", "guarantee_timestamp": moment}

    def moment_of(self, collection: str) -> int:
        """The timestamp that Milvus gave the last of this process's writes to a collection; 0 if it gives none."""
        return int(get_collection_ts(collection, self._link.endpoint, self._link.address.database or "default"))


def put(collection: str, rows: list[Row], client: MilvusClient, seconds: float) -> None:
    """Write some rows."""
    client.upsert(collection, rows, timeout=seconds)


def drop(collection: str, numbers: list[int], client: MilvusClient, seconds: float) -> None:
    """Remove some rows."""
    client.delete(collection, ids=numbers, timeout=seconds)


def number_of(row: Row) -> int:
    """A row's primary key."""
    return int(row["number"])


def batches(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """All values, `size` at a time."""
    iterator = iter(values)
    while some := list(islice(iterator, size)):
        yield some
