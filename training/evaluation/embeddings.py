"""Embeddings of the evaluated shoes: by checkpoints, and by bare pixels as the baseline."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from model.checkpoint import Checkpoint, Condition
from model.embedder import Embedder
from model.errors import TrainingError
from model.framing import hide_scale
from model.nearness import OVERALL
from model.progress import progress
from training.data.images import ImageSet
from training.evaluation.elbo import NegativeElbo, measure_elbo, read_observation
from training.evaluation.metrics import Reconstruction, Vectors, measure_reconstruction

__all__ = ["OVERALL", "Embedding", "embed_pixels", "embed_shoes"]

SAMPLE_SEED = 0
"""Seed of the posterior samples: fixed, so that the figures of two evaluations can be compared."""


@dataclass(frozen=True)
class Embedding:
    """The evaluated shoes as vectors.

    Attributes:
        name: for tables.
        digest: of the checkpoint; "" for pixels.
        vectors: (N, D).
        slices: name -> (start, stop).
        conditions: what the slices were trained for.
        reconstruction: None for pixels.
        elbo: None for pixels, and for a checkpoint whose facts do not say what likelihood it was trained with.
        decode: vectors -> pictures in [0, 1]; None for pixels.
    """

    name: str
    digest: str
    vectors: Vectors
    slices: Mapping[str, tuple[int, int]]
    conditions: tuple[Condition, ...] = ()
    reconstruction: Reconstruction | None = None
    elbo: NegativeElbo | None = None
    decode: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None

    def parts(self) -> dict[str, Vectors]:
        """The trained slices' vectors and, last, the whole ones."""
        bounds = [(condition.name, self.slices[condition.name]) for condition in self.conditions]
        whole = (0, self.vectors.shape[1])
        parts = {name: self.vectors[:, start:stop] for name, (start, stop) in bounds if (start, stop) != whole}
        return {**parts, OVERALL: self.vectors}

    def answers(self, part: str, task: str) -> bool:
        """Is this slice to be measured by that attribute? The whole vector is, by all."""
        named = [condition for condition in self.conditions if condition.name == part]
        return part == OVERALL or any(task in (part, *condition.attributes) for condition in named)


def embed_shoes(name: str, checkpoint: Checkpoint, images: ImageSet, embedder: Embedder) -> Embedding:
    """Mean vectors of the shoes, how well they decode, and how likely the network finds the pictures.

    `embedder` is the checkpoint's.
    """
    vectors = np.empty((len(images), embedder.dimension), dtype=np.float32)
    with progress(desc=f"embed {name}", unit="images", total=len(images)) as shown:
        for start in range(0, len(images), 512):
            part = embedder.embed_pixels(images.pixels[start : start + 512])
            vectors[start : start + 512] = part
            shown.update(len(part))
    if not np.isfinite(vectors).all():
        raise TrainingError(f"checkpoint {name} gives vectors that are not finite: its training went astray")
    return Embedding(
        name=name,
        digest=checkpoint.digest,
        vectors=vectors,
        slices=embedder.slices,
        conditions=checkpoint.conditions,
        reconstruction=measure_reconstruction(_as_drawn(images.pixels, embedder), vectors, embedder.decode),
        elbo=_measure_elbo(checkpoint, images, torch.device(embedder.device)),
        decode=embedder.decode,
    )


def _measure_elbo(checkpoint: Checkpoint, images: ImageSet, device: torch.device) -> NegativeElbo | None:
    observation = read_observation(checkpoint)
    if observation is None:
        return None
    generator = torch.Generator().manual_seed(SAMPLE_SEED)
    return measure_elbo(checkpoint.tvae, images.pixels, observation, generator=generator, device=device)


def embed_pixels(images: ImageSet) -> Embedding:
    """The pictures themselves as vectors: the baseline that an embedding has to beat."""
    return Embedding("pixel distance", "", images.pixels.reshape(len(images), -1), {})


def _as_drawn(pixels: NDArray[np.uint8], embedder: Embedder) -> NDArray[np.uint8]:
    """Pictures (N, C, H, W) as the embedder draws them: without the mark of their scale."""
    if embedder.preprocessor.config.framing != "subject":
        return pixels
    drawn: NDArray[np.uint8] = hide_scale(torch.from_numpy(pixels)).numpy()
    return drawn
