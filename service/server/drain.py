"""Graceful shutdown: every accepted request is answered, and no new connection is accepted.

uvicorn's own way is to close at once each connection that has no request under way. A request that a client sends at
that moment over a connection it keeps would be lost. So connections stay open for a little longer, every answer says
`Connection: close`, and only a connection that stays silent is closed without an answer.
"""

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable
from time import monotonic
from typing import Any

from uvicorn.server import ServerState

__all__ = ["drain"]

SILENT_SECONDS = 0.5
"""Seconds without a request after which a draining server closes a connection; a request is far shorter in transit."""

STEP_SECONDS = 0.02


async def drain(state: ServerState, seconds: float, *, forced: Callable[[], bool]) -> bool:
    """Answer what comes over the connections that there are, until all are closed.

    Args:
        state: the server's; it takes no new connections any more.
        seconds: how long it may take.
        forced: whether the wait is to be cut short.

    Returns:
        Whether all connections are closed.
    """
    # uvicorn renews them once a second, but not any more after its main loop has ended.
    state.default_headers = [*state.default_headers, (b"connection", b"close")]
    silent: dict[Any, tuple[object, float]] = {}  # connection -> its last exchange, and since when it is over
    deadline = monotonic() + seconds
    # Connections are of one of several classes, none of which uvicorn calls public; hence Any.
    connections: set[Any] = state.connections
    for connection in connections:
        if connection.cycle is not None and not connection.cycle.response_started:
            connection.cycle.keep_alive = False
    while connections and monotonic() < deadline and not forced():
        now = monotonic()
        for connection in list(connections):
            if is_busy(connection):
                silent.pop(connection, None)
                continue
            exchange, since = silent.get(connection, (None, now))
            if connection not in silent or exchange is not connection.cycle:
                silent[connection] = connection.cycle, now
            elif now - since >= SILENT_SECONDS and not has_unread(connection):
                connection.transport.close()
        await asyncio.sleep(STEP_SECONDS)
    return not connections


def is_busy(connection: Any) -> bool:  # noqa: ANN401 - see drain
    """Whether a request is under way, or has begun to arrive."""
    cycle = connection.cycle
    if cycle is not None and not cycle.response_complete:
        return True
    # A scope is made with a request's first bytes, its cycle with its last header.
    scope = getattr(connection, "scope", None)
    return scope is not None and (cycle is None or cycle.scope is not scope)


def has_unread(connection: Any) -> bool:  # noqa: ANN401 - see drain
    """Whether bytes have arrived that the event loop has not read yet."""
    descriptor = connection.transport.get_extra_info("socket").fileno()
    if descriptor < 0:
        return False
    return bool(struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, b"\0" * 4))[0])
