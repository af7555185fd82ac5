"""What each way past FastAPI and uvicorn gains or costs: both variants in one process, in turns.

    python -m benchmarks.serving.shortcuts

A busy machine slows both variants down alike, so the ratios hold on one; the microseconds do not.
"""

import asyncio
import multiprocessing
import socket
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, MutableSequence
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import uvicorn
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service.server.listener import Acceptor, ConnectionCounts, bind
from service.server.protocol import ClientConnection, ConnectionConfig
from service.serving.engine import Engine, Network
from service.settings import Settings
from tests.support.app import make_app
from tests.support.fakes import DIGEST, FakeEmbedder, MemoryStore
from tests.support.stack import draw_shoe

ROUNDS, REQUESTS = 60, 50
CONNECTIONS, TRIALS = 64, 7
PICTURE = draw_shoe(3)
HEADERS = {"host": "shoes.example", "content-type": "image/jpeg", "content-length": str(len(PICTURE))}


async def compare(name: str, variants: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
    """Print what a request takes of this thread by each of two variants, and the ratio of the second to the first."""
    spent: dict[str, list[float]] = {variant: [] for variant in variants}
    for round_ in range(-2, ROUNDS):
        for variant in sorted(variants, reverse=bool(round_ % 2)):
            began = time.thread_time()
            for _ in range(REQUESTS):
                await variants[variant]()
            if round_ >= 0:  # the first ones warm up
                spent[variant].append((time.thread_time() - began) / REQUESTS * 1e6)
    first, second = variants
    medians = ", ".join(f"{variant} {statistics.median(times):.0f} us" for variant, times in spent.items())
    ratios = statistics.quantiles([b / a for a, b in zip(spent[first], spent[second], strict=True)], n=4)
    print(f"{name}: {medians}; ratio {ratios[1]:.2f} ({ratios[0]:.2f} to {ratios[2]:.2f})")


async def compare_routes(folder: Path) -> None:
    """POST /v1/search by the bare Starlette route, and by FastAPI's."""

    async def ask(app: ASGIApp, state: Mapping[str, Any]) -> None:
        body: list[Message] = [{"type": "http.request", "body": PICTURE, "more_body": False}]

        async def receive() -> Message:
            return body.pop() if body else await asyncio.Future[Message]()

        async def send(message: Message) -> None:
            assert message.get("status", 200) == 200, message

        headers = [(key.encode(), value.encode()) for key, value in HEADERS.items()]
        scope = {"type": "http", "method": "POST", "path": "/v1/search", "query_string": b"k=10", "headers": headers}
        await app({**scope, "state": dict(state)}, receive, send)

    def open_app() -> Any:  # noqa: ANN401 - its router's routes are replaced below
        return make_app(Settings(), Engine(FakeEmbedder(), MemoryStore(folder), Network(DIGEST), folder, Settings()))

    bare, fastapi = open_app(), open_app()
    fastapi.router.routes = [
        route for route in fastapi.router.routes if type(route) is not Route or route.path != "/v1/search"
    ]
    async with bare.router.lifespan_context(bare) as one, fastapi.router.lifespan_context(fastapi) as other:
        await compare("route", {"bare": lambda: ask(bare, one), "FastAPI's": lambda: ask(fastapi, other)})


class _Transport(asyncio.Transport):
    """Takes what is written, at once."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


async def compare_protocols() -> None:
    """A request and its answer through uvicorn's protocol class, and through the service's."""

    async def answer(_scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"shoes"})

    def connect(config: uvicorn.Config, kind: type[HttpToolsProtocol]) -> HttpToolsProtocol:
        config.load()
        protocol = kind(config, ServerState(), {})
        protocol.connection_made(_Transport())
        return protocol

    head = "\r\n".join(["POST /v1/search HTTP/1.1", *(f"{key}: {value}" for key, value in HEADERS.items()), "", ""])

    async def ask(protocol: HttpToolsProtocol) -> None:
        protocol.data_received(head.encode() + PICTURE)
        while protocol.cycle is None or not protocol.cycle.response_complete:
            await asyncio.sleep(0)

    plain = connect(uvicorn.Config(answer, log_config=None, access_log=False, server_header=False), HttpToolsProtocol)
    own = connect(ConnectionConfig(answer, Settings(), log_config=None, access_log=False), ClientConnection)
    await compare("protocol", {"uvicorn's": lambda: ask(plain), "ClientConnection": lambda: ask(own)})


class _Counting(asyncio.Protocol):
    count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: ARG002 - as asyncio calls it
        type(self).count += 1


def accept(
    listener: socket.socket, counts: MutableSequence[int], taken: MutableSequence[int], index: int, stop: Event
) -> None:
    """One of two processes that take connections from a socket; with `counts`, by `Acceptor`."""

    async def run() -> None:
        if counts:
            share = ConnectionCounts(counts, index)
            Acceptor(listener, _Counting, count=lambda: _Counting.count, share=share).start()
        else:
            await asyncio.get_running_loop().create_server(_Counting, sock=listener, backlog=2048)
        while not stop.is_set():
            taken[index] = _Counting.count
            await asyncio.sleep(0.005)

    asyncio.run(run())


def divide(*, own: bool) -> list[int]:
    """How many of some connections that come at once each of two processes takes."""
    context = multiprocessing.get_context("fork")
    with bind("127.0.0.1", 0) as listener:
        listener.listen(2048)
        listener.settimeout(0)
        counts, taken, stop = (
            context.RawArray("i", [0, 0] if own else 0),
            context.RawArray("i", [0, 0]),
            context.Event(),
        )
        workers = [context.Process(target=accept, args=(listener, counts, taken, index, stop)) for index in range(2)]
        for worker in workers:
            worker.start()
        time.sleep(0.5)
        clients = [socket.create_connection(listener.getsockname()) for _ in range(CONNECTIONS)]
        time.sleep(1)
        divided = sorted(taken)
        stop.set()
        for worker in workers:
            worker.join()
        for client in clients:
            client.close()
    return divided


def main() -> None:
    """Print all three."""
    for name, own in (("asyncio's server", False), ("Acceptor", True)):
        print(f"{CONNECTIONS} connections on two processes by {name}: {[divide(own=own) for _ in range(TRIALS)]}")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare_routes(Path(folder)))
    asyncio.run(compare_protocols())


if __name__ == "__main__":
    main()
