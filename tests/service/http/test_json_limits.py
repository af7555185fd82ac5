"""JSON that weighs little and would cost much: it is refused for its size or by its first fault."""

import asyncio
import json
import sys
from collections.abc import Iterator
from itertools import pairwise
from math import inf
from time import process_time
from typing import Any

import pytest
from fastapi import Request
from starlette.testclient import TestClient

from service.http import requests
from service.http.json_limits import MAX_COLONS, MAX_COMMAS, MAX_CONTAINERS, MAX_JSON_BYTES
from service.serving.engine import Engine
from service.settings import Settings
from tests.service.http.capture_examples import KEYS
from tests.support.app import make_app
from tests.support.problems import check_problem

JSON = {"content-type": "application/json"}
VECTOR = [0.0] * 8


@pytest.fixture
def roomy(memory_engine: Engine) -> Iterator[TestClient]:
    """A service with the usual limits of bodies, so that those of JSON are the ones that are met."""
    with TestClient(make_app(Settings(), memory_engine), raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        ("search/vector", {"vector": [""] * 1000}, "vector.0: Input should be a valid number, not ''"),
        ("search/vector", {"vector": [0] * 4097}, "vector: List should have at most 4096 items"),
        ("search/vector", {"vector": VECTOR, "exclude": [0] * 1000}, "exclude.0: Input should be a valid string"),
        ("search/vector", {"vector": VECTOR, "exclude": ["x"] * 101}, "exclude: List should have at most 100 items"),
        ("search/vector", {"vector": VECTOR, "fields": ["x"] * 101}, "fields: List should have at most 100 items"),
        ("search/vector", {"vector": VECTOR, "filter": [0] * 1201}, "filter: List should have at most 1200 items"),
        ("search/vector", {"vector": VECTOR, "condition": "x" * 1001}, "condition: String should have at most 1000"),
        (
            "search/vector",
            dict.fromkeys(map(str, range(1000)), 0),
            "1,000 fields, '0' among them; expected some of: k,",
        ),
        ("reconstructions/vector", {"vector": [0] * 4097}, "vector: List should have at most 4096 items"),
        ("reconstructions/vector", {"vector": VECTOR, "x": 0}, "2 fields, 'x' among them; expected some of: vector"),
        ("items:query", dict.fromkeys(map(str, range(1000)), 0), "1,000 fields, '0' among them; expected some of:"),
        ("facets:query", {"filter": [0] * 1201}, "filter: List should have at most 1200 items"),
        ("recommendations", {"positive": ["x"] * 101}, "positive: List should have at most 100 items"),
        ("recommendations", {"positive": ["x"], "negative": [[0] * 4097]}, "List should have at most 4096 items"),
        ("search:batch", {"queries": [{}] * 1001}, "queries: List should have at most 1000 items"),
        ("search:batch", {"queries": [{}] * 1000}, "1000 queries; expected 1 to 3"),
        ("search:batch", {"queries": [{"vector": [0] * 4097}]}, "vector: List should have at most 4096 items"),
        ("search:batch", {"queries": [dict.fromkeys("abcdefghijklmnopqr", 0)]}, "18 fields, 'a' among them; expected"),
        ("search", {"image": "", "crop": [0] * 5}, "List should have at most 4 items"),
        ("embeddings", {"image": [0] * 1000}, "Input should be a valid string"),
        ("embeddings", {"image": [""] * 1001}, "List should have at most 1000 items"),
    ],
)
def test_lists_are_bounded(client: TestClient, path: str, body: dict[str, Any], detail: str) -> None:
    """Of each list, and of many unknown fields, one fault is told."""
    response = client.post(f"/v1/{path}", json=body)
    assert response.status_code == 422
    assert detail in response.json()["detail"]
    assert response.json()["detail"].count("Input should be") <= 2  # what may be of two types has two faults


@pytest.mark.parametrize(
    ("attributes", "detail"),
    [
        (dict.fromkeys(map(str, range(51)), 0), "51 attributes; expected at most 50"),
        ({"a": [0] * 1000}, "Input should be a valid string"),
        ({"a": ["x"] * 51}, "List should have at most 50 items"),
    ],
)
def test_attributes_are_bounded(
    memory_engine: Engine, settings: Settings, attributes: dict[str, Any], detail: str
) -> None:
    """In a patch, in a form, and in each shoe of a batch, which fails alone."""
    keyed = settings.model_copy(update={"api_keys": Settings(api_keys=KEYS).api_keys})  # type: ignore[arg-type]
    with TestClient(make_app(keyed, memory_engine), headers={"x-api-key": KEYS.rpartition(":")[2]}) as client:
        patched = client.patch("/v1/items/1000.1", json={"attributes": attributes})
        files = {"image": ("a.jpg", b"x")}
        added = client.post("/v1/items", data={"id": "x", "attributes": json.dumps(attributes)}, files=files)
        item = json.dumps({"id": "x", "attributes": attributes})
        batch = client.post("/v1/items:batch", data={"item": item}, files=files).json()
    assert {patched.status_code, added.status_code, batch["status"]} == {422}
    for problem in (patched.json(), added.json(), batch["problem"]):
        assert detail in problem["detail"]


@pytest.mark.parametrize("path", ["search", "search/vector", "search:batch", "recommendations", "embeddings"])
def test_values_are_counted_before_they_are_parsed(roomy: TestClient, path: str) -> None:
    """Even JSON that is none is refused for what it has too much of."""
    for body, most in (
        (b"," * (MAX_COMMAS + 1), MAX_COMMAS),
        (b":" * (MAX_COLONS + 1), MAX_COLONS),
        (b"[{" * (MAX_CONTAINERS // 2 + 1), MAX_CONTAINERS),
    ):
        problem = check_problem(roomy.post(f"/v1/{path}", content=body, headers=JSON), 413)
        assert f"the JSON has more than {most:,}" in problem["detail"]
    check_problem(roomy.post(f"/v1/{path}", content=b"[" * MAX_CONTAINERS, headers=JSON), 400)


@pytest.mark.parametrize(("path", "field"), [("search:batch", "queries"), ("recommendations", "x")])
def test_json_without_pictures_is_smaller_than_forms(roomy: TestClient, path: str, field: str) -> None:
    """It is not allowed what pictures of a form may have."""
    body = b'{"x": ""' + b" " * (MAX_JSON_BYTES - 9) + b"}"
    check_problem(roomy.post(f"/v1/{path}", content=body, headers=JSON), 422, field)
    problem = check_problem(roomy.post(f"/v1/{path}", content=body + b" ", headers=JSON), 413)
    assert "larger than the 8,388,608 bytes" in problem["detail"]


@pytest.mark.parametrize("depth", [50, 400, 900, 960, 990, 100_000])
def test_depth(client: TestClient, depth: int) -> None:
    """However deep JSON is nested, it is refused: by the parser, or as what a filter is not."""
    for opened, closed in ((b"[", b"]"), (b'{"not":[', b"]}")):
        nested = opened * depth + closed * depth
        for path, rest in (
            ("search", b'"image": ""'),
            ("search/vector", b'"vector": [0]'),
            ("items:query", b'"limit": 1'),
        ):
            body = b'{%s, "filter": [%s]}' % (rest, nested)
            for query in ("", "?filter=Gender:Men") if path == "search" else ("",):
                response = client.post(f"/v1/{path}{query}", content=body, headers=JSON)
                assert response.status_code in {400, 413, 422}, response.text
                assert len(response.content) < 1000


async def test_other_requests_have_their_turns(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """While many numbers are parsed, the event loop goes on."""
    body = json.dumps({"positive": [[0.5] * 4096, [5] * 4096] * 30}).encode()
    turns: list[float] = []
    span = (0.0, 0.0)
    parse = requests._parse

    def measure(content: bytearray) -> object:
        nonlocal span
        began = process_time()  # which does not go on while other processes have the processor
        parsed = parse(content)
        span = began, process_time()
        return parsed

    async def turn() -> None:
        while True:
            turns.append(process_time())
            await asyncio.sleep(0)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    monkeypatch.setattr(requests, "_parse", measure)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    turning = asyncio.create_task(turn())
    try:
        scope = {
            "type": "http", "method": "POST", "query_string": b"", "headers": [(b"content-type", b"application/json")],
            "state": {"settings": settings},
        }  # fmt: skip
        examples, _ = await requests.read_example_search(Request(scope, receive))
    finally:
        sys.setswitchinterval(interval)
        turning.cancel()
    assert len(examples.liked_vectors) == 60
    began, ended = span
    during = [began, *(each for each in turns if began < each < ended), ended]
    assert max(after - before for before, after in pairwise(during)) < 0.2 * (ended - began)


def test_integers_of_many_digits() -> None:
    """An integer that is too long to be one of ours is read as a float, in linear time; a long fraction is one too."""
    assert requests._parse(bytearray(b"[12345678901234567890, -7]")) == [12345678901234567890, -7]
    assert requests._parse(bytearray(b"[" + b"9" * 400 + b", 123456789012345678901]")) == [inf, 123456789012345678901.0]
    assert requests._parse(bytearray(b"9" * 2**20)) == inf  # json would refuse it, and take 0.1 ms for each 4300 digits
