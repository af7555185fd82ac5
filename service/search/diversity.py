"""Near-duplicates folded into the nearest of them, and results chosen far from each other: on distances and vectors."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 64
"""Vectors whose distances to all others are worked out at once."""


def are_near(vectors: NDArray[np.floating[Any]], other: NDArray[np.float32], within: float) -> NDArray[np.bool_]:
    """Which of the vectors, (n, D), are at most `within` from another, (D,), in Euclidean distance: (n,)."""
    differences = vectors.astype(np.float64, copy=False) - other.astype(np.float64)
    near: NDArray[np.bool_] = np.square(differences, out=differences).sum(axis=1) <= within * within
    return near


def fold(vectors: NDArray[np.float32], within: float, enough: int) -> list[int]:
    """The leaders among ranked shoes: each one that is no near-duplicate of a leader before it.

    Args:
        vectors: (n, D), the nearest shoe first.
        within: the largest distance of near-duplicates.
        enough: stop after so many.

    Returns:
        Their positions, ascending; the first shoe is always one of them.
    """
    exact = vectors.astype(np.float64)
    squares = np.square(exact).sum(axis=1)
    # Matrix products round otherwise than `are_near`, by far less than this; what is that near to the limit it decides.
    doubt = 1e-12 * squares.max(initial=0.0)
    is_open = np.ones(len(vectors), dtype=np.bool_)
    leaders: list[int] = []
    while len(leaders) < enough and is_open.any():
        rest = np.flatnonzero(is_open)
        block = rest[:BLOCK]
        beyond = squares[block, None] + squares[rest] - 2.0 * (exact[block] @ exact[rest].T) - within * within
        for leader, excess in zip(block.tolist(), beyond, strict=True):
            if is_open[leader] and len(leaders) < enough:
                leaders.append(leader)
                near = excess <= 0.0
                doubtful = np.flatnonzero(np.abs(excess) <= doubt)
                near[doubtful] = are_near(exact[rest[doubtful]], vectors[leader], within)
                is_open[rest[near]] = is_open[leader] = False
    return leaders


def diversify(distances: NDArray[np.float64], vectors: NDArray[np.float64], diversity: float, count: int) -> list[int]:
    """Choose one after another what is near the query and far from what was chosen before.

    Maximal marginal relevance (Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking", SIGIR 1998,
    section 2) with the negative distance as both similarities, and lambda = 1 - diversity: the next is the one with
    the least (1 - diversity) * d(query) - diversity * d(nearest of the chosen). The first is the nearest.

    Args:
        distances: (n,), from the query, rising.
        vectors: (n, d), whose Euclidean distance is the one that the search compared by.
        diversity: 0, the order stays, to 1, the query decides on the first one only.
        count: how many to choose.

    Returns:
        Their positions, in the order of the choice; of equal scores the earlier position comes first.
    """
    if not len(distances):
        return []
    chosen = [0]
    left = np.ones(len(distances), dtype=np.bool_)
    left[0] = False
    apart = np.full(len(distances), np.inf)  # from the nearest of the chosen
    while len(chosen) < min(count, len(distances)):
        np.minimum(apart, np.linalg.norm(vectors - vectors[chosen[-1]], axis=1), out=apart)
        scores = (1 - diversity) * distances - diversity * apart
        position = int(np.where(left, scores, np.inf).argmin())
        chosen.append(position)
        left[position] = False
    return chosen
