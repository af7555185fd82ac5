"""The examples of the interface's description: asked of a real service, and kept in `service/http/examples.json`.

To refresh them, with the demo catalogue indexed where `serve` would find it (or SOLEMATE_CHECKPOINT, SOLEMATE_INDEX):

    python -m tests.service.http.capture_examples
"""

import io
import json
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import httpx2
from PIL import Image
from pydantic import SecretStr
from starlette.testclient import TestClient

from model.errors import ArtifactMissing, StorageFull
from model.files import write_json
from service.errors import MapMissing, NotReady
from service.http.openapi import EXAMPLES
from service.http.responses import NDJSON
from service.serving.bootstrap import open_engine
from service.settings import Settings
from tests.support.app import make_app

Answers = Iterator[tuple[str, httpx2.Response]]

LONG = 500
"""Ids or numbers of an example, as a tile of the map has them, of which three are enough."""

UNKNOWN = "/v1/items/no-such-shoe"

KEYS = "shop:read:an-example-of-a-key-0000 operators:admin:an-example-of-a-key-0001"


def ask(client: TestClient, guarded: TestClient) -> Answers:
    """Ask what the examples answer: operation and response, for each of its statuses.

    Args:
        client: of a service without API keys.
        guarded: of one with `KEYS`.
    """
    first = client.get("/v1/items", params={"limit": 1}).json()["items"][0]
    picture = client.get(first["image"]).content
    vector = client.get(f"/v1/items/{first['id']}").json()["vector"]
    yield from _ask_with_pictures(client, picture)
    yield from _ask_with_vectors(client, vector)
    yield from _ask_with_examples(client, first["id"], picture)
    yield from _ask_in_batch(client, first["id"], picture)
    yield from _ask_of_items(client, f"/v1/items/{first['id']}")
    for operation, query in {
        "interpolations": {"from": first["id"], "to": first["id"], "steps": "1"},
        "swaps": {"item": first["id"], "condition": "colour", "of": first["id"]},
    }.items():
        yield operation, client.get(f"/v1/{operation}", params=query)
        # The first parameter's shoe is not there; the rest is in range.
        good = {name: value for name, value in query.items() if name not in {"steps", "condition"}}
        condition = {"condition": client.get("/v1/info").json()["conditions"][-1]} if operation == "swaps" else {}
        yield operation, client.get(f"/v1/{operation}", params={**good, **condition, next(iter(query)): "no-such-shoe"})
    yield from _ask_for_drawings(client, first["id"])
    yield from _ask_for_map(client)
    yield "info", client.get("/v1/info")
    yield "info", client.get("/v1/info", params={"verbose": "1"})
    yield "checkpoint", client.get("/v1/checkpoint")
    yield "checkpoint", client.get("/v1/checkpoint", params={"verbose": "1"})
    yield "healthz", client.get("/healthz")
    yield "readyz", client.get("/readyz")
    with mock.patch("service.serving.pipeline.Pipeline.check_ready", side_effect=NotReady("an example")):
        yield "readyz", client.get("/readyz")
    yield from _ask_admin(guarded)
    yield from _ask_for_changes(guarded, picture)


def _ask_for_drawings(client: TestClient, item_id: str) -> Answers:
    """Those that come as JSON to who asks for it."""
    condition = client.get("/v1/info").json()["conditions"][-1]
    other = client.get("/v1/items", params={"limit": 2}).json()["items"][1]["id"]
    for operation, query in {
        "interpolations": {"from": item_id, "to": other, "steps": "3"},
        "swaps": {"item": item_id, "condition": condition, "of": other},
        "samples": {"count": "2", "seed": "7", "around": item_id, "spread": "0.5"},
    }.items():
        yield operation, client.get(f"/v1/{operation}", params=query, headers={"accept": "application/json"})
    yield "samples", client.get("/v1/samples", params={"count": "100"})
    yield "samples", client.get("/v1/samples", params={"around": "no-such-shoe"})


def _ask_for_map(client: TestClient) -> Answers:
    yield "map", client.get("/v1/map")
    yield "map", client.get("/v1/map", params={"tiles": "3"})
    yield "map_tile", client.get("/v1/map/tiles/0")
    yield "map_tile", client.get("/v1/map/tiles/999")
    yield "map_atlas", client.get("/v1/map/atlas/999")
    with mock.patch("service.serving.engine.read_map", side_effect=MapMissing):
        for operation, path in (("map", ""), ("map_tile", "/tiles/0"), ("map_atlas", "/atlas/0")):
            yield operation, client.get(f"/v1/map{path}")


def _ask_for_changes(guarded: TestClient, picture: bytes) -> Answers:
    """Changes come last, and leave the catalogue with the shoes that it had."""
    reader, admin = ({"x-api-key": entry.rpartition(":")[2]} for entry in KEYS.split())
    form = {"content-type": "multipart/form-data; boundary=x"}
    too_many = bytes(guarded.get("/v1/info", headers=reader).json()["limits"]["max_body_bytes"] + 200_000)
    image = {"image": ("shoe.jpg", picture)}
    one, many, item = "/v1/items", "/v1/items:batch", "/v1/items/boot-7"
    new = {"id": "boot-7", "attributes": json.dumps({"Category": ["Boots"], "Gender": ["Women"]})}
    attributes = {"attributes": new["attributes"]}
    yield "create_item", guarded.post(one, data=new, files=image, headers=admin)
    yield "create_item", guarded.post(one, data=new, files=image, headers=admin)
    yield "create_item", guarded.post(one, data={**new, "id": "boots/7"}, files=image, headers=admin)
    yield "replace_item", guarded.put(item, data=attributes, files=image, headers=admin)
    yield "replace_item", guarded.put(item, data=attributes, files=image, headers={**admin, "if-none-match": "*"})
    yield "replace_item", guarded.put(item, data={**attributes, "colour": "red"}, files=image, headers=admin)
    guarded.delete(item, headers=admin)
    yield "replace_item", guarded.put(item, data=attributes, files=image, headers=admin)
    for operation, method, path, data in (
        ("create_item", "POST", one, {**new, "id": "boot-8"}),
        ("replace_item", "PUT", "/v1/items/boot-8", attributes),
    ):
        send = partial(guarded.request, method, path)
        yield operation, send(content=b"no boundary in here", headers={**form, **admin})
        yield operation, send(data=data, files=image)
        yield operation, send(data=data, files=image, headers=reader)
        yield operation, send(content=too_many, headers={**form, **admin})
        yield operation, send(data=data, files={"image": ("notes.txt", b"not a picture")}, headers=admin)
        with mock.patch("service.catalog.images.Uploads.write", side_effect=StorageFull("an example")):
            yield operation, send(data=data, files=image, headers=admin)
    shoes = [{"id": "boot-7", "attributes": {"Gender": ["Women"]}}, {"id": "boot-8"}]
    parts: list[Any] = []
    for shoe, content in zip(shoes, (picture, b"not a picture"), strict=True):
        parts += [("item", (None, json.dumps(shoe))), ("image", ("shoe.jpg", content))]
    yield "add_items", guarded.post(many, files=parts, headers=admin)
    yield "add_items", guarded.post(many, content=b"no boundary in here", headers={**form, **admin})
    yield "add_items", guarded.post(many, files=parts)
    yield "add_items", guarded.post(many, files=parts, headers=reader)
    yield "add_items", guarded.post(many, content=too_many, headers={**form, **admin})
    yield "add_items", guarded.post(many, files=parts[1:], headers=admin)
    patch, as_json = (
        {"attributes": {"Gender": ["Girls"], "Category": None}},
        {"content-type": "application/json", **admin},
    )
    yield "patch_item", guarded.patch(item, json=patch, headers=admin)
    yield "patch_item", guarded.patch(item, content=b'{"attributes": {"Gender"', headers=as_json)
    yield "patch_item", guarded.patch(item, json=patch)
    yield "patch_item", guarded.patch(item, json=patch, headers=reader)
    yield "patch_item", guarded.patch(UNKNOWN, json=patch, headers=admin)
    yield "patch_item", guarded.patch(item, content=bytes(2_000_000), headers=as_json)
    yield "patch_item", guarded.patch(item, json={"attributes": {"Gender": "Girls"}}, headers=admin)
    yield "delete_item", guarded.delete(item)
    yield "delete_item", guarded.delete(item, headers=reader)
    yield "delete_item", guarded.delete(item, params={"force": "1"}, headers=admin)
    guarded.delete(item, headers=admin)
    yield "delete_item", guarded.delete(item, headers=admin)


def body_of(response: httpx2.Response) -> Any:
    """What an answer says; of one that says it line by line, a list."""
    if response.headers["content-type"] == NDJSON:
        return [json.loads(line) for line in response.text.splitlines()]
    return response.json()


def shorten(body: Any) -> Any:
    """The same with the pictures of a drawing cut off, since they would be most of the description, and one epoch."""
    if isinstance(body, dict):
        body = body | ({"history": body["history"][-1:]} if "history" in body else {})
        return {
            name: f"{value[:60]}..." if name == "image" and value.startswith("data:") else shorten(value)
            for name, value in body.items()
        }
    if isinstance(body, list):
        long = len(body) > LONG and isinstance(body[0], str | int)
        return body[:3] if long else [shorten(each) for each in body]
    return body


def _ask_admin(guarded: TestClient) -> Answers:
    path = "/v1/admin/reload"
    reader, admin = ({"x-api-key": entry.rpartition(":")[2]} for entry in KEYS.split())
    yield "reload", guarded.post(path)
    yield "reload", guarded.post(path, headers=reader)
    yield "reload", guarded.post(path, headers=admin)
    yield "reload", guarded.post(path, headers=admin, params={"force": "1"})
    missing = ArtifactMissing(
        "no checkpoint in artifacts/checkpoint; make it anew with "
        "`python -m training train --catalog PATH --out artifacts/checkpoint`"
    )
    with mock.patch("service.serving.generations.Live.prepare", side_effect=missing):
        yield "reload", guarded.post(path, headers=admin)


def _ask_with_pictures(client: TestClient, picture: bytes) -> Answers:
    too_many = client.get("/v1/info").json()["limits"]["max_body_bytes"] + 200_000
    form = {"content-type": "multipart/form-data; boundary=x"}
    for operation in ("search", "embeddings", "reconstructions", "subjects"):
        path = f"/v1/{operation}"
        query = {"k": "2", "filter": "Gender:Women"} if operation == "search" else {}
        if operation in {"search", "embeddings", "subjects"}:
            good = shrink(picture) if operation == "subjects" else picture  # which comes back, in base64
            yield operation, client.post(path, files={"image": ("shoe.jpg", good)}, params=query)
        yield operation, client.post(path, content=b"no boundary in here", headers=form)
        yield operation, client.post(path, content=bytes(too_many), headers=form)
        yield operation, client.post(path, files={"image": ("notes.txt", b"not a picture")})
        yield operation, client.post(path, files={"image": ("shoe.jpg", picture[: len(picture) // 2])})


def shrink(picture: bytes) -> bytes:
    """The picture in 24 pixels a side."""
    small, buffer = Image.open(io.BytesIO(picture)), io.BytesIO()
    small.thumbnail((24, 24))
    small.save(buffer, "PNG")
    return buffer.getvalue()


def _ask_with_examples(client: TestClient, item_id: str, picture: bytes) -> Answers:
    path, headers = "/v1/recommendations", {"content-type": "application/json"}
    body: dict[str, Any] = {"positive": [item_id], "negative": [], "k": 2, "filter": ["Gender:Women"]}
    answer = client.post(path, json=body)
    yield "recommendations", answer
    yield "recommendations", client.post(path, content=b'{"positive": [', headers=headers)
    yield "recommendations", client.post(path, json={"positive": ["no-such-shoe"]})
    too_many = client.get("/v1/info").json()["limits"]["max_body_bytes"] + 200_000
    yield "recommendations", client.post(path, content=bytes(too_many), headers=headers)
    yield "recommendations", client.post(path, files={"positive_image": ("notes.txt", b"not a picture")})
    yield "recommendations", client.post(path, json={"negative": [item_id]})
    with mock.patch("service.serving.engine.Engine.fingerprint", "another"):
        yield "recommendations", client.post(path, json={**body, "cursor": answer.json()["next"]})
        pages: dict[str, Any] = {"k": 2, "cursor": answer.json()["next"], "filter": "Gender:Women"}
        pages["exclude"] = item_id
        yield "search", client.post("/v1/search", files={"image": ("shoe.jpg", picture)}, params=pages)
        vector = client.get(f"/v1/items/{item_id}").json()["vector"]
        in_json = {**pages, "filter": ["Gender:Women"], "exclude": [item_id]}
        yield "search_vector", client.post("/v1/search/vector", json={"vector": vector, **in_json})
        yield "similar", client.get(f"/v1/items/{item_id}/similar", params={**pages, "exclude": []})


def _ask_in_batch(client: TestClient, item_id: str, picture: bytes) -> Answers:
    path, form = "/v1/search:batch", {"content-type": "multipart/form-data; boundary=x"}
    yield "search_batch", client.post(path, json={"queries": [{"item": item_id, "k": 1}, {"item": "no-such-shoe"}]})
    yield "search_batch", client.post(path, content=b"no boundary in here", headers=form)
    notes = [("image", ("shoe.jpg", picture)), ("notes", ("notes.txt", b"not a picture"))]
    too_many = client.get("/v1/info").json()["limits"]["max_body_bytes"] + 200_000
    yield "search_batch", client.post(path, content=bytes(too_many), headers=form)
    yield "search_batch", client.post(path, files=notes)


def _ask_with_vectors(client: TestClient, vector: list[float]) -> Answers:
    path, headers = "/v1/search/vector", {"content-type": "application/json"}
    yield "search_vector", client.post(path, json={"vector": vector, "k": 2, "filter": ["Gender:Women"]})
    yield "search_vector", client.post(path, content=b'{"vector": [', headers=headers)
    yield "search_vector", client.post(path, content=bytes(2_000_000), headers=headers)
    yield "search_vector", client.post(path, json={"vector": [0.5, 0.25], "k": 2})


def _ask_of_items(client: TestClient, item: str) -> Answers:
    yield "items", client.get("/v1/items", params={"limit": 2, "filter": ["Gender:Women", "Category:Shoes"]})
    yield "items", client.get("/v1/items", params={"filter": "Colour:Red"})
    yield "item", client.get(item)
    yield "item", client.get(item, params={"k": "3"})
    yield "item", client.get(UNKNOWN)
    yield "similar", client.get(f"{item}/similar", params={"k": 2})
    yield "similar", client.get(f"{item}/similar", params={"k": 0})
    yield "similar", client.get(f"{UNKNOWN}/similar")
    second = client.get(f"{item}/similar", params={"k": 1}).json()["hits"][0]["id"]
    yield "explain", client.get(f"{item}/explain", params={"with": second})
    yield "explain", client.get(f"{item}/explain")
    yield "explain", client.get(f"{item}/explain", params={"with": "no-such-shoe"})
    yield "item_image", client.get(f"{item}/image", params={"size": "64"})
    yield "item_image", client.get(f"{UNKNOWN}/image")
    yield "reconstruction", client.get(f"{item}/reconstruction", params={"size": "64"})
    yield "reconstruction", client.get(f"{UNKNOWN}/reconstruction")
    yield "facets", client.get("/v1/facets", params={"filter": "Category:Boots"})
    yield "facets", client.get("/v1/facets", params={"filter": "Gender"})
    headers, shoe = {"content-type": "application/json"}, item.rpartition("/")[2]
    for operation, path in (("query_items", "/v1/items:query"), ("query_facets", "/v1/facets:query")):
        yield operation, client.post(path, json={"filter": [{"ids": [shoe]}]})
        yield operation, client.post(path, content=b'{"filter": [', headers=headers)
        yield operation, client.post(path, content=bytes(2_000_000), headers=headers)
        yield operation, client.post(path, json={"filter": ["Colour:Red"]})


def main() -> None:
    """Ask a service over the artifacts that the environment names, and write what it answered."""
    with tempfile.TemporaryDirectory() as folder:  # what is asked changes the catalogue
        settings = Settings()
        copy = shutil.copytree(settings.index, Path(folder) / "catalog")
        examples = capture(settings.model_copy(update={"index": copy}))
    write_json(EXAMPLES, examples)


def capture(settings: Settings) -> dict[str, dict[str, Any]]:
    """Operation -> status, or `request` -> body."""
    engine = open_engine(settings)
    examples: dict[str, dict[str, Any]] = {}
    item = engine.page(1).items[0]
    body = {"vector": engine.store.vector(item.id).tolist(), "k": 2, "condition": "overall", "filter": ["Gender:Women"]}
    examples["search_vector"] = {"request": body}
    others = [each.id for each in engine.page(3).items]
    likes = {"positive": others[:2], "negative": others[2:], "k": 2, "filter": ["Gender:Women"], "diversity": 0.3}
    examples["recommendations"] = {"request": likes}
    examples["search_batch"] = {"request": {"queries": [{"item": each, "k": 2} for each in others[:2]]}}
    examples["query_items"] = {"request": {"filter": [{"ids": others}, "Gender:Women"], "limit": 2}}
    examples["query_facets"] = {"request": {"filter": [{"ids": others}, "Gender:Women"]}}
    examples["patch_item"] = {"request": {"attributes": {"Gender": ["Girls"], "Category": None}}}
    guarded_settings = settings.model_copy(update={"api_keys": SecretStr(KEYS)})
    with (
        TestClient(make_app(settings, engine)) as client,
        TestClient(make_app(guarded_settings, engine)) as guarded,
    ):
        for operation, response in ask(client, guarded):
            examples.setdefault(operation, {})[str(response.status_code)] = shorten(body_of(response))
    return examples


if __name__ == "__main__":
    main()
