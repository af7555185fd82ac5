"""A CSV file with a row for each shoe, and its pictures beside it."""

import logging
import os.path
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.catalog.base import Catalog, CatalogBuilder, locate, split_values
from model.catalog.table import Row, Table, read_table
from model.catalog.tree import FileFinder
from model.errors import CatalogError
from model.text import nfc

__all__ = ["ManifestOptions", "read_manifest"]

logger = logging.getLogger(__name__)

IMAGE_COLUMNS = ("image", "image_path", "imagepath", "img", "filename", "file_name", "file", "path", "picture", "photo")
"""Names, in lower case, of the column that is taken for the picture's path when none is given."""

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class ManifestOptions:
    """How a CSV file is read. A template is text with columns in braces, such as `images/{id}.jpg`.

    Attributes:
        id: column or template of the shoe's id. Default: the column `id`, else the first one.
        image: column or template of the picture's path below `root`. Default: the column `image`, `filename`,
            `path` or the like.
        attributes: the columns that are attributes. Default: every column that is neither the id, the picture nor
            the group, except free text (more than 50 values, and different ones in most rows).
        group: column or template of `Shoe.group`. Default: the id.
        split: stands between two values in a cell; empty means that a cell holds one value.
        encoding: the file's text encoding.
        delimiter: stands between two cells.
        root: the folder that holds the pictures. Default: the CSV file's.
    """

    id: str | None = None
    image: str | None = None
    attributes: tuple[str, ...] | None = None
    group: str | None = None
    split: str = ";"
    encoding: str = "utf-8"
    delimiter: str = ","
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
        attributes = {column: split_values(row.cells[index], options.split) for column, index in indices.items()}
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
        raise _RowProblem(f"its picture {text!r} is missing")
    return found


def _find_id_column(table: Table) -> str:
    for column in table.columns:
        if column.lower() == "id":
            return column
    return table.columns[0]


def _find_image_column(table: Table) -> str:
    spelling = {column.lower(): column for column in reversed(table.columns)}
    for name in IMAGE_COLUMNS:
        if name in spelling:
            return spelling[name]
    raise CatalogError(
        f"which column of {table.path} is the picture's path? Say so with image=COLUMN or a template such as "
        f"csv:{table.path.name}?image=images/{{id}}.jpg; its columns are {table.describe_columns()}"
    )


def _choose_attributes(table: Table, options: ManifestOptions, used: set[str]) -> Sequence[str]:
    if options.attributes is not None:
        columns: Sequence[str] = tuple(map(nfc, options.attributes))
    else:
        # Columns inside templates stay: a brand is an attribute also where the picture's path is {brand}/{id}.jpg.
        candidates = [column for column in dict.fromkeys(table.columns) if column and column not in used]
        free = [column for column in candidates if _is_free_text(table, column, options.split)]
        if free:
            logger.info("left out of the attributes, since nearly every row differs: %s", ", ".join(free))
        columns = [column for column in candidates if column not in free]
    for column in columns:
        if ":" in column:
            raise CatalogError(
                f"the column {column!r} of {table.path} can't be an attribute, since a filter is written "
                "attribute:value; choose the columns with attributes="
            )
    table.require(columns)
    return columns


def _is_free_text(table: Table, column: str, split: str) -> bool:
    index = table.columns.index(column)
    cells = [row.cells[index] for row in table.rows if len(row.cells) == len(table.columns)]
    values = [value for cell in cells for value in split_values(cell, split)]
    return len(set(values)) > max(50, len(values) // 2)
