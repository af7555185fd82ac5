"""The network: a convolutional variational autoencoder whose mean vector is cut into named slices.

A triplet loss on the mean vectors (Ishfaq, Liu, "TVAE: Deep Metric Learning Approach for Variational Autoencoder",
2017) is training's business; here is only what encodes and decodes.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

__all__ = ["FREE", "PRESETS", "TVAE", "Posterior", "Slice", "TVAEConfig", "reparameterize"]

FREE = "free"
"""The slice that no condition orders: what the decoder needs beyond the conditions."""

_LOG_VARIANCE_RANGE = (-12.0, 6.0)


class Posterior(NamedTuple):
    """q(latent | image): a diagonal Gaussian. `mean, log_variance: (B, D)`."""

    mean: torch.Tensor
    log_variance: torch.Tensor


@dataclass(frozen=True)
class Slice:
    """A named part of the mean vector."""

    name: str
    size: int


@dataclass(frozen=True)
class TVAEConfig:
    """The network's shape. Travels in the checkpoint.

    Attributes:
        image_size: H = W of the pictures; divisible by 2 ** len(widths).
        channels: C of the pictures: 3 for RGB, 1 for grey.
        widths: feature maps after each halving of the picture, from the picture inwards.
        blocks: residual blocks after each halving (and before each doubling).
        slices: the parts of the mean vector, in order. Their sizes add up to the latent size.

    Raises:
        ValueError: a value out of range, named in the message.
    """

    image_size: int = 64
    channels: int = 3
    widths: tuple[int, ...] = (32, 64, 128, 256)
    blocks: int = 0
    slices: tuple[Slice, ...] = (Slice(FREE, 64),)

    def __post_init__(self) -> None:
        if self.channels not in {1, 3}:
            raise ValueError(f"channels is {self.channels}; expected 1 (grey) or 3 (RGB)")
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"widths is {self.widths}; expected one positive number for each halving")
        step = 2 ** len(self.widths)
        if self.image_size < step or self.image_size % step:
            raise ValueError(f"image_size is {self.image_size}; {len(self.widths)} widths need a multiple of {step}")
        if self.blocks < 0:
            raise ValueError(f"blocks is {self.blocks}; expected 0 or more")
        names = [part.name for part in self.slices]
        if not names or len(set(names)) != len(names) or min(part.size for part in self.slices) < 1:
            raise ValueError(f"slices are {self.slices}; expected distinct names with positive sizes")

    @property
    def latent_size(self) -> int:
        """D: the size of the mean vector."""
        return sum(part.size for part in self.slices)

    @property
    def slice_bounds(self) -> dict[str, tuple[int, int]]:
        """Slice name -> (start, stop) in the mean vector."""
        bounds, start = {}, 0
        for part in self.slices:
            bounds[part.name] = (start, start + part.size)
            start += part.size
        return bounds


PRESETS = {
    "mnist": TVAEConfig(image_size=28, channels=1, widths=(64, 128), blocks=1, slices=(Slice(FREE, 20),)),
    "shoes": TVAEConfig(),
}


class TVAE(nn.Module):
    """Encoder and decoder. Batch normalisation makes train and eval mode differ: embeddings are made in eval mode."""

    def __init__(self, config: TVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.core_size = config.image_size // 2 ** len(config.widths)
        core = config.widths[-1] * self.core_size**2
        self.encoder = nn.Sequential(*_downward(config), nn.Flatten())
        self.to_mean = nn.Linear(core, config.latent_size)
        self.to_log_variance = nn.Linear(core, config.latent_size)
        self.from_latent = nn.Linear(config.latent_size, core)
        self.decoder = nn.Sequential(*_upward(config))

    def encode(self, images: torch.Tensor) -> Posterior:
        """The posterior of each picture.

        Args:
            images: (B, C, H, W) float in [0, 1].

        Returns:
            mean and log-variance, (B, D) float32 each.
        """
        features = self.encoder(images - 0.5)
        # Out of any autocast: the mean vector is the product, and eight bits of mantissa would show in distances.
        with torch.autocast(images.device.type, enabled=False):
            features = features.float()
            log_variance = self.to_log_variance(features).clamp(*_LOG_VARIANCE_RANGE)
            return Posterior(self.to_mean(features), log_variance)

    def decode_logits(self, latent: torch.Tensor) -> torch.Tensor:
        """(B, D) -> (B, C, H, W): the picture before the sigmoid, as a Bernoulli likelihood needs it."""
        core = self.from_latent(latent)
        core = core.view(-1, self.config.widths[-1], self.core_size, self.core_size)
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


class _Residual(nn.Module):
    """Two 3x3 convolutions beside an identity; the last starts at zero, so the block starts as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        last = self.body[-1]
        assert isinstance(last, nn.BatchNorm2d)
        nn.init.zeros_(last.weight)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, width, H, W) -> the same shape."""
        return nn.functional.leaky_relu(features + self.body(features), 0.2)


def _downward(config: TVAEConfig) -> list[nn.Module]:
    """(B, C, H, W) -> (B, widths[-1], core, core): 4x4 convolutions of stride 2, as in the paper."""
    layers: list[nn.Module] = []
    before = config.channels
    for width in config.widths:
        layers += [nn.Conv2d(before, width, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(width)]
        layers += [nn.LeakyReLU(0.2), *(_Residual(width) for _ in range(config.blocks))]
        before = width
    return layers


def _upward(config: TVAEConfig) -> list[nn.Module]:
    """(B, widths[-1], core, core) -> (B, C, H, W) logits.

    A transposed 4x4 convolution of stride 2 covers each output pixel evenly (4 is a multiple of 2: no checkerboard) at
    less than half the work of the paper's nearest-neighbour doubling and 3x3 convolution.
    """
    layers: list[nn.Module] = []
    inwards = list(reversed(config.widths))
    for index, width in enumerate(inwards):
        layers += [_Residual(width) for _ in range(config.blocks if index else 0)]
        if index + 1 < len(inwards):
            after = inwards[index + 1]
            layers += [nn.ConvTranspose2d(width, after, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(after)]
            layers += [nn.LeakyReLU(0.2)]
        else:
            layers += [nn.ConvTranspose2d(width, config.channels, 4, stride=2, padding=1)]
    return layers
