from typing import Any

import pytest

from training.early_stopping import best_epoch, is_over, score


def _history(*scores: float | None) -> list[dict[str, Any]]:
    """An epoch for each score; None was not measured."""
    return [
        {"epoch": epoch, "validation": {} if each is None else {"mse": 1.0, "triplet_accuracy/a": each}}
        for epoch, each in enumerate(scores, 1)
    ]


def test_score() -> None:
    """The mean over the conditions; without any, less error is better."""
    assert score({"mse": 0.1, "triplet_accuracy/a": 0.5, "triplet_accuracy/b": 0.7}) == pytest.approx(0.6)
    assert score({"mse": 0.1}) > score({"mse": 0.2})


def test_score_with_photos() -> None:
    """Where photos are to find their shoes, how often they do counts as much as the order by all conditions."""
    assert score({"mse": 0.1, "photo_recall@1": 0.5, "photo_recall@10": 0.9}) == pytest.approx(0.5)
    ordered = {"triplet_accuracy/a": 0.6, "triplet_accuracy/b": 0.8}
    assert score({"mse": 0.1, "photo_recall@1": 0.5, **ordered}) == pytest.approx(1.2)


def test_best_epoch() -> None:
    """The first of the best ones that were measured; none where nothing was."""
    assert best_epoch(_history(0.5, 0.7, None, 0.7, 0.6)) == 2
    assert best_epoch(_history(None, None)) is None
    assert best_epoch([]) is None


@pytest.mark.parametrize(
    ("scores", "over"),
    [
        ((), False),
        ((0.5,), False),
        ((0.5, 0.4), False),
        ((0.5, 0.4, 0.4), True),
        ((0.5, None, 0.4, None), False),
        ((0.5, None, 0.4, None, 0.5), True),
        ((0.5, 0.4, 0.6, 0.5), False),
    ],
)
def test_patience(scores: tuple[float | None, ...], over: bool) -> None:
    """With a patience of 2 it is over after two measurements that are no better; epochs without one do not count."""
    assert is_over(_history(*scores), 2) is over


def test_no_patience_never_ends() -> None:
    """Patience 0 is no early stop."""
    assert not is_over(_history(0.9, 0.1, 0.1, 0.1), 0)
