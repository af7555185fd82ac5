"""A running average of the weights, which most often serves better than where the last step happened to end."""

import copy

import torch

from model.tvae import TVAE

__all__ = ["WeightAverage"]


class WeightAverage:
    """An exponential moving average of a network's weights and of its batch-norm statistics.

    Attributes:
        network: the average, in eval mode.
    """

    def __init__(self, tvae: TVAE, decay: float) -> None:
        self.decay = decay
        self.network = copy.deepcopy(tvae).eval().requires_grad_(requires_grad=False)

    @torch.no_grad()
    def update(self, tvae: TVAE, steps: int) -> None:
        """Take in the weights after `steps` steps. The first steps count more, so that the start is soon forgotten."""
        decay = min(self.decay, (1 + steps) / (10 + steps))
        current = tvae.state_dict()
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                value.lerp_(current[name], 1.0 - decay)
            else:
                value.copy_(current[name])
