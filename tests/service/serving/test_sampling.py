"""The distribution of a catalogue's vectors."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.serving.sampling import Sampler
from service.store.base import Item, Record
from tests.support.fakes import MemoryStore


def make_sampler(vectors: NDArray[np.float32]) -> Sampler:
    """Of a catalogue with these vectors."""
    store = MemoryStore(Path())
    store.upsert([Record(Item(str(number), "", {}), vector) for number, vector in enumerate(vectors)])
    return Sampler(store)


def test_slices_follow_a_change() -> None:
    """What varies with a slice changes with it by its regression on the slice; what does not stays as it is."""
    random = np.random.default_rng(0)
    slopes = np.array([[2.0, -1.0], [0.5, 0.0]])
    own, other = random.normal(size=(2, 500, 2))
    vectors = np.concatenate([random.normal(size=(500, 2)), own, own @ slopes, other], axis=1)
    moved = make_sampler(vectors.astype(np.float32)).follow(np.array([1.0, 2.0], dtype=np.float32), 2, 4)
    np.testing.assert_array_equal(moved[2:4], [1.0, 2.0])
    np.testing.assert_allclose(moved[4:6], [3.0, -1.0], atol=0.1)
    np.testing.assert_allclose(moved[[0, 1, 6, 7]], 0.0, atol=0.3)


def test_nothing_follows_in_a_catalogue_of_one_shoe() -> None:
    """A single shoe tells nothing of what goes together: the slice alone changes."""
    moved = make_sampler(np.ones((1, 8), dtype=np.float32)).follow(np.array([1e6, 2.0], dtype=np.float32), 3, 5)
    np.testing.assert_allclose(moved, [0, 0, 0, 1e6, 2, 0, 0, 0], atol=1e-9)
