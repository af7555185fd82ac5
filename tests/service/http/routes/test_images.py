"""Pictures over HTTP."""

import io
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from model.preprocess import to_png
from service.serving.engine import Engine
from service.store.base import Item, Record
from tests.support.fakes import MemoryStore
from tests.support.problems import check_problem
from tests.support.stack import draw_shoe


def add(engine: Engine, image: str, item_id: str = "new") -> None:
    """Put a shoe with that picture into the store."""
    engine.store.upsert([Record(Item(item_id, image, {}), np.zeros(8, np.float32))])


def size_of(content: bytes) -> tuple[int, int]:
    """A PNG's width and height."""
    picture = Image.open(io.BytesIO(content), formats=["PNG"])
    return picture.size


def test_image_is_the_file(client: TestClient) -> None:
    """A shoe's picture comes byte for byte, with its type and what a cache needs."""
    response = client.get("/v1/items/1000.1/image")
    assert response.content == draw_shoe(0)
    assert response.headers["content-type"] == "image/jpeg"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "max-age" in response.headers["cache-control"]
    assert response.headers["last-modified"].endswith("GMT")


@pytest.mark.parametrize("path", ["/v1/items/1000.1/image", "/v1/items/1000.1/reconstruction"])
def test_not_sent_twice(client: TestClient, path: str) -> None:
    """Who has a picture is told so, with no body."""
    etag = client.get(path).headers["etag"]
    for given in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = client.get(path, headers={"if-none-match": given})
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["etag"] == etag
    assert client.get(path, headers={"if-none-match": '"other"'}).status_code == 200


def test_image_type_is_told_by_content(client: TestClient, memory_engine: Engine, tmp_path: Path) -> None:
    """A file's content decides its type: what is no picture is never shown as one."""
    store = memory_engine.store
    assert isinstance(store, MemoryStore)
    store.root = tmp_path
    picture = Image.new("RGB", (4, 4))
    for kind in ("PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF"):
        picture.save(tmp_path / "a.jpg", kind)
        add(memory_engine, "a.jpg")
        assert client.get("/v1/items/new/image").headers["content-type"] == f"image/{kind.lower()}"
    for content in (b"<script>alert(1)</script>", b"\0\0\0\x18ftypmp42 a film"):
        (tmp_path / "a.jpg").write_bytes(content)
        assert client.get("/v1/items/new/image").headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize(
    "image", ["gone.jpg", ".", "folder", "../secret.txt", "folder/../../secret.txt", "/etc/passwd", "a\0b"]
)
def test_no_picture_there(client: TestClient, memory_engine: Engine, tmp_path: Path, image: str) -> None:
    """A picture that is gone, is no file, or lies outside the catalogue's folder is a 404 problem."""
    store = memory_engine.store
    assert isinstance(store, MemoryStore)
    store.root = tmp_path / "root"
    (tmp_path / "root" / "folder").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret")
    add(memory_engine, image)
    problem = check_problem(client.get("/v1/items/new/image"), 404)
    assert problem["type"] == "urn:solemate:picture-missing"
    assert client.get("/v1/items/new").status_code == 200


def test_linked_catalogue(client: TestClient, memory_engine: Engine, tmp_path: Path) -> None:
    """A catalogue that its owner has linked from elsewhere is served."""
    store = memory_engine.store
    assert isinstance(store, MemoryStore)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.jpg").write_bytes(draw_shoe(1))
    store.root = tmp_path / "root"
    store.root.symlink_to(tmp_path / "elsewhere")
    add(memory_engine, "a.jpg")
    assert client.get("/v1/items/new/image").content == draw_shoe(1)


def test_reconstruction_is_a_drawing(client: TestClient) -> None:
    """A shoe's reconstruction is a PNG of the network's size."""
    response = client.get("/v1/items/1000.1/reconstruction")
    assert response.headers["content-type"] == "image/png"
    assert size_of(response.content) == (16, 16)


def test_reconstruction_changes_with_the_catalogue(
    client: TestClient, memory_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed catalogue or checkpoint makes a browser ask anew, and so does another release."""
    etag = client.get("/v1/items/1000.1/reconstruction").headers["etag"]
    add(memory_engine, "a.jpg")
    changed = client.get("/v1/items/1000.1/reconstruction", headers={"if-none-match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag
    monkeypatch.setattr("service.http.responses.find_version", lambda: "9.9")
    again = client.get("/v1/items/1000.1/reconstruction", headers={"if-none-match": changed.headers["etag"]})
    assert again.status_code == 200


def test_posted_picture_is_drawn(client: TestClient) -> None:
    """A posted picture comes back as the network sees it: as the same catalogue picture does."""
    response = client.post("/v1/reconstructions", files={"image": ("a.jpg", draw_shoe(0))})
    assert response.headers["content-type"] == "image/png"
    assert response.headers["cache-control"] == "no-store"
    assert response.content == client.get("/v1/items/1000.1/reconstruction").content


def test_interpolation_is_a_strip(client: TestClient) -> None:
    """The way between two shoes starts at the one and ends at the other."""
    response = client.get("/v1/interpolations", params={"from": "1000.1", "to": "1004.2", "steps": 5})
    assert size_of(response.content) == (5 * 16, 16)
    strip = np.asarray(Image.open(io.BytesIO(response.content)))
    for item_id, part in (("1000.1", strip[:, :16]), ("1004.2", strip[:, -16:])):
        drawn = client.get(f"/v1/items/{item_id}/reconstruction").content
        np.testing.assert_array_equal(part, np.asarray(Image.open(io.BytesIO(drawn))))


IN_JSON = {"accept": "application/json"}


def png_of(illustration: Any) -> bytes:
    """The picture in an illustration."""
    head, _, digits = illustration["image"].partition(",")
    assert head == "data:image/png;base64"
    return b64decode(digits)


def test_interpolation_in_json(client: TestClient, memory_engine: Engine) -> None:
    """Each step comes with its position, its picture and the shoe nearest to it: only at the ends the two shoes."""
    query: dict[str, Any] = {"from": "1000.1", "to": "1004.2", "steps": 3}
    response = client.get("/v1/interpolations", params=query, headers=IN_JSON)
    steps = response.json()["steps"]
    assert [step["position"] for step in steps] == [0, 0.5, 1]
    assert [steps[0]["nearest"]["id"], steps[-1]["nearest"]["id"]] == ["1000.1", "1004.2"]
    assert steps[1]["nearest"]["id"] not in {"1000.1", "1004.2"}
    assert steps[0]["nearest"]["score"] == 1
    middle = memory_engine.interpolate("1000.1", "1004.2", 3)[1]
    assert png_of(steps[1]) == to_png(memory_engine.draw(middle[None])[0])
    assert response.headers["vary"] == "accept"
    plain = client.get("/v1/interpolations", params=query)
    assert plain.headers["content-type"] == "image/png"
    assert plain.headers["etag"] != response.headers["etag"]
    again = client.get(
        "/v1/interpolations", params=query, headers={**IN_JSON, "if-none-match": response.headers["etag"]}
    )
    assert again.status_code == 304


def test_swap_in_json(client: TestClient, memory_engine: Engine) -> None:
    """A swap is shown before and after, with the shoe itself and then with the nearest that is neither of the two."""
    query = {"item": "1000.1", "condition": "closure", "of": "1000.2"}
    answer = client.get("/v1/swaps", params=query, headers=IN_JSON).json()
    assert answer["before"]["nearest"]["id"] == "1000.1"
    assert answer["after"]["nearest"]["id"] not in {"1000.1", "1000.2"}
    assert png_of(answer["before"]) == client.get("/v1/items/1000.1/reconstruction").content
    assert png_of(answer["after"]) == client.get("/v1/swaps", params=query).content


def test_samples_by_seed(client: TestClient) -> None:
    """The same seed gives the same samples, another one others; without one the answer tells its own."""
    query = {"count": 3, "seed": 5}
    strip = client.get("/v1/samples", params=query)
    assert size_of(strip.content) == (48, 16)
    assert client.get("/v1/samples", params=query).content == strip.content
    assert client.get("/v1/samples", params={"count": 3, "seed": 6}).content != strip.content
    answer = client.get("/v1/samples", params={"count": 2}, headers=IN_JSON)
    assert answer.headers["cache-control"] == "no-store"
    assert "etag" not in answer.headers
    seed = answer.json()["seed"]
    assert client.get("/v1/samples", params={"count": 2, "seed": seed}, headers=IN_JSON).json() == answer.json()


def test_samples_around_a_shoe(client: TestClient) -> None:
    """Without spread they are the shoe, and the more of it there is the farther they are."""
    query: dict[str, Any] = {"count": 4, "seed": 1, "around": "1000.1"}
    apart = []
    for spread in (0, 0.3, 1):
        samples = client.get("/v1/samples", params={**query, "spread": spread}, headers=IN_JSON).json()["samples"]
        apart.append(np.mean([sample["nearest"]["distance"] for sample in samples]))
    assert apart[0] == pytest.approx(0, abs=1e-5)
    assert apart[0] < apart[1] < apart[2]


def test_samples_of_an_empty_catalogue(client: TestClient, memory_engine: Engine) -> None:
    """Where there are no shoes there is nothing to sample, and nothing is nearest."""
    memory_engine.store.delete([item.id for item in memory_engine.page(100).items])
    check_problem(client.get("/v1/samples"), 422, "count")


def test_swap_takes_one_slice(client: TestClient, memory_engine: Engine) -> None:
    """A swap draws the shoe's vector with the other's slice in it, and what follows; both shoes stay as they are."""
    before = memory_engine.store.vector("1000.1").copy()
    other = memory_engine.store.vector("1000.2")
    response = client.get("/v1/swaps", params={"item": "1000.1", "condition": "closure", "of": "1000.2"})
    vector = memory_engine.swap("1000.1", "closure", "1000.2")
    np.testing.assert_allclose(vector[0, 3:5], other[3:5], rtol=1e-6)
    np.testing.assert_allclose(vector[0], before + memory_engine.sampler.follow(other[3:5] - before[3:5], 3, 5))
    assert response.content == to_png(memory_engine.draw(vector)[0])
    np.testing.assert_array_equal(memory_engine.store.vector("1000.1"), before)


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/v1/interpolations?from=1000.1&to=1000.2&steps=1", 422, "steps"),
        ("/v1/interpolations?from=1000.1&to=1000.2&steps=17", 422, "steps"),
        ("/v1/interpolations?from=1000.1", 422, "to"),
        ("/v1/interpolations?from=1000.1&to=nope", 404, None),
        ("/v1/swaps?item=1000.1&condition=overall&of=1000.2", 422, "condition"),
        ("/v1/swaps?item=1000.1&condition=closure&of=nope", 404, None),
        ("/v1/swaps?item=1000.1&condition=closure&of=1000.2&x=1", 422, "x"),
        ("/v1/samples?count=0", 422, "count"),
        ("/v1/samples?count=25", 422, "count"),
        ("/v1/samples?seed=-1", 422, "seed"),
        ("/v1/samples?around=1000.1&spread=1.5", 422, "spread"),
        ("/v1/samples?around=nope", 404, None),
    ],
)
def test_refused_drawings(client: TestClient, path: str, status: int, field: str | None) -> None:
    """A drawing of what is not there, or out of range, is refused."""
    check_problem(client.get(path), status, field)


def test_reconstruction_of_a_vector(client: TestClient) -> None:
    """A shoe's vector decodes to the shoe's reconstruction; a vector of another size is refused."""
    vector = client.get("/v1/items/1000.1").json()["vector"]
    response = client.post("/v1/reconstructions/vector", json={"vector": vector})
    assert response.headers["content-type"] == "image/png"
    assert response.headers["cache-control"] == "no-store"
    assert response.content == client.get("/v1/items/1000.1/reconstruction").content
    check_problem(client.post("/v1/reconstructions/vector", json={"vector": [0.0] * 7}), 422, "vector")
