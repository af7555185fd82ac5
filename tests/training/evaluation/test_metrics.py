"""The measurements, against plain loops over every pair."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from training.data.labels import Labels, encode_labels
from training.evaluation import metrics
from training.evaluation.metrics import (
    RECALL_AT,
    measure_reconstruction,
    measure_retrieval,
    measure_triplets,
    rank_others,
    squared_distances,
)


def make_values(count: int, kinds: int, most: int, seed: int) -> list[tuple[str, ...]]:
    """Of each shoe 0 to `most` values of `kinds` ones."""
    rng = np.random.default_rng(seed)
    return [tuple(sorted({f"v{i}" for i in rng.integers(0, kinds, rng.integers(0, most + 1))})) for _ in range(count)]


def make_labels(values: Sequence[tuple[str, ...]]) -> Labels:
    """Labels of shoes with these values."""
    return encode_labels([{"kind": each} if each else {} for each in values], "kind")


def distance(left: np.ndarray, right: np.ndarray) -> float:
    """The Euclidean distance, term by term."""
    return math.sqrt(sum((float(a) - float(b)) ** 2 for a, b in zip(left, right, strict=True)))


def measure_naively(vectors: np.ndarray, values: list[tuple[str, ...]]) -> tuple[int, dict[int, float], float]:
    """Queries, recall@k and MAP@R, as their definitions read."""
    found: dict[int, list[bool]] = {k: [] for k in RECALL_AT}
    precisions = []
    for query in range(len(vectors)):
        others = [i for i in range(len(vectors)) if i != query and values[i] and values[query]]
        others.sort(key=lambda i: (distance(vectors[query], vectors[i]), i))
        hits = [bool(set(values[i]) & set(values[query])) for i in others]
        relevant = sum(hits)
        if not relevant:
            continue
        for k in RECALL_AT:
            found[k].append(any(hits[:k]))
        total = sum(sum(hits[:rank]) / rank for rank in range(1, relevant + 1) if hits[rank - 1])
        precisions.append(total / relevant)
    return len(precisions), {k: float(np.mean(found[k])) for k in RECALL_AT}, float(np.mean(precisions))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks so small that some tens of shoes need several."""
    monkeypatch.setattr(metrics, "BLOCK", 256)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_triplet_accuracy_equals_a_plain_loop(dtype: type) -> None:
    """On coarse coordinates, where ties abound: a tie is wrong."""
    rng = np.random.default_rng(0)
    vectors: np.ndarray[Any, Any] = rng.integers(0, 3, (30, 4)).astype(dtype)
    triplets = np.array([rng.permutation(30)[:3] for _ in range(500)])
    right = ties = 0
    for anchor, positive, negative in triplets:
        near, far = distance(vectors[anchor], vectors[positive]), distance(vectors[anchor], vectors[negative])
        right += near < far
        ties += near == far
    assert ties > 20
    assert measure_triplets(vectors, triplets) == right / 500


def test_equal_vectors_tie() -> None:
    """A network that gives every shoe the same vector has an accuracy of nothing, not of a half."""
    vectors = np.full((5, 7), 0.1, dtype=np.float32)
    assert measure_triplets(vectors, np.array([[0, 1, 2], [3, 4, 0]])) == 0.0


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_retrieval_equals_a_plain_loop(most: int, dtype: type) -> None:
    """With one value or several, shoes without a label, and equal distances."""
    vectors: np.ndarray[Any, Any] = np.random.default_rng(2).integers(0, 6, (70, 3)).astype(dtype)
    values = make_values(70, 9, most, seed=4)
    queries, recall, map_at_r = measure_naively(vectors, values)
    [found] = measure_retrieval(vectors, [make_labels(values)])
    assert found is not None
    assert (found.queries, found.left_out) == (queries, 70 - queries)
    assert found.recall == pytest.approx(recall)
    assert found.map_at_r == pytest.approx(map_at_r)


def test_several_notions_of_likeness_do_not_mix() -> None:
    """Measured together from one ranking, each is as if measured alone."""
    vectors = np.random.default_rng(5).normal(size=(40, 4)).astype(np.float32)
    labels = [make_labels(make_values(40, kinds, 1, seed=kinds)) for kinds in (2, 5)]
    assert measure_retrieval(vectors, labels) == [measure_retrieval(vectors, [each])[0] for each in labels]


def test_perfect_clusters_score_one() -> None:
    """Where each kind is a point of its own, everything is found."""
    vectors = np.repeat(np.eye(3), 4, axis=0)
    [found] = measure_retrieval(vectors, [make_labels([("a",)] * 4 + [("b",)] * 4 + [("c",)] * 4)])
    assert found is not None
    assert found.recall == {1: 1.0, 5: 1.0, 10: 1.0}
    assert found.map_at_r == 1.0


def test_a_shoe_that_is_one_of_its_kind_is_left_out() -> None:
    """It can find nothing; it still stands in the others' rankings."""
    vectors = np.array([[0.0], [3.0], [1.0], [9.0]])
    [found] = measure_retrieval(vectors, [make_labels([("a",), ("a",), ("b",), ()])])
    assert found is not None
    assert (found.queries, found.left_out) == (2, 2)
    assert found.recall[1] == 0.0
    assert found.recall[5] == 1.0
    assert found.map_at_r == 0.0


def test_nothing_to_ask_for_is_no_result() -> None:
    """Without two alike shoes there are no figures, rather than figures of zero."""
    assert measure_retrieval(np.eye(3), [make_labels([("a",), ("b",), ("c",)])]) == [None]


@pytest.mark.usefixtures("small_blocks")
def test_ranking_is_by_distance_and_then_by_index() -> None:
    """All others, each once, without the shoe itself, even where a copy of it lies at distance zero."""
    vectors = np.random.default_rng(7).integers(0, 3, (50, 2)).astype(np.float32)
    ranked = {
        int(q): list(row) for queries, order in rank_others(vectors) for q, row in zip(queries, order, strict=True)
    }
    for query in range(50):
        others = [i for i in range(50) if i != query]
        assert ranked[query] == sorted(others, key=lambda i: (distance(vectors[query], vectors[i]), i))


@pytest.mark.usefixtures("small_blocks")
def test_distances_hold_far_from_the_origin() -> None:
    """Nothing is lost where vectors are long and differ by little."""
    vectors = (1000 + np.random.default_rng(0).normal(size=(20, 8))).astype(np.float32)
    expected = [[distance(left, right) ** 2 for right in vectors] for left in vectors[[3, 11]]]
    np.testing.assert_allclose(squared_distances(vectors, np.array([3, 11])), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.usefixtures("small_blocks")
def test_reconstruction_error_equals_its_definition() -> None:
    """Per pixel and channel, over all shoes; beside it the error of the mean picture."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (9, 3, 4, 4), dtype=np.uint8)
    vectors = rng.random((9, 48)).astype(np.float32)
    found = measure_reconstruction(pixels, vectors, lambda part: part.reshape(-1, 3, 4, 4))
    pictures = pixels / 255
    assert found.mse == pytest.approx(np.mean((vectors.reshape(pixels.shape) - pictures) ** 2))
    assert found.mean_image_mse == pytest.approx(np.mean((pictures.mean(axis=0) - pictures) ** 2))
