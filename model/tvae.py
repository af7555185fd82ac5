"""The network: a variational autoencoder, convolutional or of plain layers, whose mean vector is cut into named slices.

A triplet loss on the mean vectors (Ishfaq, Liu, "TVAE: Deep Metric Learning Approach for Variational Autoencoder",
2017) is training's business; here is only what encodes and decodes.
"""

import math
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
        encoder_blocks: residual blocks of the encoder alone, for each halving, on top of `blocks`; empty for none.
        slices: the parts of the mean vector, in order. Their sizes add up to the latent size.
        hidden: 0 for the convolutions that `widths` and `blocks` describe; else the units of the one hidden layer of a
            network without convolutions, for which `widths` is empty and `blocks` is 0.

    Raises:
        ValueError: a value out of range, named in the message.
    """

    image_size: int = 64
    channels: int = 3
    widths: tuple[int, ...] = (32, 64, 128, 256)
    blocks: int = 0
    slices: tuple[Slice, ...] = (Slice(FREE, 64),)
    hidden: int = 0
    encoder_blocks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.channels not in {1, 3}:
            raise ValueError(f"channels is {self.channels}; expected 1 (grey) or 3 (RGB)")
        if self.hidden < 0:
            raise ValueError(f"hidden is {self.hidden}; expected 0 (convolutions) or a layer's units")
        if self.hidden:
            self._check_plain_layers()
        else:
            self._check_convolutions()
        names = [part.name for part in self.slices]
        if not names or len(set(names)) != len(names) or min(part.size for part in self.slices) < 1:
            raise ValueError(f"slices are {self.slices}; expected distinct names with positive sizes")

    def _check_plain_layers(self) -> None:
        if self.widths or self.blocks:
            raise ValueError(f"widths is {self.widths}, blocks {self.blocks}; a network of plain layers has neither")
        if self.image_size < 1:
            raise ValueError(f"image_size is {self.image_size}; expected 1 or more")

    def _check_convolutions(self) -> None:
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"widths is {self.widths}; expected one positive number for each halving")
        step = 2 ** len(self.widths)
        if self.image_size < step or self.image_size % step:
            raise ValueError(f"image_size is {self.image_size}; {len(self.widths)} widths need a multiple of {step}")
        if self.blocks < 0:
            raise ValueError(f"blocks is {self.blocks}; expected 0 or more")
        if self.encoder_blocks and (len(self.encoder_blocks) != len(self.widths) or min(self.encoder_blocks) < 0):
            raise ValueError(f"encoder_blocks is {self.encoder_blocks}; expected one number for each of {self.widths}")

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
    "mnist": TVAEConfig(image_size=28, channels=1, widths=(32, 64), blocks=1, slices=(Slice(FREE, 20),)),
    "shoes": TVAEConfig(),
    "shoes-large": TVAEConfig(encoder_blocks=(0, 1, 1, 1)),
}


class TVAE(nn.Module):
    """Encoder and decoder. Batch normalisation makes train and eval mode differ: embeddings are made in eval mode."""

    def __init__(self, config: TVAEConfig) -> None:
        super().__init__()
        self.config = config
        if config.hidden:
            core = config.hidden
            self.encoder = nn.Sequential(*_inward(config))
            self.decoder = nn.Sequential(*_outward(config))
        else:
            self.core_size = config.image_size // 2 ** len(config.widths)
            core = config.widths[-1] * self.core_size**2
            self.encoder = nn.Sequential(*_downward(config), nn.Flatten())
            self.decoder = nn.Sequential(*_upward(config))
        self.to_mean = nn.Linear(core, config.latent_size)
        self.to_log_variance = nn.Linear(core, config.latent_size)
        self.from_latent = nn.Linear(config.latent_size, core)

    def encode(self, images: torch.Tensor) -> Posterior:
        """The posterior of each picture.

        Args:
            images: (B, C, H, W) float in [0, 1].

        Returns:
            mean and log-variance, (B, D) float32 each.
        """
        # Out of any autocast: the mean vector is the product, and eight bits of mantissa would show in distances.
        features = self._features(images)
        with torch.autocast(images.device.type, enabled=False):
            log_variance = self.to_log_variance(features).clamp(*_LOG_VARIANCE_RANGE)
            return Posterior(self.to_mean(features), log_variance)

    def mean(self, images: torch.Tensor) -> torch.Tensor:
        """The posterior's mean alone: (B, C, H, W) in [0, 1] -> (B, D) float32."""
        features = self._features(images)
        with torch.autocast(images.device.type, enabled=False):
            mean: torch.Tensor = self.to_mean(features)
            return mean

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, core) float32."""
        # Plain layers take ink as it is: unlike convolutions, they gain nothing from a paper of -0.5.
        features: torch.Tensor = self.encoder(images if self.config.hidden else images - 0.5)
        return features.float()

    def decode_logits(self, latent: torch.Tensor) -> torch.Tensor:
        """(B, D) -> (B, C, H, W): the picture before the sigmoid, as a Bernoulli likelihood needs it."""
        core = self.from_latent(latent)
        if not self.config.hidden:
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


def _inward(config: TVAEConfig) -> list[nn.Module]:
    """(B, C, H, W) -> (B, hidden)."""
    pixels = config.channels * config.image_size**2
    return [nn.Flatten(), nn.Linear(pixels, config.hidden), nn.ReLU()]


def _outward(config: TVAEConfig) -> list[nn.Module]:
    """(B, hidden) before its activation -> (B, C, H, W) logits."""
    shape = (config.channels, config.image_size, config.image_size)
    return [nn.ReLU(), nn.Linear(config.hidden, math.prod(shape)), nn.Unflatten(1, shape)]


def _downward(config: TVAEConfig) -> list[nn.Module]:
    """(B, C, H, W) -> (B, widths[-1], core, core): 4x4 convolutions of stride 2, as in the paper."""
    layers: list[nn.Module] = []
    before = config.channels
    for width, extra in zip(config.widths, config.encoder_blocks or (0,) * len(config.widths), strict=True):
        layers += [nn.Conv2d(before, width, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(width)]
        layers += [nn.LeakyReLU(0.2), *(_Residual(width) for _ in range(config.blocks + extra))]
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
            layers += [_doubling(width, after, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
        else:
            layers += [_doubling(width, config.channels, bias=True)]
    return layers


def _doubling(before: int, after: int, *, bias: bool) -> nn.ConvTranspose2d:
    """(B, before, H, W) -> (B, after, 2H, 2W).

    It starts as bilinear interpolation of a random mixture of the feature maps. Drawn freely, the four weights that
    meet in neighbouring output pixels have nothing to do with each other, and what training leaves of that shows as a
    fine grid in every picture.
    """
    layer = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=bias)
    ramp = torch.tensor([0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        mixture = torch.empty(before, after, 1, 1).normal_(std=(2.0 / before) ** 0.5)
        layer.weight.copy_(mixture * ramp[:, None] * ramp[None, :])
    return layer
