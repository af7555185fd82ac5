"""Shared by all stores: the facts of a catalogue, checks of queries and records, and cursors of pages."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.errors import ArtifactMismatch, QueryError
from service.store.base import OVERALL, Item, Record, Weights
from service.store.filters import Filter, HasValue, find_leaves

__all__ = [
    "REBUILD",
    "Counts",
    "Facts",
    "check_condition",
    "check_filter",
    "check_vector",
    "check_vectors",
    "check_weights",
    "encode_attributes",
    "read_cursor",
    "require_positive",
    "require_same",
    "sort_counts",
    "write_cursor",
]

REBUILD = "index it anew with `python -m service index --rebuild`"

VALUES_LISTED = 20

Counts = Mapping[str, Mapping[str, int]]
"""Attribute -> value -> number of shoes."""

# Made once: json.dumps makes one for each shoe.
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True)
class Facts:
    """What holds for a whole catalogue, from its creation on.

    Attributes:
        dimension: D, the size of every vector.
        slices: condition -> (start, stop).
        checkpoint: digest of the checkpoint that made the vectors.
        root: the folder under which the pictures lie.
    """

    dimension: int
    slices: Mapping[str, tuple[int, int]]
    checkpoint: str
    root: str

    @classmethod
    def of(cls, dimension: int, slices: Mapping[str, tuple[int, int]], checkpoint: str, root: str | Path) -> "Facts":
        """Facts of a new catalogue. Raises ValueError for a slice outside the vector, or one called `overall`."""
        for name, (start, stop) in slices.items():
            if name == OVERALL or not 0 <= start < stop <= dimension:
                raise ValueError(f"the slice {name!r} ({start}, {stop}) does not fit a vector of {dimension}")
        pairs = {name: (int(start), int(stop)) for name, (start, stop) in slices.items()}
        return cls(int(dimension), pairs, checkpoint, str(root))


def require_same(location: str | Path, found: Facts, wanted: Facts) -> None:
    """Raise ArtifactMismatch, with every fact that differs."""
    differences = [
        f"{name} {getattr(found, name)!r}, not {getattr(wanted, name)!r}"
        for name in ("checkpoint", "dimension", "slices", "root")
        if getattr(found, name) != getattr(wanted, name)
    ]
    if differences:
        raise ArtifactMismatch(
            f"{location} was indexed with {'; '.join(differences)}; {REBUILD}, or choose another --out"
        )


def encode_attributes(item: Item) -> str:
    """A shoe's attributes as JSON, without empty ones. Raises QueryError for a text that is not Unicode."""
    attributes = _to_json({name: list(values) for name, values in item.attributes.items() if values})
    try:
        f"{item.id}{item.image}{attributes}".encode()
    except UnicodeEncodeError as error:
        raise QueryError("id", f"shoe {item.id!r} has text that is not Unicode: {error}") from error
    return attributes


def check_vectors(vectors: ArrayLike, dimension: int, field: str = "vector") -> NDArray[np.float32]:
    """Vectors from outside as (B, dimension) float32: the one check of a vector, whatever it comes with.

    Raises:
        QueryError: of `field`: another shape, or a number that is not finite in float32.
    """
    with np.errstate(over="ignore"):
        checked = np.ascontiguousarray(vectors, dtype=np.float32)
    if checked.ndim != 2 or checked.shape[1] != dimension:
        found = f"has {checked.shape[1]} numbers" if checked.ndim == 2 else f"is one of the shape {checked.shape[1:]}"
        raise QueryError(field, f"the vector {found}; expected {dimension}")
    if not np.isfinite(checked).all():
        raise QueryError(field, "the vector holds a number that is not finite in float32")
    return checked


def check_vector(record: Record, dimension: int) -> NDArray[np.float32]:
    """A shoe's vector as (dimension,) float32, little-endian. Raises QueryError, which names the shoe."""
    try:
        (vector,) = check_vectors(record.vector[None], dimension)
    except QueryError as error:
        raise QueryError(error.field, f"shoe {record.item.id!r}: {error}") from None
    return np.ascontiguousarray(vector, dtype="<f4")


def require_positive(field: str, value: int) -> None:
    """Raise QueryError unless `value` is at least 1."""
    if value < 1:
        raise QueryError(field, f"{field} must be at least 1, not {value}")


def check_condition(condition: str | Weights, slices: Mapping[str, tuple[int, int]]) -> Weights:
    """The condition as weights, also of `overall`. Raises QueryError, of the field `condition`."""
    if not isinstance(condition, str):
        check_weights(condition, slices)
        return condition
    if condition != OVERALL and condition not in slices:
        known = ", ".join([OVERALL, *slices])
        raise QueryError("condition", f"unknown condition {condition!r}; known conditions: {known}")
    return {condition: 1.0}


def check_weights(weights: Weights, slices: Mapping[str, tuple[int, int]]) -> None:
    """Raise QueryError, of the field `condition`, unless these are weights of slices that there are."""
    if unknown := [name for name in weights if name not in slices]:
        raise QueryError(
            "condition", f"no slice {unknown[0]!r} to give a weight; expected some of: {', '.join(slices) or 'none'}"
        )
    for name, weight in weights.items():
        if not (isfinite(weight) and weight >= 0):
            raise QueryError("condition", f"the weight of {name} is {weight}; expected a number that is at least 0")
    if not any(weights.values()):
        raise QueryError("condition", "all weights are 0; expected one at least that is above")


def sort_counts(counts: Counts) -> dict[str, dict[str, int]]:
    """The same, attributes by name, frequent values first, without zeros."""
    ordered = {}
    for name in sorted(counts):
        pairs = [(value, count) for value, count in counts[name].items() if count]
        if pairs:
            ordered[name] = dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))
    return ordered


def check_filter(filter: Filter, known: Counts) -> None:
    """Raise QueryError for an attribute, or a value of it, that no shoe has. `known`: of all shoes."""
    for leaf in find_leaves(filter):
        name = leaf.attribute
        if not any(known.get(name, {}).values()):
            attributes = ", ".join(sort_counts(known)) or "none"
            raise QueryError("filter", f"unknown attribute {name!r}; known attributes: {attributes}")
        for value in leaf.values if isinstance(leaf, HasValue) else ():
            if not known[name].get(value):
                listed = list(sort_counts({name: known[name]})[name])
                shown = ", ".join(listed[:VALUES_LISTED])
                more = f" and {len(listed) - VALUES_LISTED} more" if len(listed) > VALUES_LISTED else ""
                raise QueryError("filter", f"unknown value {value!r} of {name!r}; known values: {shown}{more}")


def write_cursor(number: int) -> str:
    """An opaque text for a shoe's number."""
    return base64.urlsafe_b64encode(str(number).encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> int:
    """The number in a cursor. Raises QueryError for a text that `write_cursor` never gave."""
    try:
        number = int(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        number = -1
    if not 0 <= number < 2**63 or write_cursor(number) != cursor:
        raise QueryError("cursor", f"{cursor!r} is no cursor; leave it out to begin at the first page")
    return number
