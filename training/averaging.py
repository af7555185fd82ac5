"""An average of a network's weights over the steps of its training."""

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


class WeightAverage(Generic[Network]):
    """An exponential moving average of a network's weights and of its batch-norm statistics.

    Attributes:
        network: the average, in eval mode.
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.decay = decay
        self.network = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)

    @torch.no_grad()
    def update(self, network: Network, steps: int) -> None:
        """Take in the weights after `steps` steps. The first steps count more, so that the start is soon forgotten."""
        decay = min(self.decay, (1 + steps) / (10 + steps))
        current = network.state_dict()
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                value.lerp_(current[name], 1.0 - decay)
            else:
                value.copy_(current[name])
