from dataclasses import replace

import numpy as np
import pytest
import torch

from model.checkpoint import Condition
from model.tvae import TVAE, Slice, TVAEConfig
from tests.model.networks import fixed_weights
from tests.training.images import coloured_squares
from training import validation
from training.config import TrainConfig
from training.evaluate import measure_triplets
from training.labels import Labels, encode_labels
from training.triplet_lists import draw_triplets
from training.validation import Validation

CPU = torch.device("cpu")
CONFIG = TrainConfig(
    network=TVAEConfig(image_size=16, widths=(4, 8), slices=(Slice("looks", 3), Slice("free", 2))),
    conditions=(Condition("looks", ("Colour", "Size")),),
)
NETWORK = fixed_weights(TVAE(CONFIG.network))


def test_the_figures_are_those_of_the_definitions() -> None:
    """The error is the mean over all pixels, the accuracies those of the condition's slice on drawn triplets."""
    images = coloured_squares(40)
    measured = Validation(images, CONFIG).measure(NETWORK, CPU)
    pictures = torch.from_numpy(images.pixels / np.float32(255))
    with torch.inference_mode():
        mean = NETWORK.encode(pictures).mean
        error = float(((NETWORK.decode(mean) - pictures) ** 2).mean())
    assert list(measured) == ["mse", "triplet_accuracy/looks/Colour", "triplet_accuracy/looks/Size"]
    assert measured["mse"] == pytest.approx(error, rel=1e-5)
    triplets = draw_triplets(encode_labels(images.attributes, "Colour"), validation.TRIPLETS, CONFIG.seed)
    expected = measure_triplets(mean[:, :3].numpy(), triplets)
    assert measured["triplet_accuracy/looks/Colour"] == pytest.approx(expected, abs=0.002)


def test_triplets_are_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it measures, a run draws its triplets once, and the same network has the same figures."""
    drawn = []

    def draw(labels: Labels, count: int, seed: int) -> np.ndarray:
        drawn.append(labels.attribute)
        return draw_triplets(labels, count, seed)

    monkeypatch.setattr(validation, "draw_triplets", draw)
    look = Validation(coloured_squares(40), CONFIG)
    assert look.measure(NETWORK, CPU) == look.measure(NETWORK, CPU)
    assert drawn == ["Colour", "Size"]


def test_few_of_many_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more shoes than the limit are measured; all that are held out are counted."""
    monkeypatch.setattr(validation, "MAX_SHOES", 10)
    images = coloured_squares(40)
    look = Validation(images, CONFIG)
    assert len(look) == 40
    assert look.measure(NETWORK, CPU) == Validation(images.take(range(10)), CONFIG).measure(NETWORK, CPU)


def test_what_labels_can_not_tell_apart_is_left_out() -> None:
    """An attribute of one value, or of none, among the held-out shoes has no figure."""
    images = coloured_squares(12)
    same = replace(images, attributes=tuple({"Colour": ("red",)} for _ in range(12)))
    assert list(Validation(same, CONFIG).measure(NETWORK, CPU)) == ["mse"]
    assert len(Validation(images.take([]), CONFIG)) == 0
