"""Drawn backgrounds, and the things before them that are no shoes."""

import numpy as np
import pytest

from tests.training.photos.shoes import draw_outlined, draw_shot
from training.photos.backgrounds import add_decoys, draw_background, pick_background
from training.photos.localizer import draw_backgrounds


def _bank() -> np.ndarray:
    return draw_backgrounds(draw_outlined(3), seed=0, count=4)


@pytest.mark.parametrize("pictures", [(), (draw_shot()[0],)], ids=["none", "one"])
def test_a_seed_gives_the_same_background(pictures: tuple[np.ndarray, ...]) -> None:
    """The same seed gives the same pixels, each other seed others, of the size that was asked for."""
    drawn = [draw_background(np.random.default_rng(seed), 64, pictures) for seed in (*range(12), 0)]
    assert all(each.shape == (64, 64, 3) and each.dtype == np.uint8 for each in drawn)
    assert np.array_equal(drawn[0], drawn[-1])
    assert len({each.tobytes() for each in drawn}) == 12


def test_a_bank_by_its_seed() -> None:
    """A bank is the same for the same seed, differs for another, and repeats no background."""
    first, again = _bank(), _bank()
    assert first.shape == (4, 192, 192, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, draw_backgrounds(draw_outlined(3), seed=1, count=4))
    assert len({each.tobytes() for each in first}) == 4


def test_a_piece_of_the_bank() -> None:
    """A piece has the width and height asked for, by its seed, and leaves the bank as it is."""
    bank = _bank()
    before = bank.copy()
    pieces = [pick_background(np.random.default_rng(seed), bank, (50, 30)) for seed in (0, 0, 1)]
    assert pieces[0].shape == (30, 50, 3)
    assert np.array_equal(pieces[0], pieces[1])
    assert not np.array_equal(pieces[0], pieces[2])
    assert np.array_equal(bank, before)


def test_decoys() -> None:
    """Objects change a part of the canvas's copy, by their seed; none of them changes nothing."""
    bank, canvas = _bank(), np.full((60, 90, 3), 128, dtype=np.uint8)
    assert np.array_equal(add_decoys(np.random.default_rng(0), canvas, bank, most=0), canvas)
    seen = [add_decoys(np.random.default_rng(seed), canvas, bank) for seed in (*range(20), 0)]
    assert np.array_equal(seen[0], seen[-1])
    changed = [float((each != canvas).any(axis=2).mean()) for each in seen]
    assert max(changed) > 0.02
    assert min(changed) == 0.0
    assert (canvas == 128).all()
