"""Cursors: where the next page of a search begins, as an opaque text that holds all that is needed to go on.

    check (8 bytes) | offset (4) | fingerprints (8 each) of the last id, the options and the catalogue | vector (4 D)

The vector is the one that the pages before were ranked by: a picture's differs in its last bits with the batch that it
is in, and pages must not. Nothing in a cursor is secret, and none of it is trusted: whatever it says is checked as a
request's own options are.
"""

import base64
import binascii
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from model.errors import QueryError
from service.errors import CatalogueChanged

HEAD = struct.Struct("<8sI8s8s8s")

MAX_CHARACTERS = 32 * 1024
"""Longest cursor."""

TOLERANCE = 1e-4
"""Tolerance, relative and absolute, between the vectors of one picture in two requests."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """What a cursor says.

    Attributes:
        offset: shoes on the pages before, at least 1.
        last: fingerprint of the id of the last of them.
        options: fingerprint of the options of the search.
        catalog: fingerprint of the catalogue that the pages before were taken from.
        vector: (D,) float32, what is searched for.
    """

    offset: int
    last: bytes
    options: bytes
    catalog: bytes
    vector: NDArray[np.float32]

    def check_options(self, options: bytes) -> None:
        """Raise QueryError unless the search has these options."""
        if options != self.options:
            raise QueryError(
                "cursor",
                "the cursor is of a search with other options; expected those of the page before, but for k, facets "
                "and fields",
            )

    def check_catalog(self, fingerprint: str) -> None:
        """Raise CatalogueChanged unless the catalogue has this fingerprint."""
        if fingerprint_of([fingerprint]) != self.catalog:
            raise CatalogueChanged

    def check_vector(self, vector: NDArray[np.float32]) -> None:
        """Raise QueryError unless this vector, (D,), is what is searched for."""
        if vector.shape != self.vector.shape or not np.allclose(vector, self.vector, rtol=TOLERANCE, atol=TOLERANCE):
            raise QueryError("cursor", "the cursor is of a search for another shoe; expected that of the page before")


def fingerprint_of(parts: Iterable[object]) -> bytes:
    """8-byte fingerprint of texts and numbers."""
    return blake2b(repr(list(parts)).encode("utf-8", "surrogatepass"), digest_size=8).digest()


def encode_cursor(cursor: Cursor) -> str:
    """As a text of letters, digits, `-` and `_`."""
    body = HEAD.pack(b"", cursor.offset, cursor.last, cursor.options, cursor.catalog)[8:]
    body += cursor.vector.astype("<f4").tobytes()
    return base64.urlsafe_b64encode(blake2b(body, digest_size=8).digest() + body).rstrip(b"=").decode()


def decode_cursor(text: str) -> Cursor:
    """Read what `encode_cursor` wrote. Raises QueryError for any other text."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        check, offset, last, options, catalog = HEAD.unpack_from(data)
        vector = np.frombuffer(data[HEAD.size :], dtype="<f4").astype(np.float32)
    except (ValueError, struct.error, binascii.Error):
        raise _unreadable() from None
    cursor = Cursor(offset, last, options, catalog, vector)
    # Written again it is the same: neither a bit of it has changed, nor its spelling.
    if (
        len(text) > MAX_CHARACTERS
        or check != blake2b(data[8:], digest_size=8).digest()
        or encode_cursor(cursor) != text
    ):
        raise _unreadable()
    return cursor


def _unreadable() -> QueryError:
    return QueryError("cursor", "the cursor is none that an answer gave; leave it out to begin at the first page")
