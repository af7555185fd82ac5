"""Searching and embedding over HTTP."""

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from service.serving.engine import Engine
from tests.support.fakes import FakeEmbedder
from tests.support.problems import check_problem
from tests.support.stack import draw_shoe

SHOE = draw_shoe(4)  # the fifth shoe of the catalogue
SHOE_ID = "1002.1"


def post(client: TestClient, path: str = "/v1/search", image: bytes = SHOE, **options: Any) -> Any:
    """Post a picture as a form."""
    return client.post(path, files={"image": ("shoe.jpg", image, "image/jpeg")}, **options)


def picture(width: int, height: int, kind: str = "PNG") -> bytes:
    """A white picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(buffer, kind)
    return buffer.getvalue()


def test_search_finds_the_shoe_itself_first(client: TestClient) -> None:
    """A catalogue picture's own shoe comes first, at distance zero, and distances rise."""
    answer = post(client, params={"k": 3}).json()
    assert answer["hits"][0]["id"] == SHOE_ID
    distances = [hit["distance"] for hit in answer["hits"]]
    assert distances[0] == pytest.approx(0, abs=1e-6)
    assert distances == sorted(distances)
    assert answer["k"] == len(distances) == 3
    assert answer["condition"] == "overall"
    assert answer["checkpoint"] == "0123456789abcdef"
    assert answer["catalog"] == "catalog-1"


def test_search_hit_has_its_links(client: TestClient) -> None:
    """A hit carries attributes and addresses that work."""
    hit = post(client).json()["hits"][0]
    assert hit["attributes"]["Category"] == ["Shoes"]
    for link in ("image", "reconstruction", "similar"):
        assert client.get(hit[link]).status_code == 200


def test_search_defaults_to_ten(client: TestClient) -> None:
    """Without k there are ten hits."""
    assert len(post(client).json()["hits"]) == 10


@pytest.mark.parametrize("place", ["params", "data"])
def test_search_options_in_query_or_form(client: TestClient, place: str) -> None:
    """k, condition and filter are the same in the query string and in the form."""
    options: Any = {"k": "2", "condition": "closure", "filter": ["Gender:Men", "Category:Boots", "Category:Shoes"]}
    answer = post(client, **{place: options}).json()
    assert answer["condition"] == "closure"
    assert len(answer["hits"]) == 2
    assert all(hit["attributes"]["Gender"] == ["Men"] for hit in answer["hits"])


def test_fields_that_a_form_leaves_empty(client: TestClient) -> None:
    """Options that a form leaves empty, as Swagger UI sends them all, are as if they were not there."""
    names = ("k", "condition", "filter", "exclude", "cursor", "max_distance", "group", "diversity", "facets")
    answer = post(client, data=dict.fromkeys(names, ""))
    assert answer.status_code == 200
    assert answer.json() == post(client).json()


@pytest.mark.parametrize(("query", "form"), [("10", "3"), ("3", "10")])
def test_default_beside_another_k(client: TestClient, query: str, form: str) -> None:
    """The default of `k`, which generated clients send unasked, does not contradict a `k` in the other place."""
    image = {"image": ("a.jpg", draw_shoe(1))}
    answer = client.post("/v1/search", params={"k": query}, data={"k": form}, files=image).json()
    assert len(answer["hits"]) == answer["k"] == 3


@pytest.mark.parametrize(
    ("query", "form", "field"),
    [
        ({"k": 2}, {"k": "3"}, "k"),
        ({"condition": "closure"}, {"condition": "category"}, "condition"),
        ({"filter": "Gender:Men"}, {"filter": "Gender:Women"}, "filter"),
    ],
)
def test_search_options_that_disagree(client: TestClient, query: Any, form: Any, field: str) -> None:
    """An option given in both places must say the same in both."""
    check_problem(post(client, params=query, data=form), 422, field)
    assert post(client, params=query, data={key: str(value) for key, value in query.items()}).status_code == 200


def test_filter_is_and_across_or_within(client: TestClient) -> None:
    """Values of one attribute are alternatives; attributes are all required."""
    filters = ["Gender:Women", "SubCategory:Ankle", "SubCategory:Heels"]
    hits = post(client, params={"filter": filters}).json()["hits"]
    kinds = {hit["attributes"]["SubCategory"][0] for hit in hits}
    assert kinds == {"Ankle", "Heels"}
    assert {hit["attributes"]["Gender"][0] for hit in hits} == {"Women"}


def test_filter_that_nothing_passes(client: TestClient) -> None:
    """A value that no shoe has is an empty answer, not an error; colons belong to the value."""
    assert post(client, params={"filter": "Gender:a:b"}).json()["hits"] == []


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ({"k": "0"}, "k", "1 to 10"),
        ({"k": "-1"}, "k", "1 to 10"),
        ({"k": "11"}, "k", "1 to 10"),
        ({"k": "many"}, "k", "'many'"),
        ({"k": "1.5"}, "k", "integer"),
        ({"k": "9" * 5000}, "k", "k"),
        ({"condition": "colour"}, "condition", "overall, category, closure"),
        ({"filter": "Colour:Red"}, "filter", "Category"),
        ({"filter": "Gender"}, "filter", "Attribute:Value"),
        ({"filter": ":Men"}, "filter", "Attribute:Value"),
        ({"filter": "Gender:"}, "filter", "Attribute:Value"),
        ({"filters": "Gender:Men"}, "filters", "k, condition, filter"),
    ],
)
@pytest.mark.parametrize("place", ["params", "data"])
def test_search_refuses_options(client: TestClient, place: str, query: Any, field: str, said: str) -> None:
    """An option out of range is refused by name, with what is expected."""
    assert said in check_problem(post(client, **{place: query}), 422, field)["detail"]


@pytest.mark.parametrize("path", ["/v1/search", "/v1/embeddings", "/v1/reconstructions", "/v1/subjects"])
@pytest.mark.parametrize(
    ("image", "status"),
    [
        (b"", 422),
        (b"hello, this is text", 415),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415),
        (SHOE[: len(SHOE) // 2], 422),
        (picture(301, 300), 413),
        (picture(8, 8, "PPM"), 415),
        (SHOE + bytes(120_000), 413),
    ],
    ids=["empty", "text", "svg", "truncated", "pixels", "format", "bytes"],
)
def test_bad_pictures(client: TestClient, path: str, image: bytes, status: int) -> None:
    """A picture that can't be used is refused by what is wrong with it."""
    check_problem(post(client, path, image), status)


@pytest.mark.parametrize("path", ["/v1/search", "/v1/embeddings", "/v1/reconstructions", "/v1/subjects"])
def test_no_picture(client: TestClient, path: str) -> None:
    """Without a file called image the answer says how to send one."""
    for request in (
        {"data": {"image": "text"}},
        {"content": SHOE, "headers": {"content-type": "application/x-www-form-urlencoded"}},
        {"files": {"image": (None, "shoe.jpg")}},
        {},
    ):
        problem = check_problem(client.post(path, **request), 422, "image")
        assert "curl -F image=@" in problem["detail"]
    wrong = client.post(path, files={"picture": ("a.jpg", SHOE)})
    assert "image" in check_problem(wrong, 422, "picture")["detail"]


@pytest.mark.parametrize("path", ["/v1/search", "/v1/reconstructions", "/v1/embeddings", "/v1/subjects"])
def test_picture_alone(client: TestClient, path: str) -> None:
    """A picture may be the whole body: the answer is that to a form with the picture, and so are the errors."""
    for image in (SHOE, b"", b"hello", SHOE + bytes(120_000)):
        form = client.post(path, files={"image": ("shoe.jpg", image, "image/jpeg")})
        alone = client.post(path, content=image, headers={"content-type": "image/jpeg"})
        assert alone.status_code == form.status_code
        assert alone.content == form.content.replace(b"shoe.jpg", b"")  # a body has no name


@pytest.mark.parametrize("path", ["/v1/search", "/v1/reconstructions", "/v1/subjects"])
def test_two_pictures(client: TestClient, path: str) -> None:
    """Where one picture is meant, two are an error."""
    check_problem(client.post(path, files=[("image", ("a.jpg", SHOE)), ("image", ("b.jpg", SHOE))]), 422, "image")


def test_file_in_place_of_text(client: TestClient) -> None:
    """A file where an option's text is expected is refused by name."""
    check_problem(client.post("/v1/search", files={"image": ("a.jpg", SHOE), "k": ("k.txt", b"3")}), 422, "k")


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
        (b"no boundary at all", "multipart/form-data; boundary=x"),
        (b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--", "multipart/form-data; boundary=x"),
        (b"whatever", "multipart/form-data"),
        (b"", "multipart/form-data; boundary=x"),
    ],
)
def test_malformed_form(client: TestClient, content: bytes, content_type: str) -> None:
    """A form that can't be read is the client's error."""
    response = client.post("/v1/search", content=content, headers={"content-type": content_type})
    assert response.status_code in {400, 422}
    check_problem(response, response.status_code, response.json().get("field"))


def test_vector_search_agrees_with_picture_search(client: TestClient) -> None:
    """Searching by a picture's own vector gives the picture's answer."""
    vector = post(client, "/v1/embeddings").json()["embeddings"][0]["vector"]
    options = {"k": 4, "condition": "category", "filter": ["Gender:Men"]}
    by_vector = client.post("/v1/search/vector", json={"vector": vector, **options}).json()
    assert by_vector | {"subject": None, "confidence": None} == post(client, params=options).json()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"vector": [0.0] * 7}, "vector"),
        ({"vector": []}, "vector"),
        ({"vector": "text"}, "vector"),
        ({"vector": [0.0] * 7 + ["1"]}, "vector"),
        ({"vector": [0.0] * 7 + [True]}, "vector"),
        ({"vector": [0.0] * 7 + [None]}, "vector"),
        ({"vector": [0.0] * 7 + [float("nan")]}, "vector"),
        ({"vector": [0.0] * 7 + [float("inf")]}, "vector"),
        ({"vector": [0.0] * 7 + [1e300]}, "vector"),
        ({"vector": [0.0] * 7 + [10**400]}, "vector"),
        ({"vector": [0.0] * 8, "k": 0}, "k"),
        ({"vector": [0.0] * 8, "k": "3"}, "k"),
        ({"vector": [0.0] * 8, "k": True}, "k"),
        ({"vector": [0.0] * 8, "condition": "\ud800"}, "condition"),
        ({"vector": [0.0] * 8, "filter": ["Colour:Red"]}, "filter"),
        ({"vector": [0.0] * 8, "filter": "Gender:Men"}, "filter"),
        ({"vector": [0.0] * 8, "size": 3}, "size"),
        ({}, "vector"),
    ],
)
def test_vector_search_refuses(client: TestClient, body: Any, field: str) -> None:
    """A vector of the wrong size or with a value that is not a finite number is refused by name."""
    content = json.dumps(body)  # NaN and Infinity as Python writes them, though JSON has none
    response = client.post("/v1/search/vector", content=content, headers={"content-type": "application/json"})
    check_problem(response, 422, field)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[" * 10_000, 400),
        (b"[" * 100_000, 413),
        (b"[]", 422),
        (b"3", 422),
        (b"", 422),
        (b"null", 422),
    ],
)
def test_malformed_json(client: TestClient, content: bytes, status: int) -> None:
    """A body that is not a JSON object is the client's error."""
    response = client.post("/v1/search/vector", content=content, headers={"content-type": "application/json"})
    check_problem(response, status)


def test_json_without_its_content_type(client: TestClient) -> None:
    """JSON that does not say so is refused, with the header that is missing."""
    response = client.post("/v1/search/vector", content=b"{}", headers={"content-type": "text/plain"})
    assert "application/json" in check_problem(response, 422)["detail"]


def test_embeddings_are_exact_and_in_order(client: TestClient, memory_engine: Engine) -> None:
    """Each picture's vector comes back in order, and its numbers are the float32 numbers exactly."""
    shoes = [draw_shoe(number) for number in (7, 3)]
    parts = [("image", (f"{index}.jpg", shoe)) for index, shoe in enumerate(shoes)]
    answer = client.post("/v1/embeddings", files=parts).json()
    assert [each["filename"] for each in answer["embeddings"]] == ["0.jpg", "1.jpg"]
    assert answer["dimension"] == 8
    received = np.array([each["vector"] for each in answer["embeddings"]], dtype=np.float32)
    np.testing.assert_array_equal(received, memory_engine.embed(shoes))


def test_embeddings_name_the_bad_picture(client: TestClient) -> None:
    """Of several pictures, the one that can't be used is named."""
    parts = [("image", ("a.jpg", SHOE)), ("image", ("b.jpg", b"no"))]
    assert "image 2 of 2 ('b.jpg')" in check_problem(client.post("/v1/embeddings", files=parts), 415)["detail"]


def test_embeddings_are_bounded(client: TestClient, memory_engine: Engine) -> None:
    """More pictures than are allowed are refused before any work is done."""
    embedder = memory_engine.embedder
    assert isinstance(embedder, FakeEmbedder)
    before = embedder.calls
    response = client.post("/v1/embeddings", files=[("image", ("a.jpg", SHOE))] * 4)
    assert "1 to 3" in check_problem(response, 422, "image")["detail"]
    assert embedder.calls == before
