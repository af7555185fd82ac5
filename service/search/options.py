"""Search options: their meaning, bounds and text forms, cursors among them. No HTTP.

A cursor says where the next page of a search begins, as an opaque text that holds all that is needed to go on:

    check (8 bytes) | offset (4) | fingerprints (8 each) of the last id, the options and the catalogue | vector (4 D)

The vector is the one that the pages before were ranked by: a picture's differs in its last bits with the batch that it
is in, and pages must not. Nothing in a cursor is secret, and none of it is trusted: whatever it says is checked as a
request's own options are.
"""

import base64
import binascii
import struct
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from model.errors import QueryError
from model.framing import Box, View
from model.text import nfc
from service.errors import CatalogueChanged
from service.store.base import OVERALL, Weights
from service.store.filters import Filter, canonical

__all__ = [
    "DEFAULT_K",
    "MAX_EXCLUDED",
    "MAX_ROTATION",
    "Cursor",
    "SearchOptions",
    "fingerprint_of",
    "parse_crop",
    "parse_weights",
    "read_cursor",
    "require_range",
    "to_view",
    "write_cursor",
]

DEFAULT_K = 10

MAX_EXCLUDED = 100
"""Most ids that one search may exclude."""

MAX_ROTATION = 180
"""Largest rotation of a picture, in degrees, either way."""

CROP_SLACK = 1e-6
"""Tolerance for crops that reach out of their picture by floating-point errors, as a share of it."""

MAX_WEIGHTS = 64
"""Most slices that one condition may name."""


HEAD = struct.Struct("<8sI8s8s8s")

MAX_CHARACTERS = 32 * 1024

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


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How to search: the one type of a search's options, from the request to the ranker.

    Attributes:
        k: how many shoes, or groups of near-duplicates.
        condition: what to compare by: `overall`, a slice's name, or what `weights` are written as.
        weights: of the slices to compare by; None: compare by `condition`.
        filter: only shoes that pass it; None: all.
        ignore_case: the filter's values are meant in whatever case.
        exclude: ids of shoes to leave out, as the client names them.
        leave_out: further ids to leave out: of the shoes that are searched by.
        cursor: where the page begins; None: at the nearest shoe.
        max_distance: only shoes that are at most so far, by the condition.
        group: fold near-duplicates: shoes into a nearer one that is at most `duplicate_distance` from them.
        duplicate_distance: of whole vectors; None: the one that was measured for the catalogue.
        diversity: 0 to 1; see `service.search.ranker.diversify`.
        facets: count the shoes that pass the filter.
        fields: the attributes that the answer carries of each shoe; None: all.
    """

    k: int
    condition: str = OVERALL
    weights: Weights | None = None
    filter: Filter | None = None
    ignore_case: bool = False
    exclude: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    cursor: Cursor | None = None
    max_distance: float | None = None
    group: bool = False
    duplicate_distance: float | None = None
    diversity: float = 0.0
    facets: bool = False
    fields: tuple[str, ...] | None = None

    @property
    def compare_by(self) -> str | Weights:
        """What to compare by, as the store takes it."""
        return self.condition if self.weights is None else self.weights

    @property
    def comparison(self) -> Hashable:
        """Requests of a batch with equal values are answered by one call of the store.

        So every option that changes distances has to be in it.
        """
        return self.condition if self.weights is None else tuple(sorted(self.weights.items()))

    @property
    def excluded(self) -> frozenset[str]:
        """Ids of all shoes to leave out."""
        return frozenset((*self.leave_out, *self.exclude))

    @property
    def fold_within(self) -> float | None:
        """The distance of near-duplicates that are folded; None: none are."""
        return self.duplicate_distance if self.group else None

    @property
    def offset(self) -> int:
        """How many shoes, or groups, were on the pages before."""
        return 0 if self.cursor is None else self.cursor.offset

    @property
    def stop(self) -> int:
        """How many shoes, or groups, the ranking has up to the end of the page."""
        return self.offset + self.k

    @property
    def needs_vectors(self) -> bool:
        """Whether the vectors of the shoes that are found decide on the answer."""
        return self.group or self.diversity > 0

    def check(self) -> None:
        """Raise QueryError for an option that is out of range, or does nothing as it stands. `k` has the engine's."""
        if len(self.exclude) > MAX_EXCLUDED:
            raise QueryError("exclude", f"{len(self.exclude)} shoes to leave out; expected at most {MAX_EXCLUDED}")
        for name, value in (("max_distance", self.max_distance), ("duplicate_distance", self.duplicate_distance)):
            if value is not None and not (isfinite(value) and value >= 0):
                raise QueryError(name, f"{name} is {value}; expected a number that is at least 0")
        require_range("diversity", self.diversity, 0, 1)
        if self.duplicate_distance is not None and not self.group:
            raise QueryError("duplicate_distance", "duplicate_distance is given without group=duplicates")

    def fingerprint(self) -> bytes:
        """Equal for searches by one vector whose pages are of one ranking. Cursors hold it: it must not change."""
        return fingerprint_of(
            [
                self.comparison,
                [] if self.filter is None else canonical(self.filter),
                sorted(self.excluded),
                self.max_distance,
                self.fold_within,
                self.diversity,
                *(["ignore_case"] if self.ignore_case else []),
            ]
        )


def require_range(field: str, value: float, first: float, last: float, said: str = "") -> None:
    """Raise QueryError unless a number is in a range, ends included. `said`: in place of naming field and value."""
    if not first <= value <= last:
        raise QueryError(field, f"{said or f'{field} is {value}'}; expected {first} to {last}")


def parse_weights(text: str) -> Weights | None:
    """The weights of several slices, as a condition writes them: `heel:0.7,category:0.3`; None if it is a name."""
    if ":" not in text and "," not in text:
        return None
    weights: dict[str, float] = {}
    for part in nfc(text).split(",", MAX_WEIGHTS):
        name, _, number = part.rpartition(":")
        try:
            weight = float(number)
        except ValueError:
            weight = float("nan")
        # Python's floats have underscores and infinities, which nobody means here.
        if not (name.strip() and isfinite(weight) and weight >= 0 and "_" not in number):
            raise QueryError(
                "condition", f"{part[:80]!r} is no slice with its weight; expected such as heel:0.7,category:0.3"
            )
        if name.strip() in weights:
            raise QueryError("condition", f"{name.strip()!r} has two weights; expected one for each slice")
        weights[name.strip()] = weight
    return weights


def parse_crop(given: str | Sequence[float]) -> Box:
    """A part of a picture, in fractions of its width and height: `left,top,width,height`, or four numbers."""
    try:
        left, top, width, height = (float(part) for part in (given.split(",") if isinstance(given, str) else given))
    except (ValueError, OverflowError):
        left = float("nan")
    if not isfinite(left) or "_" in given or not all(map(isfinite, (top, width, height))):
        raise QueryError(
            "crop",
            f"crop is {str(given)[:80]!r}; expected four numbers, left,top,width,height, in fractions of the picture, "
            "such as 0.1,0.2,0.5,0.4",
        )
    for name, start, extent in (("width", left, width), ("height", top, height)):
        if not (start >= 0 and extent > 0 and start + extent <= 1 + CROP_SLACK):
            raise QueryError(
                "crop",
                f"crop begins at {start:g} of the picture's {name} and has {extent:g} of it; expected a part of the "
                "picture: a beginning of at least 0, a size of more than 0, and together at most 1",
            )
    return Box(left, top, width, height)


def to_view(crop: str | Sequence[float] | None, rotate: float | None, subject: str | None) -> View:
    """Where the shoe is in a picture, as a client says it. Raises QueryError."""
    degrees = 0.0 if rotate is None else rotate
    if not -MAX_ROTATION <= degrees <= MAX_ROTATION:
        raise QueryError("rotate", f"rotate is {degrees:g}; expected {-MAX_ROTATION} to {MAX_ROTATION} degrees")
    return View(None if crop is None else parse_crop(crop), degrees, subject == "whole")


def fingerprint_of(parts: Iterable[object]) -> bytes:
    """8-byte fingerprint of texts and numbers."""
    return blake2b(repr(list(parts)).encode("utf-8", "surrogatepass"), digest_size=8).digest()


def write_cursor(cursor: Cursor) -> str:
    """As a text of letters, digits, `-` and `_`."""
    body = HEAD.pack(b"", cursor.offset, cursor.last, cursor.options, cursor.catalog)[8:]
    body += cursor.vector.astype("<f4").tobytes()
    return base64.urlsafe_b64encode(blake2b(body, digest_size=8).digest() + body).rstrip(b"=").decode()


def read_cursor(text: str) -> Cursor:
    """Read what `write_cursor` wrote. Raises QueryError for any other text."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        check, offset, last, options, catalog = HEAD.unpack_from(data)
        vector = np.frombuffer(data[HEAD.size :], dtype="<f4").astype(np.float32)
    except (ValueError, struct.error, binascii.Error):
        raise _unreadable() from None
    cursor = Cursor(offset, last, options, catalog, vector)
    # Written again it is the same: neither a bit of it has changed, nor its spelling.
    if len(text) > MAX_CHARACTERS or check != blake2b(data[8:], digest_size=8).digest() or write_cursor(cursor) != text:
        raise _unreadable()
    return cursor


def _unreadable() -> QueryError:
    return QueryError("cursor", "the cursor is none that an answer gave; leave it out to begin at the first page")
