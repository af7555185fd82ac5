"""Validation metrics on the held-out shoes after each epoch. `training.evaluation` measures in full."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from model.checkpoint import Checkpoint
from model.embedder import Embedder
from model.nearness import Nearness, calibrate
from model.tvae import FREE, INSTANCE, TVAE, to_float
from training.config import TrainConfig
from training.data.images import ImageSet
from training.data.labels import encode_labels
from training.evaluation.metrics import measure_triplets
from training.evaluation.triplet_lists import draw_triplets
from training.objective import name_figure
from training.photos.confidence import FramedPictures

TRIPLETS = 5_000
MAX_SHOES = 1_000
MIN_CALIBRATED = 50
"""Held-out shoes below which scores are left to be calibrated on the catalogue that is served."""

MIN_PHOTOS = 20
"""Photos of held-out shoes below which the slices keep the weight 1."""


class Validation:
    """The held-out shoes, at most 1,000 of which are measured, and triplets of them: drawn once a run."""

    def __init__(self, images: ImageSet, config: TrainConfig) -> None:
        self._count = len(images)
        self._pixels = torch.from_numpy(images.pixels[:MAX_SHOES])
        self._triplets = list(_draw_triplets(images, config))
        self._bounds = config.network.slice_bounds
        self._views, self._box_overlap = None, 0.0
        if images.views is not None and INSTANCE in self._bounds:
            own, number = np.nonzero(images.views.usable[:MAX_SHOES])
            self._views = own, torch.from_numpy(images.views.pixels[own, number])
            self._found = images.views.found[own, number]
            overlaps = images.views.overlaps[:MAX_SHOES]
            self._box_overlap = float(np.nanmean(overlaps)) if np.isfinite(overlaps).any() else 0.0

    @property
    def photos(self) -> FramedPictures:
        """The usable photo views of the held-out shoes."""
        if self._views is None:
            return FramedPictures(self.pictures[:0], np.empty(0))
        return FramedPictures(self._views[1].numpy(), self._found)

    @property
    def pictures(self) -> NDArray[np.uint8]:
        """The catalogue pictures of the held-out shoes: (N, C, H, W) uint8."""
        return self._pixels.numpy()

    def calibrate(self, checkpoint: Checkpoint, device: torch.device) -> dict[str, Nearness]:
        """Calibrate the scores of this checkpoint's distances on the held-out shoes; nothing with fewer than 50."""
        if len(self._pixels) < MIN_CALIBRATED:
            return {}
        vectors = Embedder(checkpoint, device=device).embed_pixels(self.pictures)
        return calibrate(vectors, self._bounds, [condition.name for condition in checkpoint.conditions])

    def __len__(self) -> int:
        """How many shoes are held out."""
        return self._count

    @torch.inference_mode()
    def measure(self, tvae: TVAE, device: torch.device) -> dict[str, float]:
        """Mean squared reconstruction error, and each condition's triplet accuracy. Leaves `tvae` in eval mode.

        With photos, also how often they find their own shoe, and the intersection over union of the localizer's boxes
        and the true ones.

        Args:
            tvae: the network; it is on the device.
            device: where to compute.

        Returns:
            figure -> value; none of fewer than two shoes.
        """
        if self._count < 2:
            return {}
        tvae.eval()
        means, errors = [], []
        for chunk in torch.split(self._pixels, 128):
            batch = to_float(chunk.to(device)).contiguous(memory_format=torch.channels_last)
            mean = tvae.encode(batch).mean
            means.append(mean.cpu())
            errors.append((tvae.decode(mean) - batch).square().flatten(1).mean(dim=1).cpu())
        vectors = torch.cat(means).numpy()
        figures = {"mse": float(torch.cat(errors).mean())}
        if self._views is not None and len(self._views[0]):
            own, photos = self._views[0], self._embed(tvae, self._views[1], device)
            part = slice(*self._bounds[INSTANCE])
            figures |= measure_photos(photos[:, part], vectors[:, part], own)
            figures["photo_box_overlap"] = self._box_overlap
        for name, (start, stop), triplets in self._triplets:
            figures[name] = measure_triplets(vectors[:, start:stop], triplets)
        return figures

    @torch.inference_mode()
    def weigh(self, tvae: TVAE, device: torch.device) -> dict[str, float]:
        """Choose the weight of each slice in whole vectors, by a grid search, where the network learns from photos.

        Chosen on the held-out shoes: by how often a photo finds its own shoe first, and by the triplet accuracy of
        whole vectors, averaged over the conditions; both count alike. Leaves `tvae` in eval mode.

        Returns:
            slice -> factor of its numbers; nothing without an instance slice, or with too few shoes to tell.
        """
        if self._views is None or len(self._views[0]) < MIN_PHOTOS:
            return {}
        tvae.eval()
        vectors = self._embed(tvae, self._pixels, device)
        own, photos = self._views[0], self._embed(tvae, self._views[1], device)

        def score(weights: dict[str, float]) -> float:
            scale = np.concatenate(
                [np.full(stop - start, weights[name]) for name, (start, stop) in self._bounds.items()]
            )
            whole = (vectors * scale).astype(np.float32)
            found = measure_photos((photos * scale).astype(np.float32), whole, own)["photo_recall@1"]
            ordered = [measure_triplets(whole, triplets) for _, _, triplets in self._triplets]
            return found + float(np.mean(ordered)) if ordered else found

        return max(self._candidates(), key=score)

    def _candidates(self) -> Iterator[dict[str, float]]:
        for conditions in (0.3, 0.5, 1.0, 1.5):
            for free in (0.03, 0.1, 0.2, 0.4):
                yield {name: {FREE: free, INSTANCE: 1.0}.get(name, conditions) for name in self._bounds}

    def _embed(self, tvae: TVAE, pixels: torch.Tensor, device: torch.device) -> NDArray[np.float32]:
        """(N, C, H, W) uint8 -> (N, D)."""
        means = [
            tvae.mean(to_float(chunk.to(device)).contiguous(memory_format=torch.channels_last)).cpu()
            for chunk in torch.split(pixels, 128)
        ]
        vectors: NDArray[np.float32] = torch.cat(means).numpy()
        return vectors


def measure_photos(
    photos: NDArray[np.float32], vectors: NDArray[np.float32], own: NDArray[np.intp]
) -> dict[str, float]:
    """How often a photo finds its own shoe among all: first, and among the first ten.

    Args:
        photos: (M, D).
        vectors: (N, D), of the catalogue pictures.
        own: (M,) index of each photo's shoe.
    """
    distances = np.square(vectors).sum(axis=1)[None] - 2.0 * photos @ vectors.T
    # Shoes at the very same distance count as nearer, or a network that puts all at one point would find each first.
    mine = distances[np.arange(len(own)), own][:, None]
    ranks = distances.shape[1] - (distances > mine).sum(axis=1)
    return {"photo_recall@1": float((ranks <= 1).mean()), "photo_recall@10": float((ranks <= 10).mean())}


def _draw_triplets(images: ImageSet, config: TrainConfig) -> Iterator[tuple[str, tuple[int, int], NDArray[np.intp]]]:
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
