"""Scatter plots of t-SNE layouts for a report: points coloured by value, and the pictures themselves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.labels import Labels
from training.figures.sheet import HAIRLINE, MARGIN, Sheet, shorten

PALETTE = (
    "#3b6fd4", "#f28e2b", "#2f9e58", "#d63a34", "#8a5cd1", "#20b2c4", "#e46aae", "#8c5a3c", "#b3a312", "#23252b",
)  # fmt: skip
REST, NO_VALUE = "#a4a4ac", "#cfcfd6"

COLOURS = {
    "beige": "#dccfae", "black": "#17181b", "blue": "#2f6fde", "bronze": "#a8743a", "brown": "#80492a",
    "burgundy": "#6d1f33", "charcoal": "#40444c", "copper": "#b8683a", "cream": "#f3e9cf", "gold": "#dba520",
    "gray": "#868a91", "green": "#2f9e4f", "grey": "#868a91", "khaki": "#b6a46b", "maroon": "#7c2430",
    "navy": "#22307d", "olive": "#74752c", "orange": "#f28022", "peach": "#f5b896", "pink": "#f07fb4",
    "purple": "#7f4ac0", "red": "#d8302c", "silver": "#c2c7d0", "tan": "#c8a27a", "taupe": "#92806f",
    "teal": "#158a86", "turquoise": "#35c4c0", "white": "#ffffff", "yellow": "#f4d02f",
}  # fmt: skip
"""Values that name a colour are drawn in it."""

LEGEND_WIDTH = 1.9
CELLS = 26
OVERLAP = 0.25
"""Share of a picture's side by which its neighbours on the map may cover its margins."""


@dataclass(frozen=True)
class Panel:
    """One map.

    Attributes:
        points: (N, 2).
        labels: of these N shoes.
    """

    points: NDArray[np.float32]
    labels: Labels


@dataclass(frozen=True)
class _Group:
    """The points of one colour."""

    name: str
    members: NDArray[np.bool_]
    colour: str
    marker: str = "o"


def draw_map(title: str, note: str, panels: Sequence[Panel]) -> bytes:
    """Points coloured by value, one panel for each attribute, in two columns where there are several: a PNG.

    There is at least one panel; `note` is the subtitle.
    """
    columns = min(2, len(panels))
    side = 6.2 if columns == 1 else 4.4
    head = 0.34 if columns > 1 else 0.0
    lines = -(-len(panels) // columns)
    top, pitch = MARGIN + 0.68, side + head + 0.3
    sheet = Sheet(2 * MARGIN + columns * (side + LEGEND_WIDTH), top + lines * pitch - 0.3 + MARGIN)
    sheet.head(title, note)
    for place, panel in enumerate(panels):
        x = MARGIN + (place % columns) * (side + LEGEND_WIDTH)
        y = top + (place // columns) * pitch
        if head:
            sheet.write(x, y + 0.18, panel.labels.attribute, size=10, bold=True)
        _draw_panel(sheet, panel, x, y + head, side)
    return sheet.to_png()


def draw_picture_map(title: str, note: str, points: NDArray[np.float32], pixels: NDArray[np.uint8]) -> bytes:
    """The pictures (N, C, H, W) at their points (N, 2); where several would cover each other, one is shown: a PNG.

    `note` is the subtitle.
    """
    places = _into_square(points) * CELLS
    cell = np.minimum(places.astype(np.intp), CELLS - 1)
    off_centre = np.abs(places - cell - 0.5).max(axis=1)
    shown: dict[tuple[int, int], int] = {}
    for shoe in np.argsort(off_centre, kind="stable"):
        shown.setdefault((int(cell[shoe, 0]), int(cell[shoe, 1])), int(shoe))
    _, channels, _, size = pixels.shape
    step = round(size * (1 - OVERLAP))
    # Margins are of the background's shade: where two pictures meet, what differs more from it stays.
    background = 255 if np.median(pixels) > 127 else 0
    blend = np.minimum if background else np.maximum
    extent = CELLS * step + size - step
    canvas = np.full((channels, extent, extent), background, dtype=np.uint8)
    for (column, row), shoe in shown.items():
        part = canvas[:, row * step : row * step + size, column * step : column * step + size]
        blend(part, pixels[shoe], out=part)
    side = 9.0
    sheet = Sheet(side + 2 * MARGIN, side + 2 * MARGIN + 0.62)
    sheet.head(title, f"{note}; {len(shown):,} of them are shown")
    sheet.paste(canvas, MARGIN, MARGIN + 0.62, side)
    return sheet.to_png()


def _draw_panel(sheet: Sheet, panel: Panel, x: float, y: float, side: float) -> None:
    """A square of points and, to its right, the legend."""
    sheet.frame(x, y, side, HAIRLINE, line=0.8)
    places = np.array([x, y]) + side * (0.03 + 0.94 * _into_square(panel.points))
    area = float(np.clip(14000 / len(places), 12, 40)) * (0.75 if side < 6 else 1.0)
    groups = _group_by_colour(panel.labels)
    # White points need an outline, and points that touch need to stay apart.
    edge = "#3a3d44" if any(group.colour == COLOURS["white"] for group in groups) else "white"
    # In random order, or the last group would cover the others; the grey ones lie below all.
    for group in groups:
        if group.marker == "x":
            chosen = places[group.members]
            sheet.axes.scatter(chosen[:, 0], chosen[:, 1], s=area * 0.7, c=group.colour, marker="x", linewidths=0.8)
    colours = np.full(len(places), "", dtype="<U7")
    for group in groups:
        if group.marker == "o":
            colours[group.members] = group.colour
    order = np.random.default_rng(0).permutation(np.flatnonzero(colours != ""))
    chosen = places[order]
    sheet.axes.scatter(chosen[:, 0], chosen[:, 1], s=area, c=colours[order], linewidths=0.35, edgecolors=edge)
    for line, group in enumerate(groups):
        height = y + 0.12 + line * 0.24
        outline = {"linewidths": 0.5, "edgecolors": edge} if group.marker == "o" else {"linewidths": 1.0}
        sheet.axes.scatter(x + side + 0.22, height, s=36, c=[group.colour], marker=group.marker, **outline)
        text = f"{shorten(group.name, 18)}  {int(group.members.sum()):,}"
        sheet.write(x + side + 0.36, height, text, size=8, anchor="center_baseline")


def _group_by_colour(labels: Labels) -> list[_Group]:
    """The ten commonest values, then all others, then the shoes without one; only groups that have members."""
    counts = labels.table.sum(axis=0)
    common = np.argsort(-counts, kind="stable")[: len(PALETTE)]
    named = [_find_colour(labels.values[value]) for value in common]
    # True colours are used for all values or for none: half and half they would mislead.
    are_colours = all(named) and len(set(named)) == len(named)
    table = labels.table[:, common]
    # A shoe of several values gets the colour of the commonest of them.
    first = np.where(table.any(axis=1), table.argmax(axis=1), len(common))
    groups = [
        _Group(labels.values[value], first == place, (named[place] if are_colours else None) or PALETTE[place])
        for place, value in enumerate(common)
    ]
    others = (first == len(common)) & labels.known
    groups.append(_Group(f"other ({len(counts) - len(common)} values)", others, REST, "x"))
    groups.append(_Group("no value", ~labels.known, NO_VALUE, "x"))
    return [group for group in groups if group.members.any()]


def _find_colour(value: str) -> str | None:
    """The colour that a value such as "Navy Blue" names: its first word that is one."""
    return next((COLOURS[word] for word in value.lower().split() if word in COLOURS), None)


def _into_square(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, 2) -> (N, 2) in [0, 1], both axes by the same scale, centred."""
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    span = max(float((high - low).max()), 1e-12)
    square: NDArray[np.float64] = (points - (low + high) / 2) / span + 0.5
    return square
