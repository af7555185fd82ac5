"""HEAD is GET without the body."""

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from service.http.middleware.exchange import ServeExchange
from service.serving.engine import Engine
from service.settings import Settings

# These differ from one answer to the next.
OWN = {"x-request-id", "server-timing"}

PATHS = (
    *("/", "/web/main.js", "/docs", "/openapi.json", "/healthz", "/readyz", "/v1/info", "/v1/facets"),
    *("/v1/items?limit=3", "/v1/items/1000.1", "/v1/items/1000.1/similar?k=2"),
    *("/v1/items/1000.1/image", "/v1/items/1000.1/reconstruction"),
    *("/v1/interpolations?from=1000.1&to=1001.1", "/v1/swaps?item=1000.1&condition=closure&of=1001.1"),
)


@pytest.mark.parametrize("path", PATHS)
def test_same_headers_and_no_body(client: TestClient, path: str) -> None:
    """Everything that GET answers has the same status and headers for HEAD, its length included, and no body."""
    client.headers["accept-encoding"] = "identity"
    got, asked = client.get(path), client.head(path)
    assert (got.status_code, asked.status_code) == (200, 200)
    assert asked.content == b""
    assert int(asked.headers["content-length"]) == len(got.content) > 0
    left = [{name: value for name, value in each.headers.items() if name not in OWN} for each in (got, asked)]
    assert left[0] == left[1]


def test_errors_have_no_body_either(client: TestClient, memory_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A HEAD that goes wrong has GET's status, and nothing but headers."""
    vector = np.full((1, 8), 0.5, np.float32)
    monkeypatch.setattr(memory_engine.embedder, "embed_pixels", lambda pixels: vector)
    for path, status in (("/nothing", 404), ("/v1/items/none", 404), ("/v1/items?limit=x", 422), ("/readyz", 503)):
        asked = client.head(path)
        assert (asked.status_code, asked.content) == (status, b"")
        assert asked.headers["content-type"] == "application/problem+json"


def test_what_the_client_has_is_not_drawn_again(client: TestClient) -> None:
    """A tag works for HEAD as for GET."""
    tag = client.head("/v1/items/1000.1/reconstruction").headers["etag"]
    again = client.head("/v1/items/1000.1/reconstruction", headers={"if-none-match": tag})
    assert again.status_code == 304


def test_methods_that_a_path_takes(client: TestClient) -> None:
    """HEAD is named beside GET among the methods of a path, and is none of a path that has no GET."""
    refused = client.post("/healthz")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    assert refused.json()["detail"].endswith("expected GET, HEAD")
    asked = client.head("/v1/search")
    assert (asked.status_code, asked.headers["allow"], asked.content) == (405, "POST", b"")


async def _stream(request: Request) -> StreamingResponse:
    return StreamingResponse(iter([b"a", b"b"]))


async def _echo(request: Request) -> Response:
    return Response(await request.body())


class _Watch:
    """Notes what is to be seen from outside after each request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.seen: list[tuple[str, bool]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)
        if scope["type"] == "http":
            self.seen.append((scope["method"], "endpoint" in scope))


def test_the_outside_sees_the_method_and_the_route() -> None:
    """Whoever looks at a request from outside sees HEAD, and what the router found; other methods pass untouched."""
    routes = [Route("/stream", _stream), Route("/echo", _echo, methods=["POST"])]
    watch = _Watch(ServeExchange(Starlette(routes=routes), Settings()))
    client = TestClient(watch)
    assert client.head("/stream").content == b""
    assert client.get("/stream").content == b"ab"
    assert client.post("/echo", content=b"c").content == b"c"
    assert watch.seen == [("HEAD", True), ("GET", True), ("POST", True)]
