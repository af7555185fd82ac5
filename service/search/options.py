"""Search options: their meaning and bounds, and the text form of weights. No HTTP."""

from collections.abc import Hashable
from dataclasses import dataclass
from math import isfinite

from model.errors import QueryError
from model.text import MAX_ECHO, nfc
from service.search.pagination import Cursor, fingerprint_of
from service.store.base import OVERALL, Weights
from service.store.filters import Filter, canonical

DEFAULT_K = 10

MAX_EXCLUDED = 100
"""Most ids that one search may exclude."""

MAX_FIELDS = 100
"""Most attributes that one search may name for its answer."""

MAX_WEIGHTS = 64
"""Most slices that one condition may name."""


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
        diversity: 0 to 1; see `service.search.diversity.diversify`.
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
                "condition", f"{part[:MAX_ECHO]!r} is no slice with its weight; expected such as heel:0.7,category:0.3"
            )
        if name.strip() in weights:
            raise QueryError("condition", f"{name.strip()[:MAX_ECHO]!r} has two weights; expected one for each slice")
        weights[name.strip()] = weight
    return weights
