"""Vectors of shoes that could be: samples of a normal distribution with the mean and covariance of the catalogue's.

Not of the prior: where the training weighs pictures more than the prior, as it does for shoes, most of what the prior
samples decodes to no shoe. The distribution of the catalogue's own vectors is what the decoder has learned to draw.
"""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from model.embedder import Vector
from model.errors import QueryError
from service.search.options import require_range
from service.store.base import VectorStore

MAX_SAMPLES = 24
"""Samples of one request."""

MAX_SEED = 2**32 - 1
"""The largest seed."""

MOST_SHOES = 2000
"""Shoes that mean and covariance are taken from."""

RIDGE = 0.01
"""Penalty of the regression in `Sampler.follow`, as a share of the slice's mean variance."""


class Sampler:
    """Samples the distribution of a store's vectors. Safe in many threads at once."""

    def __init__(self, store: VectorStore) -> None:
        self._store = store
        # Read again once the catalogue has grown to twice its size.
        self._known: tuple[int, NDArray[np.float64]] | None = None

    def sample(self, count: int, seed: int, around: str | None, spread: float) -> Vector:
        """Draw vectors, (count, D) float32; the same of the same seed, as long as the catalogue is the same.

        Args:
            count: 1 to MAX_SAMPLES.
            seed: 0 to MAX_SEED.
            around: the id of a shoe whose surroundings are sampled.
            spread: how far from it, 0 (the shoe itself) to 1 (anywhere in the catalogue's distribution).

        Raises:
            QueryError: an argument is out of range, or there are no shoes.
            UnknownItem: no shoe has that id.
        """
        require_range("count", count, 1, MAX_SAMPLES)
        require_range("seed", seed, 0, MAX_SEED)
        require_range("spread", spread, 0, 1)
        vectors = self._read()
        mean = vectors.mean(axis=0)
        draws = np.random.default_rng(seed).standard_normal((count, len(vectors)))
        # Combinations of the vectors themselves have their covariance, without a factor of it.
        noise = draws @ (vectors - mean) / sqrt(max(len(vectors) - 1, 1))
        if around is None:
            samples: Vector = (mean + noise).astype(np.float32)
            return samples
        centre = self._store.vector(around) - mean
        # So weighed, the sum has the covariance of the two, whatever the spread.
        around_it: Vector = (mean + sqrt(1 - spread**2) * centre + spread * noise).astype(np.float32)
        return around_it

    def follow(self, change: Vector, start: int, stop: int) -> Vector:
        """What a change of one slice brings to the whole vector, by the shoes of the catalogue: (D,) float32.

        The other slices know of the change, too: a shoe's colour shows in what tells it from other shoes as well. They
        get the mean that the distribution has on the condition of the change, as linear regression finds it.

        Args:
            change: (stop - start,), of the slice.
            start: the slice's first place in the vector.
            stop: the place after its last.

        Raises:
            QueryError: there are no shoes.
        """
        vectors = self._read()
        vectors = vectors - vectors.mean(axis=0)
        own = vectors[:, start:stop]
        covariance = own.T @ own
        ridge = RIDGE * np.trace(covariance) / len(covariance) + 1e-12
        weights = np.linalg.solve(covariance + ridge * np.eye(len(covariance)), change)
        whole: Vector = (weights @ own.T @ vectors).astype(np.float32)
        whole[start:stop] = change
        return whole

    def _read(self) -> NDArray[np.float64]:
        """Vectors of shoes all over the catalogue, (n, D)."""
        size, known = self._store.info().count.bit_length(), self._known
        if known is None or known[0] != size:
            if not (records := self._store.sample(MOST_SHOES)):
                raise QueryError("count", "the catalogue has no shoes whose distribution could be sampled")
            known = self._known = size, np.stack([record.vector for record in records]).astype(np.float64)
        return known[1]
