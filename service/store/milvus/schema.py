"""How a catalogue lies in Milvus: one collection, with its specification as a property, its fields, indexes and rows.

Milvus is only ever asked about numbers that are made here, never about a text of a caller's: an id or a value of an
attribute goes into an expression as its digest. So no value can be taken for a part of the expression.
"""

import contextlib
import hashlib
import json
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymilvus import CollectionSchema, DataType, MilvusClient, MilvusException

from model.errors import ArtifactCorrupt, ArtifactError, ArtifactMissing, QueryError
from model.text import MAX_ECHO
from service.milvus_address import Address
from service.store.base import OVERALL, REBUILD, Item, StoreSpec, encode_attributes
from service.store.filters import All, AnyOf, Filter, HasId, HasValue, InRange, Not
from service.store.milvus.connection import Connection

FORMAT = "2"
FACTS, CHANGED = "solemate.facts", "solemate.changed"
"""Properties: what holds for the catalogue, and a random text that is another after each change."""

LONG_SECONDS = 120.0
"""For making a collection and for loading it."""

HNSW, EF = {"M": 16, "efConstruction": 200}, 64
"""How an index by HNSW is made, and the least breadth of a search by it."""

QUERIES_AT_ONCE = 16
"""Of one search of Milvus. For more, its library may compute |x|^2 + |y|^2 - 2xy, which loses small distances."""

DAY = 24 * 3600 * 1_000_000 << 11  # in numbers of shoes

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


@dataclass(frozen=True)
class Catalog:
    """What holds for a whole catalogue in Milvus. `start`: below the numbers of all shoes."""

    uuid: str
    start: int
    spec: StoreSpec

    @property
    def parts(self) -> dict[str, slice]:
        """Slice, or `overall` -> its part of the vector."""
        ends = {OVERALL: (0, self.spec.dimension), **self.spec.slices}
        return {name: slice(start, stop) for name, (start, stop) in ends.items()}

    @property
    def fields(self) -> dict[str, slice]:
        """Field -> its part of the vector. A slice that is all of it shares the field of `overall`."""
        return {field_of(part): part for part in self.parts.values()}


def field_of(part: slice) -> str:
    """The field of a part of the vector."""
    return f"vector_{part.start}_{part.stop}"


def make_numbers() -> Iterator[int]:
    """Places in the order of insertion: microseconds, and 11 random bits, in case that two replicas insert at once."""
    return (now << 11 | secrets.randbits(11) for now in count(time.time_ns() // 1000))


def open_catalog(connection: Connection, create: StoreSpec | None) -> Catalog:
    """Open a catalogue and have it loaded; where there is none, make an empty one of the specification `create`.

    Raises:
        ArtifactMissing: there is none, and `create` is None.
        ArtifactCorrupt: the collection is none of solemate's, or of another format.
        ArtifactError: this Milvus does not take as many vectors a shoe.
        StoreUnavailable: Milvus does not answer.
    """
    address = connection.address
    if not connection.ask("has_collection"):
        if create is None:
            raise ArtifactMissing(f"{address} holds no catalogue; make one with `python -m service index --store ...`")
        connection.call(lambda client, _: make_collection(client, address, create), seconds=LONG_SECONDS)
    catalog = read_catalog(address, connection.ask("describe_collection")["properties"])
    connection.call(lambda client, seconds: load(client, address, catalog, seconds), seconds=LONG_SECONDS)
    return catalog


def read_catalog(address: Address, properties: Mapping[str, str]) -> Catalog:
    """The catalogue that a collection's properties describe. Raises ArtifactCorrupt."""
    try:
        read = json.loads(properties[FACTS])
        if read["format"] != FORMAT:
            raise ArtifactCorrupt(f"{address} has the format version {read['format']}, not {FORMAT}; {REBUILD}")
        spec = StoreSpec.of(read["dimension"], read["slices"], read["checkpoint"], read["root"])
        return Catalog(read["uuid"], int(read["start"]), spec)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ArtifactCorrupt(f"{address} is no catalogue of solemate ({error!r}); {REBUILD}") from error


def make_collection(client: MilvusClient, address: Address, spec: StoreSpec) -> None:
    """Make the collection, unless another process is faster. Raises ArtifactError."""
    # Numbers are above `start` though the clocks of those who insert may be a day behind.
    catalog = Catalog(secrets.token_hex(16), next(make_numbers()) - DAY, spec)
    try:
        client.create_collection(
            address.collection,
            schema=schema_of(catalog),
            consistency_level="Session",
            shards_num=address.shards,
            properties={
                FACTS: json.dumps({"format": FORMAT, "uuid": catalog.uuid, "start": catalog.start} | asdict(spec))
            },
            timeout=LONG_SECONDS / 2,
        )
    except MilvusException as error:
        if client.has_collection(address.collection):
            return
        if "vector field" not in str(error):
            raise
        expected = f"Milvus 2.4 or newer, with proxy.maxVectorFieldNum at least {len(catalog.fields)}"
        raise ArtifactError(f"{address} does not take a vector for each condition; expected {expected}") from error


def schema_of(catalog: Catalog) -> CollectionSchema:
    """The fields of a shoe."""
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("key", DataType.INT64, is_primary=True)
    schema.add_field("number", DataType.INT64)
    for name, most in LONGEST.items():
        schema.add_field(name, DataType.VARCHAR, max_length=most)
    schema.add_field("tokens", DataType.ARRAY, element_type=DataType.INT64, max_capacity=MOST_TOKENS)
    for field, part in catalog.fields.items():
        schema.add_field(field, DataType.FLOAT_VECTOR, dim=part.stop - part.start)
    return schema


def load(client: MilvusClient, address: Address, catalog: Catalog, seconds: float) -> None:
    """Have a collection indexed and loaded, whatever of that is still to be done."""
    name = address.collection
    if str(client.get_load_state(name, timeout=seconds)["state"]) == "Loaded":
        return

    def index(field: str, kind: str, **how: object) -> None:
        parameters = client.prepare_index_params()
        parameters.add_index(field, index_name=field, index_type=kind, **how)
        client.create_index(name, parameters, timeout=seconds)

    kind, how = ("HNSW", HNSW) if address.index == "hnsw" else ("FLAT", {})
    for field in catalog.fields.keys() - client.list_indexes(name):
        index(field, kind, metric_type="L2", params=how)
    # Looking for a number or a value works without; only some versions of Milvus index these.
    for field, kind in (("number", "STL_SORT"), ("tokens", "INVERTED")):
        with contextlib.suppress(MilvusException):
            index(field, kind)
    client.load_collection(name, replica_number=address.replicas, timeout=seconds)


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
        self._ask, self._is_hnsw = connection.ask, connection.address.index == "hnsw"
        self._level = "Strong" if connection.address.strong else "Session"
        self._width = 2**31  # of the range of numbers of the last page: the next is often alike

    def search(
        self, queries: NDArray[np.float32], part: slice, expression: str, count: int, fields: Sequence[str]
    ) -> list[list[Row]]:
        """For each query, (B, D), the rows that are nearest to it by one part of the vectors, nearest first."""
        how = {"metric_type": "L2", "params": {"ef": max(EF, 2 * count)} if self._is_hnsw else {}}
        options: dict[str, Any] = {"limit": count, "output_fields": ["key", *ITEM_FIELDS, *fields]}
        options |= {"filter": expression, "search_params": how, "consistency_level": self._level}
        parts = [queries[start : start + QUERIES_AT_ONCE, part] for start in range(0, len(queries), QUERIES_AT_ONCE)]
        found = [self._ask("search", data=list(some), anns_field=field_of(part), **options) for some in parts]
        return [[hit["entity"] for hit in hits] for some in found for hits in some]

    def query(self, expression: str, fields: Sequence[str], *, level: str = "", most: int = WINDOW) -> list[Row]:
        """Rows that an expression holds for, in no order; any `most` of them where there are more."""
        options: dict[str, Any] = {"limit": most, "consistency_level": level or self._level}
        return list(self._ask("query", filter=expression, output_fields=fields, **options))

    def find(self, keys: Iterable[int], fields: Sequence[str]) -> list[Row]:
        """The rows with these keys that are there, in no order."""
        return [row for some in batches(list(keys)) for row in self.query(f"key in {some}", fields)]

    def have_tokens(self, tokens: Iterable[int]) -> bool:
        """Whether each of the tokens is some shoe's.

        Each query gives shoes with tokens that were not found yet, so few are needed: Milvus has no order that would
        put those with one token before the others, as it orders shoes by digests.
        """
        missing = set(tokens)
        while missing:
            rows = self.query(f"array_contains_any(tokens, {sorted(missing)})", ["tokens"], most=2 * len(missing))
            found = {int(token) for row in rows for token in row["tokens"]}
            if missing.isdisjoint(found):
                return False
            missing -= found
        return True

    def count(self, expression: str) -> int:
        """How many rows an expression holds for."""
        rows = self._ask("query", filter=expression, output_fields=["count(*)"], consistency_level=self._level)
        return int(rows[0]["count(*)"])

    def sample(self, count: int, fields: Sequence[str]) -> list[Row]:
        """About so many rows, those with the least keys, by these."""
        below = KEYS if (total := self.count("")) <= count else KEYS * count // total
        return sorted(self.query(f"key < {below}", ["key", *fields]), key=lambda row: int(row["key"]))

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
            self._ask("upsert", data=some, seconds=WRITE_SECONDS)

    def delete(self, keys: Sequence[int]) -> None:
        """Remove rows by their keys."""
        for some in batches(keys):
            self._ask("delete", ids=some, seconds=WRITE_SECONDS)
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
        case HasId(ids):
            return f"key in {sorted(map(digest, ids))}"
        case All(parts):
            return " and ".join(f"({translate(part)})" for part in parts)
        case AnyOf(parts):
            return " or ".join(f"({translate(part)})" for part in parts)
        case Not(part):
            return f"not ({translate(part)})"
        case InRange():
            raise QueryError(
                "filter", f"a catalogue in Milvus can't compare numbers or dates: {filter.attribute[:MAX_ECHO]!r}"
            )
