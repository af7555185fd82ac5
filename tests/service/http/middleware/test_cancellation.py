"""Clients that go away while they are waited for."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from service.http.middleware import exchange
from service.http.middleware.exchange import unless_gone
from service.serving.engine import Engine, Network
from service.settings import Settings
from service.telemetry import metrics
from tests.service.serving.test_pipeline import PATIENCE, MoodyEmbedder
from tests.support.app import make_app
from tests.support.fakes import DIGEST, MemoryStore
from tests.support.stack import draw_shoe


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at once."""
    monkeypatch.setattr(exchange, "PATIENCE", 0.001)


class Client:
    """What a server tells of a client.

    Attributes:
        asked: how often it was asked.
    """

    def __init__(self, *messages: Message) -> None:
        self._messages = list(messages)
        self.leaves = asyncio.Event()
        self.asked = 0

    async def receive(self) -> Message:
        """See ASGI."""
        self.asked += 1
        if self._messages:
            return self._messages.pop(0)
        await self.leaves.wait()
        return {"type": "http.disconnect"}


def count_gone() -> float:
    """How many clients went away before their answer."""
    return metrics.REGISTRY.get_sample_value("solemate_rejections_total", {"reason": "disconnected"}) or 0.0


def request_of(client: Client) -> Request:
    """A request of that client."""
    return Request({"type": "http"}, client.receive)


async def test_work_goes_on_while_the_client_is_there() -> None:
    """Its result is the answer, whatever it is; an empty body is no word of leaving."""
    client = Client({"type": "http.request", "body": b"", "more_body": False})

    async def work() -> int:
        await asyncio.sleep(0.05)
        return 7

    async def fail() -> int:
        await asyncio.sleep(0.05)
        raise KeyError

    assert await unless_gone(request_of(client), work()) == 7
    with pytest.raises(KeyError):
        await unless_gone(request_of(client), fail())
    assert client.asked == 3


async def test_quick_work_is_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks after the client of an answer that comes at once."""
    monkeypatch.setattr(exchange, "PATIENCE", PATIENCE)

    client = Client()
    assert await unless_gone(request_of(client), asyncio.sleep(0.02, 7)) == 7
    assert client.asked == 0


async def test_work_ends_with_the_client() -> None:
    """Its work is cancelled, and the request ends as one that nobody waits for; the task itself is not cancelled."""
    client, ended, before = Client(), asyncio.Event(), count_gone()

    async def work() -> None:
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            ended.set()

    asyncio.get_running_loop().call_later(0.02, client.leaves.set)
    with pytest.raises(ClientDisconnect):
        await unless_gone(request_of(client), work())
    assert ended.is_set()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    assert count_gone() == before + 1


async def test_cancellation_from_elsewhere_stays_one() -> None:
    """A request that is cancelled by the server is cancelled, and nobody goes on looking after its client."""
    client, before = Client(), asyncio.all_tasks()
    task = asyncio.create_task(unless_gone(request_of(client), asyncio.sleep(PATIENCE)))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_a_search_is_dropped_with_its_client(tmp_path: Path) -> None:
    """Through the whole application: the queued picture of a client that left never reaches the network."""
    embedder = MoodyEmbedder()
    app = make_app(Settings(), Engine(embedder, MemoryStore(tmp_path), Network(DIGEST), tmp_path, Settings()))

    async def search(client: Client, state: Any) -> list[Message]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [(b"host", b"shoes"), (b"content-type", b"image/jpeg")]
        scope = {"type": "http", "method": "POST", "path": "/v1/search", "query_string": b"", "headers": headers}
        await app({**scope, "state": dict(state)}, client.receive, send)
        return sent

    def ask(number: int) -> Client:
        return Client({"type": "http.request", "body": draw_shoe(number), "more_body": False})

    async with asyncio.timeout(PATIENCE):
        async with app.router.lifespan_context(app) as state:
            embedder.gate.clear()
            embedder.batches.clear()
            first, second, third = ask(1), ask(2), ask(3)
            held = asyncio.create_task(search(first, state))
            while not embedder.batches:
                await asyncio.sleep(0.001)
            gone, stays = asyncio.create_task(search(second, state)), asyncio.create_task(search(third, state))
            await asyncio.sleep(0.05)
            second.leaves.set()
            sent = await gone
            assert [message.get("status") for message in sent[:1]] in ([], [499])
            embedder.gate.set()
            for task in (held, stays):
                assert (await task)[0]["status"] == 200
            assert embedder.batches == [1, 1]
