"""A quick look at the held-out shoes after each epoch. The full measurements are in `evaluate`."""

import numpy as np
import torch
from numpy.typing import NDArray

from model.preprocess import to_float
from model.tvae import TVAE
from training.config import TrainConfig
from training.data.images import ImageSet
from training.evaluate import measure_triplets
from training.labels import encode_labels
from training.objective import name_figure
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
                name = name_figure(condition.name, attribute)
                figures[f"triplet_accuracy/{name}"] = measure_triplets(vectors[:, start:stop], triplets)
    return figures


def _triplets(images: ImageSet, attribute: str, seed: int) -> NDArray[np.intp]:
    attributes = images.attributes[:MAX_SHOES]
    values = {value for each in attributes for value in each.get(attribute, ())}
    if len(values) < 2:
        return np.empty((0, 3), dtype=np.intp)
    return draw_triplets(encode_labels(attributes, attribute), TRIPLETS, seed)
