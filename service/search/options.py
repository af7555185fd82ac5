"""How to search, as a client says it: each option's meaning, bounds and spelling. Knows no HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite

from model.errors import QueryError
from model.framing import Box, View
from model.text import nfc
from service.store.base import OVERALL, Filter, Weights

__all__ = [
    "DEFAULT_K",
    "MAX_EXCLUDED",
    "MAX_ROTATION",
    "PLAIN",
    "Refinement",
    "SearchOptions",
    "parse_condition",
    "parse_crop",
    "parse_filter",
    "to_view",
]

DEFAULT_K = 10

MAX_EXCLUDED = 100
"""Ids that one search may leave out."""

MAX_ROTATION = 180
"""Degrees that a picture may be turned by, either way."""

CROP_SLACK = 1e-6
"""By how much a crop may reach out of its picture: clients add and divide in floating point."""

MAX_WEIGHTS = 64
"""Slices that one condition may name."""


@dataclass(frozen=True, slots=True)
class Refinement:
    """What a search may be told beyond how many, by what and among which. See `service.search.ranker.Query`.

    Attributes:
        exclude: ids of shoes to leave out.
        cursor: the page to show, as the page before named it.
        max_distance: only shoes that are at most so far.
        group: fold near-duplicates.
        duplicate_distance: what counts as one; None: what was measured.
        diversity: 0 to 1.
        facets: count the shoes that pass the filter.
    """

    exclude: tuple[str, ...] = ()
    cursor: str | None = None
    max_distance: float | None = None
    group: bool = False
    duplicate_distance: float | None = None
    diversity: float = 0.0
    facets: bool = False

    def check(self) -> None:
        """Raise QueryError for an option that is out of range, or does nothing as it stands."""
        if len(self.exclude) > MAX_EXCLUDED:
            raise QueryError("exclude", f"{len(self.exclude)} shoes to leave out; expected at most {MAX_EXCLUDED}")
        for name in ("max_distance", "duplicate_distance"):
            value = getattr(self, name)
            if value is not None and not (isfinite(value) and value >= 0):
                raise QueryError(name, f"{name} is {value}; expected a number that is at least 0")
        if not 0 <= self.diversity <= 1:
            raise QueryError("diversity", f"diversity is {self.diversity}; expected 0 to 1")
        if self.duplicate_distance is not None and not self.group:
            raise QueryError("duplicate_distance", "duplicate_distance is given without group=duplicates")


PLAIN = Refinement()


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How to search.

    Attributes:
        k: how many shoes, or groups.
        condition: what to compare by, as it was asked for.
        filter: only shoes that pass it.
        refine: all else.
        compare_by: what `condition` means.
    """

    k: int
    condition: str = OVERALL
    filter: Filter = field(default_factory=dict)
    refine: Refinement = PLAIN
    compare_by: str | Weights = OVERALL


def parse_condition(text: str) -> str | Weights:
    """A condition's name, or weights of several slices: `heel:0.7,category:0.3`.

    Raises:
        QueryError: it has a colon or a comma and is no list of a name and a number each, or names one twice.
    """
    if ":" not in text and "," not in text:
        return nfc(text)
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


def parse_filter(texts: Sequence[str]) -> Filter:
    """Several `Attribute:Value` as a filter; a value may hold colons itself. Raises QueryError."""
    allowed: dict[str, set[str]] = {}
    for text in texts:
        attribute, colon, value = nfc(text).partition(":")
        if not (attribute and colon and value):
            raise QueryError("filter", f"filter {text!r} is not Attribute:Value, such as Gender:Women")
        allowed.setdefault(attribute, set()).add(value)
    return {attribute: frozenset(values) for attribute, values in allowed.items()}


def parse_crop(given: str | Sequence[float]) -> Box:
    """A part of a picture, in fractions of its width and height: `left,top,width,height`, or four numbers.

    Raises:
        QueryError: they are not four numbers, or the part is empty or reaches out of the picture.
    """
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
