"""A page that pictures and text are laid out on, in inches from its top left corner."""

import io

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

__all__ = ["DPI", "HAIRLINE", "INK", "MARGIN", "MUTED", "Sheet", "shorten", "to_png"]

DPI = 150
MARGIN = 0.3
INK, MUTED, HAIRLINE = "#1d1d1f", "#6b6b70", "#d9d9de"


class Sheet:
    """One page: matplotlib's object interface, without a display and without global state.

    Attributes:
        axes: covers the page; its coordinates are inches, y points down.
    """

    def __init__(self, width: float, height: float) -> None:
        self.width = width
        self._figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
        self.axes = self._figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self.axes.set_axis_off()
        self.axes.set_autoscale_on(False)
        self.axes.set_xlim(0, width)
        self.axes.set_ylim(height, 0)

    def head(self, title: str, note: str) -> None:
        """The title and, below it, one line about what is to be seen. Takes the topmost inch."""
        width = self.width - 2 * MARGIN
        self.write(MARGIN, MARGIN + 0.14, title, size=14, bold=True, width=width)
        self.write(MARGIN, MARGIN + 0.4, note, size=8.5, colour=MUTED, width=width)

    def write(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float,
        colour: str = INK,
        bold: bool = False,
        width: float | None = None,
        anchor: str = "baseline",
    ) -> None:
        """One line of text from x to the right, cut to `width` inches where one is given."""
        if width is not None:
            # DejaVu Sans is some 0.56 em wide on average, and 0.64 em in bold.
            text = shorten(text, int(width * 72 / (size * (0.64 if bold else 0.56))))
        # Without parse_math=False a name with two dollar signs would be taken for a formula.
        weight = "bold" if bold else "normal"
        self.axes.text(x, y, text, fontsize=size, color=colour, fontweight=weight, va=anchor, parse_math=False)

    def paste(self, pixels: NDArray[np.uint8], x: float, y: float, width: float, height: float | None = None) -> None:
        """A picture (C, H, W) uint8 with its top left corner at x, y; square where no height is given."""
        image = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
        extent = (x, x + width, y + (width if height is None else height), y)
        self.axes.imshow(image, extent=extent, aspect="auto", cmap="gray", vmin=0, vmax=255, interpolation="lanczos")

    def frame(self, x: float, y: float, size: float, colour: str, *, line: float = 1.6) -> None:
        """A square's outline, `line` points thick."""
        square = Rectangle((x, y), size, size, fill=False, edgecolor=colour, linewidth=line, joinstyle="round")
        self.axes.add_patch(square)

    def to_png(self) -> bytes:
        """The page as the bytes of a PNG."""
        return to_png(self._figure)


def to_png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG, drawn by Agg."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def shorten(text: str, length: int) -> str:
    """The text, or its beginning and an ellipsis: at most `length` characters."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
