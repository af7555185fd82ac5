"""Changes of the catalogue: one at a time for each shoe, all or nothing, and none that was acknowledged is lost.

    claim the shoes            nobody else changes them now
    read them                  as those who changed them before have left them
    write the journal          what is to be done, with everything that it takes
    decide                     one property is set: from here on, the change will be made
    make it                    row by row; Milvus may end in between
    publish                    one property is set: the next answer of every replica has it
    let go of the claim

Whoever finds a claim that is nobody's any more does what is left of this: makes the change if it was decided, and
forgets it otherwise. That is safe, as to make a change twice comes to the same, and nobody changes its shoes meanwhile.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from service.errors import ItemExists, StoreUnavailable, UnknownItem
from service.store.base import Item, Record
from service.store.milvus.claims import KNOWN_VALUE, MAKE_SECONDS, Claim, Claims, Held
from service.store.milvus.layout import Layout, Place
from service.store.milvus.records import (
    ITEM_FIELDS,
    Change,
    Shoe,
    decode_item,
    decode_vector,
    digest,
    encode,
    tokens_of,
)
from service.store.milvus.tables import Tables, batches
from service.store.milvus.versions import Versions

__all__ = ["Editor"]

logger = logging.getLogger(__name__)

KEYS_AT_ONCE = 2000
"""Shoes that one expression asks for."""

PAUSE = 0.25
"""Seconds between two attempts to make a change that was decided."""

T = TypeVar("T")


class Editor:
    """Makes changes. For any thread."""

    def __init__(self, tables: Tables, layout: Layout, versions: Versions) -> None:
        self._tables, self._layout, self._versions = tables, layout, versions
        self._claims = Claims(tables, layout, versions)
        self._claims.on_old = self.finish
        self._known: set[int] = set()

    def upsert(self, shoes: Mapping[str, Shoe], *, overwrite: bool) -> None:
        """Insert or replace. Raises ItemExists, StoreBusy and StoreUnavailable."""
        with self._claims.hold([shoe.key for shoe in shoes.values()], len(shoes)) as held:
            numbers = self._numbers(shoes, held.version.moment)
            if not overwrite and numbers:
                raise ItemExists(next(item_id for item_id in shoes if item_id in numbers))
            free = iter(range(held.claim.first, held.claim.first + len(shoes)))
            puts = [
                replace(shoe, number=numbers[item_id] if item_id in numbers else next(free))
                for item_id, shoe in shoes.items()
            ]
            self._carry_out(held, Change(puts=puts))

    def patch(self, item_id: str, attributes: Mapping[str, tuple[str, ...]]) -> Item:
        """Replace some attributes of one shoe. Raises UnknownItem, QueryError, StoreBusy and StoreUnavailable."""
        dimension = self._layout.facts.dimension
        with self._claims.hold([digest(item_id)], 1) as held:
            expression = f"key == {digest(item_id)}"
            fields = [*ITEM_FIELDS, "overall"]
            found = self._tables.query(self._layout.main, expression, fields, held.version.moment)
            row = next((row for row in found if row["id"] == item_id), None)
            if row is None:
                raise UnknownItem(item_id)
            item = decode_item(row)
            kept = {name: values for name, values in {**item.attributes, **attributes}.items() if values}
            vector = decode_vector(row["overall"], dimension)
            shoe = encode(Record(replace(item, attributes=kept), vector), dimension)
            self._carry_out(held, Change(puts=[replace(shoe, number=int(row["number"]))]))
        return shoe.item()

    def delete(self, ids: Sequence[str]) -> int:
        """Remove. Returns how many were there. Raises StoreBusy and StoreUnavailable."""
        wanted = {item_id: digest(item_id) for item_id in ids}
        with self._claims.hold(list(wanted.values()), 1) as held:
            numbers = self._numbers(wanted, held.version.moment)
            if numbers:
                self._carry_out(held, Change(removals=sorted(numbers.values())))
        return len(numbers)

    def finish(self, old: Claim) -> None:
        """Do what is left of a claim that is nobody's any more."""
        # Its owner as a key as well: of those who want to finish it, only one may.
        with self._claims.hold([*old.keys, old.owner], 1, beside=old.owner) as held:
            slot = held.version.slots.get(old.slot)
            if slot is not None and slot.pending == old.owner:
                texts = self._claims.read_journal(old.owner, slot.moment)
                change = Change.of(texts, self._layout.facts.dimension)
                logger.warning(
                    "finishing a change that was cut short: %d shoes written, %d removed",
                    len(change.puts),
                    len(change.removals),
                )
                self._make(old.slot, change)
            self._claims.forget(old.owner)

    def mend(self) -> None:
        """Finish all claims that are nobody's any more."""
        for claim in self._claims.all(0):
            if claim.is_old:
                self.finish(claim)

    def _numbers(self, ids: Iterable[str], moment: int) -> dict[str, int]:
        """Id -> number, of those that are there."""
        numbers: dict[str, int] = {}
        wanted = set(ids)
        for some in batches(sorted(digest(item_id) for item_id in wanted), KEYS_AT_ONCE):
            found = self._tables.query(self._layout.main, f"key in {some}", ["number", "id"], moment)
            numbers.update({row["id"]: int(row["number"]) for row in found if row["id"] in wanted})
        return numbers

    def _carry_out(self, held: Held, change: Change) -> None:
        """Journal, decide, make, publish."""
        claim = held.claim
        self._learn(change)
        moment = self._claims.write_journal(claim, change.texts())
        held.left = True  # what becomes of the next step may not be known; then it is for others to find out
        until = claim.at + MAKE_SECONDS
        persist(lambda: self._versions.decide(claim.slot, claim.owner, moment), until)
        persist(lambda: self._make(claim.slot, change), until)
        held.left = False

    def _make(self, slot: int, change: Change) -> None:
        moments = [0]
        layout = self._layout
        for collection in [each for each in layout.collections if each != layout.claims]:
            fields = layout.fields_of(collection)
            if change.puts:
                written = (self._fields(shoe, fields, whole=collection == layout.main) for shoe in change.puts)
                moments.append(self._tables.write(collection, written))
            if change.removals:
                self._tables.remove(collection, change.removals)
        if change.removals:
            # Milvus does not tell the moment of a removal; that of a row written after it is later.
            moments.append(self._claims.mark())
        last = max((shoe.number for shoe in change.puts), default=0)
        self._versions.publish(slot, 0 if 0 in moments[1:] else max(moments), last)

    def _fields(self, shoe: Shoe, places: Mapping[str, Place], *, whole: bool) -> dict[str, Any]:
        scalars = shoe.fields()
        kept = scalars if whole else {name: scalars[name] for name in ("number", "key", "tokens")}
        vector = shoe.vector
        return kept | {
            field: np.pad(vector[place.start : place.stop], (0, place.padding)) for field, place in places.items()
        }

    def _learn(self, change: Change) -> None:
        """Write down the attributes and values that no shoe has had before, so that facets can be counted."""
        tokens: dict[int, tuple[str, str | None]] = {}
        for shoe in change.puts:
            tokens.update(tokens_of(shoe.attributes))
        unknown = [token for token in tokens if token not in self._known]
        for some in batches(unknown, KEYS_AT_ONCE):
            expression = f"kind == {KNOWN_VALUE} and number in {some}"
            there = {int(row["number"]) for row in self._tables.query(self._layout.claims, expression, ["number"], 1)}
            self._tables.write(
                self._layout.claims, [known_row(token, *tokens[token]) for token in some if token not in there]
            )
        self._known.update(unknown)


def known_row(token: int, name: str, value: str | None) -> dict[str, Any]:
    """The row by which an attribute or a value is known. Written twice it is the same."""
    text = json.dumps([name, value], ensure_ascii=False)
    return {
        "number": token,
        "kind": KNOWN_VALUE,
        "owner": 0,
        "slot": 0,
        "keys": [],
        "text": text,
        "nothing": [0.0, 0.0],
    }


def persist(do: Callable[[], T], until: float) -> T:
    """Do something that can be done twice, again and again while Milvus is away, up to a time of the day."""
    while True:
        try:
            return do()
        except StoreUnavailable as error:
            if time.time() > until:
                raise StoreUnavailable(
                    "the catalogue's database went away while it took a change; whether it is made is not known yet",
                    retry_after=error.retry_after,
                ) from error
            time.sleep(PAUSE)
