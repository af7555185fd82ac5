"""Many searches in one request, over HTTP."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from service.serving.engine import Engine
from tests.support.fakes import FakeEmbedder
from tests.support.problems import check_problem
from tests.support.stack import draw_shoe

PATH = "/v1/search:batch"


def test_each_query_has_its_own_answer(client: TestClient, memory_engine: Engine) -> None:
    """Each query is answered as it would be alone, with options of its own."""
    vector = memory_engine.store.vector("1001.1").tolist()
    queries: list[dict[str, Any]] = [
        {"item": "1000.1", "k": 2, "condition": "closure"},
        {"vector": vector, "limit": 3, "filter": ["Category:Boots"]},
    ]
    results = client.post(PATH, json={"queries": queries}).json()["results"]
    alone = client.get("/v1/items/1000.1/similar", params={"k": 2, "condition": "closure"}).json()
    by_vector = client.post("/v1/search/vector", json=queries[1]).json()
    assert results == [alone, by_vector]


def test_pictures_share_their_options(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several pictures are embedded together and each is searched for by the same options."""
    embedded: list[int] = []
    embed = FakeEmbedder.embed_pixels

    def record(self: FakeEmbedder, pixels: Any) -> Any:
        embedded.append(len(pixels))
        return embed(self, pixels)

    files = [("image", (f"{number}.jpg", draw_shoe(number), "image/jpeg")) for number in (0, 4, 7)]
    alone = [client.post("/v1/search", files=[file], params={"k": 2}).json()["hits"] for file in files]
    monkeypatch.setattr(FakeEmbedder, "embed_pixels", record)
    results = client.post(PATH, files=files, params={"k": 2}).json()["results"]
    assert [result["hits"] for result in results] == alone
    assert embedded == [3]


def test_a_query_fails_alone(client: TestClient) -> None:
    """A broken picture, an unknown shoe or an option out of range is a problem in the answer, beside the others."""
    files = [("image", ("a.jpg", draw_shoe(0))), ("image", ("b.jpg", b"not a picture"))]
    found, problem = client.post(PATH, files=files).json()["results"]
    assert found["hits"]
    assert problem["status"] == 415
    queries = [{"item": "nope"}, {"item": "1000.1"}, {"item": "1000.1", "k": 1000}]
    unknown, found, wrong = client.post(PATH, json={"queries": queries}).json()["results"]
    assert (unknown["status"], wrong["status"], wrong["field"]) == (404, 422, "k")
    assert found["hits"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"queries": []}, "queries"),
        ({"queries": [{"item": "1000.1"}] * 4}, "queries"),
        ({"queries": [{"k": 3}]}, "queries"),
        ({"queries": [{"item": "1000.1", "vector": [0.0] * 8}]}, "queries"),
        ({"queries": [{"item": "1000.1", "depth": 3}]}, "queries"),
        ({"query": []}, "queries"),
    ],
)
def test_refused_batches(client: TestClient, body: Any, field: str) -> None:
    """No queries, too many of them, and queries that are for nothing or for two things are refused as a whole."""
    check_problem(client.post(PATH, json=body), 422, field)
