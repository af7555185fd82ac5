"""The clients against a service that is played: what they send, what they retry, what they raise."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import httpx2
import pytest

from service.http.schemas import SearchFields
from solemate.client import (
    ApiError,
    AsyncClient,
    Busy,
    Client,
    Conflict,
    InvalidRequest,
    NotAllowed,
    NotFound,
    UnexpectedAnswer,
    Unreachable,
)
from solemate.client.operations import Options

ROOT = Path(__file__).parents[3]

ITEM = {"id": "a", "attributes": {}, "image": "/i", "reconstruction": "/r", "similar": "/s"}
MADE_FROM = {"checkpoint": "c", "catalog": "d"}


def answer(*hits: str, next: str | None = None) -> dict[str, Any]:
    """The answer of a search."""
    found = [{**ITEM, "id": hit, "distance": 0.5} for hit in hits]
    return {"hits": found, "next": next, "condition": "overall", "k": 2, **MADE_FROM}


def problem(status: int, slug: str = "x", **headers: str) -> httpx2.Response:
    """A refusal."""
    content = {"type": f"urn:solemate:{slug}", "title": "No", "status": status, "detail": "why", "field": "k"}
    return httpx2.Response(status, json=content, headers=headers)


class Played:
    """A service that gives these answers, one after another, and keeps what it was asked."""

    def __init__(self, *answers: httpx2.Response | Exception | dict[str, Any]) -> None:
        self.answers = list(answers)
        self.asked: list[httpx2.Request] = []
        self.transport = httpx2.MockTransport(self.handle)

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        """Give the next answer."""
        self.asked.append(request)
        given = self.answers.pop(0)
        if isinstance(given, Exception):
            raise given
        return given if isinstance(given, httpx2.Response) else httpx2.Response(200, json=given)

    def client(self, **options: Any) -> Client:
        """A client of it."""
        return Client("http://shoes.example/under/", transport=self.transport, **options)


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits, none of which takes any time."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("solemate.client.client.time.sleep", waits.append)
    monkeypatch.setattr("solemate.client.client.asyncio.sleep", sleep)
    return waits


def test_needs_no_torch() -> None:
    """Importing the client loads httpx2 and pydantic, and none of what serves and trains."""
    unwanted = ("torch", "numpy", "PIL", "typer", "fastapi", "model", "service", "training")
    code = f"import sys; sys.modules.update(dict.fromkeys({unwanted})); import solemate.client"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_search() -> None:
    """A picture is the body and options are the query string, below the path that a proxy shows the service under."""
    service = Played(answer("a", "b"))
    with service.client(api_key="secret") as client:
        found = client.search(b"pixels", k=2, filter=["A:b", "C:d"], crop=(0, 0.25, 0.5, 0.5), facets=True)
    (request,) = service.asked
    assert [hit.id for hit in found.hits] == ["a", "b"]
    assert request.url.path == "/under/v1/search"
    assert request.url.params.multi_items() == [
        *(("k", "2"), ("filter", "A:b"), ("filter", "C:d")),
        *(("crop", "0,0.25,0.5,0.5"), ("facets", "true")),
    ]
    assert request.content == b"pixels"
    assert request.headers["authorization"] == "Bearer secret"


def test_ids_are_quoted() -> None:
    """An id with a slash or a question mark stays one part of the path."""
    service = Played({**ITEM, "vector": [1.0], **MADE_FROM})
    service.client().item("a/b?c")
    assert service.asked[0].url.raw_path == b"/under/v1/items/a%2Fb%3Fc"


def test_map() -> None:
    """The map's tiles and thumbnails are asked for by number."""
    tile = {"ids": ["a"], "x": [0], "y": [65535], "values": {"Colour": [1]}, "legend": {"Colour": ["red", "blue"]}}
    service = Played(tile, httpx2.Response(200, content=b"jpeg"))
    client = service.client()
    assert client.map_tile(3).y == [65535]
    assert client.map_atlas(3) == b"jpeg"
    assert [request.url.path for request in service.asked] == ["/under/v1/map/tiles/3", "/under/v1/map/atlas/3"]


def test_nested_filter() -> None:
    """A nested filter goes into the query string as JSON."""
    service = Played(answer("a"))
    service.client().similar("a", filter={"any": ["A:b", {"not": ["C:d"]}]})
    assert json.loads(service.asked[0].url.params["filter"]) == {"any": ["A:b", {"not": ["C:d"]}]}


@pytest.mark.usefixtures("waited")
def test_retries(waited: list[float]) -> None:
    """A 503 is asked again after as many seconds as it says, the body sent once more."""
    service = Played(problem(503, **{"retry-after": "2"}), problem(503, **{"retry-after": "7"}), answer("a"))
    assert service.client().search(b"pixels").hits[0].id == "a"
    assert waited == [2, 7]
    assert [request.content for request in service.asked] == [b"pixels"] * 3


@pytest.mark.parametrize(
    ("refusal", "options"),
    [
        (problem(503, **{"retry-after": "60"}), {}),
        (problem(503), {}),
        (problem(503, **{"retry-after": "1"}), {"retries": 0}),
    ],
    ids=["too long", "not said", "none wanted"],
)
def test_no_retries(refusal: httpx2.Response, options: dict[str, Any], waited: list[float]) -> None:
    """A 503 is raised at once where the wait is too long, is not said, or nobody wants to wait."""
    with pytest.raises(Busy):
        Played(refusal).client(**options).info()
    assert waited == []


def test_retries_end(waited: list[float]) -> None:
    """After the last retry the refusal is raised."""
    service = Played(*(problem(503, **{"retry-after": "1"}) for _ in range(3)))
    with pytest.raises(Busy):
        service.client(retries=2).info()
    assert waited == [1, 1]


def test_interrupted_addition(waited: list[float]) -> None:
    """An addition that was interrupted, and may have been made, is not repeated; a replacement is."""
    cut, made = problem(503, "interrupted", **{"retry-after": "1"}), {**ITEM, "vector": [1.0], **MADE_FROM}
    with pytest.raises(Busy):
        Played(cut).client().create_item("a", b"pixels")
    assert Played(cut, made).client().replace_item("a", b"pixels").id == "a"
    assert waited == [1]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, InvalidRequest), (401, NotAllowed), (404, NotFound), (409, Conflict), (422, InvalidRequest)],
)
def test_refusals(status: int, kind: type[ApiError]) -> None:
    """A refusal is an exception of its kind, with the problem document and the number of the request."""
    with pytest.raises(kind, match=f"{status} No: why") as raised:
        Played(problem(status, **{"x-request-id": "r7"})).client().info()
    assert raised.value.status == status
    assert raised.value.problem.type == "urn:solemate:x"
    assert raised.value.problem.field == "k"
    assert raised.value.request_id == "r7"


def test_refusal_of_a_proxy() -> None:
    """What is no problem document becomes one."""
    with pytest.raises(ApiError, match="502 Bad Gateway: <h1>Bad gateway</h1>") as raised:
        Played(httpx2.Response(502, text="<h1>Bad\n  gateway</h1>")).client().info()
    assert raised.value.problem.type == "about:blank"
    with pytest.raises(ApiError, match="520 a status without a name: <p>"):
        Played(httpx2.Response(520, text="<p>")).client().info()


def test_no_answer() -> None:
    """No connection, an answer of another program, and a wrong address are errors that say so."""
    with pytest.raises(Unreachable, match=r"http://shoes\.example/under does not answer: refused"):
        Played(httpx2.ConnectError("refused")).client().info()
    with pytest.raises(UnexpectedAnswer, match="the answer is no Info"):
        Played({"hello": "world"}).client().info()
    with pytest.raises(ValueError, match="expected such as http://"):
        Client("127.0.0.1:8000")


def test_pages() -> None:
    """An iterator asks for page after page, with the same options, and no earlier than it is read."""
    service = Played(answer("a", "b", next="n1"), answer("c"))
    hits = service.client().iterate_search(b"pixels", k=2, filter="A:b")
    assert service.asked == []
    assert next(hits).id == "a"
    assert [hit.id for hit in hits] == ["b", "c"]
    assert [dict(request.url.params) for request in service.asked] == [
        {"k": "2", "filter": "A:b"},
        {"k": "2", "filter": "A:b", "cursor": "n1"},
    ]


def test_pages_of_a_vector() -> None:
    """The cursor goes into the JSON where that has the options."""
    service = Played(answer("a", next="n1"), answer("b"))
    assert [hit.id for hit in service.client().iterate_search_vector([1.0], k=1)] == ["a", "b"]
    assert [json.loads(request.content) for request in service.asked] == [
        {"vector": [1.0], "k": 1},
        {"vector": [1.0], "k": 1, "cursor": "n1"},
    ]


def test_asynchronous(waited: list[float]) -> None:
    """The asynchronous client retries, iterates and raises as the other does."""
    service = Played(problem(503, **{"retry-after": "3"}), answer("a", next="n1"), answer("b"), problem(404))

    async def ask() -> list[str]:
        async with AsyncClient("http://shoes.example", transport=service.transport) as client:
            ids = [hit.id async for hit in client.iterate_search(b"pixels", k=1)]
            with pytest.raises(NotFound):
                await client.item("none")
        return ids

    assert asyncio.run(ask()) == ["a", "b"]
    assert waited == [3]


def test_errors_of_the_network_when_asynchronous() -> None:
    """No connection is the same error."""

    async def ask(handle: Callable[[httpx2.Request], httpx2.Response]) -> None:
        async with AsyncClient("http://shoes.example", transport=httpx2.MockTransport(handle)) as client:
            await client.info()

    with pytest.raises(Unreachable):
        asyncio.run(ask(Played(httpx2.ReadTimeout("late")).handle))


def test_every_option_of_a_search() -> None:
    """The client takes each option that the service takes, by the same name."""
    assert get_type_hints(Options).keys() == SearchFields.model_fields.keys()
