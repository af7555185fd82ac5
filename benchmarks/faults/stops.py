"""SIGTERM under load: what was accepted is answered."""

import asyncio
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from benchmarks.faults.asks import picture_asks
from benchmarks.faults.client import Ask, Book, Client
from benchmarks.faults.ground import Ground
from benchmarks.faults.report import Trial
from benchmarks.faults.scale import Scale
from benchmarks.faults.service import STOP_SECONDS, Service, run_service

__all__ = ["try_stops"]


@dataclass
class _Stop:
    """What was seen of all stops: each client's book, and how long each took."""

    kept: Book = field(default_factory=Book)
    single: Book = field(default_factory=Book)
    seconds: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)


def try_stops(ground: Ground, scale: Scale) -> Iterator[Trial]:
    """Stop it again and again while clients ask, over connections that they keep and over new ones."""
    stop = _Stop()
    cut = 0
    for number in range(scale.stops):
        with run_service(ground, f"stop-{number}") as service:
            asyncio.run(_stop(ground, service, scale, stop))
            cut += service.said().count("cut off")
    answered = stop.kept.asked + stop.single.asked
    lost = len(stop.kept.failed) + len(stop.single.failed)
    yield Trial(
        "SIGTERM",
        f"{scale.stops} stops under load: {scale.clients} clients that keep their connections, and {scale.clients} "
        "that open one for each request",
        f"{answered:,} requests accepted, {lost} lost, {len(stop.kept.wrong) + len(stop.single.wrong)} wrong; ended "
        f"after {max(stop.seconds):.1f} s at most, with the status {', '.join(map(str, sorted(set(stop.statuses))))}",
        stop.kept.clean and stop.single.clean and set(stop.statuses) == {0} and not cut,
        {"kept": stop.kept.figures(), "single": stop.single.figures(), "seconds": stop.seconds},
    )


async def _stop(ground: Ground, service: Service, scale: Scale, stop: _Stop) -> None:
    kept = picture_asks(ground.first.pictures, ground.nearest())
    single = picture_asks(ground.first.pictures, ground.nearest(), close=True)
    tasks = [asyncio.create_task(_ask_until_gone(service.port, kept, stop.kept)) for _ in range(scale.clients)]
    tasks += [asyncio.create_task(_ask_until_gone(service.port, single, stop.single)) for _ in range(scale.clients)]
    await asyncio.sleep(1.0)
    began = time.monotonic()
    service.process.send_signal(signal.SIGTERM)
    status = await asyncio.to_thread(service.process.wait, STOP_SECONDS)
    stop.seconds.append(time.monotonic() - began)
    stop.statuses.append(status)
    await asyncio.gather(*tasks)


async def _ask_until_gone(port: int, asks: list[Ask], book: Book) -> None:
    """Ask until no connection can be opened any more; whatever was sent over an open one must be answered."""
    client = Client(port)
    for number in count():
        ask = asks[number % len(asks)]
        try:
            await client.connect()
        except OSError:  # refused: the service listens no more, and has promised nothing
            return
        try:
            book.enter(ask, await client.ask(ask.request))
        except (OSError, EOFError, TimeoutError) as error:
            book.failed.append(repr(error))
