"""The ledger of an indexing: the picture file that each vector was made from, and which shards are done.

A shard is one of n parts of a catalogue, so that n processes, on one machine or several, can index it at once.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from json.encoder import encode_basestring_ascii as to_json_string
from pathlib import Path

from model.catalog import Catalog
from model.errors import QueryError
from model.files import explained, write_atomic
from service.store.locks import locked, remove_leftovers

LEDGER = "pictures.jsonl"
UNFINISHED = "indexing-unfinished"
WAITING = "uploaded-shoes.jsonl"
"""File of the uploaded shoes that a rebuild has still to put back; see `service.catalog.maintenance.reembed`."""

Stamp = tuple[int, int]
"""A picture file's size in bytes and its modification time in nanoseconds, by which a change is noticed."""

NO_FILE: Stamp = (-1, -1)
"""A stamp that no file has."""


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


class Ledger:
    """Which state of its picture each vector was made from: one line of JSON a shoe, the last one counts.

    Lines are added after their shoes are in the store. After a kill in between, the store has shoes that the ledger
    lacks: they are embedded again, at most a batch. A torn last line is passed over. Several processes may index
    parts of one catalogue with one ledger.
    """

    def __init__(self, folder: Path) -> None:
        """Read what is there. Raises ArtifactError."""
        self._folder, self._path = folder, folder / LEDGER
        with explained(self._path):
            self.stamps: dict[str, Stamp] = dict(_read_stamps(self._path))

    def add(self, stamps: Mapping[str, Stamp]) -> None:
        """Append what was just stored. Raises ArtifactError."""
        self.stamps.update(stamps)
        with explained(self._path), locked(self._folder), self._path.open("ab") as file:
            # The newline comes first as well: a line that a kill has torn must not swallow this one.
            file.write(b"\n" + _format_stamps(stamps))
            file.flush()
            os.fsync(file.fileno())

    def forget(self, ids: Iterable[str]) -> None:
        """Have the pictures of these shoes embedded again. Raises ArtifactError.

        To be called before their vectors are replaced: after a kill in between, none passes for its picture's own.
        """
        self.add(dict.fromkeys(ids, NO_FILE))

    def compact(self, ids: Iterable[str], shard: Shard) -> None:
        """Rewrite it, of this part with these shoes only. Raises ArtifactError."""
        kept = set(ids)
        with explained(self._path), locked(self._folder):
            # Read again: the other parts' processes have added to it.
            self.stamps = {
                item_id: stamp
                for item_id, stamp in _read_stamps(self._path)
                if item_id in kept or not shard.holds(item_id)
            }
            remove_leftovers(self._path)
            write_atomic(self._path, _format_stamps(self.stamps))

    @staticmethod
    def remove(folder: Path) -> None:
        """Forget everything: each picture will be embedded again. Raises ArtifactError."""
        with explained(folder / LEDGER):
            (folder / LEDGER).unlink(missing_ok=True)


def begin(folder: Path, shard: Shard) -> None:
    """Note that this part is being indexed: until all parts are, the catalogue is unfinished. Raises ArtifactError."""
    with explained(folder / UNFINISHED), locked(folder):
        finished = _finished_parts(folder, shard.count) or set()
        _write_state(folder, shard.count, finished - {shard.number})


def finish(folder: Path, shard: Shard) -> None:
    """Note that this part is done. Raises ArtifactError."""
    with explained(folder / UNFINISHED), locked(folder):
        finished = _finished_parts(folder, shard.count)
        if finished is None:  # it was divided anew meanwhile; whoever did that will see to it
            return
        finished.add(shard.number)
        if len(finished) == shard.count:
            (folder / UNFINISHED).unlink()
        else:
            _write_state(folder, shard.count, finished)


def is_complete(folder: Path) -> bool:
    """Whether the last indexing into `folder` ran to its end, with all its parts and the uploaded shoes."""
    return not any((folder / name).exists() for name in (UNFINISHED, WAITING))


def _finished_parts(folder: Path, count: int) -> set[int] | None:
    """The parts of an unfinished indexing that are done; None if there is none in `count` parts."""
    try:
        state = json.loads((folder / UNFINISHED).read_bytes())
        return set(state["finished"]) if state["parts"] == count else None
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):  # torn, or of a version that kept nothing in it
        return None


def _write_state(folder: Path, count: int, finished: set[int]) -> None:
    text = json.dumps({"parts": count, "finished": sorted(finished)})
    remove_leftovers(folder / UNFINISHED)
    write_atomic(folder / UNFINISHED, text.encode() + b"\n")


def _read_stamps(path: Path) -> Iterator[tuple[str, Stamp]]:
    """Each shoe's stamp, the last one of several."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    try:
        rows = json.loads(b"[%b]" % b",".join(filter(None, lines)))  # several times faster than one call for each
        stamps = _last_of_each(rows)
    except (ValueError, TypeError):
        stamps = _last_of_each(_parse_whole(lines))
    yield from stamps.items()


def _last_of_each(rows: Iterable[tuple[str, int, int]]) -> dict[str, Stamp]:
    return {item_id: (size, modified) for item_id, size, modified in rows}


def _parse_whole(lines: Iterable[bytes]) -> Iterator[tuple[str, int, int]]:
    """The lines that are not torn."""
    for line in lines:
        try:
            item_id, size, modified = json.loads(line)
        except (ValueError, TypeError):
            continue
        yield item_id, size, modified


def _format_stamps(stamps: Mapping[str, Stamp]) -> bytes:
    lines = (f"[{to_json_string(item_id)}, {size}, {modified}]\n" for item_id, (size, modified) in stamps.items())
    return "".join(lines).encode("ascii")
