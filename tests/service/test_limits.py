"""How large a request may be."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import Message

from service.limits import LimitBody, body_limits
from service.settings import Settings
from tests.service.problems import check_problem
from tests.service.stack import draw_shoe

BOUNDARY = "multipart/form-data; boundary=x"
HEAD = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'


def send(length: str | None, chunks: list[bytes], limit: int = 10) -> tuple[int, int]:
    """Send a body through the middleware; returns the status, and how many chunks were taken."""
    taken = 0
    sent: list[Message] = []

    async def receive() -> Message:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": chunks[taken - 1], "more_body": taken < len(chunks)}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def collect(message: Message) -> None:
        sent.append(message)

    headers = [] if length is None else [(b"content-length", length.encode())]
    scope = {"type": "http", "path": "/x", "headers": headers, "method": "POST"}
    asyncio.run(LimitBody(app, {"/x": limit})(scope, receive, collect))
    return sent[0]["status"], taken


def test_body_up_to_the_limit() -> None:
    """A body of exactly the limit passes, whole or in pieces."""
    assert send("10", [b"x" * 10]) == (200, 1)
    assert send(None, [b"x" * 5, b"x" * 5, b""]) == (200, 3)


@pytest.mark.parametrize("length", ["11", "9" * 30, str(2**40)])
def test_announced_body_is_refused_unread(length: str) -> None:
    """A body that says it is too large is refused before a byte of it is read."""
    assert send(length, [b"x"]) == (413, 0)


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


@pytest.mark.parametrize("path", ["/v1/search", "/v1/reconstructions", "/v1/embeddings", "/v1/search/vector"])
def test_large_body(client: TestClient, path: str) -> None:
    """A body beyond its path's limit is a 413 problem, whatever it claims to be."""
    check_problem(client.post(path, content=bytes(2_000_000), headers={"content-type": BOUNDARY}), 413)
    check_problem(client.post(path, content=bytes(2_000_000), headers={"content-type": "application/json"}), 413)


def test_several_pictures_share_a_limit(client: TestClient) -> None:
    """A request for several embeddings may hold as much as all of them together, and no more."""
    shoe = draw_shoe(0) + bytes(80_000)
    parts = [("image", ("a.jpg", shoe))] * 3
    assert client.post("/v1/embeddings", files=parts).status_code == 200
    check_problem(client.post("/v1/embeddings", files=parts + parts[:1]), 413)


def test_limits_follow_the_settings() -> None:
    """One picture's bytes bound a search; all pictures' bytes, and the bound of a body, the embeddings."""
    limits = body_limits(Settings(max_upload_bytes=1000, max_images=5, max_body_bytes=3000))
    assert limits["/v1/embeddings"] - limits["/v1/search"] == 2000
    assert body_limits(Settings(max_upload_bytes=1000, max_images=2))["/v1/embeddings"] - limits["/v1/search"] == 1000
