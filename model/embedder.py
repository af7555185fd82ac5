"""The one definition of an embedding: the posterior's mean, in float32, from a network in eval mode.

Each slice is scaled as the checkpoint's `overall` says, so that Euclidean distances of whole vectors weigh the slices.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from model.checkpoint import Checkpoint
from model.confidence import rate_found
from model.errors import QueryError
from model.framing import Subject, hide_scale
from model.inference import fold_norms, prepare_network
from model.preprocess import ImageLimits, Preprocessor, to_float

__all__ = ["Embedder", "PictureEmbedder", "Pixels", "Vector", "pick_device"]

Vector = NDArray[np.float32]
"""Embeddings: (D,) or (B, D)."""

Pixels = NDArray[np.uint8]
"""Preprocessed pictures: (B, C, H, W)."""

CHUNK = 64
"""Pictures that go through the network at once: large enough to be fast, small enough to stay in cache."""


def pick_device(name: str) -> torch.device:
    """The device of that name, in upper or lower case; `auto` is the GPU where there is one, else the CPU.

    Raises:
        QueryError: no such device on this machine.
    """
    name = name.lower()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (AssertionError, RuntimeError) as error:
        raise QueryError("device", f"device {name!r} can't be used here; expected auto, cpu or cuda") from error
    return device


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
        scale: (D,) float32, what the numbers of the posterior's mean are multiplied by.
    """

    def __init__(
        self, checkpoint: Checkpoint, *, limits: ImageLimits | None = None, device: str | torch.device = "cpu"
    ) -> None:
        self.checkpoint = checkpoint
        self.preprocessor = Preprocessor(
            checkpoint.preprocess, limits, None if checkpoint.localizer is None else fold_norms(checkpoint.localizer)
        )
        self.device = torch.device(device)
        self._tvae = prepare_network(checkpoint.tvae.to(device=self.device).eval())
        self.scale = np.ones(self.dimension, dtype=np.float32)
        for name, (start, stop) in self.slices.items():
            self.scale[start:stop] = checkpoint.overall.get(name, 1.0)

    @property
    def dimension(self) -> int:
        """D: the size of a vector."""
        return self._tvae.config.latent_size

    @property
    def slices(self) -> dict[str, tuple[int, int]]:
        """Slice name -> (start, stop) in the vector."""
        return self._tvae.config.slice_bounds

    def embed(self, images: Sequence[bytes]) -> NDArray[np.float32]:
        """Decode and embed the bytes of B pictures -> (B, D) float32. Raises ImageError for the first bad one."""
        return self.embed_pixels(np.stack([self.preprocessor.decode(image) for image in images]))

    @torch.inference_mode()
    def embed_pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed preprocessed pictures: (B, C, H, W) uint8 -> (B, D) float32."""
        vectors = np.empty((len(pixels), self.dimension), dtype=np.float32)
        for start in range(0, len(pixels), CHUNK):
            images = to_float(torch.from_numpy(pixels[start : start + CHUNK]).to(self.device))
            mean = self._tvae.mean(images.contiguous(memory_format=torch.channels_last))
            vectors[start : start + CHUNK] = mean.cpu().numpy()
        vectors *= self.scale
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

    @torch.inference_mode()
    def decode(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Draw what vectors stand for: (B, D) float32 -> (B, C, H, W) float32 in [0, 1]."""
        images = self._tvae.decode(torch.from_numpy(vectors / self.scale).to(self.device))
        if self.checkpoint.preprocess.framing == "subject":
            images = hide_scale(images)
        pictures: NDArray[np.float32] = images.cpu().contiguous().numpy()
        return pictures
