"""Calls to a Milvus that fails, and the circuit breaker."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import grpc
import pytest

from service.errors import StoreUnavailable
from service.milvus_address import Address

pytest.importorskip("pymilvus")

from pymilvus import MilvusClient, MilvusException

from service.store.milvus import connection as connections
from service.store.milvus.connection import Connection

GONE = MilvusException(code=grpc.StatusCode.UNAVAILABLE, message="nobody there")


class Client:
    """A client of a server that is away while `gone` is set. Counts its looks."""

    gone = threading.Event()
    looks: list[int]

    def __init__(self, *_arguments: object, **_options: object) -> None:
        pass

    def query(self, *_arguments: object, **_options: object) -> list[Any]:
        """What the breaker's thread asks for."""
        self.looks.append(threading.get_ident())
        if self.gone.is_set():
            raise GONE
        return []

    def close(self) -> None:
        """Nothing to do."""


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A connection to such a server, which is there."""
    monkeypatch.setattr(connections, "MilvusClient", Client)
    monkeypatch.setattr(Client, "looks", [], raising=False)
    Client.gone.clear()
    with closing(Connection(Address("http://db.example:19530", "shoes"))) as made:
        yield made


def ask(_client: MilvusClient, _seconds: float) -> str:
    """A call that is answered unless the server is away."""
    if Client.gone.is_set():
        raise GONE
    return "answer"


def failing(*errors: Exception) -> Any:
    """A call that fails with these, one after another, and is answered then."""
    left = iter(errors)

    def operation(_client: MilvusClient, _seconds: float) -> str:
        if error := next(left, None):
            raise error
        return "answer"

    return operation


def wait_until_answered(connection: Connection) -> None:
    """Ask until there is an answer; fails after 20 s."""
    deadline = time.monotonic() + 20
    while True:
        try:
            connection.call(ask)
        except StoreUnavailable:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        else:
            return


def test_a_blip_is_tried_again(connection: Connection) -> None:
    """An error that may pass is nobody's business."""
    assert connection.call(failing(MilvusException(message="a blip"), ValueError("closed channel"))) == "answer"
    assert connection.call(ask) == "answer"


def test_refuses_at_once_and_recovers_by_itself(connection: Connection) -> None:
    """After the first call that finds nobody, none reaches the server, until it answers; nobody has to ask."""
    Client.gone.set()
    with pytest.raises(StoreUnavailable):
        connection.call(ask)
    called = []
    with pytest.raises(StoreUnavailable) as caught:
        connection.call(lambda _client, _seconds: called.append(1))
    assert not called
    assert caught.value.retry_after >= 1
    assert "db.example" not in str(caught.value)
    Client.gone.clear()
    wait_until_answered(connection)
    assert Client.looks


def test_one_thread_looks_however_many_calls_fail(connection: Connection) -> None:
    """Many calls that fail at once are one outage."""
    Client.gone.set()
    everybody = threading.Barrier(8)

    def fail(_client: MilvusClient, _seconds: float) -> None:
        everybody.wait()
        raise GONE

    def call() -> None:
        with pytest.raises(StoreUnavailable):
            connection.call(fail)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    Client.gone.clear()
    wait_until_answered(connection)
    assert len(set(Client.looks)) == 1


def test_closing_ends_the_looking(connection: Connection) -> None:
    """A store that is closed while Milvus is away leaves no thread behind."""
    Client.gone.set()
    with pytest.raises(StoreUnavailable):
        connection.call(ask)
    connection.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "store-probe"]
