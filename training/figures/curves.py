"""Learning curves by epoch: a run's losses and validation metrics, or the figures of several runs side by side."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from training.figures.sheet import DPI, HAIRLINE, INK, MUTED, to_png

COLOURS = ("#0b62b8", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#0f766e", "#be185d", "#4b5563")
"""Line colours: told apart with common colour vision deficiencies, and dark enough for thin lines on white."""

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

Curves = Mapping[str, Sequence[tuple[int, float]]]
"""Name of a curve, or "" where there is but one -> (epoch, value) of each epoch that has the figure."""


def draw_curves(history: Sequence[Mapping[str, Any]], kept: int | None = None) -> bytes:
    """Draw a run's figures over its epochs, a panel for each kind: the bytes of a PNG.

    Args:
        history: of at least one epoch, as the trainer makes it.
        kept: the epoch whose weights were kept, where that is not simply the last; it is marked.
    """
    panels = {TITLES[kind]: curves for kind, curves in arrange(history).items()}
    return draw_panels(panels, _describe(history, kept), kept=kept)


def draw_panels(
    panels: Mapping[str, Curves], heading: str, *, kept: int | None = None, logarithmic: Collection[str] = ()
) -> bytes:
    """Draw a panel for each title, with its curves in the same colours everywhere: the bytes of a PNG.

    A panel is as high as what comes after the first tenth of the epochs, whose steep fall would make the rest flat.

    Args:
        panels: title -> curves.
        heading: above them.
        kept: an epoch to mark.
        logarithmic: titles of the panels with a logarithmic axis, which are shown whole.
    """
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.2 * columns, 0.6 + 2.8 * rows), dpi=DPI, facecolor="white", layout="constrained")
    figure.suptitle(heading, x=0.012, ha="left", fontsize=11, color=INK)
    axes = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves if name))
    colours = {"": COLOURS[0]} | {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
    for panel, (title, curves) in zip(axes, panels.items(), strict=False):
        _draw(panel, curves, colours)
        panel.set_title(title, fontsize=9.5, loc="left", color=INK)
        if title in logarithmic:
            panel.set_yscale("log")
        else:
            _cut_start(panel, curves)
        if kept is not None:
            panel.axvline(kept, color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)))
    for panel in axes[len(panels) :]:
        panel.set_axis_off()
    return to_png(figure)


def arrange(history: Sequence[Mapping[str, Any]]) -> dict[str, Curves]:
    """Kind of figure -> its curves, in the order of `TITLES`."""
    panels: dict[str, dict[str, list[tuple[int, float]]]] = {kind: {} for kind in TITLES}
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
    units = ((5400, f"{seconds / 3600:.1f} h"), (90, f"{seconds / 60:.0f} min"), (-1, f"{seconds:.0f} s"))
    text = f"{len(history)} epochs in {next(time for least, time in units if seconds > least)}"
    return text if kept is None else f"{text}; the weights of epoch {kept} were kept (dashed)"


def _draw(panel: Axes, curves: Curves, colours: Mapping[str, str]) -> None:
    for name, points in curves.items():
        epochs, values = zip(*points, strict=True)
        marker = "o" if len(points) < 15 else None
        panel.plot(epochs, values, color=colours[name], linewidth=1.5, marker=marker, markersize=3, label=name or None)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    panel.set_xlabel("epoch", fontsize=8, color=MUTED)
    panel.tick_params(which="both", labelsize=8, colors=MUTED, length=0)
    panel.grid(color=HAIRLINE, linewidth=0.6)
    panel.spines[:].set_visible(False)
    panel.set_axisbelow(True)
    if any(curves):
        # A name with two dollar signs would else be taken for a formula.
        for text in panel.legend(loc="upper right", frameon=False, fontsize=8, labelcolor=INK).get_texts():
            text.set_parse_math(False)


def _cut_start(panel: Axes, curves: Curves) -> None:
    settled = [value for points in curves.values() for epoch, value in points if epoch > 0.1 * points[-1][0]]
    room = 0.06 * (max(settled) - min(settled))
    if room > 0:
        panel.set_ylim(min(settled) - room, max(settled) + room)
