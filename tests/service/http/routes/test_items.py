"""The catalogue over HTTP."""

from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from starlette.testclient import TestClient

from service.serving.engine import MAX_PAGE, Engine
from service.store.base import Item, Record
from tests.support.problems import check_problem


def test_pages_cover_the_catalogue_once(client: TestClient) -> None:
    """Following `next` gives each shoe once, in the same order, with the total on each page."""
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = client.get("/v1/items", params={"limit": 5} | ({"cursor": cursor} if cursor else {})).json()
        assert page["total"] == 12
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 12
    assert seen == [item["id"] for item in client.get("/v1/items").json()["items"]]


def test_pages_are_filtered(client: TestClient) -> None:
    """A filter narrows the pages and their total."""
    page = client.get("/v1/items", params={"filter": "Category:Boots", "limit": 2}).json()
    assert page["total"] == 4
    assert [item["attributes"]["Category"] for item in page["items"]] == [["Boots"], ["Boots"]]


def test_items_by_their_ids(client: TestClient) -> None:
    """Several ids give these shoes in this order, and name those that no shoe has."""
    answer = client.get("/v1/items", params={"ids": ["1000.2", "no-such-shoe", "1000.1"]}).json()
    assert [item["id"] for item in answer["items"]] == ["1000.2", "1000.1"]
    assert answer["missing"] == ["no-such-shoe"]
    assert (answer["total"], answer["next"]) == (2, None)


def test_ids_beside_other_parameters(client: TestClient) -> None:
    """Ids go with no filter or page, and there may be as many of them as shoes on a page."""
    problem = check_problem(client.get("/v1/items", params={"ids": "1000.1", "limit": 5}), 422, "ids")
    assert "limit" in problem["detail"]
    assert client.get("/v1/items", params={"ids": ["1000.1"] * MAX_PAGE}).status_code == 200
    check_problem(client.get("/v1/items", params={"ids": ["1000.1"] * (MAX_PAGE + 1)}), 422, "ids")


def test_item_with_vector(client: TestClient, memory_engine: Engine) -> None:
    """A shoe comes with its attributes, links, fingerprints and exact vector."""
    item = client.get("/v1/items/1000.2").json()
    assert item["id"] == "1000.2"
    assert item["attributes"]["Closure"] == ["Lace up"]
    assert item["similar"] == "/v1/items/1000.2/similar"
    np.testing.assert_array_equal(np.float32(item["vector"]), memory_engine.store.vector("1000.2"))


def test_similar_leaves_the_shoe_out(client: TestClient) -> None:
    """A shoe is not among the shoes like it."""
    answer = client.get("/v1/items/1000.2/similar", params={"k": 10, "condition": "closure"}).json()
    assert len(answer["hits"]) == 10
    assert "1000.2" not in {hit["id"] for hit in answer["hits"]}
    assert answer["condition"] == "closure"


def test_why_two_shoes_are_alike(client: TestClient, memory_engine: Engine) -> None:
    """The slices' distances make the whole one, their shares sum to 1, and attributes agree where a value is shared."""
    boot = Item("boot", "x.jpg", {"Closure": ("Zipper", "Lace up"), "Insole": ("Cork",)})
    memory_engine.store.upsert([Record(boot, np.arange(8, dtype=np.float32))])
    answer = client.get("/v1/items/boot/explain", params={"with": "1000.2"}).json()
    assert (answer["item"]["id"], answer["with"]["id"]) == ("boot", "1000.2")
    difference = np.arange(8) - memory_engine.store.vector("1000.2").astype(float)
    assert answer["distance"] == pytest.approx(np.linalg.norm(difference))
    parts = {part["name"]: part for part in answer["conditions"]}
    assert parts.keys() == {"category", "closure", "free"}
    assert parts["closure"]["distance"] == pytest.approx(np.linalg.norm(difference[3:5]))
    assert sum(part["share"] for part in answer["conditions"]) == pytest.approx(1)
    attributes = {each["name"]: each for each in answer["attributes"]}
    assert attributes["Closure"]["agree"]
    assert attributes["Insole"] == {"name": "Insole", "values": ["Cork"], "with_values": [], "agree": False}
    assert 0 <= answer["score"] <= 1


def test_a_shoe_beside_itself(client: TestClient) -> None:
    """A shoe is at distance 0 from itself, with the score 1, and no slice has a share of that."""
    answer = client.get("/v1/items/1000.2/explain", params={"with": "1000.2"}).json()
    assert (answer["distance"], answer["score"]) == (0, 1)
    assert {part["share"] for part in answer["conditions"]} == {0}
    check_problem(client.get("/v1/items/1000.2/explain", params={"with": "no-such-shoe"}), 404)
    check_problem(client.get("/v1/items/1000.2/explain"), 422, "with")


@pytest.mark.parametrize("item_id", ["Boots:Ankle:Zoë 1", "100%", "a?b#c", "'; DROP TABLE shoes; --", "..."])
def test_awkward_ids(client: TestClient, memory_engine: Engine, item_id: str) -> None:
    """Whatever an id holds, its links lead to it."""
    memory_engine.store.upsert([Record(Item(item_id, "x.jpg", {}), np.zeros(8, np.float32))])
    item = client.get(f"/v1/items/{quote(item_id, safe='')}").json()
    assert item["id"] == item_id
    assert client.get(item["similar"]).status_code == 200
    assert client.get(item["reconstruction"]).status_code == 200


@pytest.mark.parametrize("part", ["", "/image", "/similar", "/reconstruction"])
@pytest.mark.parametrize("item_id", ["9999.9", "%00", "%ff", "x" * 3000, "%F0%9F%91%9F", "a%2Fb"])
def test_unknown_shoe(client: TestClient, part: str, item_id: str) -> None:
    """A shoe that is not in the catalogue is a 404 problem wherever it is asked for."""
    check_problem(client.get(f"/v1/items/{item_id}{part}"), 404)


def test_facets_count_most_first(client: TestClient) -> None:
    """Facets count each value among the shoes that pass the filter, most first."""
    answer = client.get("/v1/facets", params={"filter": "Gender:Women"}).json()
    assert answer["total"] == 6
    assert answer["facets"]["Gender"] == [{"value": "Women", "count": 6}]
    counts = [each["count"] for each in answer["facets"]["SubCategory"]]
    assert sum(counts) == 6
    assert counts == sorted(counts, reverse=True)


def test_titles_are_attributes_but_no_facets(client: TestClient, memory_engine: Engine) -> None:
    """What nearly every shoe has of its own is shown and filtered by, but not listed; what several share is."""
    memory_engine.store.upsert(
        Record(Item(f"t{n}", "x.jpg", {"Title": (f"Derby {n}",), "Maker": (f"M {n % 9}",)}), np.full(8, n, np.float32))
        for n in range(120)
    )
    assert client.get("/v1/items/t7").json()["attributes"]["Title"] == ["Derby 7"]
    assert client.get("/v1/items", params={"filter": "Title:Derby 7"}).json()["total"] == 1
    for query in ({}, {"filter": "Title:Derby 7"}):
        facets = client.get("/v1/facets", params=query).json()["facets"]
        assert "Maker" in facets
        assert "Title" not in facets
    assert "Title" in client.get("/v1/info").json()["attributes"]


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/v1/items", {"limit": 0}, "limit"),
        ("/v1/items", {"limit": 501}, "limit"),
        ("/v1/items", {"limit": "x"}, "limit"),
        ("/v1/items", {"cursor": "nonsense"}, "cursor"),
        ("/v1/items", {"filter": "Colour:Red"}, "filter"),
        ("/v1/items", {"page": 2}, "page"),
        ("/v1/items/1000.1", {"k": 2}, "k"),
        ("/v1/items/1000.1/similar", {"k": 0}, "k"),
        ("/v1/items/1000.1/similar", {"condition": "no"}, "condition"),
        ("/v1/facets", {"filter": "Colour:Red"}, "filter"),
        ("/v1/facets", {"k": 1}, "k"),
    ],
)
def test_refused_parameters(client: TestClient, path: str, query: Any, field: str) -> None:
    """A parameter out of range, or one that is not known, is refused by name."""
    check_problem(client.get(path, params=query), 422, field)
