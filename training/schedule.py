"""The learning rate over a training: one cycle (Smith & Topin, 2017), of a short warm-up and half a cosine."""

import math

WARM_UP = 0.1
"""Share of the steps over which the learning rate grows."""


def one_cycle(done: float, *, first: float = 0.05, last: float = 0.002) -> float:
    """The learning rate as a share of its peak when the share `done` of all steps is done.

    Args:
        done: in [0, 1].
        first: the share that the warm-up begins with.
        last: the share that the cosine does not fall below.
    """
    if done < WARM_UP:
        return first + (1.0 - first) * done / WARM_UP
    return max(last, 0.5 * (1.0 + math.cos(math.pi * (done - WARM_UP) / (1.0 - WARM_UP))))
