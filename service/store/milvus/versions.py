"""Which change of the catalogue was the last, known to everybody in a millisecond.

Asked for what is newest, Milvus waits for its next clock tick, some 200 ms. Told up to which moment it has to be
complete, it answers at once as soon as it is. So each acknowledged change leaves its moment, a timestamp of Milvus's
own, in the properties of the collection, which are read and set at Milvus's coordinator without waiting.

Properties are set one by one, and the last to set one wins. So there are SLOTS of them, and a writer sets only that
which it holds (see `claims`). All of them together tell the moment, and name the state of the catalogue.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from service.errors import StoreUnavailable
from service.store.milvus.layout import FACTS, Layout
from service.store.milvus.link import Link

__all__ = ["PENDING_SECONDS", "SLOTS", "Slot", "Version", "Versions"]

SLOTS = 64
"""Changes that can be under way at once."""

PREFIX = "solemate.slot."

PENDING_SECONDS = 5.0
"""A change that has been under way for longer was cut short: until it is finished, shoes may be missing. Milvus itself
takes longer than this to start again, so nothing is answered out of what its end may have torn."""

NEVER = 1
"""A moment before all changes."""


@dataclass(frozen=True)
class Slot:
    """What one property says.

    Attributes:
        moment: timestamp of Milvus's of the last change that was made under this slot, 0 if Milvus gives none.
        token: another one for each change.
        last: the highest number of a shoe that was given out under this slot.
        pending: the claim whose change is decided but not yet all made; 0 for none.
        since: when that was decided, in seconds of the time of day.
    """

    moment: int = NEVER
    token: str = ""
    last: int = 0
    pending: int = 0
    since: float = 0.0


@dataclass(frozen=True)
class Version:
    """A state of the catalogue, as its slots tell it."""

    uuid: str
    slots: Mapping[int, Slot]

    @property
    def fingerprint(self) -> str:
        """The same wherever the catalogue is the same."""
        tokens = [f"{number}:{slot.token}" for number, slot in sorted(self.slots.items()) if slot.token]
        return hashlib.sha256("\n".join([self.uuid, *tokens]).encode()).hexdigest()[:16]

    @property
    def moment(self) -> int:
        """Milvus's timestamp of the last change; 0 where that isn't known, which stands for now."""
        moments = [slot.moment for slot in self.slots.values()]
        return 0 if 0 in moments else max(moments, default=NEVER)

    @property
    def last(self) -> int:
        """The highest number that was given to a shoe."""
        return max((slot.last for slot in self.slots.values()), default=0)

    @property
    def quiet(self) -> bool:
        """Whether no change is being made: what is read under it holds for as long as its fingerprint."""
        return not any(slot.pending for slot in self.slots.values())

    def require_whole(self) -> None:
        """Raise StoreUnavailable if a change was cut short."""
        now = time.time()
        if any(slot.pending and now - slot.since > PENDING_SECONDS for slot in self.slots.values()):
            raise StoreUnavailable("a change of the catalogue was cut short and is being finished; try again")


class Versions:
    """Reads and sets the slots."""

    def __init__(self, link: Link, layout: Layout) -> None:
        self._link, self._collection, self._uuid = link, layout.main, layout.uuid

    def read(self) -> Version:
        """How the catalogue is now. Raises StoreUnavailable, also where another has taken its place."""
        properties = self._link.call(
            lambda client, seconds: client.describe_collection(self._collection, timeout=seconds)["properties"]
        )
        if self._uuid not in properties.get(FACTS, ""):
            # Its vectors may be another checkpoint's.
            raise StoreUnavailable("the catalogue was made anew, and has to be loaded anew before it is served")
        slots = {
            int(name.removeprefix(PREFIX)): Slot(**json.loads(value))
            for name, value in properties.items()
            if name.startswith(PREFIX)
        }
        return Version(self._uuid, slots)

    def decide(self, number: int, claim: int, moment: int) -> None:
        """Say that a claim's change is to be made, whatever happens. `moment` is that of its journal."""
        slot = self.read().slots.get(number, Slot())
        if slot.pending != claim:
            moment = later(slot.moment, moment)
            self._set(number, replace(slot, moment=moment, pending=claim, since=time.time()))

    def publish(self, number: int, moment: int, last: int) -> None:
        """Say that the change under a slot is made, as of `moment`, and that numbers up to `last` are given out."""
        slot = self.read().slots.get(number, Slot())
        last, moment = max(slot.last, last), later(slot.moment, moment)
        self._set(number, Slot(moment=moment, token=secrets.token_hex(8), last=last))

    def _set(self, number: int, slot: Slot) -> None:
        value = json.dumps(asdict(slot))
        self._link.call(
            lambda client, seconds: client.alter_collection_properties(
                self._collection, {f"{PREFIX}{number}": value}, timeout=seconds
            )
        )


def later(one: int, other: int) -> int:
    """The later of two moments; 0, which is now, where either is."""
    return 0 if 0 in (one, other) else max(one, other)
