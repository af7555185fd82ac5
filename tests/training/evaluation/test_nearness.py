"""What distances mean, fitted on triplets."""

import numpy as np
import pytest

from model.nearness import Nearness
from training.evaluation.nearness import calibrate_nearness, fit_nearness


def test_finds_the_curve_that_pairs_were_drawn_by() -> None:
    """Of pairs that are alike with the probability that a nearness gives, that nearness is found."""
    true, rng = Nearness(3.0, 5.0), np.random.default_rng(0)
    distances = rng.uniform(0.5, 8, 20_000)
    alike = rng.random(len(distances)) < [true.score(distance) for distance in distances]
    # As many of each kind, as triplets have them: the curve is then of even odds.
    count = min(alike.sum(), (~alike).sum())
    found = fit_nearness(distances[alike][:count], distances[~alike][:count])
    assert found is not None
    assert found.power == pytest.approx(5.0, rel=0.1)
    assert 3.0 < found.scale < 4.5


def test_pairs_that_do_not_overlap() -> None:
    """Kinds that a distance tells apart wholly make no step of the curve, and the scale lies between them."""
    found = fit_nearness(np.linspace(0, 1, 200), np.linspace(2, 3, 200))
    assert found is not None
    assert 1 < found.scale < 2
    assert 0.5 < found.score(0.9) < 1


def test_each_slice_and_all_together() -> None:
    """A slice is fitted by its own triplets; one that has it the wrong way round, or too few, is left out."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 100)
    vectors = rng.normal(0, 1, (200, 6)).astype(np.float32)
    vectors[:, :2] += 4 * labels[:, None]
    anchors, positives = rng.integers(0, 100, (2, 500))
    triplets = np.stack([anchors, positives, rng.integers(100, 200, 500)], axis=1)
    swapped = triplets[:, [0, 2, 1]]
    slices = {"looks": (0, 2), "wrong": (0, 2), "few": (2, 4), "free": (4, 6)}
    fitted = calibrate_nearness(vectors, slices, [("looks", triplets)])
    assert fitted.keys() == {"looks", "overall"}
    near = np.linalg.norm(vectors[anchors, :2] - vectors[positives, :2], axis=1)
    assert np.mean([fitted["looks"].score(distance) for distance in near]) > 0.85
    assert calibrate_nearness(vectors, slices, [("wrong", swapped), ("few", triplets[:20])]).keys() <= {"overall"}


def test_nothing_to_fit() -> None:
    """Without triplets, or where all shoes are at one point, nothing is fitted."""
    assert calibrate_nearness(np.zeros((3, 2), np.float32), {"a": (0, 2)}, []) == {}
    assert fit_nearness(np.zeros(200), np.zeros(200)) is None
