"""Rows of pictures for a report: reconstructions below their originals, and queries beside their nearest neighbours.

Each function takes arrays and returns the bytes of a PNG.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.figures.sheet import INK, MARGIN, MUTED, Sheet

__all__ = [
    "ALIKE",
    "DIFFERENT",
    "UNKNOWN",
    "PictureRow",
    "Tile",
    "TileRow",
    "draw_picture_rows",
    "draw_reconstructions",
    "draw_tile_rows",
]

ALIKE, DIFFERENT, UNKNOWN = "#1a8a4f", "#d4382c", "#b4b4bb"
TILE = 0.82
GAP = 0.12
LABEL_WIDTH = 1.35


@dataclass(frozen=True)
class PictureRow:
    """Pictures beside each other, such as one network's reconstructions.

    Attributes:
        name: what they are.
        pictures: (S, C, H, W) uint8, of any size.
        line: a few words more.
    """

    name: str
    pictures: NDArray[np.uint8]
    line: str = ""


@dataclass(frozen=True)
class Tile:
    """A picture with two lines below it.

    Attributes:
        pixels: (C, H, W) uint8.
        caption: a few words.
        second: some more, in the frame's colour.
        alike: whether it is alike to its row's query; None where that is not known.
    """

    pixels: NDArray[np.uint8]
    caption: str
    second: str = ""
    alike: bool | None = None

    @property
    def colour(self) -> str:
        """Of the frame."""
        return UNKNOWN if self.alike is None else ALIKE if self.alike else DIFFERENT


@dataclass(frozen=True)
class TileRow:
    """A query and its nearest others.

    Attributes:
        label: what the query is.
        line: a few words about it.
        query: (C, H, W) uint8.
        neighbours: nearest first.
    """

    label: str
    line: str
    query: NDArray[np.uint8]
    neighbours: tuple[Tile, ...]


def draw_reconstructions(originals: NDArray[np.uint8], rows: Sequence[PictureRow], *, note: str) -> bytes:
    """Originals (S, C, H, W) above what each network makes of them, a row of as many pictures: a PNG."""
    return draw_picture_rows("Reconstructions", note, [PictureRow("original", originals), *rows])


def draw_picture_rows(title: str, note: str, rows: Sequence[PictureRow]) -> bytes:
    """Labelled rows, at least one, of equally many pictures: a PNG. `note` is the subtitle."""
    top, pitch = MARGIN + 0.62, TILE + 0.06
    width = 2 * MARGIN + LABEL_WIDTH + max(len(rows[0].pictures), 4) * pitch
    sheet = Sheet(width, top + len(rows) * (TILE + GAP) - GAP + MARGIN)
    sheet.head(title, note)
    for place, row in enumerate(rows):
        y = top + place * (TILE + GAP)
        _write_row_label(sheet, y, row.name, row.line)
        for column, pixels in enumerate(row.pictures):
            sheet.paste(pixels, MARGIN + LABEL_WIDTH + column * pitch, y, TILE)
    return sheet.to_png()


def draw_tile_rows(title: str, note: str, rows: Sequence[TileRow]) -> bytes:
    """Queries, each with its nearest others, framed green where alike and red where different: a PNG.

    There is at least one row, and each has equally many neighbours; `note` is the subtitle.
    """
    columns = max(len(rows[0].neighbours), 4)
    pitch, height = TILE + GAP, TILE + 0.44
    query, first = MARGIN + LABEL_WIDTH, MARGIN + LABEL_WIDTH + pitch + 0.2
    top = MARGIN + 0.92
    sheet = Sheet(first + columns * pitch - GAP + MARGIN, top + len(rows) * height - 0.14 + MARGIN)
    sheet.head(title, note)
    sheet.write(query, top - 0.12, "query", size=8, colour=MUTED)
    sheet.write(first, top - 0.12, "nearest others, the nearest first", size=8, colour=MUTED)
    for place, row in enumerate(rows):
        y = top + place * height
        _write_row_label(sheet, y, row.label, row.line)
        sheet.paste(row.query, query, y, TILE)
        sheet.frame(query, y, TILE, INK)
        for column, tile in enumerate(row.neighbours):
            x = first + column * pitch
            sheet.paste(tile.pixels, x, y, TILE)
            sheet.frame(x, y, TILE, tile.colour)
            sheet.write(x, y + TILE + 0.14, tile.caption, size=7, colour=MUTED, width=TILE)
            colour = MUTED if tile.alike is None else tile.colour
            sheet.write(x, y + TILE + 0.26, tile.second, size=7, colour=colour, width=TILE + GAP / 2)
    return sheet.to_png()


def _write_row_label(sheet: Sheet, y: float, name: str, line: str) -> None:
    sheet.write(MARGIN, y + TILE / 2 - 0.03, name, size=9, bold=True, width=LABEL_WIDTH - 0.1)
    sheet.write(MARGIN, y + TILE / 2 + 0.14, line, size=7, colour=MUTED, width=LABEL_WIDTH - 0.1)
