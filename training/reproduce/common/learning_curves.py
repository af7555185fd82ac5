"""Learning curves of the networks of a reproduction, side by side."""

from collections.abc import Collection, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from training.figures.maps import PALETTE
from training.figures.sheet import INK, MUTED, to_png
from training.reproduce.common.runs import Recipe, Trained

__all__ = ["draw_learning_curves"]


def draw_learning_curves(
    networks: Sequence[Trained], *, triplet_title: str, unbounded: Collection[Recipe] = ()
) -> bytes:
    """Negative ELBO and triplet term of the training batches, epoch by epoch: the bytes of a PNG.

    The ELBO's panel is as high as what comes after the first quarter of the epochs, whose bounds would press all others
    to the floor.

    Args:
        networks: in the legend's order.
        triplet_title: of the triplet term's panel. A network with several such terms is drawn by their mean.
        unbounded: recipes that do not train by the ELBO; theirs is not drawn.
    """
    figure = Figure(figsize=(10.0, 3.8), dpi=150, facecolor="white", layout="constrained")
    bounds, triplets = figure.subplots(1, 2)
    settled: list[float] = []
    for network, colour in zip(networks, PALETTE, strict=False):
        epochs = [epoch["epoch"] for epoch in network.history]
        figures = [epoch["training"] for epoch in network.history]
        # Drawn without points where it is not to be seen: the legend is this panel's.
        bound = [] if network.recipe in unbounded else [each["reconstruction"] + each["kl"] for each in figures]
        settled += bound[len(bound) // 4 :]
        bounds.plot(epochs[: len(bound)], bound, color=colour, label=network.recipe.title, linewidth=1.4, marker=".")
        names = [name for name in figures[0] if name.startswith("triplet/")]
        if names:
            terms = [sum(each[name] for name in names) / len(names) for each in figures]
            triplets.plot(epochs, terms, color=colour, linewidth=1.4, marker=".")
    room = 0.04 * (max(settled, default=0.0) - min(settled, default=0.0))
    if room > 0:
        bounds.set_ylim(min(settled) - room, max(settled) + room)
    triplets.set_yscale("log")
    for axes, title in ((bounds, "-ELBO, nats per picture"), (triplets, triplet_title)):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_title(title, fontsize=10, color=INK, loc="left", fontweight="bold")
        axes.set_xlabel("epoch, on training batches", fontsize=8, color=MUTED)
        axes.tick_params(which="both", labelsize=8, colors=MUTED)
        axes.spines[["top", "right"]].set_visible(False)
    bounds.legend(fontsize=8, frameon=False)
    return to_png(figure)
