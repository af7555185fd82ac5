"""Scores of distances."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.nearness import Nearness, combine

DISTANCES = st.floats(0, 1e300)


@given(one=DISTANCES, other=DISTANCES)
def test_scores_fall_with_distance(one: float, other: float) -> None:
    """A score is in [0, 1], and a larger distance never has a larger one, however large it is."""
    nearness = Nearness(3.5, 4.0)
    near, far = sorted((one, other))
    assert 1 >= nearness.score(near) >= nearness.score(far) >= 0


def test_scores_at_known_distances() -> None:
    """The score is 1 of equal vectors, 0.5 at the scale, and the logistic function of the logarithm elsewhere."""
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
