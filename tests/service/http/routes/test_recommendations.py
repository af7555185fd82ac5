"""Searching by several examples over HTTP."""

import json
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from service.serving.engine import Engine
from tests.support.problems import check_problem
from tests.support.stack import draw_shoe

PATH = "/v1/recommendations"


def expected_ids(engine: Engine, liked: list[Any], disliked: list[Any], named: set[str], k: int = 5) -> list[str]:
    """By the definition, among all shoes that are not named."""
    target = np.mean(liked, axis=0)
    if disliked:
        target = target + (target - np.mean(disliked, axis=0))
    ids = [item.id for item in engine.page(12).items if item.id not in named]
    return sorted(ids, key=lambda item_id: float(np.linalg.norm(engine.store.vector(item_id) - target)))[:k]


def found(response: Any) -> list[str]:
    """The hits' ids."""
    assert response.status_code == 200, response.text
    return [hit["id"] for hit in response.json()["hits"]]


def test_likes_and_dislikes_of_the_catalogue(client: TestClient, memory_engine: Engine) -> None:
    """The answer is what is nearest to twice the likes' mean less the dislikes', without any shoe that was named."""
    liked, disliked = ["1000.1", "1003.2"], ["1002.1", "1004.1"]
    plus, minus = ([memory_engine.store.vector(each) for each in some] for some in (liked, disliked))
    response = client.post(PATH, json={"positive": liked, "negative": disliked, "k": 5})
    assert found(response) == expected_ids(memory_engine, plus, minus, {*liked, *disliked})
    assert response.json()["checkpoint"] == "0123456789abcdef"
    response = client.post(PATH, json={"positive": liked, "k": 5})
    assert found(response) == expected_ids(memory_engine, plus, [], set(liked))


def test_ids_vectors_and_pictures_together(client: TestClient, memory_engine: Engine) -> None:
    """A form mixes all three, on both sides, and each counts as what it is."""
    store, embed = memory_engine.store, memory_engine.embed
    plus, minus = [0.5] * 8, [0.25] * 8
    parts = [
        ("positive_image", ("a.jpg", draw_shoe(20))),
        ("negative_image", ("b.jpg", draw_shoe(21))),
        ("positive_image", ("c.jpg", draw_shoe(22))),
    ]
    data = {
        "positive": ["1000.1", "1001.1"],
        "negative": "1002.2",
        "positive_vector": json.dumps(plus),
        "negative_vector": json.dumps(minus),
        "k": "5",
    }
    liked = [
        store.vector("1000.1"),
        store.vector("1001.1"),
        np.array(plus, np.float32),
        *embed([draw_shoe(20), draw_shoe(22)]),
    ]
    disliked = [store.vector("1002.2"), np.array(minus, np.float32), embed([draw_shoe(21)])[0]]
    response = client.post(PATH, files=parts, data=data)
    assert found(response) == expected_ids(memory_engine, liked, disliked, {"1000.1", "1001.1", "1002.2"})


def test_one_like_is_a_search_for_similar_shoes(client: TestClient) -> None:
    """With one shoe that is liked, the answer is that of its similar shoes."""
    options: dict[str, Any] = {"k": 4, "condition": "closure", "filter": ["Gender:Men"]}
    similar = client.get("/v1/items/1000.2/similar", params=options).json()
    assert client.post(PATH, json={"positive": ["1000.2"], **options}).json() == similar
    assert client.post(PATH, json={"positive": ["1000.2"]}, params=options).json() == similar
    form: Any = {"positive": "1000.2", "k": "4", "condition": "closure", "filter": "Gender:Men"}
    fields = {name: (None, value) for name, value in form.items()}  # a form, though nothing in it is a file
    assert client.post(PATH, files=fields).json() == similar


def test_one_picture_is_a_search_by_it(client: TestClient) -> None:
    """With one picture, the answer is that of a search by it."""
    by_picture = client.post("/v1/search", files={"image": ("a.jpg", draw_shoe(30))}, params={"k": 4}).json()
    parts = {"positive_image": ("a.jpg", draw_shoe(30))}
    assert client.post(PATH, files=parts, params={"k": 4}).json() | {"subject": None, "confidence": None} == by_picture


def test_pages_of_recommendations_by_pictures(client: TestClient) -> None:
    """Pictures are sent again with the cursor, and the pages are one long answer."""
    parts = [("positive_image", ("a.jpg", draw_shoe(30))), ("negative_image", ("b.jpg", draw_shoe(31)))]
    whole = found(client.post(PATH, files=parts, params={"k": 9}))
    first = client.post(PATH, files=parts, params={"k": 4}).json()
    rest = client.post(PATH, files=parts, params={"k": 5, "cursor": first["next"]})
    assert [hit["id"] for hit in first["hits"]] + found(rest) == whole


@pytest.mark.parametrize(
    ("body", "status", "field", "said"),
    [
        ({}, 422, "positive", "nothing positive"),
        ({"negative": ["1000.1"]}, 422, "positive", "nothing positive"),
        ({"positive": ["nobody"]}, 404, None, "nobody"),
        ({"positive": ["1000.1"], "negative": ["nobody"]}, 404, None, "nobody"),
        ({"positive": [[0.0] * 7]}, 422, "positive", "expected 8"),
        ({"positive": ["1000.1"], "negative": [[0.0] * 7]}, 422, "negative", "expected 8"),
        ({"positive": [[0.0] * 7 + ["1"]]}, 422, "positive", ""),
        ({"positive": [[3e38] * 8], "negative": [[-3e38] * 8]}, 422, "positive", "finite"),
        ({"positive": [3]}, 422, "positive", ""),
        ({"positive": "1000.1"}, 422, "positive", "list"),
        ({"positive": ["1000.1"] * 101}, 422, "positive", "at most 100"),
        ({"positive": ["1000.1"], "vector": [0.0] * 8}, 422, "vector", "Extra"),
        ({"positive": ["1000.1"], "k": 0}, 422, "k", "1 to 10"),
        ([], 422, None, "JSON object"),
    ],
)
def test_refused_bodies(client: TestClient, body: Any, status: int, field: str | None, said: str) -> None:
    """What is wrong with an example is said by name; an unknown shoe is not found."""
    assert said in check_problem(client.post(PATH, json=body), status, field)["detail"]


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 10_000, b""])
def test_malformed_json(client: TestClient, content: bytes) -> None:
    """A body that is no JSON is the client's error."""
    check_problem(client.post(PATH, content=content, headers={"content-type": "application/json"}), 400)


def test_refused_forms(client: TestClient) -> None:
    """Of several pictures the bad one is named; a vector must be a JSON array; too many pictures are refused."""
    parts = [("positive_image", ("a.jpg", draw_shoe(1))), ("negative_image", ("b.jpg", b"no"))]
    assert "image 2 of 2 ('b.jpg')" in check_problem(client.post(PATH, files=parts), 415)["detail"]
    wrong = client.post(PATH, files=parts[:1], data={"positive_vector": "1, 2"})
    check_problem(wrong, 422, "positive_vector")
    check_problem(client.post(PATH, files=parts[:1] * 4), 422, "positive_image")
    check_problem(client.post(PATH, files={"image": ("a.jpg", draw_shoe(1))}), 422, "image")
    check_problem(client.post(PATH, files={"positive_image": (None, "text")}), 422, "positive_image")
    check_problem(client.post(PATH, content=b"x", headers={"content-type": "text/plain"}), 422, "positive")
    check_problem(client.post(PATH, json={"positive": ["1000.1"], "k": 3}, params={"k": 4}), 422, "k")
    check_problem(client.post(PATH, json={"positive": ["1000.1"]}, params={"size": 4}), 422, "size")
