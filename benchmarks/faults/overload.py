"""More requests than can be answered, come what may: an open loop, not clients that wait for their answers."""

import asyncio
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from PIL import Image

from benchmarks.faults.asks import endless, picture_asks
from benchmarks.faults.client import Ask, Book, Client, build, crowd
from benchmarks.faults.ground import Ground
from benchmarks.faults.report import Trial
from benchmarks.faults.scale import Scale
from benchmarks.faults.service import Memory, Service, run_service

__all__ = ["try_overload"]

TIMES = 4
"""How many times what it can answer comes."""

MEASURE_SECONDS = 5.0
PICTURE_SIDE = 1600
"""Pixels: pictures that take the service many milliseconds, so that the clients, which share its processors, don't."""

MOST_MIB = 2 * (128 + 2 * 400 + 60)
"""More than at the start: for each of two workers the bodies (`max_body_memory`), two large pictures, and some room."""

RECOVERY_SECONDS = 15.0
"""What was in the queue has its answer after `wait_seconds`, 10, at most."""
SATURATING = 8
"""Clients that wait for their answers keep two workers busy, and wait in no queue to speak of."""

CALM = 8
"""So many searches that are answered, one after the other, are a recovery."""

TICK_SECONDS = 0.005
HEALTH_SECONDS = 0.5


@dataclass
class Siege:
    """What was seen.

    Attributes:
        offered: requests a second that were really sent.
        health: statuses of /healthz meanwhile.
        ready: likewise of /readyz.
        recovery: seconds from the last request until the service answered as before.
    """

    book: Book = field(default_factory=Book)
    offered: float = 0.0
    health: Book = field(default_factory=Book)
    ready: Book = field(default_factory=Book)
    recovery: float = float("inf")


def try_overload(ground: Ground, scale: Scale) -> Iterator[Trial]:
    """Measure what it can answer, send four times as much for a while, and see how it comes back."""
    large = [enlarge(picture, PICTURE_SIDE) for picture in ground.first.pictures[:CALM]]
    nearest = ground.find_nearest(large)
    with run_service(ground, "overload", settings={"wait_seconds": str(scale.wait_seconds)}) as service:
        measured = Book()
        asks = picture_asks(large, nearest)
        seconds = min(MEASURE_SECONDS, scale.overload_seconds)
        asyncio.run(_saturate(service, asks, measured, seconds))
        capacity = len(measured.seconds) / seconds
        with Memory(service) as memory:
            busy = picture_asks(large, nearest, busy=True)
            siege = asyncio.run(_besiege(service, busy, TIMES * capacity, scale.overload_seconds))
        after = service.memory_mib()
    book = siege.book
    held = measured.clean and book.clean and set(book.statuses) <= {200, 503} and book.statuses[200] > 0
    held = held and siege.health.clean and siege.ready.clean
    yield Trial(
        "overload",
        f"{siege.offered:.0f} searches a second for {scale.overload_seconds:.0f} s, where {capacity:.0f} can be "
        "answered",
        f"{book}; /healthz {siege.health.spell_statuses()}, /readyz {siege.ready.spell_statuses()}; {memory}, "
        f"{after:,.0f} after; the first {CALM} searches after it took {siege.recovery:.1f} s",
        held and memory.most - memory.before < MOST_MIB and siege.recovery < RECOVERY_SECONDS,
        {
            **book.figures(),
            "capacity": capacity,
            "offered": siege.offered,
            "times": siege.offered / capacity,
            "health": siege.health.figures(),
            "ready": siege.ready.figures(),
            "before_mib": memory.before,
            "most_mib": memory.most,
            "after_mib": after,
            "recovery_seconds": siege.recovery,
            "slowest_good_seconds": max(book.seconds, default=0.0),
        },
    )


async def _saturate(service: Service, asks: list[Ask], book: Book, seconds: float) -> None:
    """Clients that wait for their answers, enough of them to keep it busy."""
    end = time.monotonic() + seconds
    await crowd(service.port, endless(asks), book, clients=SATURATING, over=lambda: time.monotonic() > end)


def enlarge(picture: bytes, side: int) -> bytes:
    """The picture with `side` pixels a side, as a PNG: of few bytes, and slow to decode."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(picture)).resize((side, side), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


async def _besiege(service: Service, asks: list[Ask], rate: float, seconds: float) -> Siege:
    siege, over = Siege(), asyncio.Event()
    watching = [
        asyncio.create_task(_watch(service.port, path, book, over))
        for path, book in (("/healthz", siege.health), ("/readyz", siege.ready))
    ]
    siege.offered, rest = await _pour(service.port, asks, siege.book, rate, seconds)
    siege.recovery = await _await_calm(service.port, asks)
    await rest
    over.set()
    await asyncio.gather(*watching)
    return siege


async def _pour(
    port: int, asks: list[Ask], book: Book, rate: float, seconds: float
) -> tuple[float, asyncio.Task[None]]:
    """Send at that rate, whatever has been answered so far.

    Returns:
        The rate that was reached, and what to await for the answers that are still to come.
    """
    idle: list[tuple[Client, float]] = []
    under_way: set[asyncio.Task[None]] = set()

    async def send(ask: Ask) -> None:
        client, since = idle.pop() if idle else (Client(port), time.monotonic())
        waited = time.monotonic() - since
        try:
            book.enter(ask, await client.ask(ask.request))
        except (OSError, EOFError, TimeoutError) as error:
            book.failed.append(f"{error!r}, over a connection that was idle for {waited:.2f} s")
        idle.append((client, time.monotonic()))

    began, sent = time.monotonic(), 0
    while (now := time.monotonic()) < began + seconds:
        due = int(rate * (now - began)) - sent
        for number in range(sent, sent + due):
            task = asyncio.create_task(send(asks[number % len(asks)]))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        sent += due
        await asyncio.sleep(TICK_SECONDS)

    async def finish() -> None:
        await asyncio.gather(*under_way)
        for client, _ in idle:
            client.close()

    return sent / (time.monotonic() - began), asyncio.create_task(finish())


async def _watch(port: int, path: str, book: Book, over: asyncio.Event) -> None:
    """Ask how it is, over a connection of its own as a load balancer does."""
    client = Client(port)
    ask = Ask(path, build("GET", path), lambda answer: "" if answer.status == 200 else f"status {answer.status}")
    while not over.is_set():
        try:
            book.enter(ask, await client.ask(ask.request))
        except (OSError, EOFError, TimeoutError) as error:
            book.failed.append(repr(error))
        await asyncio.sleep(HEALTH_SECONDS)
    client.close()


async def _await_calm(port: int, asks: list[Ask]) -> float:
    """Seconds until so many searches in a row, one after the other, have been answered rightly."""
    began, row, client = time.monotonic(), 0, Client(port)
    while row < CALM and time.monotonic() < began + 10 * RECOVERY_SECONDS:
        answer = await client.ask(asks[row].request)
        row = row + 1 if answer.status == 200 and not asks[row].judge(answer) else 0
    client.close()
    return time.monotonic() - began if row == CALM else float("inf")
