"""The pictures of MNIST's report: reconstructions, samples, interpolations, t-SNE maps and learning curves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.utils import make_grid

from model.embedder import Embedder
from model.preprocess import to_pixels
from training.data.images import ImageSet
from training.data.labels import Labels, encode_labels
from training.data.mnist import DIGIT
from training.figures.maps import Panel, draw_map
from training.figures.pictures import PictureRow, draw_picture_rows, draw_reconstructions
from training.figures.sheet import MARGIN, Sheet
from training.figures.tsne import tsne
from training.reproduce.common.report import draw_learning_curves
from training.reproduce.common.runs import Trained
from training.reproduce.mnist.measures import parts_of

MAPPED_OF_EACH = 120
"""Pictures of each digit on a map; the time of t-SNE grows with the square of their number."""

SAMPLES = 8
STEPS = 11
ROWS = 8


@dataclass(frozen=True)
class _Drawer:
    """One network, ready to draw."""

    trained: Trained
    embedder: Embedder

    @property
    def title(self) -> str:
        return self.trained.recipe.title

    def decode(self, vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
        """(B, D) -> (B, C, H, W) uint8."""
        return to_pixels(self.embedder.decode(vectors))


def draw_pictures(
    networks: Sequence[Trained], test: ImageSet, *, seed: int, device: str | torch.device
) -> Iterator[tuple[str, str, bytes]]:
    """Draw everything that the report shows, of held-out pictures and samples that `seed` chooses.

    Yields:
        heading, file name and PNG.
    """
    drawers = [_Drawer(each, Embedder(each.checkpoint, device=device)) for each in networks]
    labels = encode_labels(test.attributes, DIGIT)
    chosen = _some_of_each(labels, MAPPED_OF_EACH, seed)
    one_each = _some_of_each(labels, 1, seed)
    yield "Reconstructions", "reconstructions.png", _draw_reconstructions(drawers, test, one_each)
    yield "Samples", "samples.png", _draw_samples(drawers, seed)
    yield "Interpolations", "interpolations.png", _draw_interpolations(drawers[-2:], test, one_each)
    sliced = [each for each in drawers if DIGIT in parts_of(each.trained.checkpoint)]
    if sliced:
        yield "The digit's slice exchanged", "swaps.png", _draw_swaps(sliced[-1], test, labels, one_each)
    yield "Maps", "maps.png", _draw_maps(drawers, test, labels, chosen)
    curves = draw_learning_curves(networks, "triplet term, each recipe's own")
    yield "Loss curves", "curves.png", curves


def _some_of_each(labels: Labels, count: int, seed: int) -> NDArray[np.intp]:
    """Indices of at most `count` random pictures of each value, in the values' order."""
    rng = np.random.default_rng(seed)
    members = (np.flatnonzero(column) for column in labels.table.T)
    return np.concatenate([rng.permutation(each)[:count] for each in members])


def _draw_reconstructions(drawers: Sequence[_Drawer], test: ImageSet, chosen: NDArray[np.intp]) -> bytes:
    pixels = test.pixels[chosen]
    rows = []
    for each in drawers:
        pictures = each.decode(each.embedder.embed_pixels(pixels))
        error = np.square((pictures.astype(np.float64) - pixels) / 255.0).mean()
        rows.append(PictureRow(each.title, pictures, f"squared error {error:.4f}"))
    return draw_reconstructions(pixels, rows, note="each network's picture of the mean vector; errors of these alone")


def _draw_samples(drawers: Sequence[_Drawer], seed: int) -> bytes:
    side, gap = 2.6, 0.25
    sheet = Sheet(2 * MARGIN + len(drawers) * (side + gap) - gap, 2 * MARGIN + 0.95 + side)
    sheet.head("Samples", "the decoder's pictures of draws from the prior, the same for all networks")
    noise = np.random.default_rng(seed).standard_normal((SAMPLES**2, drawers[0].embedder.dimension))
    for place, each in enumerate(drawers):
        x = MARGIN + place * (side + gap)
        sheet.write(x, MARGIN + 0.8, each.title, size=10, bold=True)
        pictures = each.decode(noise.astype(np.float32))
        grid = make_grid(torch.from_numpy(pictures), nrow=SAMPLES, padding=0)
        sheet.paste(grid.numpy(), x, MARGIN + 0.95, side)
    return sheet.to_png()


def _draw_interpolations(drawers: Sequence[_Drawer], test: ImageSet, chosen: NDArray[np.intp]) -> bytes:
    """Straight lines between the mean vectors of pictures of different digits."""
    pairs = list(zip(chosen[: ROWS // 2 * 2 : 2], chosen[1::2], strict=False))[:4]
    share = np.linspace(0.0, 1.0, STEPS, dtype=np.float32)[:, None]
    rows = []
    for start, end in pairs:
        for each in drawers:
            first, last = each.embedder.embed_pixels(test.pixels[[start, end]])
            line = each.decode(((1 - share) * first + share * last).astype(np.float32))
            rows.append(PictureRow(each.title, np.concatenate([test.pixels[[start]], line, test.pixels[[end]]])))
    note = "left and right the pictures; between them what is decoded on the straight line of their mean vectors"
    return draw_picture_rows("Interpolations", note, rows)


def _draw_swaps(drawer: _Drawer, test: ImageSet, labels: Labels, chosen: NDArray[np.intp]) -> bytes:
    """Each picture with the digit's slice of each other digit."""
    start, stop = parts_of(drawer.trained.checkpoint)[DIGIT]
    means = drawer.embedder.embed_pixels(test.pixels)
    centres = np.stack([means[column, start:stop].mean(axis=0) for column in labels.table.T])
    rows = []
    for picture in chosen[:ROWS]:
        swapped = np.repeat(means[[picture]], len(centres), axis=0)
        swapped[:, start:stop] = centres
        name = labels.values[int(labels.table[picture].argmax())]
        rows.append(PictureRow(f"a {name}", np.concatenate([test.pixels[[picture]], drawer.decode(swapped)])))
    note = f"{drawer.title}: left the picture; then its vector with the slice {DIGIT} of each digit's mean, 0 to 9"
    return draw_picture_rows("The digit's slice exchanged: what the decoder takes from it", note, rows)


def _draw_maps(drawers: Sequence[_Drawer], test: ImageSet, labels: Labels, chosen: NDArray[np.intp]) -> bytes:
    panels = []
    for each in drawers:
        means = each.embedder.embed_pixels(test.pixels[chosen])
        for part, (start, stop) in parts_of(each.trained.checkpoint).items():
            points = tsne(np.ascontiguousarray(means[:, start:stop]))
            panels.append(Panel(points, replace(labels.take(chosen), attribute=f"{each.title}: {part}")))
    note = f"t-SNE of {len(chosen):,} held-out pictures, coloured by digit"
    return draw_map("Maps of the mean vectors", note, panels)
