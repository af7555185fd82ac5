"""A quick look at the held-out shoes after each epoch. The full measurements are in `evaluate`."""

from collections.abc import Iterator

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

__all__ = ["Validation"]

TRIPLETS = 5_000
MAX_SHOES = 1_000


class Validation:
    """The shoes held out, of which at most 1,000 are looked at, and the triplets to measure by: made once a run."""

    def __init__(self, images: ImageSet, config: TrainConfig) -> None:
        self._count = len(images)
        self._pixels = torch.from_numpy(images.pixels[:MAX_SHOES])
        self._questions = list(_ask(images, config))

    def __len__(self) -> int:
        """How many shoes are held out."""
        return self._count

    @torch.inference_mode()
    def measure(self, tvae: TVAE, device: torch.device) -> dict[str, float]:
        """Mean squared reconstruction error, and each condition's triplet accuracy. Leaves `tvae` in eval mode.

        Args:
            tvae: the network; it is on the device.
            device: where to compute.
        """
        tvae.eval()
        means, errors = [], []
        for chunk in torch.split(self._pixels, 128):
            batch = to_float(chunk.to(device)).contiguous(memory_format=torch.channels_last)
            mean = tvae.encode(batch).mean
            means.append(mean.cpu())
            errors.append((tvae.decode(mean) - batch).square().flatten(1).mean(dim=1).cpu())
        vectors = torch.cat(means).numpy()
        figures = {"mse": float(torch.cat(errors).mean())}
        for name, (start, stop), triplets in self._questions:
            figures[name] = measure_triplets(vectors[:, start:stop], triplets)
        return figures


def _ask(images: ImageSet, config: TrainConfig) -> Iterator[tuple[str, tuple[int, int], NDArray[np.intp]]]:
    """Each figure's name, its slice's bounds, and (M, 3) triplets; nothing where the labels allow no triplet."""
    bounds = config.network.slice_bounds
    for condition in config.conditions:
        for attribute in condition.attributes:
            triplets = _draw(images, attribute, config.seed)
            if len(triplets):
                name = f"triplet_accuracy/{name_figure(condition.name, attribute)}"
                yield name, bounds[condition.name], triplets


def _draw(images: ImageSet, attribute: str, seed: int) -> NDArray[np.intp]:
    attributes = images.attributes[:MAX_SHOES]
    values = {value for each in attributes for value in each.get(attribute, ())}
    if len(values) < 2:
        return np.empty((0, 3), dtype=np.intp)
    return draw_triplets(encode_labels(attributes, attribute), TRIPLETS, seed)
