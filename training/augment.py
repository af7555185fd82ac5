"""Small changes that leave a shoe the same shoe: mirrored, shifted, scaled and turned a little."""

from dataclasses import dataclass

import torch
from torch.nn import functional

__all__ = ["AugmentConfig", "augment"]


@dataclass(frozen=True)
class AugmentConfig:
    """How much to change. All zero: nothing.

    Attributes:
        flip: the chance of a mirror image.
        shift: at most this share of the picture's side.
        scale: at most this much larger or smaller.
        turn: at most this many radians.
        colour: at most this much brighter or darker, for each channel alike.
    """

    flip: float = 0.5
    shift: float = 0.04
    scale: float = 0.08
    turn: float = 0.05
    colour: float = 0.0

    @property
    def moves(self) -> bool:
        """Does anything move?"""
        return max(self.flip, self.shift, self.scale, self.turn) > 0


def augment(images: torch.Tensor, config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    """Change each picture by its own draw: (B, C, H, W) in [0, 1] -> the same shape and range.

    Edges repeat outwards, so a catalogue's background stays what it is. The generator lives on the CPU.
    """
    draws = torch.rand(len(images), 6, generator=generator)
    if config.moves:
        images = _move(images, config, draws)
    if config.colour > 0:
        gain = 1.0 + config.colour * (2.0 * draws[:, 5] - 1.0)
        # Darker and brighter about white, so that a white background stays white.
        images = 1.0 - (1.0 - images) * gain.to(images.device)[:, None, None, None]
    return images.clamp_(0.0, 1.0)


def _move(images: torch.Tensor, config: AugmentConfig, draws: torch.Tensor) -> torch.Tensor:
    spread = 2.0 * draws - 1.0
    mirrored = torch.where(draws[:, 0] < config.flip, -1.0, 1.0)
    zoom = 1.0 + config.scale * spread[:, 1]
    angle = config.turn * spread[:, 2]
    cosine, sine = zoom * angle.cos(), zoom * angle.sin()
    across, down = 2.0 * config.shift * spread[:, 3], 2.0 * config.shift * spread[:, 4]
    matrices = torch.stack(
        [torch.stack([cosine * mirrored, -sine, across], dim=1), torch.stack([sine * mirrored, cosine, down], dim=1)],
        dim=1,
    )  # (B, 2, 3)
    grid = functional.affine_grid(matrices.to(images.device), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
