"""A CSV file with a row for each shoe, and its pictures beside it."""

import logging
import os.path
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.catalog.base import Catalog, CatalogBuilder, locate, split_values
from model.catalog.columns import LINK, LINKS, NUMBERS, find_kind
from model.catalog.table import Row, Table, read_table
from model.catalog.tree import FileFinder
from model.errors import CatalogError
from model.text import nfc

logger = logging.getLogger(__name__)

ID_COLUMNS = frozenset(
    {"article", "article number", "artikelnummer", "barcode", "code", "ean", "gtin", "handle", "item code", "item id"}
    | {"product code", "product id", "sku", "variant sku"}
)
"""Names of columns of which the first whose cells all differ is taken for the id, when none is given or called `id`."""

IMAGE_COLUMNS = (
    *("image", "image path", "imagepath", "img", "filename", "file name", "file", "path", "picture", "photo"),
    *("image src", "image file", "image name", "images", "variant image", "image url", "image link", "bild"),
)
"""Names of the column that is taken for the picture's path when none is given; one of files before one of links.

Of both, names are compared in lower case, with blanks for `_` and `-`."""

MAX_MEAN_LENGTH = 200
"""Characters of a column's cells, on average, from which it is no attribute: each answer would carry it."""

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class ManifestOptions:
    """How a CSV file is read. A template is text with columns in braces, such as `images/{id}.jpg`.

    Attributes:
        id: column or template of the shoe's id. Default: the column `id`, else the first of `ID_COLUMNS` whose cells
            all differ, else the first column.
        image: column or template of the picture's path below `root`. Default: the column `image`, `filename`,
            `path` or the like.
        attributes: the columns that are attributes. Default: every column that is neither the id, the picture nor
            the group, except those of long text.
        group: column or template of `Shoe.group`. Default: the id.
        split: stands between two values in a cell; empty means that a cell holds one value. A cell is one value also
            in a column, of those taken by default, that is text, links or numbers.
        encoding: the file's text encoding. Default: as `read_table` finds it.
        delimiter: stands between two cells. Default: likewise.
        root: the folder that holds the pictures. Default: the CSV file's.
    """

    id: str | None = None
    image: str | None = None
    attributes: tuple[str, ...] | None = None
    group: str | None = None
    split: str = ";"
    encoding: str | None = None
    delimiter: str | None = None
    root: Path | None = None


def read_manifest(path: Path, options: ManifestOptions | None = None) -> Catalog:
    """Read a CSV file of shoes.

    Rows with too few or too many cells, without an id, with an id that is taken, and rows whose picture is missing
    or lies outside the root are left out and reported; none of them shifts another.

    Args:
        path: the CSV file, with a header.
        options: which columns mean what.

    Raises:
        CatalogError: the file can't be read, a column is missing (those that are there are listed), or no row is
            usable.
    """
    options = options or ManifestOptions()
    table = read_table(path, encoding=options.encoding, delimiter=options.delimiter)
    id_text = options.id if options.id is not None else _find_id_column(table)
    image_text = options.image if options.image is not None else _find_image_column(table)
    read_id, read_image = _compile(id_text, table), _compile(image_text, table)
    read_group = _compile(options.group, table) if options.group is not None else read_id
    columns = _choose_attributes(table, options, set(map(nfc, (id_text, image_text, options.group or id_text))))
    indices = {column: table.index_of(column) for column in columns}
    logger.info("%s; ids from %r, pictures from %r", table.describe(), id_text, image_text)

    root = locate(options.root or path.parent)
    builder = CatalogBuilder(f"csv:{locate(path)}", root)
    finder = FileFinder(root)
    for row in table.rows:
        shoe_id = ""
        try:
            _check_cells(table, row)
            shoe_id = read_id(row)
            image = _locate_image(root, finder, read_image(row))
            group = read_group(row)
        except _RowProblem as problem:
            builder.reject(_name_row(row, shoe_id), str(problem))
            continue
        attributes = {column: split_values(row.cells[index], columns[column]) for column, index in indices.items()}
        attributes = {column: values for column, values in attributes.items() if values}
        builder.add(_name_row(row, shoe_id), id=shoe_id, image=image, attributes=attributes, group=group)
    return builder.build()


class _RowProblem(Exception):
    """One row can't be used."""


def _name_row(row: Row, shoe_id: str) -> str:
    return f"line {row.line} ({shoe_id})" if shoe_id else f"line {row.line}"


def _check_cells(table: Table, row: Row) -> None:
    problem = table.find_problem(row)
    if problem is not None:
        raise _RowProblem(problem)


def _compile(text: str, table: Table) -> Callable[[Row], str]:
    """A function from a row to the text that a column's name or a template stands for.

    It raises _RowProblem for an empty cell.
    """
    if "{" not in text:
        text = "{" + text + "}"
    pieces = PLACEHOLDER.split(text)  # literal, column, literal, column, ..., literal
    if any("{" in literal or "}" in literal for literal in pieces[::2]):
        raise CatalogError(f"unbalanced braces in the template {text!r}; write it like images/{{id}}.jpg")
    table.require(pieces[1::2])
    literals, columns = pieces[::2], pieces[1::2]
    indices = [table.index_of(column) for column in columns]

    def read(row: Row) -> str:
        parts = [literals[0]]
        for column, index, literal in zip(columns, indices, literals[1:], strict=True):
            if not row.cells[index]:
                raise _RowProblem(f"the column {column!r} is empty")
            parts += (row.cells[index], literal)
        return "".join(parts)

    return read


def _locate_image(root: Path, finder: FileFinder, text: str) -> str:
    """The path below `root`, with forward slashes, of a picture that is there."""
    # Manifests written on Windows have backslashes. The path is normalised as text, so that `..` counts before any
    # link is followed: links below the root are the owner's own and may lead elsewhere.
    absolute = Path(os.path.normpath(root / text.replace("\\", "/")))
    if not absolute.is_relative_to(root) or absolute == root:
        raise _RowProblem(f"its picture {text!r} is outside of the catalogue's folder")
    try:
        found = finder.find(absolute.relative_to(root).as_posix())
    except (OSError, ValueError) as error:
        raise _RowProblem(f"its picture {text!r} can't be looked up: {error}") from error
    if found is None:
        if LINK.fullmatch(text):
            raise _RowProblem(
                f"its picture is a link, {text!r}; download the pictures, and name their files with a template such as "
                "image=photos/{id}.jpg"
            )
        raise _RowProblem(f"its picture {text!r} is missing")
    return found


def _find_id_column(table: Table) -> str:
    names = _by_name(table)
    if "id" in names:
        return names["id"]
    for column in table.columns:
        cells = _cells(table, column)
        if _tidy(column) in ID_COLUMNS and all(cells) and len(set(cells)) == len(cells):
            return column
    return table.columns[0]


def _find_image_column(table: Table) -> str:
    spelling = _by_name(table)
    found = [spelling[name] for name in IMAGE_COLUMNS if name in spelling]
    for column in found:
        if not any(LINK.fullmatch(cell) for cell in _cells(table, column)):
            return column
    if found:
        return found[0]
    raise CatalogError(
        f"which column of {table.path} is the picture's path? Say so with image=COLUMN or a template such as "
        f"csv:{table.path.name}?image=images/{{id}}.jpg; its columns are {table.describe_columns()}"
    )


def _by_name(table: Table) -> dict[str, str]:
    """Columns by their names as `IMAGE_COLUMNS` has them; of several, the first."""
    return {_tidy(column): column for column in reversed(table.columns)}


def _tidy(column: str) -> str:
    return re.sub(r"[\s_-]+", " ", column.lower())


def _cells(table: Table, column: str) -> list[str]:
    index = table.columns.index(column)
    return [row.cells[index] for row in table.rows if len(row.cells) == len(table.columns)]


def _choose_attributes(table: Table, options: ManifestOptions, used: set[str]) -> dict[str, str]:
    """The columns that are attributes, each with what divides its values."""
    if options.attributes is not None:
        columns = {nfc(column): options.split for column in options.attributes}
    else:
        # Columns inside templates stay: a brand is an attribute also where the picture's path is {brand}/{id}.jpg.
        candidates = [column for column in dict.fromkeys(table.columns) if column and column not in used]
        cells = {column: list(filter(None, _cells(table, column))) for column in candidates}
        long = [name for name, each in cells.items() if sum(map(len, each)) > MAX_MEAN_LENGTH * len(each)]
        if long:
            logger.info("left out of the attributes, since it is long text: %s", ", ".join(long))
        columns = {name: _choose_split(each, options.split) for name, each in cells.items() if name not in long}
    for column in columns:
        if ":" in column:
            raise CatalogError(
                f"the column {column!r} of {table.path} can't be an attribute, since a filter is written "
                "attribute:value; choose the columns with attributes="
            )
    table.require(list(columns))
    return columns


def _choose_split(cells: Sequence[str], split: str) -> str:
    """What divides the values in a column's cells: nothing, in links, numbers and text."""
    whole = Counter(cells)
    divided = Counter(value for cell in cells for value in split_values(cell, split))
    if not divided or (find_kind(divided) is None and find_kind(whole) not in {LINKS, NUMBERS}):
        return split
    return ""
