"""A serving process: its HTTP server, signals, shutdown and start-up message."""

import asyncio
import gc
import logging
import os
import shlex
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, MutableSequence, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import uvicorn

from model.errors import SolemateError
from service.catalog.images import locate_picture
from service.errors import PictureMissing
from service.http.app import create_app
from service.server.ipc import Failed
from service.server.listener import BACKLOG, Acceptor, ConnectionCounts, describe_address
from service.server.protocol import ClientConnection, ConnectionConfig, drain
from service.server.worker_client import SupervisorLink
from service.serving.bootstrap import open_backend
from service.serving.engine import Engine
from service.serving.generations import Live, OneProcess, Reloader, ReloadRefused
from service.settings import Settings

logger = logging.getLogger(__name__)

CANCEL_SECONDS = 1
"""Seconds that requests have to be cancelled after `drain_seconds`."""

LOOK_AT = 20
"""Number of shoes among which one with a picture is chosen for the example request."""


def run(settings: Settings, listener: socket.socket, announce: Callable[[Sequence[str]], None]) -> None:
    """Open the artifacts and serve, in this process alone, until a signal stops it.

    Args:
        settings: what the environment says.
        listener: bound; closed in the end.
        announce: called with the lines to print, once everything is loaded.

    Raises:
        ArtifactError: a checkpoint or a catalogue can't be used.
    """
    live = Live(partial(open_backend, settings), after_change=freeze_memory)
    reloader = OneProcess(live)
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = asyncio.get_running_loop().create_task(_reload(reloader))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    async def begin() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
        listener.listen(BACKLOG)
        announce(describe_start(live.current.engine, _address(settings, listener)))

    _end_well_on_signals()
    config = _configure(settings, live, reloader)
    Server(config, live, begin, drain_seconds=settings.drain_seconds).run([listener])


def work(
    settings: Settings, listener: socket.socket, pipe: Connection, counts: MutableSequence[int], index: int
) -> None:
    """Open the artifacts and serve, as one worker of several, until a signal or the supervisor's end stops it.

    Args:
        settings: what the environment says.
        listener: bound; the supervisor makes it listen.
        pipe: to the supervisor.
        counts: how many connections each worker has, in memory that they share.
        index: this worker's number.
    """
    # The end of a terminal reaches all its processes; what follows from it is the supervisor's to say.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _end_well_on_signals(at_once=True)
    live = Live(partial(open_backend, settings), after_change=freeze_memory)
    link = SupervisorLink(pipe, index, live)

    async def begin() -> None:
        await link.wait_to_accept(describe_start(live.current.engine, _address(settings, listener)), server)

    try:
        config = _configure(settings, live, link)
        server = Server(
            config, live, begin, drain_seconds=settings.drain_seconds, share=ConnectionCounts(counts, index)
        )
        server.run([listener])
    except SolemateError as error:
        pipe.send(Failed(str(error)))
        sys.exit(1)


class Server(uvicorn.Server):
    """uvicorn's server with another beginning and another end: it shares its socket well, and loses no request."""

    def __init__(
        self,
        config: ConnectionConfig,
        live: Live,
        begin: Callable[[], Awaitable[None]],
        *,
        drain_seconds: float,
        share: ConnectionCounts | None = None,
    ) -> None:
        """Open nothing yet; see `run`, which is given the one listening socket.

        Args:
            config: with the application, which serves what is `live`.
            live: is opened first, and closed last.
            begin: is awaited once everything is loaded; when it returns, the socket is listening.
            drain_seconds: how long a stop may take.
            share: with the other processes that take connections from the socket.
        """
        super().__init__(config)
        self._live, self._begin, self._drain_seconds, self._share = live, begin, drain_seconds, share
        self._acceptor: Acceptor | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the artifacts, start the application, then accept connections."""
        assert sockets is not None, "no socket to listen on"
        await self._live.start()
        await super().startup(sockets=[])
        await self._begin()
        if self.should_exit:
            return
        self._acceptor = Acceptor(
            sockets[0],
            partial(ClientConnection, self.config, self.server_state, self.lifespan.state),
            count=lambda: len(self.server_state.connections),
            share=self._share,
        )
        if self._share is not None:
            # The protocols add themselves to it, and remove themselves.
            self.server_state.connections = _Watched(self._acceptor.publish)
        self._acceptor.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, drain the connections, then close the application and the artifacts."""
        logger.info("stopping: no more connections are taken")
        self._live.draining = True
        if self._acceptor is not None:
            await self._acceptor.close()
        if not await drain(self.server_state, self._drain_seconds, forced=lambda: self.force_exit):
            logger.warning("%d connections are cut off: their time is over", len(self.server_state.connections))
        await super().shutdown(sockets)
        await self._live.close()


class _Watched(set[Any]):
    """A set with a callback for changes."""

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__()
        self._changed = changed

    def add(self, element: object) -> None:
        super().add(element)
        self._changed()

    def discard(self, element: object) -> None:
        super().discard(element)
        self._changed()


def describe_start(engine: Engine, address: str) -> Sequence[str]:
    """What is printed at the terminal: where the page is, and a request that works."""
    info = engine.store.info()
    banner = [f"solemate serves {info.count:,} shoes on {address}"]
    picture = _find_picture(engine)
    if picture is not None:
        banner.append(f"try:  curl -F {shlex.quote(f'image=@{_quote_for_curl(picture)}')} '{address}/v1/search?k=5'")
    return banner


def _find_picture(engine: Engine) -> Path | None:
    root = engine.store.info().root
    for item in engine.store.page(limit=LOOK_AT).items:
        try:
            path = locate_picture(root, item)
        except PictureMissing:
            continue
        if path.is_file():
            return path
    return None


def _quote_for_curl(path: Path) -> str:
    """A path as short as it can be from here, in the way that curl's -F takes it."""
    here = Path.cwd()
    text = str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
    if set(text) & set('",;'):  # these mean something to curl itself
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return text


def _configure(settings: Settings, live: Live, reloader: Reloader) -> ConnectionConfig:
    return ConnectionConfig(
        create_app(settings, live, reloader),
        settings,
        log_config=None,  # through the root logger, as all else
        access_log=False,  # `ServeExchange` writes a better one
        timeout_graceful_shutdown=CANCEL_SECONDS,
    )


def _address(settings: Settings, listener: socket.socket) -> str:
    return describe_address(settings.host, listener.getsockname()[1])


async def _reload(reloader: Reloader) -> None:
    try:
        await reloader.reload()
    except ReloadRefused as error:
        logger.error("the reload was refused: %s", error)  # noqa: TRY400 - the message says it all


def _end_well_on_signals(*, at_once: bool = False) -> None:
    """End with the status 0 when a signal asks for it: uvicorn raises the one that stopped it once more.

    Args:
        at_once: leave the interpreter as it is. With torch in it, taking it apart is a second's work for nothing.
    """

    def end(_signal: int, _frame: FrameType | None) -> NoReturn:
        if at_once:
            os._exit(0)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)


def freeze_memory() -> None:
    """Collect what is garbage now, and have the collector pass over all that is left, from now on.

    What a process has loaded (torch, the application, the catalogue's shoes) stays as long as it serves. A full
    collection walks all of it with the interpreter held: a tenth of a second and more with 50,000 shoes, for every
    request under way, every few seconds under load. To be called when something large has come or gone.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
