"""Ctrl-C and SIGTERM as a question that a long job asks between two steps, in place of an end anywhere."""

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Stop", "stop_on_signals"]

logger = logging.getLogger(__name__)


class Stop:
    """Whether the job is to stop.

    Attributes:
        signal: the number of the signal that said so; None as long as none has.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        """Whether the job is to stop."""
        return self.signal is not None


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Within the block the first SIGINT or SIGTERM only sets the `Stop`; a second one does what it always does.

    One that is ignored, as a shell has it for Ctrl-C in what it runs in the background, stays so. For the main thread.
    """
    stop = Stop()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in handlers.items() if handler is not signal.SIG_IGN}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, _frame: FrameType | None) -> None:
        stop.signal = number
        restore()
        logger.warning("%s: stopping after what is under way; once more to stop at once", signal.Signals(number).name)

    for number in before:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        restore()
