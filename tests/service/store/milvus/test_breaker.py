"""The circuit breaker."""

import threading
import time

import pytest

from service.errors import StoreUnavailable
from service.store.milvus.breaker import Breaker


def wait_until_closed(breaker: Breaker) -> None:
    """Wait for the thread that looks; fails after 10 s."""
    deadline = time.monotonic() + 10
    while breaker.is_open:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_refuses_at_once_and_recovers_by_itself() -> None:
    """Tripped, it refuses calls and says when to try again, until the probe succeeds; nobody has to ask."""
    is_back = threading.Event()
    looks = []

    def probe() -> None:
        looks.append(1)
        if not is_back.is_set():
            raise ConnectionError("nobody there")

    breaker = Breaker("the store", probe)
    breaker.require_closed()
    breaker.trip("no answer")
    with pytest.raises(StoreUnavailable) as caught:
        breaker.require_closed()
    assert caught.value.retry_after >= 1
    assert "the store" not in str(caught.value)
    is_back.set()
    wait_until_closed(breaker)
    breaker.require_closed()
    assert looks
    breaker.close()


def test_one_thread_looks_however_many_trip() -> None:
    """Many calls that fail at once are one outage."""
    running = set()
    go_on = threading.Event()

    def probe() -> None:
        running.add(threading.get_ident())
        go_on.wait(10)

    breaker = Breaker("the store", probe)
    for _ in range(20):
        breaker.trip("no answer")
    go_on.set()
    wait_until_closed(breaker)
    assert len(running) == 1
    breaker.close()


def test_closing_ends_the_looking() -> None:
    """A store that is closed while Milvus is away leaves no thread behind."""

    def probe() -> None:
        raise ConnectionError("nobody there")

    breaker = Breaker("the store", probe)
    breaker.trip("no answer")
    breaker.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "store-probe"]
    breaker.trip("no answer")
    assert not [thread for thread in threading.enumerate() if thread.name == "store-probe"]
