"""Cancellation: a request's work is cancelled when its client disconnects."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from service.telemetry import metrics

__all__ = ["unless_gone"]

PATIENCE = 0.05
"""Seconds before the connection is watched: most answers are ready by then, and watching has a cost."""

T = TypeVar("T")


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Await `work`; cancel it if the client goes away meanwhile.

    Args:
        request: its body has been read to the end, if it has one.
        work: what to wait for.
    """
    task = asyncio.current_task()
    assert task is not None
    watch = _Watch(request.receive, task)
    timer = asyncio.get_running_loop().call_later(PATIENCE, watch.start)
    try:
        return await work
    except asyncio.CancelledError:
        if not watch.saw_it_go:
            raise
        task.uncancel()
        metrics.count_rejection("disconnected")
        raise ClientDisconnect from None
    finally:
        timer.cancel()
        watch.stop()


class _Watch:
    """Cancels a task when the server reports that the client has disconnected."""

    __slots__ = ("_looking", "_receive", "_task", "saw_it_go")

    def __init__(self, receive: Receive, task: asyncio.Task[object]) -> None:
        self._receive, self._task = receive, task
        self._looking: asyncio.Task[None] | None = None
        self.saw_it_go = False

    def start(self) -> None:
        self._looking = asyncio.get_running_loop().create_task(self._look())

    def stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()

    async def _look(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass  # the empty body of a request without one
        self.saw_it_go = True
        self._task.cancel()
