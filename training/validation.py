"""A quick look at the held-out shoes after each epoch. The full measurements are in `evaluate`."""

import numpy as np
import torch
from numpy.typing import NDArray

from model.preprocess import to_float
from model.tvae import TVAE
from training.config import TrainConfig
from training.data.images import ImageSet
from training.labels import encode_labels
from training.triplet_lists import draw_triplets

__all__ = ["validate"]

TRIPLETS = 5_000
MAX_SHOES = 1_000


@torch.inference_mode()
def validate(tvae: TVAE, images: ImageSet, config: TrainConfig, device: torch.device) -> dict[str, float]:
    """Mean squared reconstruction error, and each condition's triplet accuracy, on (at most 1,000 of) the images."""
    tvae.eval()
    pixels = torch.from_numpy(images.pixels[:MAX_SHOES])
    means, errors = [], []
    for chunk in torch.split(pixels, 128):
        batch = to_float(chunk.to(device)).contiguous(memory_format=torch.channels_last)
        mean = tvae.encode(batch).mean
        means.append(mean.cpu())
        errors.append((tvae.decode(mean) - batch).square().flatten(1).mean(dim=1).cpu())
    vectors = torch.cat(means).numpy()
    figures = {"mse": float(torch.cat(errors).mean())}
    bounds = config.network.slice_bounds
    for condition in config.conditions:
        start, stop = bounds[condition.name]
        for attribute in condition.attributes:
            triplets = _triplets(images, attribute, config.seed)
            if len(triplets):
                name = condition.name if condition.name == attribute else f"{condition.name}/{attribute}"
                figures[f"triplet_accuracy/{name}"] = _accuracy(vectors[:, start:stop], triplets)
    return figures


def _triplets(images: ImageSet, attribute: str, seed: int) -> NDArray[np.int64]:
    attributes = images.attributes[:MAX_SHOES]
    values = {value for each in attributes for value in each.get(attribute, ())}
    if len(values) < 2:
        return np.empty((0, 3), dtype=np.int64)
    return draw_triplets(encode_labels(attributes, attribute), TRIPLETS, seed)


def _accuracy(vectors: NDArray[np.float32], triplets: NDArray[np.int64]) -> float:
    anchor, positive, negative = (vectors[triplets[:, column]] for column in range(3))
    near = np.square(anchor - positive).sum(axis=1)
    far = np.square(anchor - negative).sum(axis=1)
    return float((near < far).mean())
