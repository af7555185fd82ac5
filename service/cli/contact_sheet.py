"""Contact sheets: the picture that was searched by, and those that were found, in one PNG."""

import io
from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont, ImageOps

TILE = 200
"""Pixels a side of a picture's square."""

CAPTION = 40
"""Pixels below it, for two lines of text."""

GAP = 16
COLUMNS = 5
FONT = ImageFont.load_default(14)
INK, MUTED, EMPTY = (29, 29, 31), (107, 107, 112), (236, 236, 240)


class Tile(NamedTuple):
    """A picture of the sheet: the bytes of its file, None where there is none, and two lines below it."""

    picture: bytes | None
    title: str
    text: str


def draw_sheet(asked: Tile, found: Sequence[Tile]) -> bytes:
    """Draw the sheet, as a PNG: the picture that was asked with at the left, the others beside it, row by row."""
    columns = max(1, min(COLUMNS, len(found)))
    rows = max(1, -(-len(found) // columns))
    step, line = TILE + GAP, TILE + CAPTION + GAP
    sheet = Image.new("RGB", (GAP + step * (columns + 1) + GAP, GAP + line * rows), "white")
    draw = ImageDraw.Draw(sheet)
    _paste(sheet, draw, asked, (GAP, GAP))
    draw.line([(step + GAP, GAP), (step + GAP, sheet.height - GAP)], fill=EMPTY, width=2)
    for place, tile in enumerate(found):
        row, column = divmod(place, columns)
        _paste(sheet, draw, tile, (2 * GAP + step * (column + 1), GAP + line * row))
    file = io.BytesIO()
    sheet.save(file, "PNG", optimize=True)
    return file.getvalue()


def _paste(sheet: Image.Image, draw: ImageDraw.ImageDraw, tile: Tile, corner: tuple[int, int]) -> None:
    left, top = corner
    picture = None if tile.picture is None else _open(tile.picture)
    if picture is None:
        draw.rectangle((left, top, left + TILE - 1, top + TILE - 1), fill=EMPTY)
    else:
        sheet.paste(picture, (left + (TILE - picture.width) // 2, top + (TILE - picture.height) // 2))
    for number, (text, colour) in enumerate(((tile.title, INK), (tile.text, MUTED))):
        draw.text((left, top + TILE + 4 + 18 * number), _shorten(text), fill=colour, font=FONT)


def _open(content: bytes) -> Image.Image | None:
    """A picture upright, on white, as large as a tile holds it; None where it can't be read."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.draft("RGB", (2 * TILE, 2 * TILE))
            upright = ImageOps.exif_transpose(image).convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    upright = ImageOps.contain(upright, (TILE, TILE), Image.Resampling.BICUBIC)
    flat = Image.new("RGB", upright.size, "white")
    flat.paste(upright, mask=upright)
    return flat


def _shorten(text: str) -> str:
    """The text, or its beginning and an ellipsis: as wide as a tile."""
    if FONT.getlength(text) <= TILE:
        return text
    while text and FONT.getlength(f"{text}...") > TILE:
        text = text[:-1]
    return f"{text}..."
