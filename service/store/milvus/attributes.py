"""Filters, and facets: what shoes have, as Milvus counts it."""

import json
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from model.errors import QueryError
from service.store.embedded.attributes import VALUES_LISTED
from service.store.filters import All, AnyOf, Filter, HasValue, InRange, Not, find_leaves
from service.store.milvus.claims import KNOWN_VALUE
from service.store.milvus.layout import Layout
from service.store.milvus.records import attribute_token, value_token
from service.store.milvus.tables import WINDOW, Tables
from service.store.milvus.versions import Version

__all__ = ["Attributes"]

NOTHING = "number < 0"

COUNTS_AT_ONCE = 4
"""Counts that Milvus is asked for side by side."""

MOST_PAIRS = 1_000_000
"""Values that facets are counted for."""

Facets = dict[str, dict[str, int]]


@dataclass
class Memory:
    """What was found out about one state of the catalogue.

    Attributes:
        fingerprint: of that state.
        counts: shoes for which an expression holds.
        has: whether any shoe has a token.
        facets: by the expression of the filter.
    """

    fingerprint: str
    counts: dict[str, int] = field(default_factory=dict)
    has: dict[int, bool] = field(default_factory=dict)
    facets: dict[str, Facets] = field(default_factory=dict)


class Attributes:
    """Asks about the shoes' attributes; what it has found out it knows until the catalogue changes. For any thread."""

    def __init__(self, tables: Tables, layout: Layout) -> None:
        self._tables, self._layout = tables, layout
        self._memory = Memory("")

    def expression(self, filter: Filter | None, version: Version) -> str:
        """What holds for the shoes that pass; "" for all.

        Raises:
            QueryError: an attribute, or a value of it, that no shoe has.
        """
        if filter is None:
            return ""
        for leaf in find_leaves(filter):
            self._check(leaf, version)
        return _translate(filter)

    def _check(self, leaf: HasValue | InRange, version: Version) -> None:
        """Raise QueryError unless shoes have what a comparison names."""
        name = leaf.attribute
        if isinstance(leaf, InRange):
            raise QueryError("filter", f"a catalogue in Milvus can't compare numbers or dates, as of {name!r}")
        if not self._has(attribute_token(name), version):
            known = ", ".join(self.facets("", version)) or "none"
            raise QueryError("filter", f"unknown attribute {name!r}; known attributes: {known}")
        for value in leaf.values:
            if not self._has(value_token(name, value), version):
                raise self._unknown(name, value, version)

    def count(self, expression: str, version: Version) -> int:
        """How many shoes pass."""
        memory = self._remember(version)
        known = memory.counts.get(expression)
        if known is None:
            known = memory.counts[expression] = self._tables.count(self._layout.main, expression, version.moment)
        return known

    def facets(self, expression: str, version: Version) -> Facets:
        """Attribute -> value -> number of shoes, most frequent first, of those that pass."""
        memory = self._remember(version)
        known = memory.facets.get(expression)
        if known is None:
            few = self.count(expression, version) <= WINDOW
            found = self._read(expression, version) if few else self._counted(expression, version)
            known = memory.facets[expression] = {
                name: dict(sorted(found[name].items(), key=lambda each: (-each[1], each[0]))) for name in sorted(found)
            }
        return {name: dict(values) for name, values in known.items()}

    def _has(self, token: int, version: Version) -> bool:
        memory = self._remember(version)
        known = memory.has.get(token)
        if known is None:
            expression = f"array_contains(tokens, {token})"
            rows = self._tables.query(self._layout.main, expression, ["number"], version.moment, limit=1)
            known = memory.has[token] = bool(rows)
        return known

    def _unknown(self, name: str, value: str, version: Version) -> QueryError:
        known = list(self.facets("", version).get(name, ()))
        listed = ", ".join(known[:VALUES_LISTED])
        more = f" and {len(known) - VALUES_LISTED} more" if len(known) > VALUES_LISTED else ""
        return QueryError("filter", f"unknown value {value!r} of {name!r}; known values: {listed}{more}")

    def _read(self, expression: str, version: Version) -> Mapping[str, Mapping[str, int]]:
        """Facets of so few shoes that one answer holds them all."""
        rows = self._tables.query(self._layout.main, expression, ["number", "attributes"], version.moment)
        found: dict[str, Counter[str]] = {}
        for text, times in Counter(str(row["attributes"]) for row in rows).items():
            for name, values in json.loads(text).items():
                for value in set(values):
                    found.setdefault(name, Counter())[value] += times
        return found

    def _counted(self, expression: str, version: Version) -> Mapping[str, Mapping[str, int]]:
        """Facets of many shoes: Milvus counts those that have each value that any shoe has ever had."""
        pairs = self._known_pairs(version)

        def count(pair: tuple[str, str]) -> int:
            having = f"array_contains(tokens, {value_token(*pair)})"
            both = f"{expression} and {having}" if expression else having
            return self._tables.count(self._layout.main, both, version.moment)

        found: dict[str, dict[str, int]] = {}
        with ThreadPoolExecutor(COUNTS_AT_ONCE, thread_name_prefix="facets") as pool:
            for (name, value), number in zip(pairs, pool.map(count, pairs), strict=True):
                if number:
                    found.setdefault(name, {})[value] = number
        return found

    def _known_pairs(self, version: Version) -> list[tuple[str, str]]:
        rows = self._tables.first(
            self._layout.claims,
            f"kind == {KNOWN_VALUE}",
            ["number", "text"],
            version.moment,
            after=-1,
            limit=MOST_PAIRS,
        )
        pairs = (json.loads(row["text"]) for row in rows)
        return [(name, value) for name, value in pairs if value is not None]

    def _remember(self, version: Version) -> Memory:
        """What is known of this state. While the catalogue is being changed, nothing is kept for the next question."""
        if not version.quiet:
            return Memory(version.fingerprint)
        memory = self._memory
        if memory.fingerprint != version.fingerprint:
            memory = self._memory = Memory(version.fingerprint)
        return memory


def _translate(filter: Filter) -> str:
    """A filter without ranges, as Milvus writes it."""
    match filter:
        case HasValue(attribute, values):
            tokens = sorted(value_token(attribute, value) for value in values)
            # Only numbers: whatever a value says, it can't be taken for a part of the expression.
            return f"array_contains_any(tokens, {tokens})" if tokens else NOTHING
        case All(parts):
            return " and ".join(f"({_translate(part)})" for part in parts)
        case AnyOf(parts):
            return " or ".join(f"({_translate(part)})" for part in parts)
        case Not(part):
            return f"not ({_translate(part)})"
        case InRange():
            raise QueryError("filter", "a catalogue in Milvus can't compare numbers or dates")
