"""The layers that the network is built of."""

from collections.abc import Sequence

import torch
from torch import nn

SLOPE = 0.2
"""Of every leaky rectifier, for negative input."""


class _Residual(nn.Module):
    """Two 3x3 convolutions beside an identity; the last starts at zero, so the block starts as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        last = self.body[-1]
        assert isinstance(last, nn.BatchNorm2d)
        nn.init.zeros_(last.weight)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, width, H, W) -> the same shape."""
        return nn.functional.leaky_relu(features + self.body(features), SLOPE)


def downward(channels: int, widths: Sequence[int], blocks: Sequence[int]) -> list[nn.Module]:
    """(B, channels, H, W) -> (B, widths[-1], core, core): 4x4 convolutions of stride 2, as in the paper.

    Args:
        channels: of the pictures.
        widths: feature maps after each halving.
        blocks: residual blocks after each halving.
    """
    layers: list[nn.Module] = []
    before = channels
    for width, count in zip(widths, blocks, strict=True):
        layers += [nn.Conv2d(before, width, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(width)]
        layers += [nn.LeakyReLU(SLOPE), *(_Residual(width) for _ in range(count))]
        before = width
    return layers


def upward(channels: int, widths: Sequence[int], blocks: int, *, smooth: bool = False) -> list[nn.Module]:
    """(B, widths[-1], core, core) -> (B, channels, H, W) logits; residual blocks before each doubling but the first.

    A transposed 4x4 convolution of stride 2 covers each output pixel evenly (4 is a multiple of 2: no checkerboard) at
    less than half the work of the paper's nearest-neighbour doubling and 3x3 convolution. What is left of a grid after
    training is of the last doubling: `smooth` makes that one of bilinear interpolation and a 3x3 convolution.
    """
    layers: list[nn.Module] = []
    inwards = list(reversed(widths))
    for index, width in enumerate(inwards):
        layers += [_Residual(width) for _ in range(blocks if index else 0)]
        if index + 1 < len(inwards):
            after = inwards[index + 1]
            layers += [_doubling(width, after, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(SLOPE)]
        elif smooth:
            layers += [nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(width, channels, 3, padding=1)]
        else:
            layers += [_doubling(width, channels, bias=True)]
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
