"""A server that stops answers everything that it has taken."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from service.server import protocol
from service.server.listener import bind
from service.server.protocol import ConnectionConfig, has_unread
from service.server.run import Server
from service.serving.generations import Live
from service.settings import Settings
from tests.service.serving.test_generations import Disk

HEAD = b"GET / HTTP/1.1\r\nhost: shoes\r\n"
REQUEST = HEAD + b"\r\n"


class Stage:
    """A server of one slow path, and clients of it."""

    def __init__(self, server: Server, live: Live, address: tuple[str, int], slow: asyncio.Event) -> None:
        self.server, self.live, self.address, self.go_on = server, live, address, slow

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection; the server has taken it once it has answered."""
        return await asyncio.open_connection(*self.address)

    async def stop(self) -> None:
        """Tell the server to stop, and wait until it has begun to."""
        self.server.should_exit = True
        while not self.live.draining:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.03)


async def answer_of(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """An answer's headers, in lower case, and its body."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), timeout=60)).lower()
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head, await reader.readexactly(length)


class Listener(socket.socket):
    """A listening socket that lets nobody in before `live` ends, if that is given."""

    def __init__(self, bound: socket.socket, live: Live | None) -> None:
        super().__init__(fileno=bound.detach())
        self.live = live

    def accept(self) -> tuple[socket.socket, object]:
        """The next client."""
        if self.live is not None and not self.live.draining:
            raise BlockingIOError
        return super().accept()


@asynccontextmanager
async def serving(tmp_path: Path, drain_seconds: float = 10, *, held: bool = False) -> AsyncIterator[Stage]:
    """A server; in the end it has stopped, and everything is closed. `held`: its clients queue until it stops."""
    go_on = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/slow":
            await go_on.wait()
        headers = [(b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["path"] == "/halves":
            await send({"type": "http.response.body", "body": b"sh", "more_body": True})
            await go_on.wait()
            await send({"type": "http.response.body", "body": b"oes"})
            return
        await send({"type": "http.response.body", "body": b"shoes"})

    disk = Disk(tmp_path)
    live = Live(disk)
    config = ConnectionConfig(application, Settings(), log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    with bind("127.0.0.1", 0) as bound, Listener(bound, live if held else None) as listener:

        async def begin() -> None:
            listener.listen()

        server = Server(config, live, begin, drain_seconds=drain_seconds)
        served = asyncio.create_task(server.serve([listener]))
        while not server.started:
            await asyncio.sleep(0.001)
        yield Stage(server, live, listener.getsockname(), go_on)
        server.should_exit = True
        await asyncio.wait_for(served, timeout=60)
    assert disk.closed() == [True]


@pytest.fixture(autouse=True)
def _patient_no_longer_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silent connections are closed sooner than in earnest."""
    monkeypatch.setattr(protocol, "SILENT_SECONDS", 0.15)


async def test_request_under_way_is_answered(tmp_path: Path) -> None:
    """What was asked before the stop is answered after it, and the client told that the connection ends."""
    async with serving(tmp_path) as stage:
        reader, writer = await stage.connect()
        writer.write(REQUEST.replace(b"/ ", b"/slow ", 1))
        await asyncio.sleep(0.05)
        await stage.stop()
        stage.go_on.set()
        head, body = await answer_of(reader)
        assert b"connection: close" in head
        assert body == b"shoes"
        assert await reader.read() == b""
        writer.close()


async def test_next_request_of_a_kept_connection_is_answered(tmp_path: Path) -> None:
    """A request that crosses the stop on its way, over a connection kept open, is answered; then it is closed."""
    async with serving(tmp_path) as stage:
        reader, writer = await stage.connect()
        for _ in range(2):
            writer.write(REQUEST)
            head, _ = await answer_of(reader)
            assert b"connection: close" not in head
        await stage.stop()
        writer.write(REQUEST)
        head, body = await answer_of(reader)
        assert (b"connection: close" in head, body) == (True, b"shoes")
        assert await reader.read() == b""
        writer.close()


async def test_answer_that_has_begun_is_finished(tmp_path: Path) -> None:
    """An answer whose headers are sent already is sent to its end, and the connection waits for one request more."""
    async with serving(tmp_path) as stage:
        reader, writer = await stage.connect()
        writer.write(REQUEST.replace(b"/ ", b"/halves ", 1))
        await reader.readuntil(b"sh")
        await stage.stop()
        stage.go_on.set()
        assert await reader.readexactly(3) == b"oes"
        writer.write(REQUEST)
        head, _ = await answer_of(reader)
        assert b"connection: close" in head
        writer.close()


async def test_head_that_has_begun_to_arrive(tmp_path: Path) -> None:
    """A request of which only the first headers had arrived at the stop is waited for."""
    async with serving(tmp_path) as stage:
        reader, writer = await stage.connect()
        writer.write(HEAD)
        await asyncio.sleep(0.05)
        await stage.stop()
        await asyncio.sleep(0.3)
        writer.write(b"\r\n")
        _, body = await answer_of(reader)
        assert body == b"shoes"
        writer.close()


async def test_silent_connections_are_closed(tmp_path: Path) -> None:
    """Connections over which nothing comes do not hold up the stop, whether they ever asked or not."""
    async with serving(tmp_path) as stage:
        pairs = [await stage.connect() for _ in range(2)]
        pairs[0][1].write(REQUEST)
        await answer_of(pairs[0][0])
        await stage.stop()
        for reader, writer in pairs:
            assert await asyncio.wait_for(reader.read(), timeout=8) == b""
            writer.close()


async def test_connections_in_the_queue_are_answered(tmp_path: Path) -> None:
    """Clients that the kernel has let in, but the server not yet, are answered; later ones are refused at once."""
    async with serving(tmp_path, held=True) as stage:
        pairs = [await stage.connect() for _ in range(5)]
        for _, writer in pairs:
            writer.write(REQUEST)
        await stage.stop()
        for reader, writer in pairs:
            assert (await answer_of(reader))[1] == b"shoes"
            writer.close()
        with pytest.raises(ConnectionRefusedError):
            await stage.connect()


async def test_no_longer_than_allowed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A request that does not end is cut off when the time is over."""
    async with serving(tmp_path, drain_seconds=0.2) as stage:
        reader, writer = await stage.connect()
        writer.write(REQUEST.replace(b"/ ", b"/slow ", 1))
        await asyncio.sleep(0.05)
        await stage.stop()
        await reader.read()
        assert "1 connections are cut off" in caplog.text
        writer.close()


def test_unread_bytes_are_seen() -> None:
    """Bytes that have arrived and were not read keep a connection from being taken for silent."""

    class Transport(asyncio.Transport):
        """As much of one as is looked at."""

        def __init__(self, end: socket.socket) -> None:
            super().__init__({"socket": end})

    ours, theirs = socket.socketpair()
    with theirs:
        assert not has_unread(Transport(ours))
        theirs.send(b"GET")
        assert has_unread(Transport(ours))
        ours.close()
        assert not has_unread(Transport(ours))
