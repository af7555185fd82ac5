"""Changing the catalogue over HTTP."""

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote

import httpx2
import numpy as np
import pytest
from PIL import Image
from pydantic import SecretStr
from starlette.testclient import TestClient

from model.errors import StorageFull, StorageReadOnly
from service.errors import Overloaded, StoreBusy
from service.serving.engine import Engine
from service.settings import Settings
from tests.support.app import make_app, open_client
from tests.support.problems import check_problem
from tests.support.stack import draw_shoe

ADMIN = {"x-api-key": "a-key-that-may-change-all"}
READER = {"x-api-key": "a-key-that-may-read-only"}
KEYS = f"shop:read:{READER['x-api-key']} operators:admin:{ADMIN['x-api-key']}"
NEW = {"if-none-match": "*"}

LINES = "application/x-ndjson"


@pytest.fixture
def guarded(memory_engine: Engine, settings: Settings) -> Iterator[TestClient]:
    """A service whose client has a key to change things."""
    keyed = settings.model_copy(update={"api_keys": SecretStr(KEYS)})
    with open_client(keyed, memory_engine, headers=ADMIN) as client:
        yield client


def add(
    client: TestClient, item_id: str, image: bytes, attributes: Any = None, headers: dict[str, str] | None = None
) -> httpx2.Response:
    """Put in a new shoe."""
    data = {"id": item_id} | ({} if attributes is None else {"attributes": json.dumps(attributes)})
    response: httpx2.Response = client.post(
        "/v1/items", data=data, files={"image": ("shoe.jpg", image)}, headers=headers or {}
    )
    return response


def put(
    client: TestClient, item_id: str, image: bytes, attributes: Any = None, headers: dict[str, str] | None = None
) -> httpx2.Response:
    """Put a shoe in the place of another."""
    data = {} if attributes is None else {"attributes": json.dumps(attributes)}
    response: httpx2.Response = client.put(
        f"/v1/items/{quote(item_id, safe='')}", data=data, files={"image": ("shoe.jpg", image)}, headers=headers or {}
    )
    return response


def add_many(
    client: TestClient, shoes: Sequence[tuple[Any, bytes]], headers: dict[str, str] | None = None
) -> list[dict[str, Any]]:
    """Put shoes in, each given by the JSON of its `item`, or its text, and a picture; gives the answer's lines."""
    parts: list[Any] = []
    for item, image in shoes:
        parts.append(("item", (None, item if isinstance(item, str) else json.dumps(item))))
        parts.append(("image", ("shoe.jpg", image)))
    response = client.post("/v1/items:batch", files=parts, headers=headers or {})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == LINES
    assert response.text.endswith("\n")
    return [json.loads(line) for line in response.text.splitlines()]


def uploads(engine: Engine) -> set[str]:
    """The names of the pictures that are kept."""
    assert engine.uploads is not None
    return set(engine.uploads.names())


def test_added_shoe_is_there(guarded: TestClient, memory_engine: Engine) -> None:
    """A new shoe is a 201 with its place, and is then found, listed, filtered by, drawn and shown like any other."""
    response = add(guarded, "boot 7", draw_shoe(77), {"Gender": ["Women", "Girls"], "Farbe": ["grün"]})
    assert response.status_code == 201
    assert response.headers["location"] == "/v1/items/boot%207"
    item = response.json()
    assert item == guarded.get("/v1/items/boot%207").json()
    assert item["attributes"] == {"Gender": ["Women", "Girls"], "Farbe": ["grün"]}
    hits = guarded.post("/v1/search", files={"image": ("a.jpg", draw_shoe(77))}).json()["hits"]
    assert (hits[0]["id"], hits[0]["distance"]) == ("boot 7", 0)
    assert guarded.get("/v1/items", params={"filter": "Farbe:grün"}).json()["total"] == 1
    assert guarded.get(item["similar"]).status_code == guarded.get(item["reconstruction"]).status_code == 200
    picture = guarded.get(item["image"])
    assert picture.headers["content-type"] == "image/png"
    assert picture.headers["cache-control"] == "private, no-cache"
    with Image.open(io.BytesIO(picture.content)) as shown, Image.open(io.BytesIO(draw_shoe(77))) as sent:
        assert (np.asarray(shown) == np.asarray(sent)).all()
    assert guarded.get("/v1/info").json()["catalog"]["count"] == 13


def test_the_same_request_again(guarded: TestClient, memory_engine: Engine) -> None:
    """Put twice, a shoe leaves what it left the first time: one shoe, one picture; only its status tells."""
    first = put(guarded, "a", draw_shoe(1), {"Gender": ["Men"]})
    kept = uploads(memory_engine)
    again = put(guarded, "a", draw_shoe(1), {"Gender": ["Men"]})
    assert (first.status_code, again.status_code) == (201, 200)
    assert "location" not in again.headers
    assert {**first.json(), "catalog": ""} == {**again.json(), "catalog": ""}
    assert len(uploads(memory_engine)) == len(kept) == 1


def test_replacing(guarded: TestClient, memory_engine: Engine) -> None:
    """A shoe in another's place has nothing of it: not its attributes, vector or picture, whose file is gone."""
    add(guarded, "a", draw_shoe(1), {"Gender": ["Men"]})
    (old,) = uploads(memory_engine)
    before = guarded.get("/v1/items/a").json()
    after = put(guarded, "a", draw_shoe(2), {"Category": ["Boots"]}).json()
    assert after["attributes"] == {"Category": ["Boots"]}
    assert after["vector"] != before["vector"]
    assert len(uploads(memory_engine)) == 1
    assert old not in uploads(memory_engine)


def test_replacing_an_indexed_shoe_leaves_its_file(
    guarded: TestClient, memory_engine: Engine, drawn_catalog: Path
) -> None:
    """The picture of a shoe that was indexed is its owner's, whatever becomes of the shoe."""
    before = sorted(drawn_catalog.rglob("*.jpg"))
    assert put(guarded, "1000.1", draw_shoe(50)).status_code == 200
    assert guarded.get("/v1/items/1000.1/image").headers["content-type"] == "image/png"
    assert guarded.delete("/v1/items/1000.1").status_code == 204
    assert guarded.delete("/v1/items/1000.2").status_code == 204
    assert sorted(drawn_catalog.rglob("*.jpg")) == before
    assert uploads(memory_engine) == set()


def test_an_id_that_is_taken(guarded: TestClient, memory_engine: Engine) -> None:
    """A new shoe with a known id is a 409, and the old one stays as it is; its picture and no other is kept."""
    assert add(guarded, "a", draw_shoe(1), {"Gender": ["Men"]}).status_code == 201
    kept, before = uploads(memory_engine), guarded.get("/v1/items/a").json()
    for headers in ({}, NEW):
        problem = check_problem(add(guarded, "a", draw_shoe(2), headers=headers), 409)
        assert problem["type"] == "urn:solemate:item-exists"
    assert guarded.get("/v1/items/a").json() == before
    assert uploads(memory_engine) == kept


def test_refusing_to_overwrite(guarded: TestClient, memory_engine: Engine) -> None:
    """Put with `If-None-Match: *`, a shoe that is there is a 412, and stays; its picture and no other is kept."""
    assert put(guarded, "a", draw_shoe(1), headers=NEW).status_code == 201
    kept, before = uploads(memory_engine), guarded.get("/v1/items/a").json()
    problem = check_problem(put(guarded, "a", draw_shoe(2), headers=NEW), 412)
    assert problem["type"] == "urn:solemate:item-exists"
    assert guarded.get("/v1/items/a").json() == before
    assert uploads(memory_engine) == kept
    check_problem(put(guarded, "b", draw_shoe(2), headers={"if-none-match": '"etag"'}), 422, "If-None-Match")


def test_removing(guarded: TestClient, memory_engine: Engine) -> None:
    """A removed shoe is gone with its picture, from the next answer on; a second time it is a 404."""
    add(guarded, "a", draw_shoe(1))
    response = guarded.delete("/v1/items/a")
    assert (response.status_code, response.content) == (204, b"")
    assert uploads(memory_engine) == set()
    for answer in (guarded.get("/v1/items/a"), guarded.get("/v1/items/a/image"), guarded.delete("/v1/items/a")):
        check_problem(answer, 404)


@pytest.mark.parametrize("media_type", ["json", "merge-patch+json"])
@pytest.mark.parametrize("removed", [None, []])
def test_patching(guarded: TestClient, media_type: str, removed: Any) -> None:
    """Named attributes are replaced, null or an empty list removes one, the rest stays; the answer is the shoe."""
    before = guarded.get("/v1/items/1000.1").json()
    patch = {"attributes": {"Gender": ["Girls", "Girls"], "Closure": removed, "Neu": ["ja"]}}
    response = guarded.patch(
        "/v1/items/1000.1", content=json.dumps(patch), headers={"content-type": f"application/{media_type}"}
    )
    assert response.status_code == 200
    kept = {name: values for name, values in before["attributes"].items() if name != "Closure"}
    assert response.json()["attributes"] == {**kept, "Gender": ["Girls"], "Neu": ["ja"]}
    assert response.json() == guarded.get("/v1/items/1000.1").json()
    assert response.json()["vector"] == before["vector"]
    check_problem(guarded.patch("/v1/items/nobody", json={"attributes": {"Gender": ["Men"]}}), 404)
    # What the service shows of a shoe can be sent back.
    shown = guarded.get("/v1/items/1000.1").json()
    assert (
        guarded.patch("/v1/items/1000.1", json={"attributes": shown["attributes"]}).json()["vector"] == shown["vector"]
    )
    problem = check_problem(guarded.patch("/v1/items/1000.1", json={"Gender": ["Men"]}), 422, "attributes")
    assert "attributes: Field required" in problem["detail"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"Gender": "Men"}', 422),
        (b'{"Gender": [1]}', 422),
        (b'["Gender"]', 422),
        (b'{"Gender": [""]}', 422),
        (b'{"Ge:nder": ["Men"]}', 422),
        (b'{"Gender": ["a\\u0000b"]}', 422),
        (b'{"Gender": ["\\ud800"]}', 422),
        (b'{"Gender": ["Men"', 400),
        (json.dumps({"Gender": [str(number) for number in range(51)]}).encode(), 422),
    ],
)
def test_attributes_that_are_none(guarded: TestClient, body: bytes, status: int) -> None:
    """Attributes that can't be used are refused with the reason, as a patch and with a new shoe; nothing changes."""
    before = guarded.get("/v1/items/1000.1").json()
    headers = {"content-type": "application/json"}
    patch = b'{"attributes": ' + body + b"}"
    problem = check_problem(guarded.patch("/v1/items/1000.1", content=patch, headers=headers), status, mock.ANY)
    assert "expected" in problem["detail"] or problem["detail"]
    files = {"image": ("a.jpg", draw_shoe(1))}
    answer = guarded.post("/v1/items", data={"id": "new", "attributes": body.decode()}, files=files)
    assert "expected" in check_problem(answer, 422, "attributes")["detail"]
    assert guarded.get("/v1/items/1000.1").json() == before
    assert guarded.get("/v1/items/new").status_code == 404


@pytest.mark.parametrize("item_id", ["", " a", "a\n", "a/b", "..", ".", "x" * 201, "a\x00", "a\u2028b"])
def test_ids_that_are_none(guarded: TestClient, memory_engine: Engine, item_id: str) -> None:
    """An id that could not be asked for, or would be a nuisance to, is refused; no picture is kept."""
    check_problem(add(guarded, item_id, draw_shoe(1)), 422, "id")
    (line,) = add_many(guarded, [({"id": item_id}, draw_shoe(1))])
    assert (line["status"], line["problem"]["field"], line["id"]) == (422, "id", item_id)
    assert uploads(memory_engine) == set()


@pytest.mark.parametrize(
    "item_id", ["x" * 200, "Größe 42", "a:b", "100%", "👟", "...", "a\\..\\b", "'; --", "a?b#c&d=e"]
)
def test_awkward_ids(guarded: TestClient, memory_engine: Engine, item_id: str) -> None:
    """Whatever else an id holds, the shoe's links lead to it, and no file is named by it."""
    response = add(guarded, item_id, draw_shoe(1))
    assert response.status_code == 201
    assert guarded.get(response.json()["image"]).status_code == 200
    assert guarded.get(response.headers["location"]).json()["id"] == item_id
    (name,) = uploads(memory_engine)
    assert len(name) == 53
    assert guarded.delete(response.headers["location"]).status_code == 204


def test_forms_that_are_none(guarded: TestClient) -> None:
    """A form without an id, with two, with an unknown field, or without a picture is refused by name."""
    files = {"image": ("a.jpg", draw_shoe(1))}
    check_problem(guarded.post("/v1/items", files=files), 422, "id")
    check_problem(guarded.post("/v1/items", files=files, data={"id": ["a", "b"]}), 422, "id")
    check_problem(guarded.post("/v1/items", files=files, data={"id": "a", "gender": "Men"}), 422, "gender")
    check_problem(guarded.post("/v1/items", files=files, data={"id": "a"}, params={"id": "a"}), 422, "id")
    check_problem(guarded.post("/v1/items", data={"id": "a"}), 422, "image")
    headers = {"content-type": "image/jpeg"}
    check_problem(guarded.post("/v1/items", content=draw_shoe(1), headers=headers), 422, "id")
    check_problem(guarded.post("/v1/items:batch", content=draw_shoe(1), headers=headers), 422, "item")
    check_problem(guarded.post("/v1/items:batch", files=files, data={"item": ["{}", "{}"]}), 422, "item")


@pytest.mark.parametrize(
    ("image", "status"), [(b"not a picture", 415), (b"", 422), (draw_shoe(1)[:500], 422), (b"x" * 100_001, 413)]
)
def test_pictures_that_are_none(guarded: TestClient, memory_engine: Engine, image: bytes, status: int) -> None:
    """A picture that can't be used is refused as anywhere else, and nothing is kept."""
    check_problem(add(guarded, "a", image), status)
    check_problem(put(guarded, "a", image), status)
    assert uploads(memory_engine) == set()
    assert guarded.get("/v1/items/a").status_code == 404


def test_pictures_as_large_as_in_a_search(memory_engine: Engine, settings: Settings) -> None:
    """A shoe may be created and replaced with a picture of any size that the settings allow."""
    large = {"max_upload_bytes": 3_000_000, "max_body_bytes": 3_000_000, "api_keys": SecretStr(KEYS)}
    with TestClient(make_app(settings.model_copy(update=large), memory_engine), headers=ADMIN) as client:
        for send in (add, put):
            # The engine's own limit stays that of the fixture; here it tells that the body has come through.
            assert check_problem(send(client, "a", b"x" * 2_000_000), 413)["type"] == "urn:solemate:image-too-large"


def test_batch_tells_of_each(guarded: TestClient, memory_engine: Engine) -> None:
    """Of a batch each shoe is written, or fails, by itself, and has a line in its place."""
    lines = add_many(
        guarded,
        [
            ({"id": "a", "attributes": {"Gender": ["Men"]}}, draw_shoe(1)),
            ({"id": "b"}, b"not a picture"),
            ({"id": "1000.1"}, draw_shoe(3)),
            ("no JSON", draw_shoe(4)),
            ({"id": "c/d"}, draw_shoe(5)),
            ({"id": "e", "colour": "red"}, draw_shoe(6)),
            ({"id": "f"}, b"x" * 100_001),
            ({"id": "g"}, draw_shoe(8)),
        ],
    )
    assert [line["index"] for line in lines] == list(range(8))
    assert [line["status"] for line in lines] == [201, 415, 200, 422, 422, 422, 413, 201]
    assert [line["id"] for line in lines if "id" in line] == ["a", "b", "1000.1", "c/d", "f", "g"]
    for line in lines:
        assert ("item" in line) != ("problem" in line)
        if "problem" in line:
            assert line["problem"]["status"] == line["status"]
    assert lines[0]["item"]["attributes"] == {"Gender": ["Men"]}
    assert guarded.get(lines[7]["item"]["image"]).status_code == 200
    assert len(uploads(memory_engine)) == 3
    assert guarded.get("/v1/info").json()["catalog"]["count"] == 14


def test_batch_in_its_order(guarded: TestClient, memory_engine: Engine) -> None:
    """Of several shoes with one id in a batch the last one stays, also where the batch is written in parts."""
    shoes = [({"id": f"{number % 7}"}, draw_shoe(number)) for number in range(90)]
    lines = add_many(guarded, shoes)
    assert [line["status"] for line in lines] == [201] * 7 + [200] * 83
    assert len(uploads(memory_engine)) == 7
    for number in range(83, 90):
        hits = guarded.post("/v1/search", files={"image": ("a.jpg", draw_shoe(number))}).json()["hits"]
        assert (hits[0]["id"], hits[0]["distance"]) == (f"{number % 7}", 0)


def test_batch_that_refuses_to_overwrite(guarded: TestClient, memory_engine: Engine) -> None:
    """With `If-None-Match: *` the shoes of a batch whose ids are taken fail alone."""
    lines = add_many(guarded, [({"id": name}, draw_shoe(1)) for name in ("a", "1000.1", "b", "a")], headers=NEW)
    assert [line["status"] for line in lines] == [201, 409, 201, 409]
    assert len(uploads(memory_engine)) == 2


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (StorageFull("/srv/catalog: the disk is full"), 507, None),
        (StorageReadOnly("/srv/catalog: read-only"), 503, None),
        (StoreBusy("another process is at it", retry_after=2), 503, "2"),
        (Overloaded("too much", retry_after=3), 503, "3"),
    ],
)
def test_store_that_can_not_write(
    guarded: TestClient, memory_engine: Engine, error: Exception, status: int, retry: str | None
) -> None:
    """What keeps the store from writing is a problem that names no path; no picture of it stays, and all goes on."""
    with mock.patch.object(memory_engine.store, "upsert", side_effect=error):
        response = add(guarded, "a", draw_shoe(1))
        (line,) = add_many(guarded, [({"id": "b"}, draw_shoe(1))])
    check_problem(response, status)
    assert response.headers.get("retry-after") == retry
    assert "/srv" not in response.text + json.dumps(line)
    assert line["status"] == status
    if type(error) is not Overloaded:
        assert uploads(memory_engine) == set()
    assert add(guarded, "a", draw_shoe(1)).status_code == 201


def test_failure_in_a_batch_that_nobody_foresaw(guarded: TestClient, memory_engine: Engine) -> None:
    """It is told in the lines of its shoes, without what it was, and the answer ends as it should."""
    with mock.patch.object(memory_engine.store, "upsert", side_effect=RuntimeError("secret")):
        lines = add_many(guarded, [({"id": name}, draw_shoe(1)) for name in "ab"])
    assert [line["status"] for line in lines] == [500, 500]
    assert "secret" not in json.dumps(lines)
