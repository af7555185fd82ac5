"""Paging, grouping and all else a search may be told, over HTTP: the same on every route that searches."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from service.serving.engine import Engine
from service.settings import Settings
from service.store.base import Item, Record
from tests.support.app import make_app
from tests.support.problems import check_problem
from tests.support.stack import draw_shoe

SHOE = draw_shoe(4)
SHOE_ID = "1002.1"

Ask = Callable[..., Any]


@pytest.fixture
def memory_engine(memory_engine: Engine) -> Engine:
    """With a known distance of near-duplicates, and searches that are not deep."""
    memory_engine.duplicate_distance = 1e-6
    memory_engine.limits = memory_engine.limits.model_copy(update={"max_depth": 12})
    return memory_engine


@pytest.fixture(params=["search", "form", "vector", "similar", "recommendations"])
def ask(request: pytest.FixtureRequest, client: TestClient, memory_engine: Engine) -> Ask:
    """Asks for shoes like SHOE_ID in one of the ways that there are; options are keywords."""
    files = {"image": ("shoe.jpg", SHOE, "image/jpeg")}
    vector = [float(number) for number in memory_engine.store.vector(SHOE_ID)]
    numbers = {"max_distance": float, "duplicate_distance": float, "diversity": float, "k": int, "limit": int}

    def as_json(options: dict[str, Any]) -> dict[str, Any]:
        return {name: numbers.get(name, lambda value: value)(value) for name, value in options.items()}

    def as_text(options: dict[str, Any]) -> dict[str, Any]:
        return {name: "true" if value is True else value for name, value in options.items()}

    ways: dict[str, Ask] = {
        "search": lambda **options: client.post("/v1/search", files=files, params=as_text(options)),
        "form": lambda **options: client.post("/v1/search", files=files, data=as_text(options)),
        "vector": lambda **options: client.post("/v1/search/vector", json={"vector": vector, **as_json(options)}),
        "similar": lambda **options: client.get(f"/v1/items/{SHOE_ID}/similar", params=as_text(options)),
        "recommendations": lambda **options: client.post(
            "/v1/recommendations", json={"positive": [vector], **as_json(options)}
        ),
    }
    return ways[request.param]


def ids(answer: Any) -> list[str]:
    """Of an answer's hits."""
    return [hit["id"] for hit in answer["hits"]]


def pages(ask: Ask, **options: Any) -> Iterator[Any]:
    """All of them."""
    cursor: dict[str, str] = {}
    while True:
        response = ask(**options, **cursor)
        assert response.status_code == 200, response.text
        yield response.json()
        if response.json()["next"] is None:
            return
        cursor = {"cursor": response.json()["next"]}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"condition": "closure"},
        {"condition": "category:0.7,free:0.3"},
        {"diversity": 0.6},
        {"group": "duplicates", "duplicate_distance": 0.2},
        {"group": "duplicates", "diversity": 0.4, "condition": "closure:2,category:1", "max_distance": 0.9},
        {"exclude": ["1000.1", "1001.2"], "filter": ["Gender:Women"]},
    ],
)
def test_pages_are_one_long_answer(ask: Ask, options: dict[str, Any]) -> None:
    """Whatever the options, pages of three put together are the answer of ten, and the last one says so."""
    found = list(pages(ask, k=3, **options))
    whole = ask(k=10, **options).json()
    assert [hit for page in found for hit in page["hits"]][:10] == whole["hits"]
    assert {len(page["hits"]) for page in found[:-1]} <= {3}
    assert {page["catalog"] for page in found} == {"catalog-1"}


def test_a_page_may_have_another_size(ask: Ask) -> None:
    """K may change from page to page."""
    first = ask(k=2).json()
    rest = ask(k=7, cursor=first["next"]).json()
    assert ids(first) + ids(rest) == ids(ask(k=9).json())


def test_limit_is_k(ask: Ask) -> None:
    """`limit` is `k` by another name: beside the default of `k` it counts, beside another one it is refused."""
    assert ids(ask(limit=3).json()) == ids(ask(k=3).json())
    assert ask(limit=3, k=10).json()["k"] == ask(limit=3, k=3).json()["k"] == 3
    check_problem(ask(limit=3, k=4), 422, "limit")
    check_problem(ask(limit=0), 422, "k")


@pytest.mark.parametrize("condition", ["overall", "closure", "closure:0.5,free:2"])
def test_scores_of_hits(ask: Ask, condition: str) -> None:
    """Every hit has a score in [0, 1], which falls from hit to hit as the distance rises."""
    hits = ask(condition=condition).json()["hits"]
    scores = [hit["score"] for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert hits[0]["distance"] > 0 or scores[0] == 1


def test_exclude_and_max_distance(ask: Ask) -> None:
    """Excluded shoes are not found and others take their places; none is farther than it may be."""
    whole = ask(k=10).json()["hits"]
    left_out = [whole[1]["id"], whole[3]["id"]]
    answer = ask(k=8, exclude=left_out).json()
    assert ids(answer) == [hit["id"] for hit in whole if hit["id"] not in left_out]
    limit = whole[4]["distance"] + 1e-4
    near = ask(k=10, max_distance=limit).json()
    assert ids(near) == [hit["id"] for hit in whole if hit["distance"] <= limit]
    assert near["next"] is None


def test_near_duplicates_are_folded(ask: Ask, memory_engine: Engine) -> None:
    """Copies of a shoe come as one, which names them; without the option they come one by one."""
    store = memory_engine.store
    others = [hit["id"] for hit in ask(k=9).json()["hits"]]
    store.upsert([Record(Item(f"{others[2]}-{copy}", "", {}), store.vector(others[2])) for copy in (1, 2)])
    answer = ask(k=9, group="duplicates").json()
    assert ids(answer) == others
    named = {hit["id"]: hit["duplicates"] for hit in answer["hits"]}
    assert named.pop(others[2]) == [f"{others[2]}-1", f"{others[2]}-2"]
    assert set(map(tuple, named.values())) == {()}
    plain = ask(k=9).json()
    assert ids(plain)[2:5] == [others[2], f"{others[2]}-1", f"{others[2]}-2"]
    assert "duplicates" not in plain["hits"][0]


def test_facets_of_the_filter(ask: Ask, client: TestClient) -> None:
    """With facets the answer has those of the filter, and how many pass it; without, it has none."""
    answer = ask(k=1, facets=True, filter=["Gender:Women"], exclude=["1000.1"]).json()
    counted = client.get("/v1/facets", params={"filter": "Gender:Women"}).json()
    assert answer["facets"] == counted["facets"]
    assert answer["total"] == counted["total"] == 6
    assert "facets" not in ask(k=1).json()


def test_fields_of_the_answer(ask: Ask) -> None:
    """The shoes carry the attributes that were asked for, and no others; the shoes and the pages stay the same."""
    whole = ask(k=4).json()
    names = sorted({name for hit in whole["hits"] for name in hit["attributes"]})
    assert len(names) > 2
    for some in (names[:1], names[:2], names):
        answer = ask(k=4, fields=some).json()
        assert ids(answer) == ids(whole)
        for hit, full in zip(answer["hits"], whole["hits"], strict=True):
            assert hit["attributes"] == {name: full["attributes"][name] for name in some if name in full["attributes"]}
    assert ids(ask(k=2, fields=names[:1], cursor=whole["next"]).json()) == ids(ask(k=6).json())[4:]


def test_no_fields_in_json(client: TestClient, memory_engine: Engine) -> None:
    """An empty list is no attribute at all; null is all of them."""
    search = {"vector": memory_engine.store.vector(SHOE_ID).tolist(), "k": 2}
    none = client.post("/v1/search/vector", json={**search, "fields": []}).json()["hits"]
    every = client.post("/v1/search/vector", json={**search, "fields": None}).json()["hits"]
    assert ids({"hits": none}) == ids({"hits": every})
    assert [hit["attributes"] for hit in none] == [{}, {}]
    assert all(hit["attributes"] for hit in every)


def test_weights_compare_by_several_slices(ask: Ask, memory_engine: Engine) -> None:
    """Distances are the root of the weighted sum of the slices' squares, and the answer repeats the condition."""
    answer = ask(k=5, condition="category:0.7,closure:0.3").json()
    assert answer["condition"] == "category:0.7,closure:0.3"
    store = memory_engine.store
    query = store.vector(SHOE_ID)
    for hit in answer["hits"]:
        squares = np.square(store.vector(hit["id"]).astype(float) - query)
        expected = np.sqrt(0.7 * squares[:3].sum() + 0.3 * squares[3:5].sum())
        assert hit["distance"] == pytest.approx(expected, abs=1e-5)
    one = ask(k=5, condition="category:1").json()["hits"]
    assert ids({"hits": one}) == ids(ask(k=5, condition="category").json())


def test_diversity_keeps_the_nearest_first(ask: Ask) -> None:
    """The first shoe stays; the shoes are another choice than the nearest, or in another order."""
    plain, varied = ids(ask(k=8).json()), ids(ask(k=8, diversity=1).json())
    assert varied[0] == plain[0]
    assert varied != plain
    assert ids(ask(k=8, diversity=0).json()) == plain


def test_a_changed_catalogue_ends_the_pages(ask: Ask, memory_engine: Engine) -> None:
    """Once the catalogue is another, the next page is a conflict that says what to do; a new search is answered."""
    cursor = ask(k=2).json()["next"]
    memory_engine.store.upsert([Record(Item("new", "", {}), np.ones(8, np.float32))])
    problem = check_problem(ask(k=2, cursor=cursor), 409)
    assert problem["type"] == "urn:solemate:catalog-changed"
    assert "leave the cursor out" in problem["detail"]
    assert ask(k=2).status_code == 200


@pytest.mark.parametrize(
    "options",
    [
        {"condition": "closure"},
        {"filter": ["Gender:Men"]},
        {"exclude": ["1000.1"]},
        {"max_distance": 0.5},
        {"group": "duplicates"},
        {"diversity": 0.5},
    ],
)
def test_a_cursor_is_for_the_options_it_came_with(ask: Ask, options: dict[str, Any]) -> None:
    """With other options a cursor is refused."""
    cursor = ask(k=2).json()["next"]
    assert "other options" in check_problem(ask(k=2, cursor=cursor, **options), 422, "cursor")["detail"]


def test_a_cursor_is_for_the_shoe_it_came_with(client: TestClient) -> None:
    """With another picture, and with another shoe, it is refused."""

    def post(number: int, **query: str) -> Any:
        return client.post("/v1/search", files={"image": ("a.jpg", draw_shoe(number))}, params={"k": "2", **query})

    cursor = post(0).json()["next"]
    assert post(0, cursor=cursor).status_code == 200
    assert "another shoe" in check_problem(post(1, cursor=cursor), 422, "cursor")["detail"]
    cursor = client.get("/v1/items/1000.1/similar?k=2").json()["next"]
    check_problem(client.get("/v1/items/1000.2/similar", params={"k": 2, "cursor": cursor}), 422, "cursor")


def test_searches_are_only_so_deep(ask: Ask, memory_engine: Engine) -> None:
    """The last page is cut where the limit is, and names no other; a cursor from beyond it is refused."""
    memory_engine.limits = memory_engine.limits.model_copy(update={"max_depth": 11})
    cursor = ask(k=10).json()["next"]
    assert cursor is not None
    last = ask(k=3, cursor=cursor).json()
    assert (len(last["hits"]), last["next"]) == (1, None)
    memory_engine.limits = memory_engine.limits.model_copy(update={"max_depth": 10})
    assert ask(k=10).json()["next"] is None
    assert "10 nearest" in check_problem(ask(k=3, cursor=cursor), 422, "cursor")["detail"]


@pytest.mark.parametrize(
    ("options", "field", "said"),
    [
        ({"cursor": "nonsense"}, "cursor", "leave it out"),
        ({"max_distance": -1}, "max_distance", "at least 0"),
        ({"diversity": 1.5}, "diversity", "0 to 1"),
        ({"diversity": -0.5}, "diversity", "0 to 1"),
        ({"group": "brand"}, "group", "duplicates"),
        ({"duplicate_distance": 1}, "duplicate_distance", "group=duplicates"),
        ({"exclude": ["x"] * 101}, "exclude", "at most 100"),
        ({"fields": ["Gender", "Colour"]}, "fields", "unknown attribute 'Colour'; known attributes: "),
        ({"condition": "closure:1,colour:2"}, "condition", "colour"),
        ({"condition": "closure:1,overall:2"}, "condition", "overall"),
        ({"condition": "closure:-1"}, "condition", "closure:-1"),
        ({"condition": "closure:0"}, "condition", "all weights are 0"),
        ({"condition": "closure,category"}, "condition", "heel:0.7,category:0.3"),
    ],
)
def test_refused_options(ask: Ask, options: dict[str, Any], field: str, said: str) -> None:
    """An option out of range is refused by name, with what is expected."""
    assert said in check_problem(ask(**options), 422, field)["detail"]


@pytest.mark.parametrize("query", ["diversity=much", "max_distance=nan", "facets=perhaps", "max_distance="])
def test_texts_that_are_no_numbers(client: TestClient, query: str) -> None:
    """In an address as well."""
    name = query.partition("=")[0]
    check_problem(client.get(f"/v1/items/{SHOE_ID}/similar?{query}"), 422, name)
    check_problem(client.post(f"/v1/search?{query}", files={"image": ("a.jpg", SHOE)}), 422, name)


def test_without_a_measured_distance(client: TestClient, memory_engine: Engine, settings: Settings) -> None:
    """Where no distance of near-duplicates is known, one must be given; /v1/info tells."""
    assert client.get("/v1/info").json()["duplicate_distance"] == 1e-6
    memory_engine.duplicate_distance = None
    with TestClient(make_app(settings, memory_engine)) as other:
        assert other.get("/v1/info").json()["duplicate_distance"] is None
        path = f"/v1/items/{SHOE_ID}/similar?group=duplicates"
        assert "duplicate_distance" in check_problem(other.get(path), 422, "group")["detail"]
        assert other.get(f"{path}&duplicate_distance=0.5").status_code == 200
