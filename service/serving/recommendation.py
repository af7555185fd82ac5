"""Recommendation by examples: liked and disliked shoes become one query vector."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.embedder import Vector
from model.errors import QueryError
from service.serving.engine import Engine

MAX_EXAMPLES = 100
"""Examples of one search, of both kinds."""


@dataclass(frozen=True, slots=True)
class ExamplePicture:
    """A picture of an example: its bytes, what the client calls it, and whether shoes are to be like it."""

    content: bytes
    filename: str
    liked: bool


@dataclass(frozen=True, slots=True)
class Examples:
    """Shoes that were liked and disliked.

    Attributes:
        liked_ids: of the catalogue.
        disliked_ids: likewise.
        liked_vectors: (D,) each, as a client sent them.
        disliked_vectors: likewise.
        images: of both kinds.
    """

    liked_ids: Sequence[str] = ()
    disliked_ids: Sequence[str] = ()
    liked_vectors: Sequence[Sequence[float]] = ()
    disliked_vectors: Sequence[Sequence[float]] = ()
    images: Sequence[ExamplePicture] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """The shoes of the catalogue, of both kinds."""
        return (*self.liked_ids, *self.disliked_ids)

    def check(self, engine: Engine) -> None:
        """Raise QueryError unless a search may have these."""
        liked_images = sum(image.liked for image in self.images)
        if not (self.liked_ids or self.liked_vectors or liked_images):
            raise QueryError("positive", "nothing positive is given; expected an id, a vector or a picture at least")
        total = len(self.ids) + len(self.liked_vectors) + len(self.disliked_vectors) + len(self.images)
        if total > MAX_EXAMPLES:
            raise QueryError("positive", f"{total} examples; expected at most {MAX_EXAMPLES}, of both kinds together")
        if self.images:
            engine.check_count(len(self.images))
        for vector in self.liked_vectors:
            engine.check_vector(vector, "positive")
        for vector in self.disliked_vectors:
            engine.check_vector(vector, "negative")

    def target(self, engine: Engine, embedded: Vector | None = None) -> Vector:
        """The vector to search for, (1, D): mean(liked) + (mean(liked) - mean(disliked)).

        That is how Qdrant's recommendation by average vector is defined; without dislikes it is mean(liked).

        Args:
            engine: whose catalogue has the ids.
            embedded: the images' vectors, (n, D), in their order.

        Raises:
            UnknownItem: of an id.
            QueryError: the vector is out of float32's range.
        """
        liked = [engine.store.vector(item_id) for item_id in self.liked_ids]
        disliked = [engine.store.vector(item_id) for item_id in self.disliked_ids]
        liked += [np.asarray(vector, dtype=np.float32) for vector in self.liked_vectors]
        disliked += [np.asarray(vector, dtype=np.float32) for vector in self.disliked_vectors]
        for image, vector in zip(self.images, () if embedded is None else embedded, strict=True):
            (liked if image.liked else disliked).append(vector)
        target = _mean(liked)
        if disliked:
            target = target + (target - _mean(disliked))
        return engine.check_vector(target, "positive")[None]


def _mean(vectors: Sequence[Vector]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.stack(vectors).astype(np.float64).mean(axis=0)
    return mean
