"""Batches: which shoes are drawn for each, and the augmented pictures of them that the network gets."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from model.tvae import to_float
from training.augment import draw_changes, erase, mirror, reframe
from training.config import TrainConfig
from training.distributed import ProcessGroup
from training.photos.batch import DRAWS, ViewTensors, draw_batch


def sampling_weights(tables: Sequence[torch.Tensor], balance: float) -> torch.Tensor | None:
    """How often to draw each shoe so that rare values are seen.

    Args:
        tables: (N, V) float for each attribute: who has which value.
        balance: 0 draws each shoe alike; 1 draws each value of an attribute alike.

    Returns:
        (N,) weights that average 1, or None where every shoe is drawn alike.
    """
    if balance == 0 or not tables:
        return None
    weights = torch.zeros(len(tables[0]))
    for table in tables:
        counts = table.sum(dim=0)
        rarity = (counts.clamp_min(1.0) / counts.sum()) ** -balance
        # A shoe with several values counts by its rarest; one without any, by the average.
        each = (table * rarity).amax(dim=1)
        known = each > 0
        each[~known] = each[known].mean()
        weights += each / each.mean()
    return weights / weights.mean()


def batch_indices(
    count: int, batch_size: int, weights: torch.Tensor | None, generator: torch.Generator, *, smallest: int = 2
) -> list[torch.Tensor]:
    """An epoch's batches: indices (B,) into the `count` shoes.

    Without weights every shoe comes once; with them, draws are with replacement. A last batch of fewer shoes than
    `smallest` goes to the batch before: batch normalisation can't take one shoe, nor a process none.
    """
    if weights is None:
        order = torch.randperm(count, generator=generator)
    else:
        order = torch.multinomial(weights, count, replacement=True, generator=generator)
    batches = list(torch.split(order, batch_size))
    if len(batches) > 1 and len(batches[-1]) < smallest:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


class Batch(NamedTuple):
    """One process's part of a batch: b shoes. Pictures are (b, C, H, W) float32 in [0, 1], channels last.

    Attributes:
        target: what is to be drawn.
        encoded: what the encoder sees; where there are two, the free remainder's.
        altered: what the encoder, or the conditions' one of two, sees in its place, with a part hidden.
        reference: the catalogue pictures, where photos are encoded.
        noise: (b, D), of the reparameterization.
        drawing_weights: (b,) of each picture's reconstruction; None weighs them alike.
    """

    target: torch.Tensor
    encoded: torch.Tensor
    altered: torch.Tensor
    reference: torch.Tensor | None
    noise: torch.Tensor
    drawing_weights: torch.Tensor | None = None


def make_batch(
    pixels: torch.Tensor,
    views: ViewTensors | None,
    rows: torch.Tensor,
    config: TrainConfig,
    *,
    generator: torch.Generator,
    process_group: ProcessGroup,
    device: torch.device,
) -> Batch:
    """Draw the augmentations of a batch of B shoes, and apply those of this process's part.

    Args:
        pixels: (N, C, H, W) uint8 of all shoes.
        views: photo views of all shoes; None for catalogue pictures alone.
        rows: (B,) indices of the shoes.
        config: of the run.
        generator: on the CPU.
        process_group: the processes that share the batch.
        device: where the pictures are put.
    """
    # Drawn for the whole batch, so that each shoe's draw does not depend on how many processes share it.
    draws = process_group.shard(draw_changes(len(rows), generator))
    noise = process_group.shard(torch.randn(len(rows), config.network.latent_size, generator=generator)).to(device)
    own = process_group.shard(rows)
    images = to_float(pixels[own].to(device))
    if views is None:
        target = mirror(images, config.augment, draws)
        reframed = reframe(target, config.augment, draws)
        if not config.network.has_two_encoders:
            # The decoder can't know of changes that the one encoder does not tell it of.
            target = reframed
        target, altered = _lay_out(target), _lay_out(erase(reframed, config.augment, draws))
        return Batch(target, target, altered, None, noise)
    view_draws = process_group.shard(torch.rand(len(rows), DRAWS, generator=generator))
    encoded, target, reference, is_view = draw_batch(images, views, own, view_draws, config.photos.share)
    drawing_weights = torch.where(is_view, config.photos.drawing_weight, 1.0).to(device)
    altered = erase(reframe(encoded, config.augment, draws), config.augment, draws)
    others = process_group.shard(draw_changes(len(rows), generator))
    reference = erase(reframe(reference, config.augment, others), config.augment, others)
    return Batch(target, _lay_out(encoded), _lay_out(altered), _lay_out(reference), noise, drawing_weights)


def _lay_out(images: torch.Tensor) -> torch.Tensor:
    return images.contiguous(memory_format=torch.channels_last)
