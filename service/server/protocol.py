"""HTTP/1.1 connections: uvicorn's protocol class with limits on request heads, idle clients and slow readers.

A request that has arrived is the application's to judge (`service.http.middleware.limits`). What comes before, and
around it, is seen here only: a head that trickles in or never ends, too many connections, a body that goes on after its
answer, an answer that nobody takes. One timer of the process looks at every connection now and then; a request needs no
timer of its own.
"""

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable
from enum import Enum
from http import HTTPStatus
from time import monotonic
from typing import Any, cast

import httptools
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service.http.middleware.exchange import security_headers
from service.http.middleware.limits import head_too_large, slow_sender
from service.http.problems import MALFORMED_REQUEST, TOO_MANY_CONNECTIONS, Refusal, render_error
from service.settings import Settings
from service.telemetry import metrics

MAX_PIPELINED = 16
"""Largest number of pipelined requests that wait on one connection."""

LINGER_SECONDS = 5
"""Seconds for which input is discarded after a refusal: closed at once, the client would not see its answer."""

SILENT_SECONDS = 0.5
"""Seconds without a request after which a draining server closes a connection; a request is far shorter in transit."""

STEP_SECONDS = 0.02
"""Seconds between two looks of a draining server at its connections."""


class ConnectionConfig(uvicorn.Config):
    """uvicorn's configuration for this service: everything about connections follows from the settings."""

    def __init__(self, app: ASGIApp, settings: Settings, **options: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(
            app,
            http=ClientConnection,
            ws="none",  # nothing here speaks it
            server_header=False,
            proxy_headers=False,  # see `BehindProxy`
            timeout_keep_alive=settings.keep_alive_seconds,
            **options,
        )
        self.settings = settings
        self.patience = {
            _Phase.IDLE: settings.keep_alive_seconds,
            _Phase.HEAD: settings.head_seconds,
            _Phase.BODY: LINGER_SECONDS,
            _Phase.NOTHING: LINGER_SECONDS,
        }
        self.watch = _Watch(min(*self.patience.values(), settings.grace_seconds))


class _Phase(Enum):
    """What is expected of the client next; whether it is being answered meanwhile is independent of that."""

    IDLE = 0
    """Nothing: it may begin another request."""
    HEAD = 1
    """The rest of a request's line and headers."""
    BODY = 2
    """The rest of a request's body."""
    NOTHING = 3
    """Nothing any more: it is about to be cut off, and what it sends is thrown away."""


class ClientConnection(HttpToolsProtocol):
    """A client's connection, with limits on how it is used."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        assert isinstance(config, ConnectionConfig)
        self._settings = config.settings
        self._watch = config.watch
        self._patience = config.patience
        self._phase = _Phase.HEAD
        self._since = self.loop.time()
        self._head_bytes = 0
        self._unread: tuple[float, int] | None = None

    # From the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many already."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._watch.start(self.loop, self.connections)
        if len(self.connections) > self._settings.max_connections:
            detail = "too many connections are open; try again in a moment"
            self._write(Refusal(TOO_MANY_CONNECTIONS, detail, retry_after="1"))
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Read on; a head that has not ended within its limit never does."""
        if self._phase is _Phase.NOTHING:
            return
        if self._phase is _Phase.IDLE:
            self._enter(_Phase.HEAD)
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self._refuse(Refusal(MALFORMED_REQUEST, "what was sent is not an HTTP/1.1 request"))
        if self._phase is _Phase.HEAD:
            self._head_bytes += len(data)
            if self._head_bytes > self._settings.max_head_bytes:
                self._refuse(head_too_large(self._settings))

    def resume_writing(self) -> None:
        """Go on with an answer: what was written of it has been taken."""
        self._unread = None
        super().resume_writing()

    def _parse(self, data: bytes) -> None:
        """Feed the parser. A request that asks for another protocol is parsed as if it did not (RFC 9110, 7.8).

        httptools ends such a message with its head, whatever is answered: the body would be read as the next request.
        """
        rest = memoryview(data)
        while not self.transport.is_closing():
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
                self._parse_again()
            else:
                return

    def _parse_again(self) -> None:
        """Put a new parser behind the head that was just parsed, without its header Upgrade."""
        if self.parser.get_method() == b"CONNECT":
            raise httptools.HttpParserError
        line = b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        headers = [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
        self.parser.feed_data(b"\r\n".join([line, *headers, b"", b""]))

    # From the parser.

    def on_headers_complete(self) -> None:
        """A request's head has come: it is answered, or waits for the one before."""
        if self.parser.should_upgrade():
            return  # see `_parse`
        self._enter(_Phase.BODY)
        super().on_headers_complete()
        if len(self.pipeline) > MAX_PIPELINED:
            self.transport.abort()

    def on_message_complete(self) -> None:
        """A request's last byte has come."""
        if self.parser.should_upgrade():
            return
        self._enter(_Phase.IDLE)
        super().on_message_complete()

    # From the watch.

    def check(self, now: float) -> None:
        """Cut a client off that has exhausted the time it has."""
        self._check_reading(now)
        if self.transport.is_closing():
            return
        if self._is_answering():
            self._since = now  # it is waiting for the service, not the other way round
            return
        spent = now - self._since
        if spent <= self._patience[self._phase]:
            return
        if self._phase is not _Phase.HEAD:
            self.transport.close()
            return
        if self._head_bytes:
            self._refuse(slow_sender("headers", self._head_bytes, spent))
        else:  # a browser that connects ahead of need expects no answer to nothing
            metrics.count_rejection("slow-sender")
            self.transport.close()

    # From a server that ends.

    def end_with_answer(self) -> None:
        """Close when the answer under way is given, unless its headers have been sent already."""
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def is_busy(self) -> bool:
        """Whether a request is under way, or has begun to arrive."""
        return self._is_answering() or self._head_bytes > 0

    def _check_reading(self, now: float) -> None:
        """Abort where an answer is taken too slowly: its request would be under way for ever."""
        left = self.transport.get_write_buffer_size()
        if not left:
            self._unread = None
        elif self._unread is None:
            self._unread = now, left
        else:
            since, before = self._unread
            if now - since > self._settings.grace_seconds:
                if before - left < self._settings.min_rate * (now - since):
                    metrics.count_rejection("slow-reader")
                    self.transport.abort()
                self._unread = now, left

    def _enter(self, phase: _Phase) -> None:
        self._phase = phase
        self._since = self.loop.time()
        self._head_bytes = 0

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, error: Exception) -> None:
        """Answer what is no request, and read on for a moment, so that the answer arrives."""
        if self.transport.is_closing():
            return
        if self._is_answering():  # an earlier request of the same client: the answers would get mixed up
            self.transport.abort()
            return
        self._write(error)
        self.transport.write_eof()
        self._unset_keepalive_if_required()
        self._enter(_Phase.NOTHING)

    def _write(self, error: Exception) -> None:
        response = render_error(error)
        response.headers["connection"] = "close"
        headers = [*response.raw_headers, *security_headers(self._settings)]
        lines = [f"HTTP/1.1 {response.status_code} {HTTPStatus(response.status_code).phrase}".encode()]
        lines += [name + b": " + value for name, value in headers]
        self.transport.write(b"\r\n".join([*lines, b"", bytes(response.body)]))


class _Watch:
    """Timer that checks every connection of the process, four times within the shortest limit."""

    def __init__(self, shortest: float) -> None:
        self._interval = min(1.0, shortest / 4)
        self._timer: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop, connections: set[Any]) -> None:
        """Begin, unless that has been done; it ends by itself when there is no connection any more."""
        if self._timer is None:
            self._timer = loop.call_later(self._interval, self._look, loop, connections)

    def _look(self, loop: asyncio.AbstractEventLoop, connections: set[Any]) -> None:
        self._timer = None
        now = loop.time()
        for connection in tuple(connections):
            connection.check(now)
        if connections:
            self.start(loop, connections)


async def drain(state: ServerState, seconds: float, *, forced: Callable[[], bool]) -> bool:
    """Answer what comes over the connections that there are, until all are closed.

    uvicorn's own way is to close at once each connection that has no request under way. A request that a client sends
    at that moment over a connection it keeps would be lost. So connections stay open for a little longer, every answer
    says `Connection: close`, and only a connection that stays silent is closed without an answer.

    Args:
        state: the server's; it takes no new connections any more.
        seconds: how long it may take.
        forced: whether the wait is to be cut short.

    Returns:
        Whether all connections are closed.
    """
    # uvicorn renews them once a second, but not any more after its main loop has ended.
    state.default_headers = [*state.default_headers, (b"connection", b"close")]
    silent: dict[ClientConnection, tuple[object, float]] = {}  # its last exchange, and since when it is over
    deadline = monotonic() + seconds
    connections = cast("set[ClientConnection]", state.connections)
    for connection in connections:
        connection.end_with_answer()
    while connections and monotonic() < deadline and not forced():
        now = monotonic()
        for connection in list(connections):
            if connection.is_busy():
                silent.pop(connection, None)
                continue
            exchange, since = silent.setdefault(connection, (connection.cycle, now))
            if exchange is not connection.cycle:
                silent[connection] = connection.cycle, now
            elif now - since >= SILENT_SECONDS and not has_unread(connection.transport):
                connection.transport.close()
        await asyncio.sleep(STEP_SECONDS)
    return not connections


def has_unread(transport: asyncio.BaseTransport) -> bool:
    """Whether bytes have arrived that the event loop has not read yet."""
    descriptor = transport.get_extra_info("socket").fileno()
    if descriptor < 0:
        return False
    return bool(struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, b"\0" * 4))[0])
