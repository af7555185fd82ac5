"""Tables and pictures of reports, in Markdown and for a terminal."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from model.files import write_atomic

Picture = tuple[str, str]
"""Heading and file name of a picture that lies beside the report."""


def to_pipe(table: Sequence[Sequence[str]], names: int = 2) -> str:
    """A Markdown table whose first `names` columns are words; the first row is its head."""
    rule = ["---" if column < names else "--:" for column in range(len(table[0]))]
    return "\n".join("| " + " | ".join(row) + " |" for row in [table[0], rule, *table[1:]])


def to_columns(table: Sequence[Sequence[str]], names: int = 2) -> list[str]:
    """The table's lines for a terminal: the first `names` columns to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    sides = ["<" if column < names else ">" for column in range(len(widths))]
    return [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)).rstrip()
        for row in table
    ]


def to_document(parts: Sequence[str], pictures: Sequence[Picture]) -> str:
    """A Markdown document: paragraphs, then a section for each picture."""
    return "\n\n".join([*parts, *(f"## {heading}\n\n![{heading}]({name})" for heading, name in pictures)]) + "\n"


def write_pictures(out: Path, pictures: Iterable[tuple[str, str, bytes]]) -> list[Picture]:
    """Write PNGs, each given as heading, file name and content, into `out`, atomically."""
    written = []
    for heading, name, png in pictures:
        write_atomic(out / name, png)
        written.append((heading, name))
    return written
