"""Filters of every kind, over HTTP, and the types of attributes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from service.catalog.attributes import AttributeType
from service.serving.engine import Engine
from service.settings import Settings
from service.store.base import Item, Record
from service.store.filters import MAX_IDS
from tests.support.app import make_app
from tests.support.problems import check_problem

SHOES: dict[str, dict[str, tuple[str, ...]]] = {
    "cheap": {"price": ("19.95",), "released": ("2019-05-01",), "Brand": ("Ana",), "sale": ("yes",), "url": ("x",)},
    "dear": {"price": ("120",), "released": ("2021-05-01",), "Brand": ("ANA",), "sale": ("0",), "url": ("y",)},
    "other": {"Brand": ("Bo",)},
}


@pytest.fixture
def memory_engine(memory_engine: Engine) -> Engine:
    """Of three shoes with prices, dates and flags."""
    store = memory_engine.store
    store.delete([item.id for item in memory_engine.page(100).items])
    store.upsert(
        [Record(Item(name, "x.jpg", attributes), np.full(8, number, np.float32))
         for number, (name, attributes) in enumerate(SHOES.items())]
    )  # fmt: skip
    return memory_engine


def list_ids(client: TestClient, **query: Any) -> list[str]:
    """The shoes that pass, by the list, the search and the number of a facet alike."""
    listed = client.get("/v1/items", params=query)
    assert listed.status_code == 200, listed.text
    found = [item["id"] for item in listed.json()["items"]]
    nearest = client.get("/v1/items/cheap/similar", params={**query, "facets": True}).json()
    assert {hit["id"] for hit in nearest["hits"]} == set(found) - {"cheap"}
    assert nearest["total"] == client.get("/v1/facets", params=query).json()["total"] == len(found)
    return found


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["price:<=80"], ["cheap"]),
        (["price:20..200"], ["dear"]),
        (["released:>=2020-01-01"], ["dear"]),
        (["-Brand:Bo"], ["cheap", "dear"]),
        (["-price:>=0"], ["other"]),
        ([json.dumps({"any": ["price:>100", {"not": ["Brand:Ana", "Brand:ANA"]}]})], ["dear", "other"]),
    ],
)
def test_ranges_and_expressions(client: TestClient, texts: list[str], expected: list[str]) -> None:
    """Ranges, exclusions and alternatives narrow lists, searches and facets alike."""
    assert list_ids(client, filter=texts) == expected


def test_ids(client: TestClient) -> None:
    """Shoes are named by their ids, alone and beside other conditions; those that no shoe has are not there."""
    named = json.dumps({"ids": ["other", "cheap", "nobody"]})
    assert list_ids(client, filter=named) == ["cheap", "other"]
    assert list_ids(client, filter=[named, "Brand:ana"], ignore_case=True) == ["cheap"]
    assert list_ids(client, filter=json.dumps({"not": [{"ids": ["other"]}]})) == ["cheap", "dear"]


def test_many_ids_in_json(client: TestClient) -> None:
    """A body names up to ten thousand; with more it is refused, with how many there may be."""
    ids = ["dear", *(f"nobody-{number}" for number in range(MAX_IDS - 1))]
    body = {"vector": [0.0] * 8, "filter": {"ids": ids}}
    assert [hit["id"] for hit in client.post("/v1/search/vector", json=body).json()["hits"]] == ["dear"]
    likes = {"positive": ["cheap"], "filter": [{"ids": ids}], "facets": True}
    found = client.post("/v1/recommendations", json=likes).json()
    assert ([hit["id"] for hit in found["hits"]], found["total"]) == (["dear"], 1)
    listed = client.post("/v1/items:query", json={"filter": {"ids": ["cheap", *ids[:-1]]}, "limit": 1}).json()
    assert ([item["id"] for item in listed["items"]], listed["total"]) == (["cheap"], 2)
    rest = client.post(
        "/v1/items:query", json={"filter": {"ids": ["cheap", *ids[:-1]]}, "cursor": listed["next"]}
    ).json()
    assert ([item["id"] for item in rest["items"]], rest["next"]) == (["dear"], None)
    answer = client.post("/v1/search/vector", json={**body, "filter": {"ids": [*ids, "more"]}})
    check_problem(answer, 422, "filter")
    assert answer.json()["detail"] == "the filter has more than 10,000 ids"


@pytest.mark.parametrize(
    ("filter", "ignore_case"),
    [([], False), (["price:<=80"], False), ([{"ids": ["cheap", "other"]}, "Brand:ana"], True), (["-Brand:Bo"], False)],
)
def test_a_filter_in_a_body(client: TestClient, filter: list[Any], ignore_case: bool) -> None:
    """Lists and facets are the same, whether their filter is in the address or in a body."""
    body = {"filter": filter, "ignore_case": ignore_case}
    texts = [each if isinstance(each, str) else json.dumps(each) for each in filter]
    query: dict[str, Any] = {"filter": texts, "ignore_case": ignore_case}
    assert client.post("/v1/items:query", json=body).json() == client.get("/v1/items", params=query).json()
    assert client.post("/v1/facets:query", json=body).json() == client.get("/v1/facets", params=query).json()
    check_problem(client.post("/v1/facets:query", json={"filter": ["Brand"]}), 422, "filter")
    check_problem(client.post("/v1/items:query", json={"limit": 501}), 422, "limit")
    check_problem(client.post("/v1/items:query", json={"colour": "red"}), 422, "colour")


def test_case_by_choice(client: TestClient) -> None:
    """A value is meant to the letter, unless it is asked for in whatever case."""
    assert list_ids(client, filter="Brand:Ana") == ["cheap"]
    assert list_ids(client, filter="Brand:aNa", ignore_case=True) == ["cheap", "dear"]
    assert list_ids(client, filter="-Brand:ana", ignore_case=True) == ["other"]


def test_expressions_in_json(client: TestClient) -> None:
    """A body has its filter as a list of texts and objects, or as one object."""
    vector = [0.0] * 8
    one = {"attribute": "price", "max": 80}
    for given in (one, [one], ["price:<=80"], {"all": [one]}):
        answer = client.post("/v1/search/vector", json={"vector": vector, "filter": given})
        assert [hit["id"] for hit in answer.json()["hits"]] == ["cheap"]
    check_problem(client.post("/v1/search/vector", json={"vector": vector, "filter": {"both": []}}), 422, "filter")
    check_problem(client.get("/v1/items", params={"filter": "price:>=much"}), 422, "filter")


def test_ranges_of_facets(client: TestClient) -> None:
    """Facets say how far numbers and dates reach, among the shoes that pass, and the types are told."""
    facets = client.get("/v1/facets").json()
    assert facets["ranges"] == {
        "price": {"min": "19.95", "max": "120"},
        "released": {"min": "2019-05-01", "max": "2021-05-01"},
    }
    assert client.get("/v1/facets", params={"filter": "Brand:Ana"}).json()["ranges"]["price"]["max"] == "19.95"
    types = client.get("/v1/info").json()["attribute_types"]
    assert types == {"price": "number", "released": "date", "Brand": "text", "sale": "flag", "url": "text"}


def test_declared_types(memory_engine: Engine, settings: Settings, tmp_path: Path) -> None:
    """A flag is one by any word, a text has no range, and what is only displayed is neither counted nor filtered by."""
    declared: dict[str, AttributeType] = {"sale": "flag", "price": "text", "url": "display"}
    store, network = memory_engine.store, memory_engine.network
    engine = Engine(memory_engine.embedder, store, network, tmp_path, settings, attribute_types=declared)
    with TestClient(make_app(settings, engine)) as client:
        check_declared(client)


def check_declared(client: TestClient) -> None:
    """See `test_declared_types`."""
    assert list_ids(client, filter="sale:true") == ["cheap"]
    assert list_ids(client, filter="sale:No") == ["dear"]
    check_problem(client.get("/v1/items", params={"filter": "price:>3"}), 422, "filter")
    problem = check_problem(client.get("/v1/items/cheap/similar", params={"filter": "url:x"}), 422, "filter")
    assert "displayed" in problem["detail"]
    facets = client.get("/v1/facets").json()
    assert "url" not in facets["facets"]
    assert "price" not in facets["ranges"]
