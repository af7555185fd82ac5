"""The worker's end of the pipe to the supervisor: reports readiness, requests reloads and carries them out."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from itertools import count
from multiprocessing.connection import Connection
from typing import Any, Protocol

from service.server.ipc import (
    Accept,
    Finish,
    Finished,
    FromWorker,
    Ping,
    Pong,
    Prepare,
    Prepared,
    Ready,
    ReloadRequest,
    ReloadResult,
    ToWorker,
)
from service.serving.generations import Live, Outcome, ReloadRefused, prepare
from service.telemetry import metrics

logger = logging.getLogger(__name__)

STEP_SECONDS = 0.01


class Stoppable(Protocol):
    """What the link needs of a server."""

    should_exit: bool


class SupervisorLink:
    """Connection to the supervisor, and the `Reloader` of the worker's application."""

    def __init__(self, pipe: Connection, index: int, live: Live) -> None:
        """Say and read nothing yet; see `wait_to_accept`."""
        self._pipe, self._index, self._live = pipe, index, live
        self._numbers = count()
        self._asked: dict[int, asyncio.Future[ReloadResult]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting = False
        self._server: Stoppable | None = None

    async def wait_to_accept(self, banner: Sequence[str], server: Stoppable) -> None:
        """Say that everything is loaded, do from now on what the supervisor says, and wait until it says to begin.

        Args:
            banner: what to print at the terminal.
            server: stopped when the supervisor is gone; that ends the waiting too.
        """
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._pipe.fileno(), self._on_readable)
        self._send(Ready(self._live.info(), tuple(banner)))
        while not (self._accepting or server.should_exit):
            await asyncio.sleep(STEP_SECONDS)

    async def reload(self) -> Sequence[Outcome]:
        """See Reloader."""
        number = next(self._numbers)
        answer: asyncio.Future[ReloadResult] = self._loop.create_future()
        self._asked[number] = answer
        self._send(ReloadRequest(number))
        try:
            reloaded = await answer
        finally:
            del self._asked[number]
        if reloaded.refused:
            raise ReloadRefused(reloaded.refused)
        return reloaded.outcomes

    def _on_readable(self) -> None:
        try:
            while self._pipe.poll():
                self._handle(self._pipe.recv())
        except (EOFError, OSError):
            self._loop.remove_reader(self._pipe.fileno())
            logger.error("the supervisor is gone: stopping")  # noqa: TRY400 - how it went is not known here
            for number in tuple(self._asked):
                self._answer(ReloadResult(number, (), "the supervisor is gone"))
            if self._server is not None:
                self._server.should_exit = True

    def _handle(self, message: ToWorker) -> None:
        match message:
            case Ping():
                self._send(Pong())
            case Accept():
                self._accepting = True
            case Prepare(number):
                self._spawn(self._prepare(number))
            case Finish(number, commit):
                self._spawn(self._finish(number, commit=commit))
            case ReloadResult():
                self._answer(message)

    def _answer(self, message: ReloadResult) -> None:
        asked = self._asked.get(message.number)
        if asked is not None and not asked.done():  # else the client that asked has gone
            asked.set_result(message)

    async def _prepare(self, number: int) -> None:
        self._send(Prepared(number, await prepare(self._live, self._index)))

    async def _finish(self, number: int, *, commit: bool) -> None:
        if commit:
            self._live.commit()
        else:
            await self._live.discard()
        metrics.count_reload("switched" if commit else "kept")
        self._send(Finished(number))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _send(self, message: FromWorker) -> None:
        try:
            self._pipe.send(message)
        except OSError:  # the supervisor is gone, which reading will notice
            logger.debug("the supervisor is gone, and did not get %s", message)
