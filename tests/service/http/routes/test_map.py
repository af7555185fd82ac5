"""The map over HTTP."""

import io
import shutil
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from service.catalog.map_files import FOLDER
from service.serving.engine import Engine
from tests.support.problems import check_problem


def test_map_of_the_catalogue(client: TestClient, memory_engine: Engine) -> None:
    """The facts tell of tiles that together have every shoe once, with places, colours and pictures."""
    facts = client.get("/v1/map").json()
    assert (facts["items"], facts["tiles"], facts["tile_items"], facts["thumbnail"]) == (12, 1, 4096, 24)
    assert not facts["stale"]
    tile = client.get("/v1/map/tiles/0").json()
    assert tile["ids"] == [item.id for item in memory_engine.page(100).items]
    assert all(0 <= number <= 65_535 for number in (*tile["x"], *tile["y"]))
    assert set(facts["attributes"]) == tile["values"].keys() == tile["legend"].keys()
    place = tile["values"]["Category"][3]
    assert tile["legend"]["Category"][place] == memory_engine.item(tile["ids"][3])[0].attributes["Category"][0]
    atlas = Image.open(io.BytesIO(client.get("/v1/map/atlas/0").content))
    assert (atlas.format, atlas.size) == ("JPEG", (64 * 24, 24))


def test_map_after_a_change(client: TestClient, memory_engine: Engine) -> None:
    """A map of a catalogue that has changed since says so."""
    memory_engine.store.delete(["1000.1"])
    assert client.get("/v1/map").json()["stale"]


@pytest.mark.parametrize("path", ["/v1/map/tiles/0", "/v1/map/atlas/0"])
def test_map_is_not_sent_twice(client: TestClient, path: str) -> None:
    """A tile and an atlas have a strong tag, by which a client is told that it has them."""
    etag = client.get(path).headers["etag"]
    assert not etag.startswith("W/")
    again = client.get(path, headers={"if-none-match": etag})
    assert (again.status_code, again.content) == (304, b"")


def test_tiles_in_gzip(client: TestClient) -> None:
    """A tile comes compressed to who takes it, under a tag of its own, and plain to others."""
    plain = client.get("/v1/map/tiles/0", headers={"accept-encoding": "identity"})
    packed = client.get("/v1/map/tiles/0", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json() == plain.json()
    assert packed.headers["etag"] != plain.headers["etag"]


def test_map_that_is_not_there(client: TestClient, tmp_path: Path) -> None:
    """Where no map was drawn, the answer names the command that draws one; a tile beyond the last is out of range."""
    check_problem(client.get("/v1/map/tiles/1"), 422, "n")
    check_problem(client.get("/v1/map/atlas/-1"), 422, "n")
    shutil.rmtree(tmp_path / FOLDER)
    problem = check_problem(client.get("/v1/map"), 404)
    assert "service map" in problem["detail"]
