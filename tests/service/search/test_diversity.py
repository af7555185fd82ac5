"""Folding and varying, against plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.search import diversity
from service.search.diversity import BLOCK, are_near, diversify, fold

# Few and whole numbers, so that ties and equal vectors are common.
POINTS = st.lists(st.lists(st.integers(-3, 3), min_size=2, max_size=2), max_size=30)


def matrix(points: list[list[int]]) -> NDArray[np.float32]:
    """(n, 2)."""
    return np.array(points, dtype=np.float32).reshape(-1, 2)


def naive_fold(vectors: NDArray[np.float32], within: float) -> list[int]:
    """One by one: a leader is whoever is far from all leaders before."""
    leaders: list[int] = []
    for place, vector in enumerate(vectors):
        if all(float(np.sum((vector - vectors[leader]) ** 2)) > within**2 for leader in leaders):
            leaders.append(place)
    return leaders


def naive_mmr(query: NDArray[np.float64], vectors: NDArray[np.float64], diversity: float, count: int) -> list[int]:
    """Carbonell and Goldstein's formula, with the negative distance as similarity, written out."""
    chosen: list[int] = []
    while len(chosen) < min(count, len(vectors)):

        def relevance(place: int) -> float:
            relevant = -float(np.linalg.norm(vectors[place] - query))
            if not chosen:
                return relevant
            redundant = max(-float(np.linalg.norm(vectors[place] - vectors[other])) for other in chosen)
            return (1 - diversity) * relevant - diversity * redundant

        left = [place for place in range(len(vectors)) if place not in chosen]
        chosen.append(max(left, key=relevance))
    return chosen


@given(points=POINTS, within=st.sampled_from([0.0, 1.0, 1.5, 2.0, 9.0]), enough=st.integers(1, 40))
def test_fold_agrees_with_a_loop(points: list[list[int]], within: float, enough: int) -> None:
    """The leaders are those that a plain loop finds, as many as are enough."""
    vectors = matrix(points)
    assert fold(vectors, within, enough) == naive_fold(vectors, within)[:enough]


def test_fold_beyond_a_block() -> None:
    """Groups that reach over the blocks in which distances are worked out are the loop's, too."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(90, 6))
    vectors = (centres[random.integers(0, 90, 400)] + random.normal(size=(400, 6)) * 0.05).astype(np.float32)
    leaders = naive_fold(vectors, 0.2)
    assert BLOCK < len(leaders) < 200
    assert fold(vectors, 0.2, 400) == leaders
    assert fold(vectors, 0.2, BLOCK + 1) == leaders[: BLOCK + 1]


def test_fold_compares_equal_vectors_with_their_leader_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shoes of one vector, which a distance of 0 leaves in doubt, are compared exactly with their leader alone."""
    compared: list[int] = []

    def count(vectors: NDArray[np.float64], other: NDArray[np.float32], within: float) -> NDArray[np.bool_]:
        compared.append(len(vectors))
        return are_near(vectors, other, within)

    monkeypatch.setattr(diversity, "are_near", count)
    vectors = np.repeat(np.random.default_rng(0).normal(size=(3, 128)).astype(np.float32), 500, axis=0)
    assert fold(vectors, 0.0, 10) == [0, 500, 1000]
    assert compared == [500] * 3


@given(seed=st.integers(0, 500), count=st.integers(0, 30), diversity=st.sampled_from([0.01, 0.3, 0.5, 0.9, 1.0]))
@settings(max_examples=50)
def test_diversify_agrees_with_a_loop(seed: int, count: int, diversity: float) -> None:
    """The choice is that of the formula, written out, at every length."""
    rng = np.random.default_rng(seed)
    query, vectors = rng.normal(size=3), rng.normal(size=(count, 3))
    vectors = vectors[np.linalg.norm(vectors - query, axis=1).argsort()]
    distances = np.linalg.norm(vectors - query, axis=1)
    expected = naive_mmr(query, vectors, diversity, count)
    assert diversify(distances, vectors, diversity, count) == expected
    assert diversify(distances, vectors, diversity, 5) == expected[:5]


def test_no_diversity_keeps_the_order() -> None:
    """With 0 the nearest stay first, ties included."""
    distances = np.array([0.0, 1.0, 1.0, 1.0, 2.0])
    assert diversify(distances, np.zeros((5, 2)), 0.0, 5) == [0, 1, 2, 3, 4]


def test_full_diversity_goes_as_far_away_as_it_can() -> None:
    """With 1 the nearest comes first, then what is farthest from all before it."""
    vectors = np.array([[0.0], [1.0], [5.0], [9.0]])
    assert diversify(vectors[:, 0], vectors, 1.0, 4) == [0, 3, 2, 1]


@pytest.mark.parametrize(("within", "expected"), [(0.0, [True, False]), (5.0, [True, True]), (4.9, [True, False])])
def test_near_includes_the_distance_itself(within: float, expected: list[bool]) -> None:
    """What is just that far away is near."""
    vectors = matrix([[0, 0], [3, 4]])
    assert are_near(vectors, vectors[0], within).tolist() == expected
