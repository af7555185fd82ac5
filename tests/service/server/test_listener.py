"""The listening socket, and how processes share it."""

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager

import pytest

from service.errors import AddressTaken
from service.server import listener as listening_sockets
from service.server.listener import NOT_ACCEPTING, Acceptor, ConnectionCounts, bind, describe_address


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("shoes.example", "http://shoes.example:80"),
    ],
)
def test_address_can_be_opened(host: str, address: str) -> None:
    """An address that means every interface is shown as one that a browser takes."""
    assert describe_address(host, 80) == address


def test_free_port() -> None:
    """Port 0 is any that is free."""
    with bind("127.0.0.1", 0) as listener:
        assert listener.getsockname()[1] > 0


def test_taken_port() -> None:
    """A port that is taken is an error with the way out."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(AddressTaken, match="--port"):
            bind("127.0.0.1", other.getsockname()[1])


class Greeter(asyncio.Protocol):
    """Says the name of the worker that it is in, and notes each connection with it."""

    def __init__(self, name: str, connections: set[asyncio.Protocol]) -> None:
        self.name, self.connections = name, connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)
        self.connections.add(self)
        transport.write(self.name.encode())

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self.connections.discard(self)


class Listener(socket.socket):
    """A handle of a listening socket that fails to accept, as often as it is told to."""

    def __init__(self, listener: socket.socket, failures: Iterable[OSError]) -> None:
        super().__init__(fileno=listener.dup().detach())
        self.failures = iter(failures)

    def accept(self) -> tuple[socket.socket, object]:
        """The next connection, unless another failure is due."""
        for failure in self.failures:
            raise failure
        return super().accept()


def make_acceptor(
    listener: socket.socket, name: str, share: ConnectionCounts | None = None, failures: Iterable[OSError] = ()
) -> Acceptor:
    """An acceptor of its own handle of the socket, as a worker process has it."""
    connections: set[asyncio.Protocol] = set()
    handle = Listener(listener, failures)
    return Acceptor(handle, lambda: Greeter(name, connections), count=lambda: len(connections), share=share)


async def connect(listener: socket.socket) -> tuple[str, asyncio.StreamWriter]:
    """Who greets a new connection."""
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    return (await reader.read(8)).decode(), writer


@asynccontextmanager
async def listening() -> AsyncIterator[socket.socket]:
    """A listening socket."""
    with bind("127.0.0.1", 0) as listener:
        listener.listen()
        yield listener


async def test_connections_are_shared_evenly() -> None:
    """Connections that come all at once end up on the workers in equal numbers, also after some have gone."""
    async with listening() as listener:
        counts = [0, 0]
        acceptors = [make_acceptor(listener, str(index), ConnectionCounts(counts, index)) for index in range(2)]
        for acceptor in acceptors:
            acceptor.start()
        greeted = await asyncio.gather(*(connect(listener) for _ in range(32)))
        names = [name for name, _ in greeted]
        assert abs(names.count("0") - names.count("1")) <= 2
        gone = [writer for name, writer in greeted if name == "0"]
        for writer in gone:
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(0.02)
        acceptors[0].publish()
        later = await asyncio.gather(*(connect(listener) for _ in range(16)))
        assert [name for name, _ in later].count("0") >= 14
        for acceptor in acceptors:
            await acceptor.close()
        assert counts == [NOT_ACCEPTING, NOT_ACCEPTING]
        for _, writer in (*greeted, *later):
            writer.close()


async def test_idle_worker_that_hangs_is_not_waited_for() -> None:
    """A connection that a less busy worker does not take is taken after a moment by a busier one."""
    async with listening() as listener:
        acceptor = make_acceptor(listener, "busy", ConnectionCounts([5, 0], 0))
        acceptor.start()
        greeted = [await asyncio.wait_for(connect(listener), timeout=60) for _ in range(3)]
        assert [name for name, _ in greeted] == ["busy"] * 3
        await acceptor.close()
        for _, writer in greeted:
            writer.close()


async def test_queued_connections_are_taken_at_the_end() -> None:
    """Connections that wait in the queue when the worker stops are served, and later ones refused."""
    async with listening() as listener:
        busy = True

        def while_busy() -> Iterator[OSError]:
            while busy:
                yield BlockingIOError()

        acceptor = make_acceptor(listener, "last", failures=while_busy())
        acceptor.start()
        pairs = [await asyncio.open_connection(*listener.getsockname()) for _ in range(3)]
        busy = False
        await acceptor.close()
        for reader, writer in pairs:
            assert await asyncio.wait_for(reader.read(8), timeout=60) == b"last"
            writer.close()
        address = listener.getsockname()
        listener.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)


async def test_out_of_files(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Where the process may open no more files, connections wait, and are taken once it may."""
    monkeypatch.setattr(listening_sockets, "RETRY_SECONDS", 0.01)

    async with listening() as listener:
        acceptor = make_acceptor(listener, "here", failures=iter([OSError(errno.EMFILE, os.strerror(errno.EMFILE))]))
        acceptor.start()
        name, writer = await asyncio.wait_for(connect(listener), timeout=60)
        assert name == "here"
        assert "Too many open files" in caplog.text
        await acceptor.close()
        writer.close()
