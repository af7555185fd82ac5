"""CSV files, read strictly: a table that does not mean what it seems to is refused or reported, never guessed at."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model.errors import CatalogError
from model.text import nfc

__all__ = ["Row", "Table", "read_table"]


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        line: the line of the file that it starts on; the header is on line 1.
        cells: its cells, trimmed.
    """

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A CSV file.

    Attributes:
        path: the file.
        columns: the header, trimmed, in Unicode's normal form C; columns may be asked for in any form.
        rows: the rows below it, without blank lines; a row may have more or fewer cells than the header.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def index_of(self, column: str) -> int:
        """The position of a column.

        Raises:
            CatalogError: the table has no such column, or has it twice.
        """
        self.require([column])
        return self.columns.index(nfc(column))

    def require(self, columns: Sequence[str]) -> None:
        """Check that columns are there, each once.

        Raises:
            CatalogError: names those that are missing, and lists those that are there.
        """
        missing = [column for column in columns if nfc(column) not in self.columns]
        if missing:
            raise CatalogError(
                f"{self.path} has no column {', '.join(map(repr, missing))}; its columns are {self.describe_columns()}"
            )
        for column in columns:
            if self.columns.count(nfc(column)) > 1:
                raise CatalogError(f"{self.path} has the column {column!r} more than once")

    def describe_columns(self) -> str:
        """The header, for a message."""
        shown = ", ".join(map(repr, self.columns[:40]))
        return shown + (f" and {len(self.columns) - 40} more" if len(self.columns) > 40 else "")

    def find_problem(self, row: Row) -> str | None:
        """Why a row's cells can't be told apart, or None when there is one for each column."""
        if len(row.cells) == len(self.columns):
            return None
        return f"the row has {len(row.cells)} cells, the header has {len(self.columns)}"


def read_table(path: Path, *, encoding: str = "utf-8", delimiter: str = ",") -> Table:
    """Read a CSV file whole.

    Args:
        path: the file.
        encoding: its text encoding. There is no fallback: text that is decoded by a wrong guess is wrong for good.
            A byte order mark is passed over.
        delimiter: one character, stands between two cells.

    Raises:
        CatalogError: the file can't be read, is not in that encoding, is empty, or its quoting is broken.
    """
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise CatalogError(f"the delimiter of a CSV file is one character, such as ',' or '%09' (tab): {delimiter!r}")
    text = _read_text(path, encoding)
    # Strict, because a lenient reader takes an unclosed quote's row to be the whole rest of the file.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows = []
    try:
        line = 1
        for cells in reader:
            if any(cells):
                rows.append(Row(line, tuple(cell.strip() for cell in cells)))
            line = reader.line_num + 1
    except csv.Error as error:
        raise CatalogError(f"{path}, line {line}: {error}") from error
    if not rows:
        raise CatalogError(f"{path} is empty; a header is expected")
    return Table(path, tuple(map(nfc, rows[0].cells)), tuple(rows[1:]))


def _read_text(path: Path, encoding: str) -> str:
    try:
        return path.read_bytes().decode(encoding).removeprefix("\ufeff")
    except OSError as error:
        raise CatalogError(f"can't read {path}: {error.strerror or error}") from error
    except LookupError as error:
        raise CatalogError(f"unknown text encoding {encoding!r}; such as utf-8, cp1252 or utf-16 are known") from error
    except UnicodeError as error:
        raise CatalogError(
            f"{path} is not {encoding} text ({error}); save it as UTF-8, or name its encoding with encoding=..., "
            "such as csv:PATH?encoding=cp1252"
        ) from error
