"""Clients that are slow, endless, many, or speak no HTTP, against a real server with little patience."""

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn
from starlette.exceptions import HTTPException

from service.http.middleware.limits import LimitRequest
from service.http.problems import render_error
from service.server import protocol
from service.server.protocol import ConnectionConfig
from service.settings import Settings

PATIENCE = 0.6
SOON = 20
"""Seconds within which everything has to be over, on a machine that is busy with other things too."""

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = 64 * 2**20


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Answers at once at /early, late at /late, much at /large, and else with the size of the body."""
    size = 0
    try:
        while scope["path"] != "/early":
            message = await receive()
            size += len(message.get("body", b""))
            if not message.get("more_body"):
                break
    except HTTPException as error:
        await render_error(error)(scope, receive, send)
        return
    if scope["path"] == "/late":
        await asyncio.sleep(3 * PATIENCE)
    body = bytes(LARGE) if scope["path"] == "/large" else str(size).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Client(socket.socket):
    """A connection, with time limits on everything."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.settimeout(SOON)
        self.connect(("127.0.0.1", port))

    def drip(self, piece: bytes, every: float = 0.05) -> float:
        """Send a piece again and again until the server has had enough; returns after how many seconds."""
        began = time.monotonic()
        self.settimeout(every)
        while time.monotonic() - began < SOON:
            try:
                self.sendall(piece)
                if self.recv(1, socket.MSG_PEEK) is not None:
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        self.settimeout(SOON)
        return time.monotonic() - began

    def read(self) -> bytes:
        """All that comes until the server closes."""
        received = b""
        try:
            while piece := self.recv(65536):
                received += piece
        except ConnectionResetError:
            pass
        return received

    def read_answer(self) -> bytes:
        """The body of the next answer, which has to be a 200, and not a byte after it."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            piece = self.recv(1)
            assert piece, f"closed after {head!r}"
            head += piece
        assert head.startswith(b"HTTP/1.1 200 "), head
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None
        return self.recv(int(length[1]), socket.MSG_WAITALL)

    def ask(self, request: bytes = GET) -> bytes:
        """Send a request and read the first piece of its answer."""
        self.sendall(request)
        return self.recv(65536)


@dataclass(frozen=True)
class Door:
    """A server's door.

    Attributes:
        connect: opens a connection.
        count: how many connections the server knows.
    """

    connect: Callable[[], Client]
    count: Callable[[], int]


Open = Callable[..., Any]


@pytest.fixture
def open_door(monkeypatch: pytest.MonkeyPatch) -> Open:
    """Starts a server with these settings, and little patience where they don't say otherwise."""
    monkeypatch.setattr(protocol, "LINGER_SECONDS", PATIENCE)

    @contextmanager
    def opening(**changes: Any) -> Iterator[Door]:
        settings = Settings.model_validate(
            {"head_seconds": PATIENCE, "grace_seconds": PATIENCE, "keep_alive_seconds": 1, "min_rate": 1000, **changes}
        )
        server = uvicorn.Server(ConnectionConfig(LimitRequest(answer, settings), settings, log_config=None))
        with ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
            thread.start()
            try:
                port = listener.getsockname()[1]
                yield Door(
                    lambda: stack.enter_context(closing(Client(port))), lambda: len(server.server_state.connections)
                )
            finally:
                stack.close()
                server.should_exit = True
                thread.join(SOON)
        assert not thread.is_alive()

    return opening


def check_refusal(answer: bytes, status: int, slug: str) -> None:
    """Assert that an answer of the server itself is a problem like any other, and the last on its connection."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0].startswith(f"http/1.1 {status} ")
    assert {"connection: close", "content-type: application/problem+json", "x-content-type-options: nosniff"} <= set(
        lines
    )
    problem = json.loads(body)
    assert problem["status"] == status
    assert problem["type"] == f"urn:solemate:{slug}"
    assert problem["detail"]


def test_head_that_trickles(open_door: Open) -> None:
    """A head that comes a byte at a time is given up when its time is over, however steadily it comes."""
    with open_door() as door:
        client = door.connect()
        client.sendall(b"GET / HTTP/1.1\r\nX: ")
        assert client.drip(b"x") >= PATIENCE / 2
        check_refusal(client.read(), 408, "slow-sender")


def test_silent_connection(open_door: Open) -> None:
    """A connection over which nothing comes is closed without a word."""
    with open_door() as door:
        began = time.monotonic()
        assert door.connect().read() == b""
        assert time.monotonic() - began >= PATIENCE


def test_empty_lines(open_door: Open) -> None:
    """Empty lines before a request, which HTTP allows, don't keep a connection open."""
    with open_door() as door:
        client = door.connect()
        assert b" 200 " in client.ask()
        assert PATIENCE / 2 <= client.drip(b"\r\n") < SOON / 2


def test_head_that_never_ends(open_door: Open) -> None:
    """A head is refused when it has become too large, though no header of it is complete."""
    with open_door(max_head_bytes=2000) as door:
        for beginning in (b"GET / HTTP/1.1\r\nX: ", b"GET /", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100):
            client = door.connect()
            client.sendall(beginning + b"x" * 5000)
            check_refusal(client.read(), 431, "head-too-large")


@pytest.mark.parametrize("said", [b"\x16\x03\x01\x02\x00\x01", b"hello\r\n\r\n", b"GET / HTTP/1.1\r\nA b\r\n\r\n"])
def test_no_http(open_door: Open, said: bytes) -> None:
    """What is not HTTP is told so, as a problem."""
    with open_door() as door:
        client = door.connect()
        client.sendall(said)
        check_refusal(client.read(), 400, "malformed-request")


def test_body_that_trickles(open_door: Open) -> None:
    """A body that comes too slowly is given up, and the connection closed."""
    with open_door() as door:
        client = door.connect()
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        assert client.drip(b"x") >= PATIENCE / 2
        head = client.read()
        assert b" 408 " in head
        assert b"connection: close" in head.lower()


def test_chunks_that_trickle(open_door: Open) -> None:
    """So is a body in chunks."""
    with open_door() as door:
        client = door.connect()
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.drip(b"1\r\nx\r\n")
        assert b" 408 " in client.read()


def test_steady_body(open_door: Open) -> None:
    """A body that takes long, but keeps up with the rate, is answered."""
    with open_door() as door:
        client = door.connect()
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 30000\r\n\r\n")
        for _ in range(30):
            client.sendall(b"x" * 1000)
            time.sleep(PATIENCE / 15)
        assert client.recv(65536).endswith(b"30000")


def test_late_answer(open_door: Open) -> None:
    """A client that waits for the service is not blamed for it, and may go on afterwards."""
    with open_door() as door:
        client = door.connect()
        assert b" 200 " in client.ask(GET.replace(b"/ ", b"/late "))
        assert b" 200 " in client.ask()


def test_idle_connection(open_door: Open) -> None:
    """A connection is kept for the next request for as long as the setting says, and then closed."""
    with open_door() as door:
        client = door.connect()
        for _ in range(3):
            began = time.monotonic()
            assert b" 200 " in client.ask()
        assert client.recv(1) == b""
        assert time.monotonic() - began >= 0.9


def test_too_many_connections(open_door: Open) -> None:
    """Connections beyond the limit are turned away with a 503, until there is room again."""
    with open_door(max_connections=2, head_seconds=SOON) as door:
        first, second = door.connect(), door.connect()
        assert b" 200 " in first.ask()
        assert b" 200 " in second.ask()
        check_refusal(door.connect().read(), 503, "overloaded")
        first.close()
        wait_until(lambda: door.count() < 2)
        assert b" 200 " in door.connect().ask()


def test_slow_clients_keep_nobody_out(open_door: Open) -> None:
    """Many slow clients at once are gone after their time, and others are answered meanwhile."""
    with open_door(max_connections=100) as door:
        slow = [door.connect() for _ in range(60)]
        for client in slow:
            client.sendall(b"GET / HTTP/1.1\r\nX: x")
        assert b" 200 " in door.connect().ask()
        for client in slow:
            client.read()
        wait_until(lambda: door.count() == 0)


def test_body_after_its_answer(open_door: Open) -> None:
    """What a client still sends when it has its answer is thrown away, and the connection goes on after it."""
    with open_door() as door:
        client = door.connect()
        head = b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
        assert b" 200 " in client.ask(head + b"x" * 1000)
        client.sendall(b"x" * 99_000)
        assert b" 200 " in client.ask()


def test_body_that_goes_on_after_its_answer(open_door: Open) -> None:
    """But not for ever."""
    with open_door() as door:
        client = door.connect()
        client.ask(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
        assert PATIENCE / 2 <= client.drip(b"x" * 1000, every=0.01) < SOON / 2


def test_answer_that_is_not_taken(open_door: Open) -> None:
    """A client that does not take its answer is cut off: it would hold the answer in memory for ever."""
    with open_door() as door:
        client = door.connect()
        client.sendall(GET.replace(b"/ ", b"/large "))
        assert client.recv(1000)
        wait_until(lambda: door.count() == 0)
        assert len(client.read()) < LARGE


def test_answer_that_is_taken_slowly(open_door: Open) -> None:
    """A client that takes its answer slowly, but keeps up with the rate, gets all of it."""
    with open_door(min_rate=1) as door:
        client = door.connect()
        client.sendall(GET.replace(b"/ ", b"/large "))
        received = 0
        for _ in range(20):
            received += len(client.recv(2**18))
            time.sleep(PATIENCE / 10)
        while received < LARGE:
            received += len(client.recv(2**20))


def test_pipelined_requests(open_door: Open) -> None:
    """A few requests sent at once are answered in turn; a client that sends ever more of them is cut off."""
    with open_door() as door:
        client = door.connect()
        client.sendall(GET * 5)
        answers = b""
        while answers.count(b" 200 ") < 5:
            answers += client.recv(65536)
        client = door.connect()
        client.sendall(GET.replace(b"/ ", b"/late ") + GET * 100)
        assert client.read() == b""


TOKENS = ("h2c", "websocket", "TLS/1.0")
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
"""A body that reads like a request."""

FRAMINGS = {
    "length": (b"Content-Length: %d" % len(HIDDEN), HIDDEN),
    "chunked": (b"Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)),
}


def ask_to_upgrade(token: str, *more: bytes, line: bytes = b"POST / HTTP/1.1") -> bytes:
    """The head of a request that asks for another protocol."""
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " + token.encode()
    return b"\r\n".join([line, b"Host: x", upgrade, b"HTTP2-Settings: AAMAAABk", *more, b"", b""])


@pytest.mark.parametrize("apart", [False, True], ids=["together", "apart"])
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("token", TOKENS)
def test_upgrades_are_not_taken(
    open_door: Open, caplog: pytest.LogCaptureFixture, token: str, framing: str, apart: bool
) -> None:
    """A request to speak another protocol is answered with its body like any other, and what follows it is the next."""
    header, body = FRAMINGS[framing]
    head = ask_to_upgrade(token, header)
    with open_door() as door:
        client = door.connect()
        if apart:
            client.sendall(head)
            time.sleep(0.1)
            client.sendall(body)
        else:
            client.sendall(head + body)
        assert client.read_answer() == b"%d" % len(HIDDEN)
        client.sendall(GET)
        assert client.read_answer() == b"0"
        client.sendall(GET.replace(b"Host: x", b"Host: x\r\nConnection: close"))
        assert client.read_answer() == b"0"
        assert client.read() == b""
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == []


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_pipelined_upgrades(open_door: Open, size: int) -> None:
    """Such requests are framed as others are, wherever their segments end."""
    requests = [ask_to_upgrade("h2c", header) + body for header, body in FRAMINGS.values()]
    empty = ask_to_upgrade("websocket", line=b"GET / HTTP/1.1")
    stream = requests[0] + GET + requests[1] + empty + GET
    with open_door(head_seconds=SOON) as door:
        client = door.connect()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(stream), size):
            client.sendall(stream[start : start + size])
        sizes = [client.read_answer() for _ in range(5)]
        assert sizes == [b"%d" % len(HIDDEN), b"0", b"%d" % len(HIDDEN), b"0", b"0"]


def test_many_pipelined_upgrades(open_door: Open) -> None:
    """A client that sends ever more of them is cut off, as with other requests."""
    with open_door() as door:
        client = door.connect()
        late = ask_to_upgrade("h2c", line=b"GET /late HTTP/1.1")
        client.sendall(late + ask_to_upgrade("h2c", line=b"GET / HTTP/1.1") * 1000)
        assert client.read() == b""


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked",
        b"Content-Length: 4\r\nContent-Length: 5",
        b"Transfer-Encoding: gzip",
    ],
)
def test_ambiguous_bodies(open_door: Open, framing: bytes) -> None:
    """A body whose end is not clear is refused, and nothing after it is read; also with a request to upgrade."""
    with open_door() as door:
        for head in (ask_to_upgrade("h2c", framing), b"POST / HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n"):
            client = door.connect()
            client.sendall(head + b"0\r\n\r\n" + HIDDEN)
            assert b" 200 " not in client.read()


def test_connection_upgrade_alone(open_door: Open) -> None:
    """The word Upgrade in Connection without the header of that name, and the header without the word, mean nothing."""
    with open_door() as door:
        for header in (b"Connection: Upgrade", b"Upgrade: h2c"):
            client = door.connect()
            length, body = FRAMINGS["length"]
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n" + length + b"\r\n\r\n" + body + GET)
            assert [client.read_answer(), client.read_answer()] == [b"%d" % len(HIDDEN), b"0"]


def test_upgrade_in_http_1_0(open_door: Open) -> None:
    """HTTP/1.0 has no upgrades; its request is answered, and its connection closed."""
    length, body = FRAMINGS["length"]
    with open_door() as door:
        client = door.connect()
        client.sendall(ask_to_upgrade("h2c", length, line=b"POST / HTTP/1.0") + body)
        assert client.read_answer() == b"%d" % len(HIDDEN)
        assert client.read() == b""


@pytest.mark.parametrize("target", [b"x:80", b"/", b"x:80 HTTP/1.1\r\nContent-Length: 4"])
def test_connect(open_door: Open, target: bytes) -> None:
    """CONNECT is refused, as nobody can know what follows it, and its connection closed."""
    with open_door() as door:
        client = door.connect()
        client.sendall(b"CONNECT " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN)
        check_refusal(client.read(), 400, "malformed-request")


def test_headers_after_a_body(open_door: Open) -> None:
    """What follows the last chunk can't upgrade the connection."""
    with open_door() as door:
        client = door.connect()
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
        client.sendall(b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + GET)
        assert [client.read_answer(), client.read_answer()] == [b"1", b"0"]


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait, for a while."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < SOON
        time.sleep(0.02)
