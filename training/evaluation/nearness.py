"""What distances mean: how likely two shoes so far apart are alike, fitted on triplets of held-out shoes."""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from model.nearness import Nearness

__all__ = ["calibrate_nearness", "fit_nearness"]

OVERALL = "overall"

FEWEST = 100
"""Triplets without which nothing is fitted."""

Triplets = NDArray[np.intp]


def calibrate_nearness(
    vectors: NDArray[np.float32], slices: Mapping[str, tuple[int, int]], questions: Iterable[tuple[str, Triplets]]
) -> dict[str, Nearness]:
    """Fit each slice that has triplets, by its own distances, and whole vectors by the triplets of all of them.

    Args:
        vectors: (N, D) embeddings of shoes that the network was not trained on.
        slices: slice -> (start, stop) of its part of a vector.
        questions: slice, and (M, 3) anchors, positives and negatives that its condition tells apart; a slice may come
            several times.

    Returns:
        `overall`, or a slice -> its nearness; what has too few triplets, or is in no order by them, is left out.
    """
    grouped: dict[str, list[Triplets]] = {}
    for name, triplets in questions:
        grouped.setdefault(name, []).append(triplets)
        grouped.setdefault(OVERALL, []).append(triplets)
    fitted: dict[str, Nearness] = {}
    for name, parts in grouped.items():
        start, stop = (0, vectors.shape[1]) if name == OVERALL else slices[name]
        anchors, positives, negatives = vectors[np.concatenate(parts).T, start:stop].astype(np.float64)
        alike, different = (np.linalg.norm(anchors - others, axis=1) for others in (positives, negatives))
        if len(alike) >= FEWEST and (nearness := fit_nearness(alike, different)) is not None:
            fitted[name] = nearness
    return fitted


def fit_nearness(alike: NDArray[np.float64], different: NDArray[np.float64]) -> Nearness | None:
    """Logistic regression of likeness on log(distance), with Platt's smoothed targets, as many pairs of each kind.

    Platt, "Probabilistic Outputs for Support Vector Machines", 1999, section 2.2: classes that do not overlap do not
    make it certain.

    Args:
        alike: (M,) distances of pairs that are alike.
        different: (M,) of pairs that are not.

    Returns:
        None where pairs that are alike are not nearer.
    """
    distances = np.concatenate([alike, different])
    if not distances.any():
        return None
    logs = np.log(np.maximum(distances, distances[distances > 0].min()))  # equal vectors are as near as can be
    smooth = 1 / (len(alike) + 2)
    targets = np.repeat([1 - smooth, smooth], [len(alike), len(different)])

    def loss(parameters: NDArray[np.float64]) -> float:
        scores = parameters[1] * (parameters[0] - logs)
        return float(np.mean(np.logaddexp(0, scores) - targets * scores))

    middle, power = minimize(loss, [float(np.median(logs)), 1.0], method="Nelder-Mead").x
    return Nearness(float(np.exp(middle)), float(power)) if power > 0 else None
