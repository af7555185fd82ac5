"""A client of HTTP/1.1 that keeps its connection, and requests that know what must come of them.

Not a library's: it sends bytes as they are, broken ones too, and costs little beside the service that it tries.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["HEADERS", "KEY", "Answer", "Ask", "Book", "Client", "ask_all", "build", "crowd", "read_answer"]

KEY = "key-of-the-faults-0123456789abcdef"
HEADERS = {"X-API-Key": KEY}

ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        status: of the answer.
        headers: their names in lower case.
        body: the bytes.
        seconds: from the request's first byte to the answer's last.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    def json(self) -> Any:  # noqa: ANN401 - JSON
        """The body. Raises ValueError where it is none."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Ask:
    """A request, and what must come of it.

    Attributes:
        name: its kind.
        request: its bytes.
        judge: what is wrong with an answer; "" if it is right.
    """

    name: str
    request: bytes
    judge: Callable[[Answer], str]


@dataclass
class Book:
    """What came of every request.

    Attributes:
        statuses: status -> how many answers.
        kinds: (kind of request, status) -> how many.
        wrong: what was wrong with an answer; each once.
        failed: why there was no answer; each once.
        seconds: how long each answer of status 200 took.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    kinds: Counter[tuple[str, int]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def asked(self) -> int:
        """How many requests were sent."""
        return sum(self.statuses.values()) + len(self.failed)

    @property
    def clean(self) -> bool:
        """Whether every request got an answer, and a right one."""
        return not self.wrong and not self.failed

    def enter(self, ask: Ask, answer: Answer) -> None:
        """Note an answer."""
        self.statuses[answer.status] += 1
        self.kinds[ask.name, answer.status] += 1
        if answer.status == 200:
            self.seconds.append(answer.seconds)
        if error := ask.judge(answer):
            self.wrong.append(f"{ask.name}: {error}")

    def __str__(self) -> str:
        return f"{self.spell_statuses()}; {len(self.wrong)} wrong, {len(self.failed)} without an answer"

    def spell_statuses(self) -> str:
        """Such as `900 x 200, 100 x 503`."""
        return ", ".join(f"{count:,} x {status}" for status, count in sorted(self.statuses.items()))

    def figures(self) -> dict[str, Any]:
        """For the report: the counts, and some of what was not right."""
        return {"statuses": dict(self.statuses), "wrong": self.wrong[:20], "failed": self.failed[:20]}


class Client:
    """One connection at a time to a port of 127.0.0.1; a new one where the service closed the last."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @property
    def connected(self) -> bool:
        """Whether it has a connection, which the service has not said that it closes."""
        return self._streams is not None

    async def connect(self) -> None:
        """Open a connection, unless there is one that the service has not closed meanwhile. Raises OSError."""
        if self._streams is not None and self._streams[0].at_eof():
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=2**20)

    async def ask(self, request: bytes) -> Answer:
        """Send one request and read its answer. Raises OSError, EOFError or TimeoutError where there is none."""
        await self.connect()
        assert self._streams is not None
        reader, writer = self._streams
        began = time.perf_counter()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                writer.write(request)
                status, headers, body = await read_answer(reader)
        except BaseException:
            self.close()
            raise
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(status, headers, body, time.perf_counter() - began)

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the next answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head[:-4].split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "chunked" in headers.get("transfer-encoding", ""):
        parts = []
        while size := int(await reader.readline(), 16):
            parts.append(await reader.readexactly(size))
            await reader.readexactly(2)
        await reader.readexactly(2)
        body = b"".join(parts)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(first.split()[1]), headers, body


def build(
    method: str, path: str, body: bytes = b"", content_type: str = "", headers: Mapping[str, str] | None = None
) -> bytes:
    """A request, byte for byte; with the admin's key, unless `headers` have another."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"Content-Type: {content_type}"] * bool(content_type)
    lines += [f"Content-Length: {len(body)}"] * bool(body or method == "POST")
    lines += [f"{name}: {value}" for name, value in {**HEADERS, **(headers or {})}.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


async def crowd(port: int, asks: Iterator[Ask], book: Book, *, clients: int, over: Callable[[], bool]) -> None:
    """So many clients ask, each as soon as it is answered, until it is over or `asks` has no more."""

    async def work() -> None:
        client = Client(port)
        for ask in asks:
            try:
                book.enter(ask, await client.ask(ask.request))
            except (OSError, EOFError, TimeoutError, ValueError) as error:
                book.failed.append(f"{ask.name}: {error!r}")
                await asyncio.sleep(0.05)
            if over():
                break
        client.close()

    await asyncio.gather(*(work() for _ in range(clients)))


def ask_all(port: int, asks: Sequence[Ask], book: Book | None = None) -> Book:
    """Ask each once, one after the other; returns what came of it."""
    book = Book() if book is None else book
    asyncio.run(crowd(port, iter(asks), book, clients=1, over=lambda: False))
    return book
