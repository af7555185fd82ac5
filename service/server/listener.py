"""The listening socket: bound once, shared by all worker processes."""

import asyncio
import logging
import socket
from collections.abc import Callable, MutableSequence

from service.errors import AddressTaken

logger = logging.getLogger(__name__)

ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared with, not bound to
"""Wildcard address -> the loopback address at which such a server is reached."""

NOT_ACCEPTING = 2**31 - 1
"""Published connection count of a worker that accepts none."""

STEP_ASIDE_SECONDS = 0.01
"""Delay, in seconds, for which a worker leaves a new connection to one that has fewer."""

BACKLOG = 2048
"""Length of the queue of connections to accept; the system may limit it further."""

RETRY_SECONDS = 0.5
"""Delay, in seconds, before accepting again when the process has no file descriptors left."""


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to the address, not yet listening."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            # Without it a restart has to wait until the old connections' minutes in TIME_WAIT are over.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise AddressTaken(f"can't listen on {host} port {port}: {reason}; choose others with --host, --port") from None
    return listener


def describe_address(host: str, port: int) -> str:
    """The page's address, as a browser on this machine takes it."""
    name = ANY_ADDRESS.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


class ConnectionCounts:
    """Connection counts of all workers, in shared memory.

    Args:
        counts: memory that the workers share, a number for each; a worker writes only its own.
        index: this worker's position in it.
    """

    def __init__(self, counts: MutableSequence[int], index: int) -> None:
        self._counts, self._index = counts, index

    def publish(self, count: int) -> None:
        """Publish this worker's connection count; `NOT_ACCEPTING` if it accepts no more."""
        self._counts[self._index] = count

    def minimum(self) -> int:
        """The fewest connections that any worker has, this one among them."""
        return min(self._counts)


class Acceptor:
    """Takes connections from the listening socket that several processes share.

    With one socket, a connection whose worker dies before it was accepted is accepted by another, and nothing is lost;
    with a socket for each (SO_REUSEPORT) the dead worker's queue would die with it. But left to themselves, event loops
    that wait for one socket share badly: the first to wake up takes all that has queued. So a worker takes one
    connection at a time, and leaves it for a moment where another worker has fewer. Measured by
    `python -m benchmarks.serving.shortcuts`: of 64 connections at once, one of two workers got up to 64 by asyncio's
    own server, and 32 by this class.
    """

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
        *,
        count: Callable[[], int],
        share: ConnectionCounts | None = None,
    ) -> None:
        """Take nothing yet; see `start`.

        Args:
            listener: is listening; closed by `close`.
            make_protocol: what serves a connection.
            count: how many connections this process has.
            share: what the others have; None where there are no others.
        """
        self._listener, self._make_protocol = listener, make_protocol
        self._count, self._share = count, share
        self._opening: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to take connections, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._listener.settimeout(0)
        self.publish()
        self._watch()

    def publish(self) -> None:
        """Publish this worker's connection count; called whenever a connection opens or closes."""
        if self._share is not None:
            self._share.publish(self._count() + len(self._opening))

    async def close(self) -> None:
        """Take what has queued already, then stop listening: none of those clients is turned away."""
        self._unwatch()
        try:
            while (connection := self._take()) is not None:
                self._open(connection)
        except OSError as error:
            logger.warning("some connections that have queued can't be taken: %s", error.strerror)
        self._listener.close()
        if self._share is not None:
            self._share.publish(NOT_ACCEPTING)
            self._share = None
        await asyncio.gather(*self._opening, return_exceptions=True)

    def _watch(self) -> None:
        self._timer = None
        self._loop.add_reader(self._listener.fileno(), self._on_readable)

    def _unwatch(self) -> None:
        self._loop.remove_reader(self._listener.fileno())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_readable(self) -> None:
        if self._share is not None:
            self.publish()
            if self._count() + len(self._opening) > self._share.minimum():
                self._unwatch()
                self._timer = self._loop.call_later(STEP_ASIDE_SECONDS, self._retry)
                return
        self._accept()

    def _retry(self) -> None:
        """Accept the connection after all, if it is still there: the worker with fewer may be busy, or hang."""
        self._watch()
        self._accept()

    def _accept(self) -> None:
        try:
            connection = self._take()
        except OSError as error:
            logger.warning("no connection can be taken for now: %s", error.strerror)
            self._unwatch()
            self._timer = self._loop.call_later(RETRY_SECONDS, self._watch)
            return
        if connection is not None:
            self._open(connection)

    def _take(self) -> socket.socket | None:
        """The next connection, or None. Raises OSError where the process may have no more open files."""
        try:
            return self._listener.accept()[0]
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return None

    def _open(self, connection: socket.socket) -> None:
        task: asyncio.Task[None] = self._loop.create_task(self._serve(connection))
        self._opening.add(task)
        task.add_done_callback(self._opened)
        self.publish()

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        self.publish()

    async def _serve(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make_protocol, connection)
        except OSError as error:  # the client has gone already
            logger.debug("a connection was lost before it began: %s", error)
            connection.close()
