"""Ctrl-C and SIGTERM as a question that a long job asks between two steps, in place of an end anywhere."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

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
def stop_on_signals(*numbers: signal.Signals) -> Iterator[Stop]:
    """Within the block the first of these signals only sets the `Stop`; a second one does what it always does.

    One that is ignored, as a shell has it for Ctrl-C in what it runs in the background, stays so. Only a program's main
    thread can take signals: in others nothing is changed, and the `Stop` is never set.

    Args:
        numbers: left out, SIGINT and SIGTERM.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    handlers = {number: signal.getsignal(number) for number in numbers or (signal.SIGINT, signal.SIGTERM)}
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
