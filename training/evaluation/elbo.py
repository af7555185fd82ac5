"""The negative ELBO and a tighter upper bound of -log p(picture), in nats per picture; lower is better.

A Bernoulli's is a probability's, and at least 0. A Gaussian's is a density's, which may be above 1 and its bound below
0; it depends on the standard deviation, so that only networks of the same one are compared by it.
"""

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from model.checkpoint import Checkpoint
from model.tvae import TVAE, Posterior, reparameterize, to_float
from training.losses import Likelihood, kl_divergence, reconstruction_loss

CHUNK = 250
"""Pictures in a batch."""

IMPORTANCE_SAMPLES = 64
IMPORTANCE_IMAGES = 1000


@dataclass(frozen=True)
class Observation:
    """Observation model: the distribution of the pixels around the decoded picture.

    Attributes:
        likelihood: of each pixel and channel; a Bernoulli takes grey levels as its expectation, as training does.
        std: of the Gaussian, in units of the pixels' range; None for a Bernoulli.
    """

    likelihood: Likelihood
    std: float | None = None

    def loss(self, logits: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """-log p(image | latent): logits and images (B, C, H, W) -> (B,) nats."""
        if self.std is None:
            return reconstruction_loss(logits, images, self.likelihood)
        return reconstruction_loss(logits, images, self.likelihood, self.std)

    def describe(self) -> str:
        """Such as "gaussian, std 0.1"."""
        return self.likelihood if self.std is None else f"{self.likelihood}, std {self.std:g}"


@dataclass(frozen=True)
class NegativeElbo:
    """-ELBO from one sample of the posterior for each picture, with KL weight 1, averaged over the pictures.

    Attributes:
        observation: what the pictures were measured by.
        reconstruction: -log p(picture | sample), in nats per picture.
        kl: of the posterior from the prior, in closed form, in nats per picture.
        dimensions: numbers in a picture: C x H x W.
    """

    observation: Observation
    reconstruction: float
    kl: float
    dimensions: int

    @property
    def total(self) -> float:
        """The bound: nats per picture."""
        return self.reconstruction + self.kl

    @property
    def per_dimension(self) -> float:
        """The bound: nats per pixel and channel."""
        return self.total / self.dimensions


@dataclass(frozen=True)
class Bounds:
    """Two upper bounds of -log p(picture), in nats, averaged over pictures.

    Attributes:
        negative_elbo: from one sample of the posterior for each picture: reconstruction + kl.
        reconstruction: -log p(picture | sample).
        kl: of the posterior from the prior, in closed form.
        importance: the importance-weighted bound (Burda et al., "Importance Weighted Autoencoders", 2016).
        importance_samples: for each picture.
        importance_images: the first so many of the pictures are what it is averaged over.
    """

    negative_elbo: float
    reconstruction: float
    kl: float
    importance: float
    importance_samples: int
    importance_images: int


def read_observation(checkpoint: Checkpoint) -> Observation | None:
    """What the checkpoint was trained with; None where its facts, which are free in their form, do not say."""
    config = checkpoint.training.get("config")
    objective = config.get("objective") if isinstance(config, Mapping) else None
    if not isinstance(objective, Mapping):
        return None
    likelihood, std = objective.get("likelihood"), objective.get("observation_std")
    if likelihood == "bernoulli":
        return Observation("bernoulli")
    if likelihood == "gaussian" and isinstance(std, int | float) and 0 < std < math.inf:
        return Observation("gaussian", float(std))
    return None


@torch.inference_mode()
def measure_elbo(
    tvae: TVAE,
    pixels: NDArray[np.uint8],
    observation: Observation,
    *,
    generator: torch.Generator,
    device: str | torch.device = "cpu",
) -> NegativeElbo:
    """-ELBO of pictures.

    Args:
        tvae: on any device and in any mode; it stays as it is.
        pixels: (N, C, H, W), clean; N > 0.
        observation: how the pixels are distributed.
        generator: of the samples; lives on the CPU.
        device: where to compute.
    """
    tvae = _prepare(tvae, device)
    losses, kls = [], []
    for batch in _chunks(pixels, device):
        posterior = tvae.encode(batch)
        noise = torch.randn(posterior.mean.shape, generator=generator).to(device)
        losses.append(observation.loss(tvae.decode_logits(reparameterize(posterior, noise)), batch))
        kls.append(kl_divergence(posterior))
    return NegativeElbo(
        observation=observation,
        reconstruction=float(torch.cat(losses).double().mean()),
        kl=float(torch.cat(kls).double().mean()),
        dimensions=pixels[0].size,
    )


@torch.inference_mode()
def measure_bounds(
    tvae: TVAE,
    pixels: NDArray[np.uint8],
    observation: Observation,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
    samples: int = IMPORTANCE_SAMPLES,
    images: int = IMPORTANCE_IMAGES,
) -> Bounds:
    """-ELBO of pictures, and the importance-weighted bound of the first `images` of them by `samples` for each.

    The other arguments are those of `measure_elbo`, whose generator starts from `seed`.
    """
    tvae = _prepare(tvae, device)
    generator = torch.Generator().manual_seed(seed)
    elbo = measure_elbo(tvae, pixels, observation, generator=generator, device=device)
    chosen = pixels[:images]
    each = [tighter_bound(tvae, batch, observation, samples, generator) for batch in _chunks(chosen, device)]
    return Bounds(
        negative_elbo=elbo.total,
        reconstruction=elbo.reconstruction,
        kl=elbo.kl,
        importance=float(torch.cat(each).double().mean()),
        importance_samples=samples,
        importance_images=len(chosen),
    )


def tighter_bound(
    tvae: TVAE, images: torch.Tensor, observation: Observation, samples: int, generator: torch.Generator
) -> torch.Tensor:
    """-log of the mean of p(image, z) / q(z | image) over `samples` of z from q: images (B, C, H, W) -> (B,) nats.

    The network is in eval mode where the images are, the generator on the CPU.
    """
    posterior = tvae.encode(images)
    weights = []
    for _ in range(samples):
        noise = torch.randn(posterior.mean.shape, generator=generator).to(images.device)
        latent = reparameterize(posterior, noise)
        log_likelihood = -observation.loss(tvae.decode_logits(latent), images)
        weights.append(log_likelihood + _log_prior_over_posterior(posterior, latent, noise))
    log_mean = torch.stack(weights).double().logsumexp(dim=0) - math.log(samples)
    return -log_mean


def _log_prior_over_posterior(posterior: Posterior, latent: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """By how much p(z) exceeds q(z | image), as logarithms: (B,). The normal density's constants cancel."""
    return 0.5 * (noise.square() + posterior.log_variance - latent.square()).sum(dim=1)


def _prepare(tvae: TVAE, device: str | torch.device) -> TVAE:
    """A copy to measure with, in eval mode."""
    copied = copy.deepcopy(tvae).eval().to(device=device)
    copied.to(memory_format=torch.channels_last)
    return copied


def _chunks(pixels: NDArray[np.uint8], device: str | torch.device) -> Iterator[torch.Tensor]:
    """(B, C, H, W) in [0, 1] on the device."""
    for start in range(0, len(pixels), CHUNK):
        batch = to_float(torch.from_numpy(pixels[start : start + CHUNK]).to(device))
        yield batch.contiguous(memory_format=torch.channels_last)
