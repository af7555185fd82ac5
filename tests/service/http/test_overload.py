"""What clients are told where there is more to do than can be done, or something broke that mends itself."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.errors import DeadlineExceeded, Interrupted, NotReady, Overloaded
from service.serving.engine import Engine, Network
from service.serving.pipeline import Pipeline
from service.settings import Settings
from tests.service.serving.test_pipeline import DEADLY, PATIENCE, POISON, MoodyEmbedder
from tests.support.app import make_app
from tests.support.fakes import DIGEST, MemoryStore
from tests.support.problems import check_problem
from tests.support.stack import draw_shoe


@pytest.mark.parametrize(
    ("error", "slug", "wait"),
    [
        (Overloaded("too much", retry_after=7), "overloaded", "7"),
        (DeadlineExceeded("too late", retry_after=3), "deadline-exceeded", "3"),
        (Interrupted("broke down"), "interrupted", "1"),
        (NotReady("/a/secret/path"), "not-ready", "1"),
    ],
)
def test_busy_is_no_failure(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, error: Exception, slug: str, wait: str
) -> None:
    """Each is a 503 problem of its own kind, which says when to ask again."""

    async def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(Pipeline, "search_image", refuse)
    response = client.post("/v1/search", files={"image": draw_shoe(1)})
    problem = check_problem(response, 503)
    assert problem["type"] == f"urn:solemate:{slug}"
    assert "secret" not in problem["detail"]
    assert response.headers["retry-after"] == wait


async def test_one_poisonous_picture_of_many(tmp_path: Path) -> None:
    """Among pictures that ride together, that which breaks the network is a 500, and every other one is answered."""
    embedder = MoodyEmbedder()
    app = make_app(Settings(), Engine(embedder, MemoryStore(tmp_path), Network(DIGEST), tmp_path, Settings()))

    async def post(picture: bytes, state: Any) -> int:
        statuses: list[int] = []
        body = [{"type": "http.request", "body": picture, "more_body": False}]

        async def receive() -> Any:
            return body.pop() if body else await asyncio.sleep(PATIENCE)

        async def send(message: Any) -> None:
            statuses.append(message.get("status", 0))

        headers = [(b"host", b"shoes"), (b"content-type", b"image/jpeg")]
        scope = {"type": "http", "method": "POST", "path": "/v1/search", "query_string": b"", "headers": headers}
        await app({**scope, "state": dict(state)}, receive, send)
        return statuses[0]

    async with asyncio.timeout(PATIENCE):
        async with app.router.lifespan_context(app) as state:
            pictures = [draw_shoe(number) for number in range(5)] + [POISON]
            assert await asyncio.gather(*(post(each, state) for each in pictures)) == [200] * 5 + [500]
            assert await asyncio.gather(*(post(each, state) for each in (pictures[0], DEADLY))) == [503, 503]
            assert await post(pictures[0], state) == 200
    assert 6 in embedder.batches
