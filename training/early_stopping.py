"""Early stopping: the score of an epoch on held-out shoes, the best epoch, and when patience is used up."""

from collections.abc import Mapping, Sequence
from typing import Any


def score(validation: Mapping[str, float]) -> float:
    """The mean triplet accuracy over the conditions, plus recall@1 of photos where there are any; higher is better.

    Both count alike, as where the slices are weighed at the end of a training. Minus the squared error where there are
    neither.
    """
    accuracies = [value for name, value in validation.items() if name.startswith("triplet_accuracy/")]
    parts = [sum(accuracies) / len(accuracies)] if accuracies else []
    if "photo_recall@1" in validation:
        parts.append(validation["photo_recall@1"])
    return sum(parts) if parts else -validation["mse"]


def best_epoch(history: Sequence[Mapping[str, Any]]) -> int | None:
    """The number, from 1, of the epoch with the best score; the first of several. None: nothing was measured."""
    measured = _measured(history)
    return max(measured, key=measured.__getitem__) if measured else None


def is_over(history: Sequence[Mapping[str, Any]], patience: int) -> bool:
    """Are the last `patience` measurements no better than the best before them? Patience 0 never ends."""
    measured = _measured(history)
    if patience == 0 or not measured:
        return False
    best = max(measured, key=measured.__getitem__)
    return sum(epoch > best for epoch in measured) >= patience


def _measured(history: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """Epoch -> score, of those that were measured."""
    return {each["epoch"]: score(each["validation"]) for each in history if each["validation"]}
