"""Photo views: each training shoe as people would photograph it, taken through the very preprocessing of the service.

The network that learns from them sees the localizer's own mistakes: rags of background, lost heels, shadows.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from model.confidence import rate_found
from model.framing import Box, box_of
from model.preprocess import Framed, Preprocessor
from model.progress import track
from training.execution import Execution
from training.photos.backgrounds import add_decoys, pick_background
from training.photos.composites import Composite, CompositeConfig, compose
from training.photos.outlines import Outlined

CANVASES = ((192, 144), (144, 192), (160, 160))
LEAST_OVERLAP = 0.4
"""Intersection over union of the found box and the true one below which a view is not of its shoe, and is not used."""


class Views(NamedTuple):
    """K photo views of each of N shoes.

    Attributes:
        pixels: (N, K, C, H, W) uint8.
        usable: (N, K) bool: the localizer found the shoe.
        mirrored: (N, K) bool: the shoe points the other way than in the catalogue.
        overlaps: (N, K), intersection over union of the found box and the true one; 0 where none was found, NaN for a
            shoe that could not be photographed.
        found: (N, K), how sure the localizer was of it, as `model.confidence.rate_found` gives it.
    """

    pixels: NDArray[np.uint8]
    usable: NDArray[np.bool_]
    mirrored: NDArray[np.bool_]
    overlaps: NDArray[np.float64]
    found: NDArray[np.float64]

    def take(self, indices: Sequence[int]) -> "Views":
        """The views of the shoes at these indices, in this order."""
        return Views(
            self.pixels[indices],
            self.usable[indices],
            self.mirrored[indices],
            self.overlaps[indices],
            self.found[indices],
        )


class _View(NamedTuple):
    framed: Framed
    overlap: float
    mirrored: bool


def make_views(
    shoes: Sequence[Outlined | None],
    bank: NDArray[np.uint8],
    preprocessor: Preprocessor,
    count: int,
    *,
    seed: int,
    workers: int = 1,
) -> Views:
    """Photograph each shoe `count` times. The same seed gives the same views.

    Args:
        shoes: N; None for a shoe without an outline, which gets no usable view.
        bank: (M, side, side, 3), backgrounds.
        preprocessor: with the localizer.
        count: K.
        seed: of everything random.
        workers: threads.
    """
    config = preprocessor.config
    pixels = np.zeros((len(shoes), count, config.channels, config.size, config.size), dtype=np.uint8)
    usable = np.zeros((len(shoes), count), dtype=np.bool_)
    mirrored = np.zeros_like(usable)
    overlaps = np.full((len(shoes), count), np.nan)
    found = np.zeros((len(shoes), count))

    def photograph(index: int) -> list[_View]:
        shoe = shoes[index]
        if shoe is None:
            return []
        random = np.random.default_rng([seed, 3, index])
        return [_view(photo, preprocessor) for photo in draw_photos(shoe, bank, random, count)]

    # The workers' localizers together take as many processors as torch would for one.
    each_one = Execution(max(1, torch.get_num_threads() // workers), "float32")
    with each_one.applied(), ThreadPoolExecutor(workers) as pool:
        made = track(pool.map(photograph, range(len(shoes))), desc="photos", unit="shoes", total=len(shoes))
        for index, views in enumerate(made):
            for number, (view, overlap, turned) in enumerate(views):
                pixels[index, number], usable[index, number] = view.pixels, overlap >= LEAST_OVERLAP
                mirrored[index, number] = turned
                overlaps[index, number] = overlap
                found[index, number] = rate_found(view.subject)
    return Views(pixels, usable, mirrored, overlaps, found)


def draw_photos(
    shoe: Outlined, bank: NDArray[np.uint8], random: np.random.Generator, count: int
) -> Iterator[Composite]:
    """Photos of a shoe, each on another background."""
    for _ in range(count):
        canvas = CANVASES[int(random.integers(len(CANVASES)))]
        background = add_decoys(random, pick_background(random, bank, canvas), bank)
        halo = shoe.halo if random.random() < 0.7 else None
        yield compose(random, shoe.pixels, shoe.outline, background, CompositeConfig(), halo=halo)


def _view(photo: Composite, preprocessor: Preprocessor) -> _View:
    framed = preprocessor.frame_picture(Image.fromarray(photo.pixels))
    true = box_of(photo.mask > 0.5)
    if framed.subject is None or true is None:
        return _View(framed, 0.0, photo.mirrored)
    return _View(framed, box_overlap(framed.subject.box, true), photo.mirrored)


def box_overlap(first: Box, second: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(first.left + first.width, second.left + second.width) - max(first.left, second.left)
    height = min(first.top + first.height, second.top + second.height) - max(first.top, second.top)
    shared = max(0.0, width) * max(0.0, height)
    return shared / (first.width * first.height + second.width * second.height - shared)
