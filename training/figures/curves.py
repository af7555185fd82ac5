"""Learning curves of a run: its losses and its validation metrics by epoch."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from training.figures.sheet import DPI, HAIRLINE, INK, MUTED, to_png

__all__ = ["draw_curves"]

COLOURS = ("#0b62b8", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#0f766e", "#be185d", "#4b5563")
"""Told apart by most eyes, and dark enough for thin lines on white."""

TITLES = {
    "loss": "loss, nats per pixel",
    "reconstruction": "reconstruction, nats per picture",
    "kl": "KL divergence, nats per picture",
    "perceptual": "difference of VGG19's features",
    "triplet": "triplet loss",
    "label": "label loss, nats per picture",
    "mse": "held out: squared error per pixel",
    "triplet_accuracy": "held out: triplet accuracy",
}
"""Kind of figure -> its panel's title, in the panels' order."""

Curves = dict[str, list[tuple[int, float]]]
"""Condition, or "" where there is but one curve -> (epoch, value) of each epoch that has the figure."""


def draw_curves(history: Sequence[Mapping[str, Any]], kept: int | None = None) -> bytes:
    """Draw a run's figures over its epochs, a panel for each kind: the bytes of a PNG.

    A lone curve's panel is as high as what comes after the first tenth of the epochs.

    Args:
        history: of at least one epoch, as the trainer makes it.
        kept: the epoch whose weights were kept, where that is not simply the last; it is marked.
    """
    panels = _arrange(history)
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.2 * columns, 0.6 + 2.8 * rows), dpi=DPI, facecolor="white", layout="constrained")
    figure.suptitle(_describe(history, kept), x=0.012, ha="left", fontsize=11, color=INK)
    axes = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves if name))
    colours = {"": COLOURS[0]} | {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
    for panel, (kind, curves) in zip(axes, panels.items(), strict=False):
        _draw(panel, curves, colours)
        panel.set_title(TITLES[kind], fontsize=9.5, loc="left", color=INK)
        if kept is not None:
            panel.axvline(kept, color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)))
    for panel in axes[len(panels) :]:
        panel.set_axis_off()
    return to_png(figure)


def _arrange(history: Sequence[Mapping[str, Any]]) -> dict[str, Curves]:
    """Kind of figure -> its curves, in the order of `TITLES`."""
    panels: dict[str, Curves] = {kind: {} for kind in TITLES}
    for each in history:
        for figure, value in {**each["training"], **each["validation"]}.items():
            kind, _, name = figure.partition("/")
            if kind in panels:
                panels[kind].setdefault(name, []).append((each["epoch"], value))
    return {kind: _shorten_names(curves) for kind, curves in panels.items() if curves}


def _shorten_names(curves: Curves) -> Curves:
    """`condition/attribute` -> `condition`, where that is enough to tell them apart."""
    conditions = [name.partition("/")[0] for name in curves]
    return {
        condition if conditions.count(condition) == 1 else name: points
        for condition, (name, points) in zip(conditions, curves.items(), strict=True)
    }


def _describe(history: Sequence[Mapping[str, Any]], kept: int | None) -> str:
    seconds = sum(each["seconds"] for each in history)
    long = (
        f"{seconds / 3600:.1f} h"
        if seconds > 5400
        else f"{seconds / 60:.0f} min"
        if seconds > 90
        else f"{seconds:.0f} s"
    )
    text = f"{len(history)} epochs in {long}"
    return text if kept is None else f"{text}; the weights of epoch {kept} were kept (dashed)"


def _draw(panel: Axes, curves: Curves, colours: Mapping[str, str]) -> None:
    for name, points in curves.items():
        epochs, values = zip(*points, strict=True)
        marker = "o" if len(points) < 15 else None
        panel.plot(epochs, values, color=colours[name], linewidth=1.5, marker=marker, markersize=3, label=name or None)
    if "" in curves:
        _cut_start(panel, curves[""])
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    panel.set_xlabel("epoch", fontsize=8, color=MUTED)
    panel.tick_params(labelsize=8, colors=MUTED, length=0)
    panel.grid(color=HAIRLINE, linewidth=0.6)
    panel.spines[:].set_visible(False)
    panel.set_axisbelow(True)
    if any(curves):
        # A name with two dollar signs would else be taken for a formula.
        for text in panel.legend(frameon=False, fontsize=8, labelcolor=INK).get_texts():
            text.set_parse_math(False)


def _cut_start(panel: Axes, points: Sequence[tuple[int, float]]) -> None:
    """Keep the steep fall of the first epochs from making the rest a flat line."""
    settled = [value for epoch, value in points if epoch > 0.1 * points[-1][0]]
    room = 0.06 * (max(settled) - min(settled))
    if room > 0:
        panel.set_ylim(min(settled) - room, max(settled) + room)
