"""What a batch of shoes shows the network where it learns from photos."""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from model.framing import hide_scale
from model.tvae import to_float
from training.photos.views import Views

DRAWS = 5
"""Random numbers that `draw_batch` takes for each shoe."""

UNMARKED = 0.3
"""Share of the catalogue pictures that are encoded without their scale mark, as photos have none."""


@dataclass(frozen=True)
class ViewTensors:
    """`Views` as tensors: (N, K, C, H, W) uint8, (N, K) bool twice, and (N, K) float64."""

    pixels: torch.Tensor
    usable: torch.Tensor
    mirrored: torch.Tensor
    found: torch.Tensor

    @classmethod
    def of(cls, views: Views) -> "ViewTensors":
        """Share the memory of `views`."""
        parts = views.pixels, views.usable, views.mirrored, views.found
        return cls(*(torch.from_numpy(each) for each in parts))


class PhotoBatch(NamedTuple):
    """(B, C, H, W) float32 in [0, 1] each, but for the last.

    Attributes:
        shown: what is encoded: a photo view of the shoe, or its catalogue picture.
        target: what is to be drawn of it: the catalogue picture, pointing the way that the shown one does.
        reference: the catalogue picture, mirrored by chance on its own: a shoe is the same shoe either way.
        is_view: (B,) bool, on the CPU: a photo view is shown.
    """

    shown: torch.Tensor
    target: torch.Tensor
    reference: torch.Tensor
    is_view: torch.Tensor


def draw_batch(
    clean: torch.Tensor, views: ViewTensors, rows: torch.Tensor, draws: torch.Tensor, share: float
) -> PhotoBatch:
    """Draw what a batch of B shoes shows.

    Args:
        clean: (B, C, H, W) float32 in [0, 1]: the catalogue pictures of the shoes `rows`.
        views: of all shoes.
        rows: (B,) indices of the shoes.
        draws: (B, 5) in [0, 1), on the CPU: which view, whether to show it, two mirror images, and whether to hide
            the scale mark.
        share: chance that a view is shown and not the catalogue picture.
    """
    number = (draws[:, 0] * views.pixels.shape[1]).long()
    shows = (draws[:, 1] < share) & views.usable[rows, number]
    mirrored, turned = draws[:, 2] < 0.5, draws[:, 3] < 0.5
    view = to_float(views.pixels[rows, number].to(clean.device))
    reference = _mirror(torch.where(_wide(draws[:, 4] < UNMARKED, clean), hide_scale(clean), clean), mirrored)
    shown = torch.where(_wide(shows, clean), _mirror(view, turned), reference)
    faces = torch.where(shows, turned ^ views.mirrored[rows, number], mirrored)
    return PhotoBatch(shown, _mirror(clean, faces), reference, shows)


def _mirror(images: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
    return torch.where(_wide(which, images), images.flip(3), images)


def _wide(which: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    return which.to(images.device)[:, None, None, None]
