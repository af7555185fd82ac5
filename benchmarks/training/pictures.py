"""A plain data set of pictures, as one writes it for a `DataLoader`. Light, as `plan` is."""

from collections.abc import Sequence

import torch
from PIL import Image, ImageOps
from torch.utils.data import Dataset
from torchvision import transforms


class Pictures(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Opens, decodes and resizes a picture each time it is asked for.

    Args:
        paths: of N pictures.
        labels: (N, L) int64.
        size: H = W of what is given out; a picture is padded with white to a square.
        mirror: turn half of the pictures left to right, at random.
    """

    def __init__(self, paths: Sequence[str], labels: torch.Tensor, *, size: int, mirror: bool) -> None:
        self.paths = paths
        self.labels = labels
        self.size = size
        steps = [transforms.RandomHorizontalFlip()] if mirror else []
        self.transform = transforms.Compose([*steps, transforms.ToTensor()])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        with Image.open(self.paths[index]) as image:
            square = ImageOps.pad(image.convert("RGB"), (self.size, self.size), color="white")
        return self.transform(square), self.labels[index]  # (3, H, W) float32 in [0, 1], (L,)
