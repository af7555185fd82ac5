"""How large and how slow a request may be."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.testclient import TestClient
from starlette.types import Message

from service.http.middleware.limits import MAX_HEADERS, LimitRequest, body_limits
from service.http.problems import render_error
from service.settings import Settings
from tests.support.problems import check_problem
from tests.support.stack import draw_shoe

BOUNDARY = "multipart/form-data; boundary=x"
HEAD = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'

LIMIT = body_limits(Settings(max_upload_bytes=10))["/v1/search"]


class Sender:
    """Sends requests through the middleware, to an application that reads their bodies to the end.

    Attributes:
        taken: how many pieces of the last body were asked for.
        held: answers are held back until this is set.
    """

    def __init__(self, **settings: Any) -> None:
        self.limited = LimitRequest(self._answer, Settings(max_upload_bytes=10, **settings))
        self.taken = 0
        self.held = asyncio.Event()
        self.held.set()

    async def send(self, pieces: Sequence[bytes], length: str | None = None, *, pause: float = 0) -> int:
        """Send a body in pieces, with a pause before each; returns the answer's status."""
        self.taken = 0
        left = list(pieces)
        sent: list[Message] = []

        async def receive() -> Message:
            await asyncio.sleep(pause)
            self.taken += 1
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        async def collect(message: Message) -> None:
            sent.append(message)

        headers = [] if length is None else [(b"content-length", length.encode())]
        scope = {"type": "http", "path": "/v1/search", "headers": headers, "method": "POST"}
        await self.limited(scope, receive, collect)
        status: int = sent[0]["status"]
        return status

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            while (await receive())["more_body"]:
                pass
        except HTTPException as error:
            await render_error(error)(scope, receive, send)
        else:
            await self.held.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})


def test_body_up_to_the_limit() -> None:
    """A body of exactly the limit passes, whole or in pieces; one byte more doesn't."""
    sender = Sender()
    assert asyncio.run(sender.send([b"x" * LIMIT], str(LIMIT))) == 200
    assert asyncio.run(sender.send([b"x" * (LIMIT - 5), b"x" * 5, b""])) == 200
    assert asyncio.run(sender.send([b"x" * (LIMIT - 5), b"x" * 6, b""])) == 413
    assert sender.taken == 2


@pytest.mark.parametrize("length", [str(LIMIT + 1), "9" * 30, str(2**40)])
def test_announced_body_is_refused_unread(length: str) -> None:
    """A body that says it is too large is refused before a byte of it is read."""
    sender = Sender()
    assert asyncio.run(sender.send([b"x"], length)) == 413
    assert sender.taken == 0


def test_slow_bodies() -> None:
    """A body that falls behind its rate, or takes too long in all, is given up; one that keeps up is not."""
    quick = {"grace_seconds": 0.3, "min_rate": 100}
    stalled = Sender(**quick)
    assert asyncio.run(stalled.send([b"x"], pause=60)) == 408
    assert stalled.taken == 0
    assert asyncio.run(Sender(**quick).send([b"x"] * 50, pause=0.02)) == 408
    # Each of the pieces is worth a second: a busy machine may stop this process for a while.
    assert asyncio.run(Sender(**quick).send([b"x" * 100] * 20, pause=0.02)) == 200
    assert asyncio.run(Sender(**quick, body_seconds=0.1).send([b"x" * 100] * 20, pause=0.02)) == 408


def test_waiting_for_the_client_to_leave_has_no_limit() -> None:
    """Once a body has come, whoever asks on is told of the client's leaving, however late that is."""

    async def tell() -> Message:
        messages: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]
        told: list[Message] = []

        async def receive() -> Message:
            if messages:
                return messages.pop()
            await asyncio.sleep(0.2)
            return {"type": "http.disconnect"}

        async def app(scope: Any, receive: Any, send: Any) -> None:
            told.extend([await receive(), await receive()])

        async def send(message: Message) -> None:
            raise AssertionError(message)

        scope = {"type": "http", "path": "/v1/info", "headers": [], "method": "GET"}
        await LimitRequest(app, Settings(grace_seconds=0.05, body_seconds=0.05))(scope, receive, send)
        return told[-1]

    assert asyncio.run(tell()) == {"type": "http.disconnect"}


def test_memory_is_shared_and_given_back() -> None:
    """Bodies under way share the process's memory: what does not fit is a 503, and passes once the others are done."""

    async def tell() -> list[int]:
        sender = Sender(max_body_bytes=1000, max_body_memory=90_000)
        sender.held.clear()
        first = asyncio.create_task(sender.send([b"x" * 60_000]))
        await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        refused = await sender.send([b"x" * 20_000, b"x" * 20_000])
        second = asyncio.create_task(sender.send([b"x" * 30_000]))
        await asyncio.sleep(0.01)
        sender.held.set()
        return [refused, await first, await second, await sender.send([b"x" * 65_000])]

    assert asyncio.run(tell()) == [503, 200, 200, 200]


def test_pieces_are_counted(client: TestClient) -> None:
    """A body without a length is cut off when it has become too large."""
    taken = 0

    def pieces() -> Iterator[bytes]:
        nonlocal taken
        yield HEAD
        for _ in range(10_000):
            taken += 1
            yield b"x" * 10_000

    response = client.post("/v1/search", content=pieces(), headers={"content-type": BOUNDARY})
    assert "larger than" in check_problem(response, 413)["detail"]


@pytest.mark.parametrize(
    "path", ["/v1/search", "/v1/reconstructions", "/v1/subjects", "/v1/embeddings", "/v1/search/vector"]
)
def test_large_body(client: TestClient, path: str) -> None:
    """A body beyond its path's limit is a 413 problem, whatever it claims to be."""
    check_problem(client.post(path, content=bytes(2_000_000), headers={"content-type": BOUNDARY}), 413)
    check_problem(client.post(path, content=bytes(2_000_000), headers={"content-type": "application/json"}), 413)


def test_large_json_in_pieces(client: TestClient) -> None:
    """JSON without a length is cut off too, and told so rather than that it is no JSON."""
    headers = {"content-type": "application/json"}
    response = client.post("/v1/search/vector", content=iter([b"[" * 600_000] * 2), headers=headers)
    assert "larger than" in check_problem(response, 413)["detail"]


def test_several_pictures_share_a_limit(client: TestClient) -> None:
    """A request for several embeddings may hold as much as all of them together, and no more."""
    shoe = draw_shoe(0) + bytes(80_000)
    parts = [("image", ("a.jpg", shoe))] * 3
    assert client.post("/v1/embeddings", files=parts).status_code == 200
    check_problem(client.post("/v1/embeddings", files=parts + parts[:1]), 413)


def test_heads_are_bounded(client: TestClient) -> None:
    """Too many headers, too large ones, and too long an address are 431 problems."""
    assert client.get("/v1/info", headers={"x-a": "y" * 30_000}).status_code == 200
    check_problem(client.get("/v1/info", headers={"x-a": "y" * 40_000}), 431)
    check_problem(client.get("/v1/items", params={"cursor": "y" * 40_000}), 431)
    check_problem(client.get("/v1/info", headers={f"x-{number}": "y" for number in range(MAX_HEADERS)}), 431)


def test_limits_follow_the_settings() -> None:
    """One picture's bytes bound a search; all pictures' bytes, and the bound of a body, the embeddings."""
    limits = body_limits(Settings(max_upload_bytes=1000, max_images=5, max_body_bytes=3000))
    assert limits["/v1/embeddings"] - limits["/v1/search"] == 2000
    assert body_limits(Settings(max_upload_bytes=1000, max_images=2))["/v1/embeddings"] - limits["/v1/search"] == 1000
