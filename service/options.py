"""How to search, as a client says it: each option's meaning, bounds and spelling. Knows no HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite

from model.errors import QueryError
from model.text import nfc
from service.store.base import OVERALL, Filter, Weights

__all__ = ["DEFAULT_K", "MAX_EXCLUDED", "PLAIN", "Refinement", "SearchOptions", "parse_condition", "parse_filter"]

DEFAULT_K = 10

MAX_EXCLUDED = 100
"""Ids that one search may leave out."""

MAX_WEIGHTS = 64
"""Slices that one condition may name."""


@dataclass(frozen=True, slots=True)
class Refinement:
    """What a search may be told beyond how many, by what and among which. See `service.searching.Query`.

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
