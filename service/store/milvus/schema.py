"""How a catalogue lies in Milvus: one collection, with its facts as properties, its fields and its indexes."""

import contextlib
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import count

from pymilvus import CollectionSchema, DataType, MilvusClient, MilvusException

from model.errors import ArtifactCorrupt, ArtifactError, ArtifactMissing
from service.milvus_address import Address
from service.store.base import OVERALL, REBUILD, Facts
from service.store.milvus.connection import Connection
from service.store.milvus.rows import LONGEST, MOST_TOKENS

__all__ = ["CHANGED", "FACTS", "Catalog", "field_of", "make_numbers", "open_catalog"]

FORMAT = "2"
FACTS, CHANGED = "solemate.facts", "solemate.changed"
"""Properties: what holds for the catalogue, and a random text that is another after each change."""

LONG_SECONDS = 120.0
"""For making a collection and for loading it."""

HNSW = {"M": 16, "efConstruction": 200}
DAY = 24 * 3600 * 1_000_000 << 11  # in numbers of shoes


@dataclass(frozen=True)
class Catalog:
    """What holds for a whole catalogue in Milvus. `start`: below the numbers of all shoes."""

    uuid: str
    start: int
    facts: Facts

    @property
    def parts(self) -> dict[str, slice]:
        """Condition -> its part of the vector."""
        ends = {OVERALL: (0, self.facts.dimension), **self.facts.slices}
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


def open_catalog(connection: Connection, create: Facts | None) -> Catalog:
    """Open a catalogue and have it loaded; where there is none, make an empty one of the facts `create`.

    Raises:
        ArtifactMissing: there is none, and `create` is None.
        ArtifactCorrupt: the collection is none of solemate's, or of another format.
        ArtifactError: this Milvus does not take as many vectors a shoe.
        StoreUnavailable: Milvus does not answer.
    """
    address, name = connection.address, connection.address.collection
    if not connection.call(lambda client, seconds: client.has_collection(name, timeout=seconds)):
        if create is None:
            raise ArtifactMissing(f"{address} holds no catalogue; make one with `python -m service index --store ...`")
        connection.call(lambda client, _: make_collection(client, address, create), seconds=LONG_SECONDS)
    described = connection.call(lambda client, seconds: client.describe_collection(name, timeout=seconds))
    catalog = read_catalog(address, described["properties"])
    connection.call(lambda client, seconds: load(client, address, catalog, seconds), seconds=LONG_SECONDS)
    return catalog


def read_catalog(address: Address, properties: Mapping[str, str]) -> Catalog:
    """The catalogue that a collection's properties describe. Raises ArtifactCorrupt."""
    try:
        read = json.loads(properties[FACTS])
        if read["format"] != FORMAT:
            raise ArtifactCorrupt(f"{address} has the format version {read['format']}, not {FORMAT}; {REBUILD}")
        facts = Facts.of(read["dimension"], read["slices"], read["checkpoint"], read["root"])
        return Catalog(read["uuid"], int(read["start"]), facts)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ArtifactCorrupt(f"{address} is no catalogue of solemate ({error!r}); {REBUILD}") from error


def make_collection(client: MilvusClient, address: Address, facts: Facts) -> None:
    """Make the collection, unless another process is faster. Raises ArtifactError."""
    # Numbers are above `start` though the clocks of those who insert may be a day behind.
    catalog = Catalog(secrets.token_hex(16), next(make_numbers()) - DAY, facts)
    try:
        client.create_collection(
            address.collection,
            schema=schema_of(catalog),
            consistency_level="Session",
            shards_num=address.shards,
            properties={FACTS: json.dumps({"format": FORMAT} | asdict(catalog) | asdict(facts))},
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
