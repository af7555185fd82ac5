"""Waiting for what is to come, however busy the machine is."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], bool], *, every: float = 0.02) -> None:
    """Look again and again, after so many seconds each time, until the condition holds; it fails after minutes."""
    deadline = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(every)
