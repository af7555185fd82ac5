"""Fitting the confidence that a picture shows a shoe: photo views against pictures without any shoe."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from model.checkpoint import Checkpoint
from model.confidence import ConfidenceModel, expand, rate_found
from model.embedder import Embedder
from model.preprocess import Preprocessor
from model.progress import track
from training.photos.backgrounds import add_decoys, pick_background
from training.photos.views import CANVASES

if TYPE_CHECKING:
    from training.train import Run

PLAIN_SHARE = 0.25
"""Share of the empty scenes that are objects on a plain, bright ground, as catalogue pictures of other things are."""

NOISE_SHARE = 0.05
"""Share of them that are noise."""

MOST_SHOES = 2_000
"""Shoes at most that the regression is fitted on, each by a photo and by its catalogue picture."""

PENALTY = 1e-2
"""Weight of the squared coefficients of standardised features in the regression's mean loss."""


class FramedPictures(NamedTuple):
    """M pictures after the preprocessing, as the network gets them.

    Attributes:
        pixels: (M, C, H, W) uint8.
        found: (M,), how sure the localizer was, as `model.confidence.rate_found` gives it.
    """

    pixels: NDArray[np.uint8]
    found: NDArray[np.float64]


def make_empty_scenes(bank: NDArray[np.uint8], preprocessor: Preprocessor, count: int, *, seed: int) -> FramedPictures:
    """Draw pictures without a shoe.

    Args:
        bank: (M, side, side, 3), backgrounds.
        preprocessor: with the localizer, which takes something else for a shoe in some of them.
        count: M.
        seed: of everything random.
    """
    config = preprocessor.config
    pixels = np.empty((count, config.channels, config.size, config.size), dtype=np.uint8)
    found = np.empty(count)
    for index in track(range(count), desc="scenes", unit="scenes", total=count):
        random = np.random.default_rng([seed, 5, index])
        size = CANVASES[int(random.integers(len(CANVASES)))]
        kind = random.random()
        if kind < NOISE_SHARE:
            canvas = random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        elif kind < NOISE_SHARE + PLAIN_SHARE:
            ground = np.full((size[1], size[0], 3), int(random.integers(225, 256)), dtype=np.uint8)
            canvas = add_decoys(random, ground, bank)
        else:
            canvas = add_decoys(random, pick_background(random, bank, size), bank)
        framed = preprocessor.frame_picture(Image.fromarray(canvas))
        pixels[index], found[index] = framed.pixels, rate_found(framed.subject)
    return FramedPictures(pixels, found)


def learn_confidence(checkpoint: Checkpoint, run: "Run") -> ConfidenceModel | None:
    """The confidence of a network that has learned from photos; None for another. Of its scenes, half calibrate."""
    if run.scenes is None or run.views is None:
        return None
    usable = torch.nonzero(run.views.usable[:, 0]).flatten()[:MOST_SHOES]
    if not len(usable):
        return None
    embedder = Embedder(checkpoint, device=run.device)

    def describe(*parts: FramedPictures) -> NDArray[np.float64]:
        return np.concatenate([expand(embedder.embed_pixels(each.pixels), each.found) for each in parts])

    middle = len(run.scenes.pixels) // 2
    first = FramedPictures(run.scenes.pixels[:middle], run.scenes.found[:middle])
    second = FramedPictures(run.scenes.pixels[middle:], run.scenes.found[middle:])
    photos = FramedPictures(run.views.pixels[usable, 0].numpy(), run.views.found[usable, 0].numpy())
    # Catalogue pictures as well: they are asked about, and pictures of other things on white are among the scenes.
    return fit_confidence(
        Samples(describe(photos, as_plain(run.pixels[usable].numpy())), describe(first)),
        Samples(describe(run.validation.photos, as_plain(run.validation.pictures)), describe(second)),
    )


def as_plain(pixels: NDArray[np.uint8]) -> FramedPictures:
    """Catalogue pictures, (M, C, H, W), which the localizer need not look at."""
    return FramedPictures(pixels, np.ones(len(pixels)))


class Samples(NamedTuple):
    """Features of pictures with a shoe and of pictures without: (P, F) and (Q, F)."""

    shoes: NDArray[np.float64]
    others: NDArray[np.float64]


def fit_confidence(known: Samples, held_out: Samples) -> ConfidenceModel:
    """Fit a logistic regression on `known`, and calibrate it on `held_out`.

    Both classes weigh alike. The calibration is Platt's, with his smoothed targets, so that classes that do not overlap
    do not make it certain ("Probabilistic Outputs for Support Vector Machines", 1999, section 2.2).

    Args:
        known: of shoes that the network was trained on.
        held_out: of shoes that it was not; where it has fewer than one of either, nothing is calibrated.
    """
    features = np.concatenate(known)
    centre, spread = features.mean(axis=0), features.std(axis=0) + 1e-6
    weights, bias = _regress((known.shoes - centre) / spread, (known.others - centre) / spread, PENALTY)
    weights = weights / spread
    bias -= float(weights @ centre)
    if len(held_out.shoes) and len(held_out.others):
        scores = [each @ weights + bias for each in held_out]
        targets = (len(scores[0]) + 1) / (len(scores[0]) + 2), 1 / (len(scores[1]) + 2)
        slope, shift = _regress(scores[0][:, None], scores[1][:, None], 0.0, targets)
        if slope[0] > 0:
            weights, bias = weights * slope[0], bias * float(slope[0]) + shift
    return ConfidenceModel(float(bias), tuple(float(value) for value in weights))


def _regress(
    positive: NDArray[np.float64],
    negative: NDArray[np.float64],
    penalty: float,
    targets: tuple[float, float] = (1.0, 0.0),
) -> tuple[NDArray[np.float64], float]:
    """Coefficients (F,) and intercept by which the features (P, F) are told from (Q, F): they get these targets."""
    features = torch.from_numpy(np.concatenate([positive, negative]))
    counts = len(positive), len(negative)
    labels = torch.cat([torch.full((count,), each).double() for count, each in zip(counts, targets, strict=True)])
    shares = torch.cat([torch.full((count,), 0.5 / count).double() for count in counts])
    weights = torch.zeros(features.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        losses = functional.binary_cross_entropy_with_logits(features @ weights + bias, labels, reduction="none")
        loss = (losses * shares).sum() + penalty * weights.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return weights.detach().numpy(), bias.item()
