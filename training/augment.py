"""Data augmentation: mirror images, shift, scale, rotation, brightness and cutout."""

import torch
from torch.nn import functional

from training.config import AugmentConfig

ERASED_SIDE = 0.25
"""Side of an erased square, as a share of the picture's side."""


def draw_changes(count: int, generator: torch.Generator) -> torch.Tensor:
    """What to change in each of `count` pictures: (count, 10) in [0, 1), on the CPU, where the generator lives."""
    return torch.rand(count, 10, generator=generator)


def mirror(images: torch.Tensor, config: AugmentConfig, draws: torch.Tensor) -> torch.Tensor:
    """Some pictures mirrored: (B, C, H, W) -> (B, C, H, W). `draws: (B, 10)`, from `draw_changes`."""
    if config.flip <= 0:
        return images
    mirrored = (draws[:, 0] < config.flip).to(images.device)
    return torch.where(mirrored[:, None, None, None], images.flip(3), images)


def reframe(images: torch.Tensor, config: AugmentConfig, draws: torch.Tensor) -> torch.Tensor:
    """Shift, scale, turn and lighten each picture of a batch by its own amount.

    Nothing of a picture may be lost by it: what moves over an edge is as little as `AugmentConfig` says.

    Args:
        images: (B, C, H, W) in [0, 1]; stay as they are.
        config: how much to change.
        draws: (B, 10), from `draw_changes`: the same ones as for `mirror`.

    Returns:
        (B, C, H, W) in [0, 1].
    """
    if config.moves and (draws[:, 9] < config.moved).any():  # torch makes no grid for no picture
        chosen = torch.nonzero(draws[:, 9] < config.moved).flatten()
        there = chosen.to(images.device)
        images = images.index_copy(0, there, _move(images[there], config, draws[chosen]))
    if config.colour > 0:
        gain = 1.0 + config.colour * (2.0 * draws[:, 5] - 1.0)
        # Darker and brighter about white, so that a white background stays white.
        images = 1.0 - (1.0 - images) * gain.to(images.device)[:, None, None, None]
    return images.clamp(0.0, 1.0)


def erase(images: torch.Tensor, config: AugmentConfig, draws: torch.Tensor) -> torch.Tensor:
    """Hide a square of some pictures (DeVries and Taylor, "Cutout", 2017), so that no single feature is relied on.

    Args:
        images: (B, C, H, W) in [0, 1]; stay as they are.
        config: how often.
        draws: (B, 10), from `draw_changes`: the same ones as for `mirror`.

    Returns:
        (B, C, H, W): the pictures, with squares of mid grey that may reach over an edge.
    """
    if config.erase <= 0:
        return images
    chosen = draws[:, 6] < config.erase
    down = _within_square(draws[:, 7], images.shape[2])
    across = _within_square(draws[:, 8], images.shape[3])
    hidden = (chosen[:, None, None] & down[:, :, None] & across[:, None, :]).to(images.device)
    return images.masked_fill(hidden[:, None], 0.5)


def _within_square(centres: torch.Tensor, length: int) -> torch.Tensor:
    """(B,) shares of a length -> (B, length), whether each position is within half a square's side."""
    positions = (torch.arange(length) + 0.5) / length
    return (positions - centres[:, None]).abs() < ERASED_SIDE / 2


def _move(images: torch.Tensor, config: AugmentConfig, draws: torch.Tensor) -> torch.Tensor:
    spread = 2.0 * draws - 1.0
    zoom = 1.0 + config.scale * spread[:, 1]
    angle = config.turn * spread[:, 2]
    cosine, sine = zoom * angle.cos(), zoom * angle.sin()
    across, down = 2.0 * config.shift * spread[:, 3], 2.0 * config.shift * spread[:, 4]
    matrices = torch.stack(
        [torch.stack([cosine, -sine, across], dim=1), torch.stack([sine, cosine, down], dim=1)], dim=1
    )  # (B, 2, 3)
    grid = functional.affine_grid(matrices.to(images.device), list(images.shape), align_corners=False)
    # Bicubic keeps edges about as sharp as those of the pictures that are embedded later. Bilinear blurs them, and a
    # network that has learnt on blurred pictures orders sharp ones worse.
    return functional.grid_sample(images, grid, mode="bicubic", padding_mode="border", align_corners=False)
