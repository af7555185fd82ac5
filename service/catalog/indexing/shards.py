"""A catalogue in n parts, so that n processes, on one machine or several, can index it at once."""

import hashlib
import re
from dataclasses import dataclass, replace

from model.catalog import Catalog
from model.errors import QueryError

__all__ = ["WHOLE", "Shard"]


@dataclass(frozen=True)
class Shard:
    """One of n parts.

    Which part a shoe belongs to depends on its id alone: not on the catalogue's order, on other shoes or on the
    machine. So a shoe that is gone from the source has its part too, whose process removes it.

    Attributes:
        number: which part, from 1.
        count: n.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """The part that `text`, such as `2/4`, means. Raises QueryError."""
        match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        number, count = (int(match[1]), int(match[2])) if match else (0, 0)
        if not 1 <= number <= count:
            raise QueryError("shard", f"--shard is {text!r}; expected i/n with i from 1 to n, such as 2/4")
        return cls(number, count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def holds(self, name: str) -> bool:
        """Whether the shoe with this id, or the bad row of this name, belongs to this part."""
        if self.count == 1:
            return True
        # Not Python's hash, which is another in each process.
        digest = hashlib.blake2b(name.encode("utf-8", "backslashreplace"), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.number - 1

    def take(self, catalog: Catalog) -> Catalog:
        """This part of a catalogue; it may be empty."""
        if self.count == 1:
            return catalog
        return replace(
            catalog,
            shoes=tuple(shoe for shoe in catalog.shoes if self.holds(shoe.id)),
            bad_rows=tuple(bad for bad in catalog.bad_rows if self.holds(bad.row)),
        )


WHOLE = Shard(1, 1)
"""The shard of a catalogue that is not divided."""
