"""What a catalogue is: shoes, and the rows that could not become one."""

import functools
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from model.errors import CatalogError
from model.text import nfc, nfc_attributes

MAX_ID_LENGTH = 200
"""Longest id of a shoe, in characters."""

ABSENT = frozenset({"", "NA"})
"""Spellings of "no value" in a table's cell."""


@dataclass(frozen=True)
class Shoe:
    """A shoe of the catalogue.

    Attributes:
        id: unique in the catalogue; 1 to 200 characters without "/" and control characters.
        image: the picture's absolute path as its disk spells it, below `Catalog.root`.
        attributes: attribute -> its values (one or several); an attribute without a value is absent.
        group: shoes that are variants of one product share it, so that a split into training and test shoes can
            keep them together. The id where nothing else is known.
    """

    id: str
    image: Path
    attributes: Mapping[str, tuple[str, ...]] = field(hash=False)
    group: str = ""

    def __post_init__(self) -> None:
        if not self.group:
            object.__setattr__(self, "group", self.id)


@dataclass(frozen=True)
class BadRow:
    """A row or a file of the catalogue that is left out.

    Attributes:
        row: where to find it: the table's line, the file's path below the root, or the shoe's id.
        reason: what is wrong with it.
    """

    row: str
    reason: str


@dataclass(frozen=True)
class Catalog:
    """A catalogue that was read: facts and paths, no picture is open yet.

    Attributes:
        source: where it was read from, as `read_catalog` takes it.
        root: the absolute folder that holds every picture.
        shoes: at least one, in the catalogue's own order.
        bad_rows: what was left out, in the order it was met.
    """

    source: str
    root: Path
    shoes: tuple[Shoe, ...]
    bad_rows: tuple[BadRow, ...]

    @property
    def size(self) -> int:
        """Rows that were met, good and bad."""
        return len(self.shoes) + len(self.bad_rows)


class CatalogBuilder:
    """Gathers shoes one by one; what can't be a shoe becomes a bad row instead of shifting or stopping the rest."""

    def __init__(self, source: str, root: Path) -> None:
        self.source = source
        self.root = root
        self._shoes: list[Shoe] = []
        self._bad_rows: list[BadRow] = []
        self._row_of_id: dict[str, str] = {}

    def add(self, row: str, *, id: str, image: str, attributes: Mapping[str, tuple[str, ...]], group: str = "") -> None:
        """Take a shoe in, or report its row when the id is unusable or taken.

        All texts but the picture's path are stored in Unicode's normal form C.

        Args:
            row: where the shoe was found, for `BadRow.row`.
            id: the shoe's id.
            image: the picture's path below the root, with forward slashes.
            attributes: as in `Shoe`.
            group: as in `Shoe`; empty means the id.
        """
        shoe_id = nfc(id)
        problem = find_id_problem(shoe_id)
        if problem is None and shoe_id in self._row_of_id:
            problem = f"id {shoe_id!r} is taken by {self._row_of_id[shoe_id]}"
        if problem is None and not _is_unicode(image):
            problem = "the file's name is not UTF-8"
        if problem is not None:
            self.reject(row, problem)
            return
        self._row_of_id[shoe_id] = row
        self._shoes.append(Shoe(shoe_id, self.root / image, nfc_attributes(attributes), nfc(group)))

    def reject(self, row: str, reason: str) -> None:
        """Report a row that is left out."""
        self._bad_rows.append(BadRow(_make_unicode(row), _make_unicode(reason)))

    def build(self) -> Catalog:
        """The catalogue.

        Raises:
            CatalogError: not one shoe was found; the message gives the first reasons.
        """
        if not self._shoes:
            reasons = "; ".join(f"{bad.row}: {bad.reason}" for bad in self._bad_rows[:3])
            found = f"all {len(self._bad_rows)} rows are bad, such as {reasons}" if reasons else "it has no rows"
            raise CatalogError(f"no usable shoe in {self.source}: {found}")
        return Catalog(self.source, self.root, tuple(self._shoes), tuple(self._bad_rows))


def locate(path: Path) -> Path:
    """The absolute path of a catalogue's root or table, without `..`; links are kept where that can be."""
    absolute = path.absolute()
    return absolute.resolve() if ".." in absolute.parts else absolute


def find_id_problem(id: str) -> str | None:
    """Why a text can't be a shoe's id, or None when it can.

    An id is one segment of a URL's path and a key of the store, which rules out slashes, the segments "." and ".."
    (clients resolve them away), control characters, and names of files that are not UTF-8.
    """
    if not id:
        return "the id is empty"
    if len(id) > MAX_ID_LENGTH:
        return f"the id has {len(id)} characters, at most {MAX_ID_LENGTH} are allowed: {id[:40]}..."
    if "/" in id or id in {".", ".."}:
        return f"the id {id!r} contains a slash or is a dot segment"
    if not id.isprintable() and any(_is_control(character) for character in id):
        return f"the id {id!r} contains control characters or is not UTF-8"
    return None


@functools.lru_cache(maxsize=1 << 16)  # cells repeat: fifty thousand rows share a few hundred values
def split_values(cell: str, separator: str = ";") -> tuple[str, ...]:
    """The values in a table's cell: trimmed, each once, without the empty ones and `NA`.

    Args:
        cell: the cell's text, such as `Leather; Suede`.
        separator: stands between two values; empty means that a cell holds one value.
    """
    parts = cell.split(separator) if separator else [cell]
    values = dict.fromkeys(_tidy(part) for part in parts)
    return tuple(value for value in values if value not in ABSENT)


def _tidy(text: str) -> str:
    text = " ".join(text.split())
    if not text.isprintable():
        text = "".join(character for character in text if not _is_control(character))
    return text


def _is_control(character: str) -> bool:
    # Cs: the lone surrogates by which Python spells bytes of a file name that are not UTF-8.
    return unicodedata.category(character) in {"Cc", "Cs"}


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any(unicodedata.category(character) == "Cs" for character in text)


def _make_unicode(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
