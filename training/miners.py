"""Triplet miners: choose the triplets of a batch that the loss is computed on.

A miner takes the batch's distances and who is alike, and returns (M, 3) indices: anchor, positive, negative. Shoes
without a label are neither alike nor different to any other, so no miner picks them.
"""

from collections.abc import Callable
from typing import Literal

import torch

MinerName = Literal["batch-all", "semi-hard"]
Miner = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Generator], torch.Tensor]
"""(distances (A, B), alike (A, B) bool, different (A, B) bool, generator) -> (M, 3) int64.

A is B, or 2 B where each shoe is an anchor twice. `alike` is False for a shoe and itself. The generator lives on the
CPU."""

POSITIVES = 4
"""Positives drawn for each anchor: four use a batch of 256 well, and all pairs would cost B x B x B comparisons."""


def semi_hard(
    distances: torch.Tensor, alike: torch.Tensor, different: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """For each anchor, random positives, each with the nearest negative that is farther than it (FaceNet, section 3.2).

    Where every negative is nearer than the positive, the farthest of them is taken.
    """
    anchors, positives = _draw_positives(alike, different, generator)
    bound = distances[anchors].gather(1, positives)  # (A, P)
    rows = distances[anchors].masked_fill(~different[anchors], torch.inf)  # (A, B)
    beyond = rows[:, None, :].masked_fill(rows[:, None, :] <= bound[:, :, None], torch.inf)  # (A, P, B)
    nearest, negatives = beyond.min(dim=2)
    farthest = distances[anchors].masked_fill(~different[anchors], -torch.inf).argmax(dim=1)
    negatives = torch.where(torch.isinf(nearest), farthest[:, None], negatives)
    return _stack(anchors, positives, negatives)


def batch_all(
    distances: torch.Tensor, alike: torch.Tensor, different: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """For each anchor, random positives, each with every negative of the batch.

    The mean over these is an unbiased estimate of the mean over all triplets, which is what triplet accuracy counts;
    and labels that are wrong weigh no more than they are frequent, where mining the hardest seeks them out.
    """
    anchors, positives = _draw_positives(alike, different, generator)
    row, negatives = different[anchors].nonzero().unbind(dim=1)
    chosen = positives[row]  # (pairs, P)
    negatives = negatives[:, None].expand_as(chosen)
    return torch.stack([anchors[row][:, None].expand_as(chosen), chosen, negatives], dim=2).reshape(-1, 3)


MINERS: dict[MinerName, Miner] = {
    "batch-all": batch_all,
    "semi-hard": semi_hard,
}


def _anchors(alike: torch.Tensor, different: torch.Tensor) -> torch.Tensor:
    """The shoes that have both a positive and a negative in the batch."""
    return (alike.any(dim=1) & different.any(dim=1)).nonzero().squeeze(1)


def _draw(weights: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """`count` column indices for each row, by weight, with replacement: (A, B) -> (A, count)."""
    if len(weights) == 0:
        return torch.empty((0, count), dtype=torch.int64, device=weights.device)
    cumulative = weights.double().cumsum(dim=1)
    draws = torch.rand(len(weights), count, generator=generator, dtype=torch.float64).to(weights.device)
    # Strictly inside (0, total): a draw of exactly 0 would pick a leading column of weight 0.
    draws = (1.0 - draws) * cumulative[:, -1:]
    return torch.searchsorted(cumulative, draws).clamp_max(weights.shape[1] - 1)


def _draw_positives(
    alike: torch.Tensor, different: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """(A,) anchors and (A, POSITIVES) positives."""
    anchors = _anchors(alike, different)
    return anchors, _draw(alike[anchors].float(), POSITIVES, generator)


def _stack(anchors: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor) -> torch.Tensor:
    """(A,), (A, P), (A, P) -> (A * P, 3)."""
    repeated = anchors[:, None].expand_as(positives)
    return torch.stack([repeated, positives, negatives], dim=2).reshape(-1, 3)
