"""Names in both of Unicode's forms, wherever a request can give one: the catalogue has form C."""

import json
import unicodedata
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import quote

import numpy as np
import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from service.serving.engine import Engine
from service.settings import Settings
from service.store.base import Item, Record
from tests.support.app import open_client
from tests.support.stack import draw_shoe

Form = Literal["NFC", "NFD"]

KEY = "a-key-that-may-change-all"
SHOE = "Hausschuh für Zoë"
ATTRIBUTES = {"Größe": ("weit für alle",)}


@pytest.fixture
def client(memory_engine: Engine, settings: Settings) -> Iterator[TestClient]:
    """A service with a shoe whose id and attributes are in form C, and a client that may change it."""
    memory_engine.store.upsert([Record(Item(SHOE, "x.jpg", ATTRIBUTES), np.ones(8, np.float32))])
    keyed = settings.model_copy(update={"api_keys": SecretStr(f"shop:admin:{KEY}")})
    with open_client(keyed, memory_engine, headers={"x-api-key": KEY}, raise_server_exceptions=True) as client:
        yield client


@pytest.fixture(params=["NFC", "NFD"])
def form(request: pytest.FixtureRequest) -> Form:
    """Of what is asked."""
    given: Form = request.param
    return given


def spelled(form: Form, value: Any) -> Any:
    """JSON in that form."""
    return json.loads(unicodedata.normalize(form, json.dumps(value, ensure_ascii=False)))


def test_paths(client: TestClient, form: Form) -> None:
    """A shoe is found by its id in either form, and answers with its own."""
    path = "/v1/items/" + quote(spelled(form, SHOE), safe="")
    assert client.get(path).json()["id"] == SHOE
    assert len(client.get(f"{path}/similar").json()["hits"]) == 10
    assert client.get(f"{path}/reconstruction").status_code == 200


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/interpolations", {"from": SHOE, "to": "1000.1"}),
        ("/v1/interpolations", {"from": "1000.1", "to": SHOE}),
        ("/v1/swaps", {"item": SHOE, "of": "1000.1", "condition": "closure"}),
        ("/v1/swaps", {"item": "1000.1", "of": SHOE, "condition": "closure"}),
    ],
)
def test_queries(client: TestClient, form: Form, path: str, query: dict[str, str]) -> None:
    """So is one that a query names."""
    assert client.get(path, params=spelled(form, query)).status_code == 200


def test_filters(client: TestClient, form: Form) -> None:
    """A filter lets the same shoes pass in either form: of lists, facets and searches, in queries, forms and JSON."""
    options = spelled(form, {"filter": ["Größe:weit für alle"]})
    left_out = spelled(form, {"exclude": [SHOE]})
    assert client.get("/v1/items", params=options).json()["total"] == 1
    assert client.get("/v1/facets", params=options).json()["total"] == 1
    picture = {"image": ("a.jpg", draw_shoe(1))}
    vector = {"vector": [1.0] * 8}
    nothing: dict[str, Any] = {}
    for hidden in (nothing, left_out):
        wanted = [] if hidden else [SHOE]
        for response in (
            client.post("/v1/search", files=picture, params=options | hidden),
            client.post("/v1/search", files=picture, data=options | hidden),
            client.post("/v1/search/vector", json=vector | options | hidden),
            client.get("/v1/items/1000.1/similar", params=options | hidden),
        ):
            assert [hit["id"] for hit in response.json()["hits"]] == wanted, response.text


def test_examples(client: TestClient, form: Form) -> None:
    """Examples may be named in either form, in JSON and in a form."""
    examples = spelled(form, {"positive": [SHOE, "1000.1"], "negative": [SHOE]})
    for response in (
        client.post("/v1/recommendations", json=examples),
        client.post("/v1/recommendations", data=examples, files={"positive_image": ("a.jpg", draw_shoe(1))}),
    ):
        assert response.status_code == 200, response.text
        assert SHOE not in {hit["id"] for hit in response.json()["hits"]}


def test_changes(client: TestClient, form: Form) -> None:
    """A shoe that is added, patched and removed in either form is the same one, with the same attributes."""
    new, attributes = spelled(form, "Schühchen"), spelled(form, {"Größe": ["groß für", "weit für alle"]})
    picture = ("a.jpg", draw_shoe(3))
    added = client.post("/v1/items", data={"id": new, "attributes": json.dumps(attributes)}, files={"image": picture})
    assert added.json()["id"] == "Schühchen"
    assert added.json()["attributes"] == {"Größe": ["groß für", "weit für alle"]}
    facets = client.get("/v1/facets").json()["facets"]
    assert facets["Größe"] == [{"value": "weit für alle", "count": 2}, {"value": "groß für", "count": 1}]
    path = "/v1/items/" + quote(new, safe="")
    patched = client.patch(path, json={"attributes": spelled(form, {"Größe": ["weit für alle"]})})
    assert patched.json()["attributes"] == {"Größe": ["weit für alle"]}
    assert client.delete(path).status_code == 204
    assert client.get("/v1/items/" + quote("Schühchen")).status_code == 404


def test_a_batch_with_one_shoe_in_both_forms(client: TestClient) -> None:
    """Two spellings of one id are one shoe, of which the last one stays."""
    parts: list[Any] = []
    forms: tuple[Form, ...] = ("NFC", "NFD")
    for form in forms:
        item = {"id": spelled(form, "Schühchen"), "attributes": {"Form": [form]}}
        parts += [("item", (None, json.dumps(item))), ("image", ("a.jpg", draw_shoe(3)))]
    lines = [json.loads(line) for line in client.post("/v1/items:batch", files=parts).text.splitlines()]
    assert [(line["id"], line["status"]) for line in lines] == [("Schühchen", 201), ("Schühchen", 200)]
    assert client.get("/v1/items/" + quote("Schühchen")).json()["attributes"] == {"Form": ["NFD"]}
