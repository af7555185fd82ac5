"""Small changes that leave a shoe the same shoe: mirrored, shifted, scaled and turned a little."""

from dataclasses import dataclass

import torch
from torch.nn import functional

__all__ = ["AugmentConfig", "augment", "draw_changes"]


@dataclass(frozen=True)
class AugmentConfig:
    """How much to change. All zero: nothing.

    Only mirror images by default: a catalogue frames shoes of a kind alike, and networks that had to ignore the framing
    ordered held-out shoes of the same catalogue worse. Photos that are framed freely ask for the rest.

    Attributes:
        flip: the chance of a mirror image.
        shift: at most this share of the picture's side.
        scale: at most this much larger or smaller.
        turn: at most this many radians.
        colour: at most this much brighter or darker, for each channel alike.
    """

    flip: float = 0.5
    shift: float = 0.0
    scale: float = 0.0
    turn: float = 0.0
    colour: float = 0.0

    @property
    def moves(self) -> bool:
        """Is any picture shifted, scaled or turned?"""
        return max(self.shift, self.scale, self.turn) > 0


def draw_changes(count: int, generator: torch.Generator) -> torch.Tensor:
    """What to change in each of `count` pictures: (count, 6) in [0, 1), on the CPU, where the generator lives."""
    return torch.rand(count, 6, generator=generator)


def augment(images: torch.Tensor, config: AugmentConfig, draws: torch.Tensor) -> torch.Tensor:
    """Change each picture by its own draw: (B, C, H, W) in [0, 1] -> the same shape and range.

    Edges repeat outwards, so a catalogue's background stays what it is.

    Args:
        images: may be changed in place.
        config: how much to change.
        draws: (B, 6), from `draw_changes`.
    """
    if config.flip > 0:
        mirrored = (draws[:, 0] < config.flip).to(images.device)
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    if config.moves:
        images = _move(images, config, draws)
    if config.colour > 0:
        gain = 1.0 + config.colour * (2.0 * draws[:, 5] - 1.0)
        # Darker and brighter about white, so that a white background stays white.
        images = 1.0 - (1.0 - images) * gain.to(images.device)[:, None, None, None]
    return images.clamp_(0.0, 1.0)


def _move(images: torch.Tensor, config: AugmentConfig, draws: torch.Tensor) -> torch.Tensor:
    spread = 2.0 * draws - 1.0
    zoom = 1.0 + config.scale * spread[:, 1]
    angle = config.turn * spread[:, 2]
    cosine, sine = zoom * angle.cos(), zoom * angle.sin()
    across, down = 2.0 * config.shift * spread[:, 3], 2.0 * config.shift * spread[:, 4]
    matrices = torch.stack(
        [torch.stack([cosine, -sine, across], dim=1), torch.stack([sine, cosine, down], dim=1)],
        dim=1,
    )  # (B, 2, 3)
    grid = functional.affine_grid(matrices.to(images.device), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
