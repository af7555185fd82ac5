"""How one shoe is written down in Milvus, and how a change is before it is made.

Milvus is only ever asked about numbers that are made here, never about a text of a caller's: an id or a value of an
attribute goes into an expression as its digest. So no value can be taken for a part of the expression.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import ArtifactCorrupt, QueryError
from service.store.base import Item, Record
from service.store.embedded import rows

__all__ = [
    "ITEM_FIELDS",
    "MOST_TOKENS",
    "Change",
    "Shoe",
    "attribute_token",
    "decode_item",
    "decode_vector",
    "digest",
    "encode",
    "tokens_of",
    "value_token",
]

MOST_TOKENS = 1024
"""Attributes and values that one shoe may have."""

LONGEST = {"id": 512, "image": 2048, "attributes": 16_384}
"""Bytes of each text, in UTF-8. Together, escaped and with a vector, they stay below what one field of Milvus holds."""

JOURNAL_BYTES = 60_000
"""Bytes of one text of a journal: Milvus takes 65,535."""

ITEM_FIELDS = ["number", "id", "image", "attributes", "checksum"]
"""What `decode_item` needs."""


def digest(*texts: str) -> int:
    """62 bits that stand for some texts. JSON keeps ("ab", "c") apart from ("a", "bc")."""
    return int.from_bytes(hashlib.sha256(json.dumps(texts).encode()).digest()[:8], "big") >> 2


def attribute_token(name: str) -> int:
    """What a shoe that has an attribute, whatever its values, is found by."""
    return digest("attribute", name)


def value_token(name: str, value: str) -> int:
    """What a shoe whose attribute has a value is found by."""
    return digest("value", name, value)


def tokens_of(attributes: Mapping[str, Sequence[str]]) -> dict[int, tuple[str, str | None]]:
    """Token -> the attribute and value that it stands for; the value is None where it stands for the attribute."""
    tokens: dict[int, tuple[str, str | None]] = {}
    for name, values in attributes.items():
        tokens[attribute_token(name)] = (name, None)
        tokens.update({value_token(name, value): (name, value) for value in values})
    return tokens


@dataclass(frozen=True)
class Shoe:
    """A shoe as Milvus keeps it.

    Attributes:
        number: its place in the order of insertion, and the primary key; 0 until it has one.
        row: its texts and its vector.
    """

    number: int
    row: rows.Row

    @property
    def key(self) -> int:
        """What it is found by."""
        return digest(self.row.id)

    @property
    def attributes(self) -> dict[str, list[str]]:
        """Of the row."""
        parsed: dict[str, list[str]] = json.loads(self.row.attributes)
        return parsed

    @property
    def vector(self) -> NDArray[np.float32]:
        """(D,) float32."""
        return np.frombuffer(self.row.vector, dtype="<f4")

    def item(self) -> Item:
        """As the protocol has it."""
        return Item(self.row.id, self.row.image, {name: tuple(values) for name, values in self.attributes.items()})

    def fields(self) -> dict[str, Any]:
        """The scalar fields of its row in Milvus."""
        return {
            "number": self.number,
            "key": self.key,
            "id": self.row.id,
            "image": self.row.image,
            "attributes": self.row.attributes,
            "checksum": self.row.checksum,
            "tokens": list(tokens_of(self.attributes)),
        }


def encode(record: Record, dimension: int) -> Shoe:
    """A record, not yet placed. Raises QueryError for what can't be stored."""
    row = rows.encode(record, dimension)
    for name, most in LONGEST.items():
        if (size := len(getattr(row, name).encode())) > most:
            raise QueryError("id", f"shoe {row.id[:80]!r}: its {name} has {size:,} bytes; expected at most {most:,}")
    shoe = Shoe(0, row)
    if (count := len(tokens_of(shoe.attributes))) > MOST_TOKENS:
        raise QueryError("id", f"shoe {row.id!r} has {count:,} attributes and values; expected at most {MOST_TOKENS:,}")
    return shoe


def decode_item(row: Mapping[str, Any]) -> Item:
    """The item in a row of Milvus, with `ITEM_FIELDS`. Raises ArtifactCorrupt if it is not what was written."""
    (item,) = rows.decode_items([(row["id"], row["image"], row["attributes"], row["checksum"])])
    return item


def decode_vector(values: Sequence[float], dimension: int) -> NDArray[np.float32]:
    """The vector in a row of Milvus, (D,) float32, the caller's own."""
    vector = np.array(values, dtype=np.float32)
    if vector.shape != (dimension,):
        raise ArtifactCorrupt(f"a vector in the catalogue has the shape {vector.shape}, not ({dimension},)")
    return vector


@dataclass(frozen=True)
class Change:
    """What is to become of some shoes: made as often as one likes, it comes to the same.

    Attributes:
        puts: shoes, each with its number, to write in place of what has that number.
        removals: numbers of shoes to remove.
    """

    puts: Sequence[Shoe] = ()
    removals: Sequence[int] = ()

    def texts(self) -> Iterator[str]:
        """The change, in texts short enough for Milvus."""
        yield from pack(
            json.dumps([shoe.number, *shoe.row[:3], base64.b64encode(shoe.row.vector).decode()], ensure_ascii=False)
            for shoe in self.puts
        )
        yield from pack(json.dumps(number) for number in self.removals)

    @classmethod
    def of(cls, texts: Iterable[str], dimension: int) -> "Change":
        """Read back what `texts` gave, in any order. Raises ArtifactCorrupt."""
        puts: list[Shoe] = []
        removals: list[int] = []
        for text in texts:
            for line in json.loads(text):
                if isinstance(line, int):
                    removals.append(line)
                    continue
                number, item_id, image, attributes, vector = line
                values = np.frombuffer(base64.b64decode(vector), dtype="<f4")
                record = Record(Item(item_id, image, json.loads(attributes)), values)
                puts.append(Shoe(number, encode(record, dimension).row))
        return cls(puts, removals)


def pack(lines: Iterable[str]) -> Iterator[str]:
    """JSON lists of JSON texts, each as long as Milvus takes."""
    some: list[str] = []
    size = 0
    for line in lines:
        length = len(line.encode()) + 1
        if some and size + length > JOURNAL_BYTES:
            yield f"[{','.join(some)}]"
            some, size = [], 0
        some.append(line)
        size += length
    if some:
        yield f"[{','.join(some)}]"
