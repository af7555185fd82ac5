"""The rows of the shoes: how one is written down, and how they are read, in parts where there are many.

Milvus is only ever asked about numbers that are made here, never about a text of a caller's: an id or a value of an
attribute goes into an expression as its digest. So no value can be taken for a part of the expression.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from model.errors import QueryError
from service.store.base import Item, encode_attributes
from service.store.filters import All, AnyOf, Filter, HasValue, InRange, Not
from service.store.milvus.connection import CALL_SECONDS, Connection

__all__ = [
    "ITEM_FIELDS",
    "KEYS",
    "LONGEST",
    "MOST_TOKENS",
    "WINDOW",
    "Row",
    "Rows",
    "both",
    "decode",
    "digest",
    "encode",
    "translate",
]

WINDOW, AT_ONCE, MOST_READ = 16_384, 1000, 2048
"""Rows that one answer of Milvus may have, of one write or expression, and in the range that a page is cut out of."""

KEYS, NUMBERS = 2**62, 2**63
"""Keys are below the one, and spread evenly; numbers below the other, and those of new shoes above all there are."""

WRITE_SECONDS = 20.0
"""For one write, half of it for an attempt: under load Milvus takes some seconds for a large one."""

MOST_TOKENS, LONGEST = 1024, {"id": 512, "image": 2048, "attributes": 16_384}
"""Attributes and values that one shoe may have, and bytes of each of its texts, in UTF-8."""

ITEM_FIELDS = ["number", *LONGEST]
"""What `decode` needs, and the shoe's place in the order of insertion."""

Row = Mapping[str, Any]


def digest(*texts: str | None) -> int:
    """62 bits that stand for an id, for an attribute and a value, or for an attribute and None: that there is one."""
    return int.from_bytes(hashlib.sha256(json.dumps(texts).encode()).digest()[:8], "big") >> 2


def encode(item: Item, number: int) -> dict[str, Any]:
    """The fields of a shoe but its vectors. `number`: its place. Raises QueryError for what can't be stored."""
    row: dict[str, Any] = {"id": item.id, "image": item.image, "attributes": encode_attributes(item)}
    pairs = {(name, value) for name, values in item.attributes.items() if values for value in (None, *values)}
    sizes = {f"bytes of its {name}": (len(row[name].encode()), most) for name, most in LONGEST.items()}
    for name, (size, most) in {**sizes, "attributes and values": (len(pairs), MOST_TOKENS)}.items():
        if size > most:
            raise QueryError("id", f"shoe {item.id[:80]!r} has {size:,} {name}; expected at most {most:,}")
    return row | {"key": digest(item.id), "number": number, "tokens": [digest(*pair) for pair in pairs]}


def decode(row: Row) -> Item:
    """The item in a row of Milvus, with `ITEM_FIELDS`."""
    attributes = json.loads(row["attributes"])
    return Item(row["id"], row["image"], {name: tuple(values) for name, values in attributes.items()})


class Rows:
    """The rows of one catalogue, read at the consistency level of its address. For any thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._level = "Strong" if connection.address.strong else "Session"
        self._width = 2**31  # of the range of numbers of the last page: the next is often alike

    def call(self, method: str, *, seconds: float = CALL_SECONDS, **options: object) -> Any:  # noqa: ANN401 - by method
        """What a method of the client answers, asked about the shoes. Raises StoreUnavailable."""
        name = self._connection.address.collection
        return self._connection.call(
            lambda client, left: getattr(client, method)(name, timeout=left, **options), seconds=seconds
        )

    def search(self, **options: Any) -> list[list[Row]]:  # noqa: ANN401 - by option
        """The rows that a search finds for each query, nearest first; options as those of `MilvusClient.search`."""
        found = self.call("search", consistency_level=self._level, **options)
        return [[hit["entity"] for hit in hits] for hits in found]

    def query(self, expression: str, fields: Sequence[str], *, level: str = "") -> list[Row]:
        """Rows that an expression holds for, in no order; any `WINDOW` of them where there are more."""
        level = level or self._level
        return list(self.call("query", filter=expression, output_fields=fields, limit=WINDOW, consistency_level=level))

    def find(self, keys: Iterable[int], fields: Sequence[str]) -> list[Row]:
        """The rows with these keys that are there, in no order."""
        return [row for some in batches(list(keys)) for row in self.query(f"key in {some}", fields)]

    def count(self, expression: str) -> int:
        """How many rows an expression holds for."""
        rows = self.call("query", filter=expression, output_fields=["count(*)"], consistency_level=self._level)
        return int(rows[0]["count(*)"])

    def scan(self, expression: str, fields: Sequence[str]) -> Iterator[Row]:
        """All rows that an expression holds for, in no order, as they are now."""
        parts = self.count(expression) // (WINDOW // 2) + 1  # each with about half of what one answer may have
        for start, stop in pairwise(KEYS * part // parts for part in range(parts + 1)):
            yield from self.query(both(f"key >= {start} and key < {stop}", expression), fields, level="Strong")

    def first(self, expression: str, *, after: int, limit: int) -> list[Row]:
        """The `limit` first rows in the order of insertion, beyond the number `after`, with `ITEM_FIELDS`.

        Milvus does not sort. So a range of numbers is looked for that has as many, and not many more.
        """
        found: list[Row] = []
        while len(found) < limit:
            wanted = min(limit - len(found), MOST_READ // 2)
            rows = self.query(self._narrow(both(f"number > {after}", expression), after, wanted), ["number", "key"])
            numbers = sorted((int(row["number"]), int(row["key"])) for row in rows)[:wanted]
            some = self.find([key for _, key in numbers], ITEM_FIELDS)
            found += sorted(some, key=lambda row: int(row["number"]))
            if len(numbers) < wanted:
                break
            after = numbers[-1][0]
        return found

    def upsert(self, rows: Sequence[Row]) -> None:
        """Put rows in the place of those with their keys, or beside the others."""
        for some in batches(rows):
            self.call("upsert", data=some, seconds=WRITE_SECONDS)

    def delete(self, keys: Sequence[int]) -> None:
        """Remove rows by their keys."""
        for some in batches(keys):
            self.call("delete", ids=some, seconds=WRITE_SECONDS)
            # Not every Milvus tells the time of a removal, which Session would wait for; Strong waits for now.
            self.query(f"key in {some}", ["key"], level="Strong")

    def _narrow(self, beyond: str, after: int, wanted: int) -> str:
        """An expression for the first of the rows beyond `after`: at least `wanted`, or all."""
        if self.count(beyond) <= MOST_READ:
            return beyond
        low, high, middle = after, NUMBERS - 1, min(after + self._width, NUMBERS - 1)
        while True:
            within = both(beyond, f"number <= {middle}")
            count = self.count(within)
            if wanted <= count <= MOST_READ or high - low <= 1:
                self._width = middle - after
                return within
            low, high = (middle, high) if count < wanted else (low, middle)
            middle = (low + high) // 2


def both(one: str, other: str) -> str:
    """An expression that holds where two do; "" holds everywhere."""
    return " and ".join(each for each in (one, other) if each)


def batches(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """All values, `AT_ONCE` at a time."""
    return (values[start : start + AT_ONCE] for start in range(0, len(values), AT_ONCE))


def translate(filter: Filter) -> str:
    """A filter without ranges as an expression. Raises QueryError for a range."""
    match filter:
        case HasValue(attribute, values):
            tokens = sorted(digest(attribute, value) for value in values)
            return f"array_contains_any(tokens, {tokens})" if tokens else "key < 0"
        case All(parts):
            return " and ".join(f"({translate(part)})" for part in parts)
        case AnyOf(parts):
            return " or ".join(f"({translate(part)})" for part in parts)
        case Not(part):
            return f"not ({translate(part)})"
        case InRange():
            raise QueryError("filter", f"a catalogue in Milvus can't compare numbers or dates: {filter.attribute!r}")
