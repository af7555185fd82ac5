"""Slow clients: heads and bodies that trickle in, answers that nobody takes, connections that say nothing."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

from benchmarks.faults.asks import endless, picture_asks
from benchmarks.faults.client import Book, build, crowd, read_answer
from benchmarks.faults.ground import Ground
from benchmarks.faults.report import Trial
from benchmarks.faults.scale import Scale
from benchmarks.faults.service import Memory, Service, run_service

__all__ = ["try_slow"]

SECONDS = "5"
"""How patient the service is told to be, in place of 10 and 20 seconds."""

LONGEST = 20.0
"""Seconds after which a slow client must be gone, then; the machine may be busy."""

STEP = 0.25
"""Seconds between two bytes."""

HEAD = b"POST /v1/search HTTP/1.1\r\nHost: shoes\r\nX-Slow: "
BODY = build("POST", "/v1/search", b"x" * 100_000, "image/jpeg")[:-100_000]
CHUNKS = BODY.replace(b"Content-Length: 100000", b"Transfer-Encoding: chunked")


async def drip(first: bytes, drop: bytes) -> AsyncIterator[bytes]:
    """Some bytes at once, then ever the same few."""
    yield first
    while True:
        await asyncio.sleep(STEP)
        yield drop


KINDS = {
    "heads": (HEAD, b"a"),
    "bodies": (BODY, b"x"),
    "bodies in chunks": (CHUNKS, b"1\r\nx\r\n"),
    "nothing": (b"", b""),
}


def try_slow(ground: Ground, scale: Scale) -> Iterator[Trial]:
    """So many slow clients of each kind at once, and good ones beside them."""
    patience = {"head_seconds": SECONDS, "grace_seconds": SECONDS, "keep_alive_seconds": SECONDS}
    with run_service(ground, "slow", settings=patience) as service, Memory(service) as memory:
        good, ends, longest = asyncio.run(_besiege(ground, service, scale))
    told = {kind: dict(Counter(found)) for kind, found in ends.items()}
    # Those that have sent something are told why, the silent ones are closed without a word.
    held = all(set(found) == {0 if kind == "nothing" else 408} for kind, found in ends.items())
    yield Trial(
        "slow senders",
        f"{scale.loris * len(KINDS):,} clients at once that send a byte every {STEP} s of a head, of a body, of a body "
        f"in chunks, or nothing at all; {scale.clients} good clients beside them",
        f"all gone after {longest:.0f} s at most, {sum(found.get(408, 0) for found in told.values()):,} told 408; the "
        f"good searches: {good}; {memory}",
        held and good.clean and len(good.seconds) > 0 and longest < LONGEST,
        {"ends": told, "longest_seconds": longest, "good": good.figures()},
    )


async def _besiege(ground: Ground, service: Service, scale: Scale) -> tuple[Book, dict[str, list[int]], float]:
    good, over, began = Book(), asyncio.Event(), time.monotonic()
    searches = endless(picture_asks(ground.first.pictures, ground.nearest()))
    beside = asyncio.create_task(crowd(service.port, searches, good, clients=scale.clients, over=over.is_set))
    slow = {kind: [_trickle(service.port, *KINDS[kind]) for _ in range(scale.loris)] for kind in KINDS}
    found = await asyncio.gather(*(asyncio.gather(*some) for some in slow.values()))
    longest = time.monotonic() - began
    over.set()
    await beside
    return good, dict(zip(slow, found, strict=True)), longest


async def _trickle(port: int, first: bytes, drop: bytes) -> int:
    """Send slowly until the service has had enough; returns the status that it says, or 0 where it says none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def send() -> None:
        async for piece in drip(first, drop):
            writer.write(piece)

    sending = asyncio.create_task(send())
    try:
        async with asyncio.timeout(3 * LONGEST):
            with suppress(EOFError, ConnectionError):
                return (await read_answer(reader))[0]
            return 0
    finally:
        sending.cancel()
        writer.close()
