"""The pictures of an evaluation, as PNGs: reconstructions, nearest neighbours, and maps of the embedding.

Each function takes arrays and returns the bytes of a file. Figures are made by matplotlib's object interface on the
Agg canvas: no display, no global state. A sheet is laid out in inches from its top left corner.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from training.labels import Labels

__all__ = ["Panel", "Tile", "TileRow", "draw_map", "draw_picture_map", "draw_reconstructions", "draw_tile_rows"]

DPI = 150
INK, MUTED, HAIRLINE = "#1d1d1f", "#6b6b70", "#d9d9de"
ALIKE, DIFFERENT, UNKNOWN = "#1a8a4f", "#d4382c", "#a9a9b0"
FRAMES = {True: ALIKE, False: DIFFERENT, None: UNKNOWN}

PALETTE = (
    "#3b6fd4", "#f28e2b", "#2f9e58", "#d63a34", "#8a5cd1", "#20b2c4", "#e46aae", "#8c5a3c", "#b3a312", "#23252b",
)  # fmt: skip
OTHER, NO_LABEL = "#b4b4bb", "#e4e4e8"

MARGIN = 0.3
TILE = 0.82
GAP = 0.12
LABEL_WIDTH = 1.35


@dataclass(frozen=True)
class Tile:
    """A picture with a line below it.

    Attributes:
        pixels: (C, H, W) uint8.
        caption: a few words.
        alike: whether it is alike to its row's query; None where that is not known.
    """

    pixels: NDArray[np.uint8]
    caption: str
    alike: bool | None = None


@dataclass(frozen=True)
class TileRow:
    """A query and its nearest others.

    Attributes:
        label: what the query is.
        query: the query itself.
        neighbours: nearest first.
    """

    label: str
    query: Tile
    neighbours: tuple[Tile, ...]


@dataclass(frozen=True)
class Panel:
    """One map.

    Attributes:
        title: what was laid out, and what the colours are.
        points: (N, 2).
        labels: of these N shoes.
    """

    title: str
    points: NDArray[np.float32]
    labels: Labels


def draw_reconstructions(
    originals: NDArray[np.uint8], rows: Sequence[tuple[str, str, NDArray[np.uint8]]], *, note: str
) -> bytes:
    """Originals above what each network makes of them.

    Args:
        originals: (S, C, H, W).
        rows: of each network its name, a line about it, and its pictures (S, C, H, W), of any size.
        note: the subtitle.

    Returns:
        a PNG.
    """
    top = MARGIN + 0.62
    width = 2 * MARGIN + LABEL_WIDTH + len(originals) * (TILE + 0.06)
    figure, axes = _sheet(width, top + (1 + len(rows)) * (TILE + GAP) - GAP + MARGIN)
    _heading(axes, "Reconstructions", note)
    for place, (name, line, pictures) in enumerate([("original", "", originals), *rows]):
        y = top + place * (TILE + GAP)
        _row_label(axes, y, name, line)
        for column, pixels in enumerate(pictures):
            _picture(axes, pixels, MARGIN + LABEL_WIDTH + column * (TILE + 0.06), y, TILE)
    return _to_png(figure)


def draw_tile_rows(title: str, note: str, rows: Sequence[TileRow]) -> bytes:
    """Queries at the left, each with its nearest others, framed green where alike and red where different.

    Args:
        title: the heading.
        note: the subtitle.
        rows: at least one, of equally many neighbours.

    Returns:
        a PNG.
    """
    columns = len(rows[0].neighbours)
    pitch = TILE + GAP
    first = MARGIN + LABEL_WIDTH + pitch + 0.2
    top, height = MARGIN + 0.92, TILE + 0.36
    figure, axes = _sheet(first + columns * pitch - GAP + MARGIN, top + len(rows) * height - 0.14 + MARGIN)
    _heading(axes, title, note)
    _text(axes, MARGIN + LABEL_WIDTH, top - 0.12, "query", size=8, colour=MUTED)
    _text(axes, first, top - 0.12, "nearest others, the nearest first", size=8, colour=MUTED)
    for place, row in enumerate(rows):
        y = top + place * height
        _row_label(axes, y, row.label, row.query.caption)
        _picture(axes, row.query.pixels, MARGIN + LABEL_WIDTH, y, TILE, frame=INK)
        for column, tile in enumerate(row.neighbours):
            x = first + column * pitch
            _picture(axes, tile.pixels, x, y, TILE, frame=FRAMES[tile.alike])
            colour = DIFFERENT if tile.alike is False else MUTED
            _text(axes, x, y + TILE + 0.14, tile.caption, size=6.5, colour=colour, width=TILE + GAP - 0.03)
    return _to_png(figure)


def draw_map(title: str, note: str, panels: Sequence[Panel]) -> bytes:
    """Points coloured by value, one panel for each attribute, in two columns where there are several.

    Args:
        title: the heading.
        note: the subtitle.
        panels: at least one.

    Returns:
        a PNG.
    """
    columns = min(2, len(panels))
    side = 6.2 if columns == 1 else 4.4
    legend, head = 2.0, 0.34 if len(panels) > 1 else 0.0
    lines = -(-len(panels) // columns)
    top, pitch = MARGIN + 0.68, side + head + 0.3
    figure, sheet = _sheet(2 * MARGIN + columns * (side + legend), top + lines * pitch - 0.3 + MARGIN)
    _heading(sheet, title, note)
    for place, panel in enumerate(panels):
        x = MARGIN + (place % columns) * (side + legend)
        y = top + (place // columns) * pitch
        if head:
            _text(sheet, x, y + 0.18, panel.title, size=10, weight="bold")
        _draw_points(sheet, panel, x, y + head, side)
    return _to_png(figure)


def draw_picture_map(title: str, note: str, points: NDArray[np.float32], pixels: NDArray[np.uint8]) -> bytes:
    """The pictures themselves where their points lie; where several would cover each other, one is shown.

    Args:
        title: the heading.
        note: the subtitle.
        points: (N, 2).
        pixels: (N, C, H, W).

    Returns:
        a PNG.
    """
    cells, size = 26, 0.4
    side = cells * size
    figure, sheet = _sheet(side + 2 * MARGIN, side + 2 * MARGIN + 0.68)
    _heading(sheet, title, note)
    places = _into_square(points) * cells
    cell = np.minimum(places.astype(np.intp), cells - 1)
    off_centre = np.abs(places - cell - 0.5).max(axis=1)
    taken: set[tuple[int, int]] = set()
    for shoe in np.argsort(off_centre, kind="stable"):
        column, row = (int(value) for value in cell[shoe])
        if (column, row) not in taken:
            taken.add((column, row))
            _picture(sheet, pixels[shoe], MARGIN + column * size, MARGIN + 0.68 + row * size, size)
    return _to_png(figure)


def _draw_points(sheet: Axes, panel: Panel, x: float, y: float, side: float) -> None:
    """A square of points and, to its right, the legend: the ten commonest values, then the rest."""
    sheet.add_patch(Rectangle((x, y), side, side, facecolor="white", edgecolor=HAIRLINE, linewidth=0.8))
    places = np.array([x, y]) + side * (0.03 + 0.94 * _into_square(panel.points))
    counts = panel.labels.table.sum(axis=0)
    common = np.argsort(-counts, kind="stable")[: len(PALETTE)]
    # A shoe of several values gets the colour of the commonest of them.
    rest, unlabelled = len(common), len(common) + 1
    is_common = panel.labels.table[:, common]
    group = np.where(is_common.any(axis=1), is_common.argmax(axis=1), np.where(panel.labels.known, rest, unlabelled))
    names = [panel.labels.values[value] for value in common]
    names += [f"other ({len(counts) - len(common)} values)", "no value"]
    colours = np.array([*PALETTE[: len(common)], OTHER, NO_LABEL])
    # In random order, or the last group would cover the others; the grey ones lie below all.
    order = np.random.default_rng(0).permutation(len(group))
    order = order[np.argsort(group[order] < rest, kind="stable")]
    area = float(np.clip(9000 / len(group), 9, 40)) * (side / 6.2) ** 2
    sheet.scatter(
        places[order, 0], places[order, 1], s=area, c=colours[group[order]], linewidths=0.3, edgecolors="white"
    )
    shown = [index for index in range(len(names)) if (group == index).any()]
    for line, index in enumerate(shown):
        height = y + 0.12 + line * 0.24
        sheet.scatter(x + side + 0.22, height, s=34, c=[colours[index]], linewidths=0)
        text = f"{_shorten(names[index], 19)}  {int((group == index).sum()):,}"
        _text(sheet, x + side + 0.36, height, text, size=8, anchor="center", width=1.6)


def _sheet(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty white page whose coordinates are inches from the top left corner."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_autoscale_on(False)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    return figure, axes


def _heading(axes: Axes, title: str, note: str) -> None:
    width = float(axes.get_xlim()[1]) - 2 * MARGIN
    _text(axes, MARGIN, MARGIN + 0.14, title, size=14, weight="bold", width=width)
    _text(axes, MARGIN, MARGIN + 0.4, note, size=8.5, colour=MUTED, width=width)


def _row_label(axes: Axes, y: float, name: str, line: str) -> None:
    _text(axes, MARGIN, y + TILE / 2 - 0.03, name, size=9, weight="bold", width=LABEL_WIDTH - 0.15)
    _text(axes, MARGIN, y + TILE / 2 + 0.14, line, size=7, colour=MUTED, width=LABEL_WIDTH - 0.15)


def _text(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    *,
    size: float,
    colour: str = INK,
    weight: str = "normal",
    width: float = 0.0,
    anchor: str = "baseline",
) -> None:
    """One line of text from x to the right, cut to `width` inches where one is given."""
    if width:
        # DejaVu Sans is 0.6 em wide on average, and 0.68 em in bold.
        text = _shorten(text, int(width * 72 / (size * (0.64 if weight == "bold" else 0.56))))
    # Without parse_math=False a name with two dollar signs would be taken for a formula.
    axes.text(x, y, text, fontsize=size, color=colour, fontweight=weight, va=anchor, parse_math=False)


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _picture(axes: Axes, pixels: NDArray[np.uint8], x: float, y: float, size: float, *, frame: str = "") -> None:
    """(C, H, W) uint8 in a square of `size` inches, with a frame around it where a colour is given."""
    image = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    axes.imshow(
        image, extent=(x, x + size, y + size, y), aspect="auto", cmap="gray", vmin=0, vmax=255, interpolation="lanczos"
    )
    if frame:
        line = Rectangle((x, y), size, size, fill=False, edgecolor=frame, linewidth=1.8, joinstyle="round")
        axes.add_patch(line)


def _into_square(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, 2) -> (N, 2) in [0, 1], both axes by the same scale, centred."""
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    span = max(float((high - low).max()), 1e-12)
    square: NDArray[np.float64] = (points - (low + high) / 2) / span + 0.5
    return square


def _to_png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
