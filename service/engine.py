"""What the service can do, in plain Python: embed, search, draw. It knows no HTTP."""

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.errors import ImageError, NotReady, QueryError
from model.preprocess import Preprocessor, to_png
from service.pictures import Picture, read_picture
from service.store.base import OVERALL, Filter, Hit, Item, Page, StoreInfo, VectorStore

__all__ = ["Catalogue", "Engine", "EngineLimits", "Facets", "Network", "PictureEmbedder"]

SHORT_DIGEST = 16
"""Hex digits of the checkpoint's digest that answers carry."""

MAX_STEPS = 16
"""Pictures in one interpolation."""

CANARY_TOLERANCE = 1e-4
"""How far a number of the canary's vector may move between two runs before something is wrong."""

Vector = NDArray[np.float32]


class PictureEmbedder(Protocol):
    """What the engine asks of an embedder; `model.embedder.Embedder` is one."""

    @property
    def dimension(self) -> int:
        """D: the size of a vector."""
        ...

    @property
    def preprocessor(self) -> Preprocessor:
        """Decodes the pictures' bytes."""
        ...

    def embed_pixels(self, pixels: NDArray[np.uint8], /) -> Vector:
        """(B, C, H, W) uint8 -> (B, D) float32."""
        ...

    def decode(self, vectors: Vector, /) -> NDArray[np.float32]:
        """(B, D) float32 -> (B, C, H, W) float32 in [0, 1]."""
        ...


@dataclass(frozen=True)
class Network:
    """Facts of the checkpoint that answers tell.

    Attributes:
        digest: SHA-256 of the checkpoint, hex.
        conditions: the slices that were trained to order a notion of likeness; without `overall`.
    """

    digest: str
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True)
class EngineLimits:
    """What one call may ask for."""

    max_k: int = 100
    max_images: int = 32
    max_page: int = 500


@dataclass(frozen=True)
class Catalogue:
    """What is being served: the store's facts, and the attributes that its shoes have."""

    info: StoreInfo
    attributes: tuple[str, ...]


@dataclass(frozen=True)
class Facets:
    """How shoes divide.

    Attributes:
        counts: attribute -> value -> number of shoes, most first.
        total: how many shoes there are; one may have several values, or none.
    """

    counts: Mapping[str, Mapping[str, int]]
    total: int


class Engine:
    """The network and the store, together. Safe in many threads at once."""

    def __init__(
        self, embedder: PictureEmbedder, store: VectorStore, network: Network, *, limits: EngineLimits | None = None
    ) -> None:
        self.embedder = embedder
        self.store = store
        self.network = network
        self.limits = limits or EngineLimits()
        # A photo may take 150 MB while it is decoded: as many at once as there are processors, and the rest wait.
        self._decoding = threading.BoundedSemaphore(os.cpu_count() or 1)
        self._catalogue: Catalogue | None = None
        self._canary = _draw_canary(embedder.preprocessor.config.size)
        self._canary_vector = self.embed([self._canary])[0]

    @property
    def checkpoint(self) -> str:
        """The checkpoint's fingerprint, as answers carry it."""
        return self.network.digest[:SHORT_DIGEST]

    @property
    def fingerprint(self) -> str:
        """The catalogue's fingerprint: changes with every change of it."""
        return self.store.info().fingerprint

    @property
    def conditions(self) -> tuple[str, ...]:
        """The ways to compare that are worth offering: `overall`, and the trained slices."""
        return (OVERALL, *self.network.conditions)

    def catalogue(self) -> Catalogue:
        """What is being served, now."""
        info = self.store.info()
        known = self._catalogue
        if known is None or known.info != info:
            known = self._catalogue = Catalogue(info, tuple(self.store.facets()))
        return known

    def embed(self, images: Sequence[bytes], names: Sequence[str] = ()) -> Vector:
        """Decode and embed the bytes of B pictures -> (B, D) float32.

        Args:
            images: at least one.
            names: what to call each of several pictures in an error.

        Raises:
            QueryError: none, or too many.
            ImageError: one of them can't be used; the message tells which, where there are several.
        """
        self.check_count(len(images))
        pixels = []
        for index, image in enumerate(images):
            try:
                with self._decoding:
                    pixels.append(self.embedder.preprocessor.decode(image))
            except ImageError as error:
                if len(images) == 1:
                    raise
                name = names[index] if index < len(names) else ""
                raise type(error)(f"image {index + 1} of {len(images)} ({name!r}): {error}") from error
        return self.embedder.embed_pixels(np.stack(pixels))

    def search(
        self, vector: Sequence[float] | Vector, k: int, *, condition: str = OVERALL, filter: Filter | None = None
    ) -> list[Hit]:
        """The k shoes nearest to a vector, nearest first.

        Args:
            vector: (D,), whole also where `condition` compares only a slice.
            k: 1 to the limit.
            condition: `overall` or a slice's name.
            filter: only shoes that pass it.

        Raises:
            QueryError: any of them out of range.
        """
        query = self._check_vector(vector)
        return self.store.search(query[None], self._check_k(k), condition=condition, filter=filter)[0]

    def search_image(
        self, image: bytes, k: int, *, condition: str = OVERALL, filter: Filter | None = None
    ) -> list[Hit]:
        """The k shoes nearest to a picture. Raises ImageError, and QueryError as `search` does."""
        self._check_k(k)  # before any work
        return self.search(self.embed([image])[0], k, condition=condition, filter=filter)

    def similar(self, item_id: str, k: int, *, condition: str = OVERALL, filter: Filter | None = None) -> list[Hit]:
        """The k shoes nearest to one of the catalogue, without itself. Raises UnknownItem and QueryError."""
        query = self.store.vector(item_id)[None]
        return self.store.search(query, self._check_k(k), condition=condition, filter=filter, exclude=item_id)[0]

    def item(self, item_id: str) -> tuple[Item, Vector]:
        """One shoe and its vector, (D,) float32. Raises UnknownItem."""
        return self.store.get(item_id), self.store.vector(item_id)

    def page(self, limit: int, *, cursor: str | None = None, filter: Filter | None = None) -> Page:
        """Some shoes of the catalogue, in a stable order. Raises QueryError."""
        if not 1 <= limit <= self.limits.max_page:
            raise QueryError("limit", f"limit is {limit}; expected 1 to {self.limits.max_page}")
        return self.store.page(limit=limit, cursor=cursor, filter=filter)

    def facets(self, filter: Filter | None = None) -> Facets:
        """How the shoes that pass the filter divide. Raises QueryError."""
        counts = self.store.facets(filter)
        ordered = {key: dict(sorted(values.items(), key=lambda each: -each[1])) for key, values in counts.items()}
        return Facets(ordered, self.store.page(limit=1, filter=filter).total)

    def picture(self, item_id: str) -> Picture:
        """A shoe's own picture. Raises UnknownItem and PictureMissing."""
        return read_picture(self.store.info().root, self.store.get(item_id))

    def reconstruct(self, item_id: str) -> bytes:
        """What a shoe's vector stands for, as a PNG. Raises UnknownItem."""
        return self.draw(self.store.vector(item_id)[None])

    def reconstruct_image(self, image: bytes) -> bytes:
        """A picture after a pass through the network, as a PNG. Raises ImageError."""
        return self.draw(self.embed([image]))

    def interpolate(self, start_id: str, end_id: str, steps: int) -> bytes:
        """The way from one shoe to another through the space of vectors, as a PNG strip, both ends included.

        Raises:
            UnknownItem: either of them.
            QueryError: steps out of range.
        """
        if not 2 <= steps <= MAX_STEPS:
            raise QueryError("steps", f"steps is {steps}; expected 2 to {MAX_STEPS}")
        start, end = self.store.vector(start_id), self.store.vector(end_id)
        share = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
        return self.draw((1 - share) * start + share * end)

    def swap(self, item_id: str, condition: str, other_id: str) -> bytes:
        """One shoe with the condition's slice of another, as a PNG.

        Raises:
            UnknownItem: either of them.
            QueryError: no slice of that name.
        """
        slices = self.store.info().slices
        if condition not in slices:
            raise QueryError("condition", f"no slice {condition!r}; expected one of: {', '.join(slices)}")
        vector, other = self.store.vector(item_id).copy(), self.store.vector(other_id)
        start, stop = slices[condition]
        vector[start:stop] = other[start:stop]
        return self.draw(vector[None])

    def draw(self, vectors: Vector) -> bytes:
        """Decode vectors, (B, D) float32, into one PNG, side by side."""
        images = self.embedder.decode(np.ascontiguousarray(vectors, dtype=np.float32))  # (B, C, H, W)
        return to_png(np.concatenate(list(images), axis=2))

    def check_count(self, count: int) -> None:
        """Raise QueryError unless `embed` takes so many pictures."""
        if not 1 <= count <= self.limits.max_images:
            raise QueryError("image", f"{count} images; expected 1 to {self.limits.max_images}")

    def check_ready(self) -> None:
        """Send a picture that never changes through the encoder and the store.

        Raises:
            NotReady: its vector is not what it was at the start, or the store does not answer as it should.
        """
        vector = self.embed([self._canary])[0]
        if not np.isfinite(vector).all() or np.abs(vector - self._canary_vector).max() > CANARY_TOLERANCE:
            raise NotReady("the canary's vector is not what it was at the start")
        hits = self.search(vector, 1)
        if self.store.info().count and not (hits and np.isfinite(hits[0].distance)):
            raise NotReady("the canary's search found no shoe in a catalogue that has some")

    def close(self) -> None:
        """Release the store's files."""
        self.store.close()

    def _check_k(self, k: int) -> int:
        if not 1 <= k <= self.limits.max_k:
            raise QueryError("k", f"k is {k}; expected 1 to {self.limits.max_k}")
        return k

    def _check_vector(self, vector: Sequence[float] | Vector) -> Vector:
        expected = self.embedder.dimension
        if len(vector) != expected:
            raise QueryError("vector", f"the vector has {len(vector)} numbers; expected {expected}")
        with np.errstate(over="ignore"):
            query = np.asarray(vector, dtype=np.float32)
        if not np.isfinite(query).all():
            raise QueryError("vector", "the vector holds a number that is not finite in float32")
        return query


def _draw_canary(size: int) -> bytes:
    """A picture that is the same in every run: two slopes and a band, as the bytes of a PNG."""
    slope = np.linspace(0, 1, size, dtype=np.float32)
    band = (np.abs(slope - 0.5) < 0.2).astype(np.float32)
    return to_png(np.stack(np.broadcast_arrays(slope[:, None], slope[None, :], band[:, None] * band[None, :])))
