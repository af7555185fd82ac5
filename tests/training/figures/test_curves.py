import io
from typing import Any

import numpy as np
from PIL import Image

from training.figures.curves import arrange, draw_curves


def _history(epochs: int, *, every: int = 1) -> list[dict[str, Any]]:
    return [
        {
            "epoch": epoch,
            "seconds": 40.0,
            "training": {
                "loss": 1 / epoch,
                "reconstruction": 100 / epoch,
                "kl": float(epoch),
                "triplet/category": 0.7 / epoch,
                "triplet/look/Closure": 0.6 / epoch,
                "triplet/look/Toe": 0.5 / epoch,
                "label/category": 1.5 / epoch,
            },
            "validation": {"mse": 0.1 / epoch, "triplet_accuracy/category/$a$b": 0.9} if epoch % every == 0 else {},
        }
        for epoch in range(1, epochs + 1)
    ]


def test_a_panel_for_each_kind() -> None:
    """Each kind of figure has its panel; a curve is named by its condition, and its attribute where there are more."""
    panels = arrange(_history(6, every=3))
    assert list(panels) == ["loss", "reconstruction", "kl", "triplet", "label", "mse", "triplet_accuracy"]
    assert list(panels["triplet"]) == ["category", "look/Closure", "look/Toe"]
    assert list(panels["triplet_accuracy"]) == ["category"]
    assert [epoch for epoch, _ in panels["mse"][""]] == [3, 6]


def test_curves_are_drawn() -> None:
    """The picture is a PNG with curves in it, for one epoch as for many, with an epoch marked or not."""
    for history, kept in ((_history(1), None), (_history(40), 31)):
        picture = Image.open(io.BytesIO(draw_curves(history, kept)))
        assert picture.format == "PNG"
        assert np.asarray(picture.convert("L")).std() > 5


def test_a_plain_run() -> None:
    """A run without conditions and held-out shoes has fewer panels."""
    figures = {"loss": 1.0, "reconstruction": 1.0, "kl": 1.0}
    history = [{"epoch": 1, "seconds": 1.0, "training": figures, "validation": {}}]
    assert list(arrange(history)) == ["loss", "reconstruction", "kl"]
    assert draw_curves(history).startswith(b"\x89PNG")
