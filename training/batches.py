"""Which shoes make up each batch of an epoch."""

from collections.abc import Sequence

import torch

__all__ = ["batch_indices", "sampling_weights"]


def sampling_weights(tables: Sequence[torch.Tensor], balance: float) -> torch.Tensor | None:
    """How often to draw each shoe so that rare values are seen.

    Args:
        tables: (N, V) float for each attribute: who has which value.
        balance: 0 draws each shoe alike; 1 draws each value of an attribute alike.

    Returns:
        (N,) weights that average 1, or None where every shoe is drawn alike.
    """
    if balance == 0 or not tables:
        return None
    weights = torch.zeros(len(tables[0]))
    for table in tables:
        counts = table.sum(dim=0)
        rarity = (counts.clamp_min(1.0) / counts.sum()) ** -balance
        # A shoe with several values counts by its rarest; one without any, by the average.
        each = (table * rarity).amax(dim=1)
        known = each > 0
        each[~known] = each[known].mean()
        weights += each / each.mean()
    return weights / weights.mean()


def batch_indices(
    count: int, batch_size: int, weights: torch.Tensor | None, generator: torch.Generator, *, smallest: int = 2
) -> list[torch.Tensor]:
    """An epoch's batches: indices (B,) into the `count` shoes.

    Without weights every shoe comes once; with them, draws are with replacement. A last batch of fewer shoes than
    `smallest` goes to the batch before: batch normalisation can't take one shoe, nor a process none.
    """
    if weights is None:
        order = torch.randperm(count, generator=generator)
    else:
        order = torch.multinomial(weights, count, replacement=True, generator=generator)
    batches = list(torch.split(order, batch_size))
    if len(batches) > 1 and len(batches[-1]) < smallest:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
