"""Parts of the service are killed under load: the thread that runs batches, and whole workers."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

from benchmarks.faults.asks import endless, picture_asks
from benchmarks.faults.client import Book, crowd
from benchmarks.faults.ground import Ground
from benchmarks.faults.report import Trial
from benchmarks.faults.scale import Scale
from benchmarks.faults.service import Service, run_service

__all__ = ["try_batcher", "try_workers", "under_load"]

PATIENCE = 60.0
"""Seconds within which the service must have mended itself; the machine may be busy."""


def try_batcher(ground: Ground, scale: Scale) -> Iterator[Trial]:
    """Kill the batcher's thread again and again, with clients at it all the time."""
    with run_service(ground, "thread", workers=1, module="benchmarks.faults.wounded") as service:
        yield asyncio.run(_kill_threads(ground, service, scale))


def try_workers(ground: Ground, scale: Scale) -> Iterator[Trial]:
    """Kill workers, likewise."""
    with run_service(ground, "worker") as service:
        yield asyncio.run(_kill_workers(ground, service, scale))


async def under_load(
    ground: Ground, service: Service, clients: int, story: Callable[[Book], Awaitable[None]], *, busy: bool = False
) -> Book:
    """Run a story with so many clients searching; returns what came of their requests."""
    book, over = Book(), asyncio.Event()
    asks = endless(picture_asks(ground.first.pictures, ground.nearest(), busy=busy))
    load = asyncio.create_task(crowd(service.port, asks, book, clients=clients, over=over.is_set))
    try:
        await _more(book, 5 * clients)
        await story(book)
        await _more(book, 5 * clients)
    finally:
        over.set()
        await load
    return book


async def _more(book: Book, count: int) -> None:
    """Wait until so many more searches have been answered with 200."""
    goal, end = book.statuses[200] + count, time.monotonic() + PATIENCE
    while book.statuses[200] < goal:
        if time.monotonic() > end:
            raise TimeoutError(f"no {count} answers in {PATIENCE:.0f} s; {book.failed[-3:]}")
        await asyncio.sleep(0.005)


async def _kill_threads(ground: Ground, service: Service, scale: Scale) -> Trial:
    mended: list[float] = []

    async def story(book: Book) -> None:
        for _ in range(scale.kills):
            deaths, began = _deaths(service), time.monotonic()
            service.process.send_signal(signal.SIGUSR1)
            await _until(lambda deaths=deaths: _deaths(service) > deaths)  # type: ignore[misc]
            await _until_ready(service)
            mended.append(time.monotonic() - began)
            await _more(book, 50)

    book = await under_load(ground, service, scale.clients, story, busy=True)
    lost = book.statuses[503]
    return Trial(
        "killed batcher",
        f"the thread that runs batches killed {scale.kills} times in the only worker, {scale.clients} clients asking",
        f"{book}; ready again after {max(mended):.2f} s at most",
        book.clean and set(book.statuses) <= {200, 503} and lost <= scale.kills * scale.clients,
        {**book.figures(), "mended_seconds": mended},
    )


def _deaths(service: Service) -> int:
    return service.said().count("were lost with the thread of the batcher")


async def _kill_workers(ground: Ground, service: Service, scale: Scale) -> Trial:
    mended: list[float] = []

    async def story(book: Book) -> None:
        for _ in range(scale.worker_kills):
            workers = await asyncio.to_thread(service.workers)
            began = time.monotonic()
            os.kill(workers[0], signal.SIGKILL)

            async def whole(before: list[int] = workers) -> bool:
                # A worker that a connection was just opened to may be the one that is killed.
                with suppress(OSError, ValueError):
                    after = await asyncio.to_thread(service.workers)
                    return len(after) == len(before) and before[0] not in after
                return False

            while not await whole():
                if time.monotonic() > began + PATIENCE:
                    raise TimeoutError("the worker was not replaced")
                await asyncio.sleep(0.1)
            mended.append(time.monotonic() - began)
            await _more(book, 50)

    book = await under_load(ground, service, scale.clients, story)
    return Trial(
        "killed worker",
        f"kill -9 of one of two workers, {scale.worker_kills} times, {scale.clients} clients searching",
        f"{book}, whose connections broke with the worker that had them; two workers again after "
        f"{', '.join(f'{each:.1f}' for each in mended)} s, the later the more have died",
        not book.wrong and set(book.statuses) == {200} and len(book.failed) <= scale.worker_kills * scale.clients,
        {**book.figures(), "mended_seconds": mended},
    )


async def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("it did not come")
        await asyncio.sleep(0.01)


async def _until_ready(service: Service) -> None:
    end = time.monotonic() + PATIENCE
    while (await asyncio.to_thread(service.get, "/readyz"))[0] != 200:
        if time.monotonic() > end:
            raise TimeoutError("it is not ready again")
        await asyncio.sleep(0.01)
