"""CSV files as spreadsheets save them. Encoding and delimiter are told from the file; its content is read strictly.

A table that does not mean what it seems to is refused or reported, never guessed at.
"""

import codecs
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from model.errors import CatalogError
from model.text import nfc

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""What spreadsheets put between cells, and its name; the first is taken for a table of one column."""

SAMPLE_ROWS = 200
"""Rows that the delimiter is told from."""

BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",  # before that of UTF-16, which it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


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
        encoding: the text encoding that it was read in.
        delimiter: what was taken to stand between two cells.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    encoding: str = "utf-8"
    delimiter: str = ","

    def describe(self) -> str:
        """How the file was read, for a log."""
        divided = DELIMITERS.get(self.delimiter, repr(self.delimiter))
        return f"{self.path}: {self.encoding} text with {divided} between cells, {len(self.rows):,} rows"

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


def read_table(path: Path, *, encoding: str | None = None, delimiter: str | None = None) -> Table:
    """Read a CSV file whole.

    Args:
        path: the file.
        encoding: its text encoding. None takes what a byte order mark says, UTF-16 where every second byte is zero,
            and else UTF-8; there is no further guess, since text that is decoded by a wrong one is wrong for good.
        delimiter: one character, stands between two cells. None takes what a first line such as `sep=;` says, or that
            of `,`, `;`, tab and `|` which divides the first rows most evenly.

    Raises:
        CatalogError: the file can't be read, is not in that encoding, is empty, or its quoting is broken.
    """
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise CatalogError(f"the delimiter of a CSV file is one character, such as ',' or '%09' (tab): {delimiter!r}")
    text, encoding = _read_text(path, encoding)
    text, hint = _take_hint(text)
    skipped = int(hint is not None)
    delimiter = delimiter or hint or _find_delimiter(text)
    # Strict, because a lenient reader takes an unclosed quote's row to be the whole rest of the file.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows = []
    try:
        line = 1 + skipped
        for cells in reader:
            if any(cells):
                rows.append(Row(line, tuple(cell.strip() for cell in cells)))
            line = reader.line_num + 1 + skipped
    except csv.Error as error:
        raise CatalogError(f"{path}, line {line}: {error}") from error
    if not rows:
        raise CatalogError(f"{path} is empty; a header is expected")
    return Table(path, tuple(map(nfc, rows[0].cells)), tuple(rows[1:]), encoding, delimiter)


def _take_hint(text: str) -> tuple[str, str | None]:
    """The text without the line `sep=;` that Excel reads and writes before a header, and the delimiter it names."""
    line, end, rest = text.partition("\n")
    line = line.removesuffix("\r")
    if end and len(line) == 5 and line.lower().startswith("sep=") and line[-1] not in '"\r\n':
        return rest, line[-1]
    return text, None


def _find_delimiter(text: str) -> str:
    """The delimiter by which most of the first rows have as many cells as the header; of several, the one of most.

    Not csv.Sniffer: it counts characters, also those within quotes, and fails on tables with one column or row.
    """
    best, found = (0.0, 1), next(iter(DELIMITERS))
    for delimiter in DELIMITERS:
        widths = _count_cells(text, delimiter)
        if widths and widths[0] > 1:
            even = sum(width == widths[0] for width in widths) / len(widths)
            if (even, widths[0]) > best:
                best, found = (even, widths[0]), delimiter
    return found


def _count_cells(text: str, delimiter: str) -> list[int]:
    """How many cells each of the first rows has; -1 for one that can't be read."""
    widths: list[int] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        widths.extend(len(cells) for cells in islice(reader, SAMPLE_ROWS) if any(cells))
    except csv.Error:
        widths.append(-1)
    return widths


def _find_encoding(data: bytes) -> str:
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return encoding
    sample = data[:4096]
    for encoding, zeros in (("utf-16-le", sample[1::2]), ("utf-16-be", sample[::2])):
        if zeros and zeros.count(0) > 0.4 * len(zeros):
            return encoding
    return "utf-8"


def _read_text(path: Path, encoding: str | None) -> tuple[str, str]:
    """A file's text, without a byte order mark, and its encoding."""
    try:
        data = path.read_bytes()
        encoding = encoding or _find_encoding(data)
        return data.decode(encoding).removeprefix("\ufeff"), encoding
    except OSError as error:
        raise CatalogError(f"can't read {path}: {error.strerror or error}") from error
    except LookupError as error:
        raise CatalogError(f"unknown text encoding {encoding!r}; such as utf-8, cp1252 or utf-16 are known") from error
    except UnicodeError as error:
        raise CatalogError(
            f"{path} is not {encoding} text ({error}); save it as UTF-8, or name its encoding with encoding=..., "
            "such as csv:PATH?encoding=cp1252"
        ) from error
