"""The localizer: a small U-Net (Ronneberger et al., 2015) that marks the shoe in a photo. `localization.py` uses it."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from model.config import LocalizerConfig

__all__ = ["DoublingConv", "Localizer", "LocalizerConfig"]

SLOPE = 0.1
"""Of the leaky rectifiers, for negative inputs."""


class Localizer(nn.Module):
    """A U-Net; (B, 3, H, W) in [0, 1] -> (B, H, W) logits of "this pixel is of a shoe"."""

    def __init__(self, config: LocalizerConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.down = nn.ModuleList(
            _convolutions(before, width, 1 if index == 0 else 2)
            for index, (before, width) in enumerate(zip((3, *widths), widths, strict=False))
        )
        self.up = nn.ModuleList(
            nn.Sequential(DoublingConv(deep, skip), nn.BatchNorm2d(skip), nn.LeakyReLU(SLOPE))
            for deep, skip in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(widths[0], 1, 1)

    @property
    def size(self) -> int:
        """See `MaskNetwork`."""
        return self.config.size

    @torch.inference_mode()
    def masks(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `MaskNetwork`."""
        given = torch.from_numpy(images).to(torch.float32).div_(255.0).contiguous(memory_format=torch.channels_last)
        result: NDArray[np.float32] = torch.sigmoid(self(given)).numpy()
        return result

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, H, W)."""
        features = images - 0.5
        skips: list[torch.Tensor] = []
        for index, stage in enumerate(self.down):
            features = stage(functional.max_pool2d(features, 2) if index else features)
            skips.append(features)
        skips.pop()
        for stage in self.up:
            assert isinstance(stage, nn.Sequential)
            features = stage[1:](stage[0](features, skips.pop()))
        logits: torch.Tensor = self.head(features)[:, 0].float()
        return logits


def _convolutions(before: int, after: int, count: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index in range(count):
        layers += [nn.Conv2d(before if index == 0 else after, after, 3, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(after), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers)


class DoublingConv(nn.Conv2d):
    """A 3x3 convolution over deep feature maps doubled to a skip connection's size (nearest neighbour), and the skip's.

    Neither the doubled maps nor their concatenation with the skip's are ever made: doubling and a 3x3 convolution are
    one transposed 4x4 convolution of stride 2, with 4 products for each pixel and pair of maps in place of 9.
    """

    def __init__(self, deep: int, skip: int) -> None:
        super().__init__(deep + skip, skip, 3, padding=1, bias=False)
        self.deep = deep
        self._fixed: tuple[torch.Tensor, torch.Tensor] | None = None

    def forward(self, deep: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:  # type: ignore[override] # two inputs
        """(B, deep, H, W) and (B, skip, 2H, 2W) -> (B, skip, 2H, 2W)."""
        transposed, beside = self._fixed or self._weights()
        doubled = functional.conv_transpose2d(deep, transposed, self.bias, stride=2, padding=1)
        return doubled + functional.conv2d(skip, beside, padding=1)

    def fix(self) -> None:
        """Work its weights out once, for inference; it can't be trained any more."""
        transposed, beside = self._weights()
        self._fixed = transposed.detach().contiguous(), beside.detach().contiguous(memory_format=torch.channels_last)

    def _weights(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(deep, skip, 4, 4) of the transposed convolution, and (skip, skip, 3, 3) of the other one."""
        deep, beside = self.weight[:, : self.deep], self.weight[:, self.deep :]
        padded = functional.pad(deep.flip(2, 3).transpose(0, 1), (1, 1, 1, 1))
        rows = padded[:, :, 1:] + padded[:, :, :-1]
        return rows[..., 1:] + rows[..., :-1], beside
