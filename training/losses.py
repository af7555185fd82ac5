"""Loss terms as pure functions of tensors. `training.objective` weighs and adds them.

Everything of the ELBO is in nats per picture, so that the terms and the literature can be compared.
"""

import math
from typing import Literal

import torch
from torch.nn import functional

from model.tvae import Posterior

Likelihood = Literal["bernoulli", "gaussian"]


def reconstruction_loss(
    logits: torch.Tensor, images: torch.Tensor, likelihood: Likelihood, std: float = 0.1
) -> torch.Tensor:
    """-log p(image | latent), for each picture.

    Args:
        logits: (B, C, H, W), the decoder's output before its sigmoid.
        images: (B, C, H, W) in [0, 1]. Grey levels are taken as the Bernoulli's expectation, as is usual for MNIST.
        likelihood: `bernoulli`, or `gaussian` around the sigmoid of the logits.
        std: the Gaussian's standard deviation, in units of the pixels' range.

    Returns:
        (B,) nats.
    """
    # Summed as it lies in memory, and scaled once it is small: flattening would copy a picture of channels last.
    if likelihood == "bernoulli":
        return functional.binary_cross_entropy_with_logits(logits, images, reduction="none").sum(dim=(1, 2, 3))
    squares = (torch.sigmoid(logits) - images).square().sum(dim=(1, 2, 3))
    pixels = images[0].numel()
    return squares * (0.5 / std**2) + pixels * (math.log(std) + 0.5 * math.log(2 * math.pi))


def kl_divergence(posterior: Posterior) -> torch.Tensor:
    """KL(q || N(0, I)) for each picture, in closed form (Kingma & Welling, 2014, appendix B). Returns (B,) nats."""
    mean, log_variance = posterior
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(dim=1)


def pairwise_distances(vectors: torch.Tensor, others: torch.Tensor | None = None) -> torch.Tensor:
    """Euclidean distances between all rows: (B, D) -> (B, B), or from them to other rows: (B, D), (C, D) -> (B, C).

    The gradient of a distance of 0 is taken as 0 rather than infinite.
    """
    others = vectors if others is None else others
    products = vectors @ others.T
    squared = vectors.square().sum(dim=1)[:, None] + others.square().sum(dim=1)[None, :]
    square = (squared - 2.0 * products).clamp_min(0.0)
    return torch.where(square > 1e-12, square, torch.ones_like(square)).sqrt() * (square > 1e-12)


def triplet_loss(
    distances: torch.Tensor, triplets: torch.Tensor, margin: float, *, smooth: bool = False
) -> torch.Tensor:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), averaged (Schroff et al., FaceNet, 2015).

    Args:
        distances: (A, B) between anchors and others: usually the mean vectors of one batch.
        triplets: (M, 3) indices: anchor, positive, negative.
        margin: in units of the distances.
        smooth: log(1 + exp(.)) in place of max(0, .): triplets that are in order go on being pulled apart, ever less
            (Hermans et al., "In Defense of the Triplet Loss", 2017, section 2).

    Returns:
        () mean over the triplets; 0, with a gradient of 0, where there are none.
    """
    if len(triplets) == 0:
        return distances.sum() * 0.0
    anchor, positive, negative = triplets.unbind(dim=1)
    excess = distances[anchor, positive] - distances[anchor, negative] + margin
    return (functional.softplus(excess) if smooth else excess.clamp_min(0.0)).mean()


def instance_loss(photos: torch.Tensor, references: torch.Tensor, temperature: float) -> torch.Tensor:
    """Cross-entropy that a photo is nearest to the catalogue picture of its own shoe, and that to it.

    The smooth form of a triplet term whose anchor is a photo, whose positive is the same shoe's catalogue picture, and
    whose negatives are all other shoes of the batch (van den Oord et al., "Representation Learning with Contrastive
    Predictive Coding", 2018; both directions as in Radford et al., CLIP, 2021).

    Args:
        photos: (B, D).
        references: (B, D), of the same shoes in the same order.
        temperature: of the softmax over cosines.

    Returns:
        () nats.
    """
    cosines = functional.normalize(photos, dim=1) @ functional.normalize(references, dim=1).T / temperature
    own = torch.arange(len(photos), device=photos.device)
    return 0.5 * (functional.cross_entropy(cosines, own) + functional.cross_entropy(cosines.T, own))


def label_loss(logits: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """-log of the probability that a classifier gives to a shoe's values, all of them together.

    Args:
        logits: (B, V), of each value of an attribute.
        table: (B, V), not 0 for the values that a shoe has.

    Returns:
        (B,) nats; 0, with a gradient of 0, for a shoe without a value.
    """
    log_probabilities = functional.log_softmax(logits.float(), dim=1)
    known = table.any(dim=1)
    # A shoe without a value gets all of them, whose probability is 1 whatever the logits are.
    allowed = (table > 0) | ~known[:, None]
    return -torch.logsumexp(log_probabilities.masked_fill(~allowed, -torch.inf), dim=1)
