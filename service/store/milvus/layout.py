"""Collections and their fields: how a catalogue lies in Milvus.

    NAME                 number, key, id, image, attributes, checksum, tokens, overall [, a vector for each slice]
    NAME_xxxxxxxx_claims who is changing what, the journal of each change, the known attributes and values
    NAME_xxxxxxxx_0 ...  number, key, tokens, and a slice's vector: where a collection may have but one vector

What holds for a whole catalogue is in the properties of the collection NAME. The others bear a part of its uuid in
their names, so that those of an earlier catalogue of the same name are never taken for its own.
"""

import contextlib
import json
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from pymilvus import CollectionSchema, DataType, MilvusClient, MilvusException

from model.errors import ArtifactCorrupt, ArtifactMissing
from service.milvus_address import Address
from service.store.base import OVERALL
from service.store.embedded.database import Facts
from service.store.milvus.link import Link
from service.store.milvus.records import LONGEST, MOST_TOKENS

__all__ = ["FACTS", "MOST_KEYS", "Layout", "Place", "create", "open_layout", "remove"]

FORMAT = "1"
FACTS = "solemate.facts"

LONG_SECONDS = 60.0
"""For making a collection and for loading it."""

MOST_KEYS = 4096
"""Shoes that one row of a claim may name."""

LEAST_DIMENSION = 2
"""Of a vector in Milvus; a shorter slice is filled up with zeros, which changes no distance."""

HNSW = {"M": 16, "efConstruction": 200}

REBUILD = "make it anew with `python -m service index --store ... --rebuild`"


@dataclass(frozen=True)
class Place:
    """Where the vectors of one condition are: in which collection and field, and which part of the whole they are."""

    collection: str
    field: str
    start: int
    stop: int

    @property
    def padding(self) -> int:
        """Zeros behind the part."""
        return max(0, LEAST_DIMENSION - (self.stop - self.start))


@dataclass(frozen=True)
class Layout:
    """A catalogue in Milvus.

    Attributes:
        address: of its collection.
        uuid: of the catalogue.
        facts: what holds for all of it.
        split: whether each slice's vectors are in a collection of their own.
    """

    address: Address
    uuid: str
    facts: Facts
    split: bool

    @property
    def main(self) -> str:
        """The collection of the shoes."""
        return self.address.collection

    @property
    def claims(self) -> str:
        """The collection of claims."""
        return f"{self.main}_{self.uuid[:8]}_claims"

    @property
    def places(self) -> dict[str, Place]:
        """Condition -> where its vectors are."""
        places = {OVERALL: Place(self.main, OVERALL, 0, self.facts.dimension)}
        for number, (name, (start, stop)) in enumerate(self.facts.slices.items()):
            collection = f"{self.main}_{self.uuid[:8]}_{number}" if self.split else self.main
            places[name] = Place(collection, "slice" if self.split else f"slice_{number}", start, stop)
        return places

    @property
    def collections(self) -> list[str]:
        """All of them, that of the shoes last."""
        return [self.claims, *{place.collection: None for place in reversed(self.places.values())}]

    def fields_of(self, collection: str) -> dict[str, Place]:
        """Vector field -> its place, of one of the collections of shoes."""
        return {place.field: place for place in self.places.values() if place.collection == collection}


def create(link: Link, facts: Facts) -> Layout:
    """Make an empty catalogue, or open the one that is there, whatever its facts. Raises StoreUnavailable."""
    name = link.address.collection
    if not link.call(lambda client, seconds: client.has_collection(name, timeout=seconds)):
        uuid = secrets.token_hex(16)
        try:
            link.call(lambda client, _: make_shoes(client, Layout(link.address, uuid, facts, split=False)))
        except NoSecondVector:
            link.call(lambda client, _: make_shoes(client, Layout(link.address, uuid, facts, split=True)))
    return open_layout(link)


def open_layout(link: Link) -> Layout:
    """Open a catalogue, and complete one whose making was cut short.

    Raises:
        ArtifactMissing: there is none.
        ArtifactCorrupt: the collection is none of solemate's, or of another format.
        StoreUnavailable: Milvus does not answer.
    """
    name = link.address.collection
    if not link.call(lambda client, seconds: client.has_collection(name, timeout=seconds)):
        raise ArtifactMissing(
            f"{link.address} holds no catalogue; make one with `python -m service index --catalog PATH --store ...`"
        )
    properties = link.call(lambda client, seconds: client.describe_collection(name, timeout=seconds)["properties"])
    layout = read_layout(link.address, properties)
    with ThreadPoolExecutor(len(layout.collections), thread_name_prefix="load") as pool:
        # All of them: each takes Milvus seconds, most of which it waits.
        list(pool.map(lambda each: ensure(link, layout, each), layout.collections))
    return layout


def remove(link: Link) -> None:
    """Drop a catalogue, if there is one, and what earlier ones of its name have left."""
    name = link.address.collection

    def drop(client: MilvusClient, seconds: float) -> None:
        beside = [each for each in client.list_collections(timeout=seconds) if each.startswith(f"{name}_")]
        ours = [each for each in beside if is_beside(name, each)]
        for each in (name, *ours):
            if client.has_collection(each, timeout=seconds):
                client.drop_collection(each, timeout=seconds)

    link.call(drop, seconds=LONG_SECONDS)


def is_beside(name: str, other: str) -> bool:
    """Whether a collection's name is one that a catalogue called `name` gives those beside it."""
    middle, _, last = other.removeprefix(f"{name}_").partition("_")
    is_part = len(middle) == 8 and all(letter in "0123456789abcdef" for letter in middle)
    return is_part and (last == "claims" or last.isdecimal())


class NoSecondVector(Exception):
    """This Milvus does not take as many vectors in one collection as there are slices."""


def read_layout(address: Address, properties: Mapping[str, str]) -> Layout:
    """The catalogue that a collection's properties describe. Raises ArtifactCorrupt."""
    try:
        facts = json.loads(properties[FACTS])
        if facts["format"] != FORMAT:
            raise ArtifactCorrupt(f"{address} has the format version {facts['format']}, not {FORMAT}; {REBUILD}")
        slices = {str(name): (int(start), int(stop)) for name, (start, stop) in facts["slices"].items()}
        known = Facts(int(facts["dimension"]), slices, facts["checkpoint"], facts["root"])
        return Layout(address, facts["uuid"], known, bool(facts["split"]))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ArtifactCorrupt(f"{address} is no catalogue of solemate ({error!r}); {REBUILD}") from error


def make_shoes(client: MilvusClient, layout: Layout) -> None:
    """Make the collection of the shoes, with the facts. Raises NoSecondVector."""
    facts = {"format": FORMAT, "uuid": layout.uuid, "split": layout.split} | asdict(layout.facts)
    try:
        client.create_collection(
            layout.main,
            schema=schema_of(layout, layout.main),
            consistency_level="Strong",
            shards_num=layout.address.shards,
            properties={FACTS: json.dumps(facts)},
            timeout=LONG_SECONDS,
        )
    except MilvusException as error:
        if "vector field" in str(error) and not layout.split:
            raise NoSecondVector from error
        raise


def ensure(link: Link, layout: Layout, collection: str) -> None:
    """Have a collection made, indexed and loaded, whatever of that is still to be done."""

    def do(client: MilvusClient, seconds: float) -> None:
        if not client.has_collection(collection, timeout=seconds):
            client.create_collection(
                collection,
                schema=schema_of(layout, collection),
                consistency_level="Strong",
                shards_num=layout.address.shards,
                timeout=LONG_SECONDS,
            )
        if str(client.get_load_state(collection, timeout=seconds)["state"]) != "Loaded":
            if not client.list_indexes(collection):
                index(client, layout, collection)
            client.load_collection(collection, replica_number=layout.address.replicas, timeout=LONG_SECONDS)

    link.call(do, seconds=LONG_SECONDS)


def index(client: MilvusClient, layout: Layout, collection: str) -> None:
    """Say how the fields of a collection are to be indexed."""
    approximate = layout.address.index == "hnsw" and collection != layout.claims
    for field in layout.fields_of(collection) or ("nothing",):
        parameters = client.prepare_index_params()
        parameters.add_index(
            field,
            index_type="HNSW" if approximate else "FLAT",
            metric_type="L2",
            params=HNSW if approximate else {},
        )
        client.create_index(collection, parameters, timeout=LONG_SECONDS)
    if collection == layout.main:
        # Looking for an id or a value works without; only some versions of Milvus index these.
        for field, kind in (("key", "STL_SORT"), ("tokens", "INVERTED")):
            parameters = client.prepare_index_params()
            parameters.add_index(field, index_type=kind)
            with contextlib.suppress(MilvusException):
                client.create_index(collection, parameters, timeout=LONG_SECONDS)


def schema_of(layout: Layout, collection: str) -> CollectionSchema:
    """The fields of one of the collections."""
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    add: Callable[..., Any] = schema.add_field
    add("number", DataType.INT64, is_primary=True)
    if collection == layout.claims:
        for name in ("kind", "owner", "slot"):
            add(name, DataType.INT64)
        add("keys", DataType.ARRAY, element_type=DataType.INT64, max_capacity=MOST_KEYS)
        add("text", DataType.VARCHAR, max_length=65_535)
        add("nothing", DataType.FLOAT_VECTOR, dim=LEAST_DIMENSION)  # some versions want a vector in each collection
        return schema
    add("key", DataType.INT64)
    if collection == layout.main:
        for name, most in LONGEST.items():
            add(name, DataType.VARCHAR, max_length=most)
        add("checksum", DataType.INT64)
    add("tokens", DataType.ARRAY, element_type=DataType.INT64, max_capacity=MOST_TOKENS)
    for field, place in layout.fields_of(collection).items():
        add(field, DataType.FLOAT_VECTOR, dim=place.stop - place.start + place.padding)
    return schema
