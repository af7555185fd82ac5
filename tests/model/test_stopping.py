import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from model.stopping import stop_on_signals


@pytest.fixture(autouse=True)
def _usual_handlers() -> Iterator[None]:
    """Ctrl-C as in a terminal, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_only_asks(number: signal.Signals) -> None:
    """The job goes on until it looks; which signal it was is known."""
    with stop_on_signals() as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        assert stop.signal == number


def test_the_second_one_does_what_it_always_does() -> None:
    """Whoever can't wait presses Ctrl-C once more."""
    with stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_signals_mean_afterwards_what_they_meant_before() -> None:
    """Nothing of it stays behind."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with stop_on_signals():
        assert signal.getsignal(signal.SIGTERM) is not before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_some_signals_alone() -> None:
    """Others stay what they are."""
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals(signal.SIGINT) as stop:
        assert signal.getsignal(signal.SIGTERM) is before
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal == signal.SIGINT


def test_another_thread_takes_no_signals() -> None:
    """Python lets only the main one; a job in another is not stopped, and changes nothing."""
    before = signal.getsignal(signal.SIGINT)

    def work() -> bool:
        with stop_on_signals() as stop:
            return stop() or signal.getsignal(signal.SIGINT) is not before

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() is False


def test_what_is_ignored_stays_so() -> None:
    """A job in the background goes on when Ctrl-C ends the one in the foreground."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert not stop()
