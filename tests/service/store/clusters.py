"""Vectors that an approximate index has to work for: many, in clusters, as embeddings of shoes are."""

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from service.store.base import Record
from tests.service.store.naive import DIMENSION, shoe


@cache
def clusters(count: int, *, dimension: int = DIMENSION, seed: int = 0) -> NDArray[np.float32]:
    """(count, dimension), read-only; around a fiftieth as many centres."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(max(1, count // 50), dimension))
    vectors = centres[random.integers(len(centres), size=count)] + 0.3 * random.normal(size=(count, dimension))
    made: NDArray[np.float32] = vectors.astype(np.float32)
    made.flags.writeable = False
    return made


def cluster_shoes(count: int, *, seed: int = 0, prefix: str = "shoe") -> Iterator[Record]:
    """Shoes with these vectors; a tenth of them is in `Lot` 0, and so on, and half of them are left ones."""
    for number, vector in enumerate(clusters(count, seed=seed)):
        attributes = {"Lot": (str(number % 10),), "Side": ("left" if vector[0] < 0 else "right",)}
        yield shoe(f"{prefix}-{number}", vector, attributes)
