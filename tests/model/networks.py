"""Networks made for tests: small, and the same on every machine and release of torch."""

from typing import TypeVar

import numpy as np
import torch
from torch import nn

from model.checkpoint import Checkpoint, Condition
from model.localizer import Localizer, LocalizerConfig
from model.preprocess import PreprocessConfig
from model.tvae import TVAE, Slice, TVAEConfig

Network = TypeVar("Network", bound=nn.Module)

TINY = TVAEConfig(image_size=16, channels=3, widths=(4, 8), blocks=1, slices=(Slice("type", 3), Slice("free", 2)))


def fixed_weights(network: Network) -> Network:
    """Fill a network with numbers from NumPy's generator, whose stream is the same everywhere."""
    random = np.random.default_rng(7)
    with torch.no_grad():
        for name, value in sorted(network.state_dict().items()):
            if value.dtype.is_floating_point:
                draw = torch.from_numpy(random.normal(0.0, 0.2, value.shape)).float()
                value.copy_(draw.abs() + 0.5 if name.endswith("running_var") else draw)
    return network.eval()


def tiny_checkpoint() -> Checkpoint:
    """A network of a few thousand weights, not trained, with one condition."""
    return Checkpoint(
        tvae=fixed_weights(TVAE(TINY)),
        preprocess=PreprocessConfig(size=16),
        conditions=(Condition("type", ("Category",)),),
        training={"shoes": 0},
    )


def tiny_localizer() -> Localizer:
    """A localizer of a thousand weights, not trained."""
    return fixed_weights(Localizer(LocalizerConfig(size=32, widths=(4, 8))))
