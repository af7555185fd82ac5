"""Who is changing which shoes: a claim in a collection, which all who want to change one of them see.

    put a claim; look at all claims, as of the moment when it was put

All writes to Milvus have one order. Of two claims on one shoe the later is put after the earlier, and whoever puts it
looks as of that moment: so it sees the earlier one. At least one of the two sees the other, and none goes ahead that
sees one. Then the one with the larger number steps back, and the other waits until it is alone.

Who dies with a claim leaves it behind. After LEASE_SECONDS others may take it over, which is why a change is made
within MAKE_SECONDS or not at all by the one who claimed it. The hosts' clocks may differ by the rest.
"""

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

from service.errors import StoreBusy, StoreUnavailable
from service.store.milvus.layout import MOST_KEYS, Layout
from service.store.milvus.tables import Row, Tables, batches
from service.store.milvus.versions import SLOTS, Version, Versions

__all__ = ["KNOWN_VALUE", "LEASE_SECONDS", "MAKE_SECONDS", "Claim", "Claims", "Held"]

CLAIM, JOURNAL, KNOWN_VALUE, MARK = 1, 2, 3, 4
"""Kinds of rows in the collection."""

MAKE_SECONDS = 12.0
"""How long after its claim a change is tried to be made by whom it is of; the last attempt may take 8 s more."""

REFRESH_SECONDS = 3.0
"""After so long a claim that still waits for others is put anew."""

LEASE_SECONDS = 25.0
"""After so long a claim is nobody's any more."""

WAIT_SECONDS = 10.0
"""How long to wait for those who are changing the same shoes."""

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0

FIELDS = ["number", "kind", "owner", "slot", "keys", "text"]


@dataclass(frozen=True)
class Claim:
    """What somebody is changing.

    Attributes:
        owner: names it; random.
        slot: see `versions`; nobody else's, as long as it is held.
        keys: of the shoes.
        first: the first of the numbers that new shoes get.
        count: how many those are.
        at: the time of day when it was put.
    """

    owner: int
    slot: int
    keys: frozenset[int]
    first: int
    count: int
    at: float

    def meets(self, other: "Claim") -> bool:
        """Whether it must not be held together with another."""
        apart = self.first + self.count <= other.first or other.first + other.count <= self.first
        return self.slot == other.slot or not apart or not self.keys.isdisjoint(other.keys)

    @property
    def is_old(self) -> bool:
        """Whether whoever put it has had its time."""
        return time.time() - self.at > LEASE_SECONDS


class Held:
    """A claim that is held, and what there was when it was.

    Attributes:
        claim: the claim.
        version: of the catalogue, and with it all that those who let go before have published.
        left: the claim is to stay behind, for others to finish what it is for.
    """

    def __init__(self, claim: Claim, version: Version) -> None:
        self.claim, self.version, self.left = claim, version, False


class Claims:
    """Claims on the shoes of one catalogue. For any thread."""

    def __init__(self, tables: Tables, layout: Layout, versions: Versions) -> None:
        self._tables, self._layout, self._versions = tables, layout, versions
        self._random = Random()  # noqa: S311 - spreads out retries, no secret
        self._slots = Slots(self._random)
        # Rows that this process has written, by their claim's owner, and owners whose rows could not be removed.
        self._rows: dict[int, list[int]] = {}
        self._litter: set[int] = set()
        # Is called with a claim that is nobody's any more, to finish or forget it.
        self.on_old: Callable[[Claim], None] | None = None

    @contextmanager
    def hold(self, keys: Sequence[int], count: int, *, beside: int = 0) -> Iterator[Held]:
        """Be the only one who changes these shoes, and the one whose `count` numbers are given to new ones.

        Args:
            keys: of the shoes.
            count: at least 1.
            beside: the owner of a claim that is not to be minded.

        Raises:
            StoreBusy: others have been changing them for too long.
            StoreUnavailable: Milvus does not answer.
        """
        with self._slots.one() as slot:
            held = self._acquire(frozenset(keys), count, beside, slot)
            try:
                yield held
            finally:
                if held.left:
                    self._rows.pop(held.claim.owner, None)
                else:
                    self._withdraw(held.claim.owner)

    def all(self, moment: int) -> list[Claim]:
        """Those that are held, or were left behind, as of a moment; 0 is now."""
        return read_claims(self._tables.query(self._layout.claims, f"kind == {CLAIM}", FIELDS, moment))

    def write_journal(self, claim: Claim, texts: Iterable[str]) -> int:
        """Write down what is to be done under a claim. Returns the moment of that."""
        return self._write([self._row(JOURNAL, claim.owner, claim.slot, text=text) for text in texts])

    def read_journal(self, owner: int, moment: int) -> list[str]:
        """What `write_journal` wrote."""
        rows = self._tables.query(self._layout.claims, f"kind == {JOURNAL} and owner == {owner}", FIELDS, moment)
        return [str(row["text"]) for row in rows]

    def mark(self) -> int:
        """Write a row that says nothing. Returns the moment of that."""
        return self._tables.write(self._layout.claims, [self._row(MARK, 0, 0) | {"number": MARK}])

    def forget(self, owner: int) -> None:
        """Remove another's claim, with its journal."""
        rows = self._tables.query(self._layout.claims, f"owner == {owner} and kind < {KNOWN_VALUE}", ["number"], 0)
        self._tables.remove(self._layout.claims, [int(row["number"]) for row in rows])

    def _acquire(self, keys: frozenset[int], count: int, beside: int, slot: "OneSlot") -> Held:
        deadline, pause = time.monotonic() + WAIT_SECONDS, FIRST_PAUSE
        owner = secrets.randbits(61) + 1
        claim: Claim | None = None
        while True:
            self._sweep()
            if claim is None:
                claim = self._put(owner, keys, count, slot.number)
            seen, version = self._look(owner)
            others = [other for other in seen if other.owner != beside and claim.meets(other)]
            if not others and claim.first > version.last:
                return Held(claim, version)
            waits = others and owner < min(other.owner for other in others)
            if not waits or time.time() - claim.at > REFRESH_SECONDS:
                self._withdraw(owner)
                claim = None
                slot.move({other.slot for other in seen})
                self._finish_old(others)
            if time.monotonic() > deadline:
                self._withdraw(owner)
                raise StoreBusy("others have been changing the same shoes for too long; try again")
            if others:
                time.sleep(pause * self._random.uniform(0.5, 1.0))
                pause = min(2 * pause, LONGEST_PAUSE)

    def _finish_old(self, claims: Iterable[Claim]) -> None:
        for claim in claims:
            if claim.is_old and self.on_old is not None:
                self.on_old(claim)

    def _put(self, owner: int, keys: frozenset[int], count: int, slot: int) -> Claim:
        # Microseconds: the next shoe's number is almost always larger anyway, and never one that was given out.
        first = max(time.time_ns() // 1000, self._versions.read().last + 1)
        claim = Claim(owner, slot, keys, first, count, at=time.time())
        text = json.dumps([claim.first, claim.count, claim.at])
        self._write([self._row(CLAIM, owner, slot, some, text) for some in batches(sorted(keys), MOST_KEYS)])
        return claim

    def _look(self, owner: int) -> tuple[list[Claim], Version]:
        """All other claims, and then the version, which so holds what those who let go before have published."""
        moment = self._tables.moment_of(self._layout.claims)
        return [other for other in self.all(moment) if other.owner != owner], self._versions.read()

    def _write(self, rows: Sequence[Row]) -> int:
        for row in rows:
            self._rows.setdefault(row["owner"], []).append(row["number"])
        return self._tables.write(self._layout.claims, rows)

    def _withdraw(self, owner: int) -> None:
        """Remove an own claim, with its journal: now, or before the next one is put."""
        try:
            self._tables.remove(self._layout.claims, self._rows.get(owner, ()))
        except StoreUnavailable:
            self._litter.add(owner)  # or else others would have to wait until it is old
        else:
            self._rows.pop(owner, None)

    def _sweep(self) -> None:
        for owner in list(self._litter):
            self._tables.remove(self._layout.claims, self._rows.get(owner, ()))
            self._rows.pop(owner, None)
            self._litter.discard(owner)

    @staticmethod
    def _row(kind: int, owner: int, slot: int, keys: Sequence[int] = (), text: str = "") -> dict[str, Any]:
        return {
            "number": secrets.randbits(61) + 1,
            "kind": kind,
            "owner": owner,
            "slot": slot,
            "keys": list(keys),
            "text": text,
            "nothing": [0.0, 0.0],
        }


class Slots:
    """The slots that this process uses: each of its threads another one."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.lock = threading.Lock()
        self.used: set[int] = set()
        self._preferred = random.randrange(SLOTS)  # the same again and again, so that processes rarely meet

    @contextmanager
    def one(self) -> Iterator["OneSlot"]:
        """One that no other thread uses."""
        slot = OneSlot(self)
        slot.take({number for number in range(SLOTS) if number != self._preferred and self._preferred not in self.used})
        try:
            yield slot
        finally:
            slot.release()


class OneSlot:
    """A slot that a thread uses."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self.number = -1

    def take(self, avoided: set[int]) -> None:
        """Use one that is neither used nor to be avoided. Raises StoreBusy."""
        with self._slots.lock:
            free = sorted({*range(SLOTS)} - self._slots.used - avoided)
            if not free:
                raise StoreBusy("too many are changing the catalogue at once; try again")
            self.number = self._slots.random.choice(free)
            self._slots.used.add(self.number)

    def release(self) -> None:
        """Use it no more."""
        with self._slots.lock:
            self._slots.used.discard(self.number)

    def move(self, avoided: set[int]) -> None:
        """Use another one, if this is one of those to be avoided."""
        if self.number in avoided:
            self.release()
            self.take(avoided)


def read_claims(rows: Sequence[Row]) -> list[Claim]:
    """The claims that rows hold, some of them several."""
    keys: dict[int, set[int]] = {}
    facts: dict[int, Row] = {}
    for row in rows:
        keys.setdefault(row["owner"], set()).update(row["keys"])
        facts[row["owner"]] = row
    return [
        Claim(owner, int(row["slot"]), frozenset(keys[owner]), *json.loads(row["text"])) for owner, row in facts.items()
    ]
