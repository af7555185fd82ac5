"""The localizer: a small U-Net (Ronneberger et al., 2015) that finds the shoe in a photo, as a mask.

It looks twice: at the whole photo, then at the neighbourhood of what it found, where the shoe is large. The second mask
is the mean over the picture and its mirror image, which leaves less background than either alone (docs/results.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import nn
from torch.nn import functional

from model.framing import WHOLE, Box, Subject, box_of

__all__ = [
    "DoublingConv",
    "Localization",
    "Localizer",
    "LocalizerConfig",
    "cut_out",
    "letterbox",
    "locate",
    "probabilities",
    "sharpen",
    "whole_window",
]

SLOPE = 0.1
"""Of the leaky rectifiers, for negative inputs."""

LETTERBOX_GREY = 114
SECOND_LOOK = 0.08
"""Margin around the first look's box that the second look sees, as a share of the box's longer side."""


@dataclass(frozen=True)
class LocalizerConfig:
    """The localizer's shape. Travels in the checkpoint.

    Attributes:
        size: H = W of its input and of its mask; divisible by 2 ** (len(widths) - 1).
        widths: feature maps at full size, at a half, at a quarter, ...
    """

    size: int = 96
    widths: tuple[int, ...] = (12, 24, 64, 96, 128)


class Localization(NamedTuple):
    """A shoe that was found in a photo.

    Attributes:
        subject: its box, and how sure that is.
        mask: (size, size) float32 in [0, 1], over the square `window`.
        window: (left, top, right, bottom) in pixels of the photo; may reach beyond it.
    """

    subject: Subject
    mask: NDArray[np.float32]
    window: tuple[int, int, int, int]


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


def letterbox(image: Image.Image, window: tuple[int, int, int, int], size: int) -> NDArray[np.uint8]:
    """A square window of a picture, (3, size, size) uint8; grey where it reaches beyond the picture."""
    left, top, right, bottom = window
    scale = size / (right - left)
    inner = (max(0, left), max(0, top), min(image.width, right), min(image.height, bottom))
    width = max(1, round((inner[2] - inner[0]) * scale))
    height = max(1, round((inner[3] - inner[1]) * scale))
    piece = image.resize((width, height), Image.Resampling.BILINEAR, box=inner, reducing_gap=2.0)
    square = Image.new("RGB", (size, size), (LETTERBOX_GREY,) * 3)
    square.paste(piece, (round((inner[0] - left) * scale), round((inner[1] - top) * scale)))
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))


def whole_window(size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The square around a picture of `size` = (width, height)."""
    width, height = size
    side = max(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


@torch.inference_mode()
def probabilities(localizer: Localizer, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(B, 3, H, W) uint8 -> (B, H, W) float32 in [0, 1]."""
    given = torch.from_numpy(images).to(torch.float32).div_(255.0).contiguous(memory_format=torch.channels_last)
    result: NDArray[np.float32] = torch.sigmoid(localizer(given)).numpy()
    return result


def locate(localizer: Localizer, images: Sequence[Image.Image]) -> list[Localization | None]:
    """Find the largest shoe of each picture, RGB; None where there is none."""
    first = _look(localizer, images, [whole_window(image.size) for image in images])
    seen = {index: each for index, each in enumerate(first) if each is not None}
    if not seen:
        return first
    close = [_around(each.subject.box, images[index].size) for index, each in seen.items()]
    second = _look(localizer, [images[index] for index in seen], close, mirrors=True)
    for (index, before), after in zip(seen.items(), second, strict=True):
        if after is not None:
            # Only the first look sees all of the photo.
            first[index] = after._replace(subject=after.subject._replace(others=before.subject.others))
    return first


def _look(
    localizer: Localizer,
    images: Sequence[Image.Image],
    windows: Sequence[tuple[int, int, int, int]],
    *,
    mirrors: bool = False,
) -> list[Localization | None]:
    """What is found in a window of each picture; with `mirrors` in the mean of its mask and its mirror image's."""
    size = localizer.config.size
    shown = np.stack([letterbox(image, window, size) for image, window in zip(images, windows, strict=True)])
    if mirrors:
        masks, mirrored = np.split(probabilities(localizer, np.concatenate([shown, shown[..., ::-1]])), 2)
        masks = (masks + mirrored[..., ::-1]) * np.float32(0.5)
    else:
        masks = probabilities(localizer, shown)
    return [_subject(mask, window, image.size) for mask, window, image in zip(masks, windows, images, strict=True)]


def _around(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The square window around a box, with a margin."""
    left, top, right, bottom = box.to_pixels(size)
    side = max(8, round(max(right - left, bottom - top) * (1 + 2 * SECOND_LOOK)))
    across, down = (left + right - side) // 2, (top + bottom - side) // 2
    return across, down, across + side, down + side


def _subject(
    mask: NDArray[np.float32], window: tuple[int, int, int, int], size: tuple[int, int]
) -> Localization | None:
    """The largest component of a mask over a window of a picture of `size`."""
    parts, count = ndimage.label(mask > 0.5)
    if count == 0:
        return None
    areas = np.bincount(parts.ravel())[1:]
    largest = int(areas.argmax())
    if areas[largest] < 16:
        return None
    kept = parts == largest + 1
    inner = box_of(kept)
    if inner is None:
        return None
    near = ndimage.binary_dilation(kept, iterations=2)
    left, top, right, _ = window
    side = right - left
    box = _clip(
        Box(
            (left + inner.left * side) / size[0],
            (top + inner.top * side) / size[1],
            inner.width * side / size[0],
            inner.height * side / size[1],
        )
    )
    subject = Subject(
        box=box,
        coverage=min(1.0, float(kept.mean()) * side * side / (size[0] * size[1])),
        confidence=float(mask[kept].mean()),
        others=int((areas >= areas[largest] / 4).sum()) - 1,
    )
    return Localization(subject, np.where(near, mask, 0.0).astype(np.float32), window)


def _clip(box: Box) -> Box:
    left, top = min(max(box.left, 0.0), 0.999), min(max(box.top, 0.0), 0.999)
    right, bottom = min(box.left + box.width, 1.0), min(box.top + box.height, 1.0)
    return Box(left, top, max(right - left, 0.001), max(bottom - top, 0.001))


def cut_out(image: Image.Image, found: Localization, longest: int) -> tuple[Image.Image, Box]:
    """The subject on white, `longest` pixels a side, with its box in that picture.

    Args:
        image: RGB.
        found: in it.
        longest: side of the result, in pixels.
    """
    pixels = letterbox(image, found.window, longest)
    mask = Image.fromarray(found.mask).resize((longest, longest), Image.Resampling.BICUBIC)
    alpha = sharpen(np.asarray(mask))[None]
    white = pixels * alpha + 255.0 * (1.0 - alpha)
    flat = Image.fromarray(np.rint(white).astype(np.uint8).transpose(1, 2, 0).copy())
    box = box_of(alpha[0] > 0.5) or WHOLE
    return flat, box


def sharpen(mask: NDArray[np.float32]) -> NDArray[np.float32]:
    """An enlarged mask as opacity, in [0, 1].

    Steeper than the network's own slope, which after upsampling would leave a veil of background.
    """
    opacity: NDArray[np.float32] = np.clip((mask - 0.5) * 3.0 + 0.5, 0.0, 1.0)
    return opacity
