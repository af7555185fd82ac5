"""The network: a convolutional variational autoencoder, whose mean vector is cut into named slices.

A triplet loss on the mean vectors (Ishfaq, Liu, "TVAE: Deep Metric Learning Approach for Variational Autoencoder",
2017) is training's business; here is only what encodes and decodes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from model.config import FREE, INSTANCE, NETWORK_PRESETS, Slice, TVAEConfig
from model.layers import downward, upward

__all__ = [
    "FREE",
    "INSTANCE",
    "NETWORK_PRESETS",
    "TVAE",
    "Posterior",
    "Slice",
    "TVAEConfig",
    "reparameterize",
    "to_float",
]

_LOG_VARIANCE_RANGE = (-12.0, 6.0)


class Posterior(NamedTuple):
    """q(latent | image): a diagonal Gaussian. `mean, log_variance: (B, D)`."""

    mean: torch.Tensor
    log_variance: torch.Tensor


class TVAE(nn.Module):
    """Encoder and decoder. Batch normalisation makes train and eval mode differ: embeddings are made in eval mode."""

    def __init__(self, config: TVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.core_size = config.image_size // 2 ** len(config.widths)
        core = config.widths[-1] * self.core_size**2
        self.encoder: nn.Module = _Pair(config) if config.has_two_encoders else _halve(config, config.encoder_blocks)
        self.decoder = nn.Sequential(*upward(config.channels, config.widths, config.blocks, smooth=config.smooth))
        self.to_mean = _head(config, core)
        self.to_log_variance = _head(config, core)
        self.from_latent = nn.Linear(config.latent_size, core)

    def encode(self, images: torch.Tensor, altered: torch.Tensor | None = None) -> Posterior:
        """The posterior of each picture.

        Args:
            images: (B, C, H, W) float in [0, 1].
            altered: (B, C, H, W), in training: what the encoder sees in place of `images`, with a part hidden. Where
                there are two encoders, only the conditions' one sees it.

        Returns:
            mean and log-variance, (B, D) float32 each.
        """
        # Out of any autocast: the mean vector is the product, and eight bits of mantissa would show in distances.
        features = self._features(images, altered)
        with torch.autocast(images.device.type, enabled=False):
            log_variance = self.to_log_variance(features).clamp(*_LOG_VARIANCE_RANGE)
            return Posterior(self._place(self.to_mean(features)), log_variance)

    def encode_beside(
        self, shown: torch.Tensor, altered: torch.Tensor, reference: torch.Tensor
    ) -> tuple[Posterior, torch.Tensor]:
        """In training with two encoders: the posterior of what is shown, and the ordered slices of other pictures.

        The conditions' encoder sees both in one batch, so that its normalisation is of both.

        Args:
            shown: (B, C, H, W) in [0, 1], such as photos.
            altered: (B, C, H, W), what the conditions' encoder sees in their place, as in `encode`.
            reference: (B, C, H, W) in [0, 1], such as the catalogue pictures of the same shoes.

        Returns:
            (B, D) mean and log-variance of `shown`; (B, D - free) means of `reference`, without the free remainder.
        """
        encoder, head = self.encoder, self.to_mean
        assert isinstance(encoder, _Pair)
        assert isinstance(head, _PairHead)
        ordered = encoder.order(torch.cat([altered, reference]) - 0.5).float()
        features = torch.cat([ordered[: len(shown)], encoder.free(shown - 0.5).float()], dim=1)
        with torch.autocast(shown.device.type, enabled=False):
            log_variance = self.to_log_variance(features).clamp(*_LOG_VARIANCE_RANGE)
            posterior = Posterior(self._place(head(features)), log_variance)
            return posterior, self._place(head.order(ordered[len(shown) :]))

    @property
    def ordering(self) -> tuple[nn.Module, ...]:
        """What makes the ordered slices of the mean and nothing else; empty where there is one encoder for all."""
        encoder, head = self.encoder, self.to_mean
        if not (isinstance(encoder, _Pair) and isinstance(head, _PairHead)):
            return ()
        return (encoder.conditions, head.conditions, *([] if head.instance is None else [head.instance]))

    def mean(self, images: torch.Tensor) -> torch.Tensor:
        """The posterior's mean alone: (B, C, H, W) in [0, 1] -> (B, D) float32."""
        features = self._features(images)
        with torch.autocast(images.device.type, enabled=False):
            return self._place(self.to_mean(features))

    def _place(self, mean: torch.Tensor) -> torch.Tensor:
        """The conditions' slices on their spheres where the configuration wants that.

        (B, D) -> (B, D), or (B, D - free) -> (B, D - free).
        """
        if not self.config.sphere:
            return mean
        slices = [part for part in self.config.slices if part.name != FREE or mean.shape[1] == self.config.latent_size]
        parts = torch.split(mean, [part.size for part in slices], dim=1)
        placed = [
            values if part.name == FREE else functional.normalize(values, dim=1) * part.size**0.5
            for part, values in zip(slices, parts, strict=True)
        ]
        return torch.cat(placed, dim=1)

    def _features(self, images: torch.Tensor, altered: torch.Tensor | None = None) -> torch.Tensor:
        """(B, C, H, W) -> (B, core) float32."""
        shown = images if altered is None else altered
        features: torch.Tensor
        if isinstance(self.encoder, _Pair):
            features = self.encoder(images - 0.5, shown - 0.5)
            return features.float()
        features = self.encoder(shown - 0.5)
        return features.float()

    def decode_logits(self, latent: torch.Tensor) -> torch.Tensor:
        """(B, D) -> (B, C, H, W): the picture before the sigmoid, as a Bernoulli likelihood needs it."""
        core = self.from_latent(latent).view(-1, self.config.widths[-1], self.core_size, self.core_size)
        core = core.contiguous(memory_format=torch.channels_last)
        logits: torch.Tensor = self.decoder(core)
        return logits.float()

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """(B, D) -> (B, C, H, W) in [0, 1]: the expected picture."""
        return torch.sigmoid(self.decode_logits(latent))


def reparameterize(posterior: Posterior, noise: torch.Tensor | None = None) -> torch.Tensor:
    """Draw a latent from the posterior so that gradients reach its parameters (Kingma & Welling, 2014, section 2.4).

    Args:
        posterior: (B, D) mean and log-variance.
        noise: (B, D) standard normal; drawn here if it is left out.

    Returns:
        (B, D) float32.
    """
    if noise is None:
        noise = torch.randn_like(posterior.mean)
    return posterior.mean + torch.exp(0.5 * posterior.log_variance) * noise


def to_float(pixels: NDArray[np.uint8] | torch.Tensor) -> torch.Tensor:
    """Pixels as the network takes them: (B, C, H, W) uint8 -> float32 in [0, 1]."""
    tensor = pixels if isinstance(pixels, torch.Tensor) else torch.from_numpy(pixels)
    return tensor.to(torch.float32).div_(255.0)


def _halve(config: TVAEConfig, extra: Sequence[int], *last: nn.Module) -> nn.Sequential:
    """(B, C, H, W) -> (B, core), with residual blocks on top of the configuration's, and with `last` before the end."""
    blocks = [config.blocks + more for more in extra or (0,) * len(config.widths)]
    return nn.Sequential(*downward(config.channels, config.widths, blocks), *last, nn.Flatten())


class _Pair(nn.Module):
    """Two encoders side by side: the conditions' and the free remainder's."""

    def __init__(self, config: TVAEConfig) -> None:
        super().__init__()
        # Kept as a sequence that ends in nothing: its features are pooled, and taken as they lie for the instance.
        blocks = [config.blocks + more for more in config.encoder_blocks or (0,) * len(config.widths)]
        self.conditions = nn.Sequential(*downward(config.channels, config.widths, blocks))
        self.free = _halve(config, ())
        self.instance = config.instance_size > 0

    def order(self, shown: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, width), or (B, width + core) where there is an instance slice."""
        maps = self.conditions(shown).float()  # a mean in bfloat16 would have its eight bits of mantissa
        pooled: torch.Tensor = maps.mean(dim=(2, 3))
        return torch.cat([pooled, maps.flatten(1)], dim=1) if self.instance else pooled

    def forward(self, images: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) twice, for the remainder and for the conditions -> (B, order's features + core)."""
        return torch.cat([self.order(shown), self.free(images)], dim=1)


class _PairHead(nn.Module):
    """From each of two encoders' features to its part of the vector."""

    def __init__(self, config: TVAEConfig, core: int) -> None:
        super().__init__()
        self.width, self.core = config.widths[-1], core
        self.conditions = nn.Linear(self.width, config.latent_size - config.free_size - config.instance_size)
        self.instance = nn.Linear(core, config.instance_size) if config.instance_size else None
        self.free = nn.Linear(core, config.free_size)

    def order(self, features: torch.Tensor) -> torch.Tensor:
        """(B, order's features) -> (B, D - free)."""
        ordered: torch.Tensor = self.conditions(features[:, : self.width])
        if self.instance is None:
            return ordered
        return torch.cat([ordered, self.instance(features[:, self.width : self.width + self.core])], dim=1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, order's features + core) -> (B, D)."""
        return torch.cat([self.order(features), self.free(features[:, -self.core :])], dim=1)


def _head(config: TVAEConfig, core: int) -> nn.Module:
    """From the encoder's features to a number for each of the D of the vector."""
    return _PairHead(config, core) if config.has_two_encoders else nn.Linear(core, config.latent_size)
