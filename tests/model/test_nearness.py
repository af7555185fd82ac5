"""Scores of distances."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.nearness import Nearness, calibrate, combine

DISTANCES = st.floats(0, 1e300)


@given(one=DISTANCES, other=DISTANCES)
def test_scores_fall_with_distance(one: float, other: float) -> None:
    """A score is in [0, 1], and a larger distance never has a larger one, however large it is."""
    nearness = Nearness(3.5, 4.0)
    near, far = sorted((one, other))
    assert 1 >= nearness.score(near) >= nearness.score(far) >= 0


def test_scores_at_known_distances() -> None:
    """The score is 1 of equal vectors, 0.5 at the scale, and falls with the power of the distance."""
    nearness = Nearness(2.0, 4.0)
    assert nearness.score(0.0) == 1.0
    assert nearness.score(2.0) == pytest.approx(0.5)
    assert nearness.score(4.0) == pytest.approx(1 / 17)


def test_weighted_slices() -> None:
    """Several slices at the distances that are 0.5 alone are together 0.5 again, and a weight of 0 counts nothing."""
    slices = {"heel": Nearness(2.0, 3.0), "closure": Nearness(1.0, 6.0), "free": Nearness(9.0, 1.0)}
    nearness = combine({"heel": 0.7, "closure": 0.3, "free": 0.0}, slices)
    assert nearness.score(math.sqrt(0.7 * 2.0**2 + 0.3 * 1.0**2)) == pytest.approx(0.5)
    assert 3.0 < nearness.power < 6.0


@pytest.mark.parametrize("values", [(0.0, 1.0), (1.0, -1.0), (math.inf, 1.0), (1.0, math.nan)])
def test_scales_that_are_none(values: tuple[float, float]) -> None:
    """A scale or a power that is not above 0 is refused by name."""
    with pytest.raises(ValueError, match=r"scale is|power is"):
        Nearness(*values)


def test_calibration() -> None:
    """Of whole vectors, 1 pair in 100 scores 0.4 and more, and 1 in 10 scores 0.2; of a trait, 1 in 100 and 1 in 4."""
    vectors = np.random.default_rng(0).normal(size=(120, 6)).astype(np.float32)
    fitted = calibrate(vectors, {"colour": (0, 2), "free": (2, 6)}, ["colour"])
    assert fitted.keys() == {"overall", "colour", "free"}
    for name, part, levels in (
        ("overall", vectors, [(0.4, 0.01), (0.2, 0.1)]),
        ("colour", vectors[:, :2], [(0.75, 0.01), (0.25, 0.25)]),
        ("free", vectors[:, 2:], [(0.4, 0.01), (0.2, 0.1)]),
    ):
        pairs = [float(np.linalg.norm(one - other)) for i, one in enumerate(part) for other in part[:i]]
        scores = np.array([fitted[name].score(distance) for distance in pairs])
        for least, share in levels:
            assert np.mean(scores >= least) == pytest.approx(share, abs=0.001)


def test_equal_vectors_say_nothing() -> None:
    """The same picture listed twice does not count as two shoes; where all are equal, nothing is calibrated."""
    vectors = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    once, twice = (calibrate(each, {}, [])["overall"] for each in (vectors, np.repeat(vectors, 2, axis=0)))
    assert twice.scale == pytest.approx(once.scale, rel=0.05)
    assert calibrate(np.ones((5, 3), np.float32), {"a": (0, 1)}, ["a"]) == {}
    assert calibrate(np.ones((1, 3), np.float32), {}, []) == {}


def test_shoes_that_are_equally_far() -> None:
    """Where all shoes lie equally far apart, the curve has no step: twice as near is better, but not all of 1."""
    nearness = calibrate(np.eye(12, dtype=np.float32), {}, [])["overall"]
    assert nearness.score(math.sqrt(2)) == pytest.approx(0.4)
    assert 0.4 < nearness.score(1.2) < 0.8
