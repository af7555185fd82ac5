"""The one definition of an embedding: the posterior's mean, in float32, from a network in eval mode.

Each slice is scaled as the checkpoint's `overall` says, so that Euclidean distances of whole vectors weigh the slices.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.base_checkpoint import BaseCheckpoint
from model.confidence import rate_found
from model.framing import Subject
from model.preprocess import ImageLimits, Preprocessor

Vector = NDArray[np.float32]
"""Embeddings: (D,) or (B, D)."""

Pixels = NDArray[np.uint8]
"""Preprocessed pictures: (B, C, H, W)."""

CHUNK = 64
"""Pictures that go through the network at once: large enough to be fast, small enough to stay in cache."""


class PictureEmbedder(Protocol):
    """What a service asks of an embedder; `Embedder` is one."""

    @property
    def dimension(self) -> int:
        """D: the size of a vector."""
        ...

    @property
    def preprocessor(self) -> Preprocessor:
        """Decodes the pictures' bytes."""
        ...

    def embed_pixels(self, pixels: Pixels, /) -> Vector:
        """(B, C, H, W) uint8 -> (B, D) float32."""
        ...

    def decode(self, vectors: Vector, /) -> NDArray[np.float32]:
        """(B, D) float32 -> (B, C, H, W) float32 in [0, 1]."""
        ...

    def estimate_confidence(self, vectors: Vector, subjects: Sequence[Subject | None], /) -> list[float] | None:
        """How likely each picture shows a shoe: (B, D) float32 and B -> B in [0, 1]; None if it can't tell."""
        ...


class Embedder:
    """Pictures to mean vectors, and vectors back to pictures. Safe in many threads: nothing in it changes.

    Attributes:
        checkpoint: that it was made of.
        networks: the checkpoint's, on `device`.
    """

    def __init__(
        self, checkpoint: BaseCheckpoint, *, limits: ImageLimits | None = None, device: object = "cpu"
    ) -> None:
        """Open the networks. `device` is torch's, or its name."""
        self.checkpoint, self.device = checkpoint, str(device)
        self.networks = checkpoint.open_networks(self.device)
        self.preprocessor = Preprocessor(checkpoint.preprocess, limits, self.networks.localizer)

    @property
    def dimension(self) -> int:
        """D: the size of a vector."""
        return self.checkpoint.network.latent_size

    @property
    def slices(self) -> dict[str, tuple[int, int]]:
        """Slice name -> (start, stop) in the vector."""
        return self.checkpoint.network.slice_bounds

    def embed(self, images: Sequence[bytes]) -> NDArray[np.float32]:
        """Decode and embed the bytes of B pictures -> (B, D) float32. Raises ImageError for the first bad one."""
        return self.embed_pixels(np.stack([self.preprocessor.decode(image) for image in images]))

    def embed_pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed preprocessed pictures: (B, C, H, W) uint8 -> (B, D) float32."""
        vectors = np.empty((len(pixels), self.dimension), dtype=np.float32)
        for start in range(0, len(pixels), CHUNK):
            vectors[start : start + CHUNK] = self.networks.embed(pixels[start : start + CHUNK])
        return vectors

    def estimate_confidence(
        self, vectors: NDArray[np.float32], subjects: Sequence[Subject | None]
    ) -> list[float] | None:
        """How likely each picture shows a shoe such as the network learned from.

        Args:
            vectors: (B, D).
            subjects: B, what of each picture was taken for the shoe.

        Returns:
            B probabilities; None where the checkpoint can't tell.
        """
        model = self.checkpoint.confidence
        return None if model is None else model.estimate(vectors, [rate_found(each) for each in subjects]).tolist()

    def decode(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Draw what vectors stand for: (B, D) float32 -> (B, C, H, W) float32 in [0, 1]."""
        return self.networks.decode(vectors)
