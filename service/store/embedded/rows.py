"""Serialization of shoes: from a `Record` to a row of the catalogue's table, and back."""

import json
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.errors import ArtifactCorrupt
from service.store.base import Item, Record, check_vector, encode_attributes

__all__ = ["Row", "decode_items", "decode_vectors", "encode", "encode_text", "text_checksum"]

Attributes = dict[str, tuple[str, ...]]


class Row(NamedTuple):
    """A shoe as SQLite keeps it.

    Attributes:
        id: the shoe's id.
        image: its picture's path, relative to the catalogue's root.
        attributes: JSON, attribute -> list of values.
        checksum: CRC-32 of the three texts above.
        vector: D little-endian float32.
        vector_checksum: CRC-32 of `vector`. Two checksums, since a start from the cache reads no vectors.
    """

    id: str
    image: str
    attributes: str
    checksum: int
    vector: bytes
    vector_checksum: int


def encode(record: Record, dimension: int) -> Row:
    """Serialize one shoe."""
    item = record.item
    blob = check_vector(record, dimension).tobytes()
    attributes, checksum = encode_text(item)
    return Row(item.id, item.image, attributes, checksum, blob, zlib.crc32(blob))


def encode_text(item: Item) -> tuple[str, int]:
    """A shoe's attributes as JSON, and the checksum of its texts. Raises QueryError for one that can't be stored."""
    attributes = encode_attributes(item)
    return attributes, text_checksum(item.id, item.image, attributes)


def text_checksum(item_id: str, image: str, attributes: str) -> int:
    """CRC-32 of a row's texts; the NUL keeps a character from wandering from one text to the next unseen."""
    return zlib.crc32(f"{item_id}\0{image}\0{attributes}".encode())


def decode_items(rows: Sequence[tuple[str, str, str, int]]) -> list[Item]:
    """Read back (id, image, attributes, checksum) of many shoes; those with equal attributes share one mapping."""
    for item_id, image, attributes, checksum in rows:
        if text_checksum(item_id, image, attributes) != checksum:
            raise ArtifactCorrupt(f"the row of shoe {item_id!r} fails its checksum")
    known: dict[tuple[str, ...], tuple[str, ...]] = {}

    def shared(raw: dict[str, list[str]]) -> Attributes:
        return {
            name: known.setdefault(values, values) for name, values in zip(raw, map(tuple, raw.values()), strict=True)
        }

    texts = list(dict.fromkeys(row[2] for row in rows))
    # One call for all of them is several times faster than one call each.
    parsed = json.loads(f"[{','.join(texts)}]", object_hook=shared)
    attributes_of = dict(zip(texts, parsed, strict=True))
    return [Item(item_id, image, attributes_of[text]) for item_id, image, text, _ in rows]


def decode_vectors(rows: Sequence[tuple[bytes, int]], dimension: int) -> NDArray[np.float32]:
    """Read back (vector, vector_checksum) of many shoes.

    Returns:
        (N, dimension) float32.
    """
    for number, (vector, checksum) in enumerate(rows):
        if len(vector) != 4 * dimension or zlib.crc32(vector) != checksum:
            raise ArtifactCorrupt(f"the vector of row {number} fails its checksum")
    joined = b"".join(vector for vector, _ in rows)
    return np.frombuffer(joined, dtype="<f4").astype(np.float32, copy=False).reshape(-1, dimension)
