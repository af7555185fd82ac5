"""The Python clients against a service that runs: every operation, and what only a real one can show."""

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest
from PIL import Image

from solemate.client import (
    AsyncClient,
    Client,
    Conflict,
    InvalidRequest,
    NewItem,
    NotAllowed,
    NotFound,
    Picture,
    models,
)
from solemate.client.calls import Operation
from solemate.client.operations import Operations
from tests.conftest import COUNT
from tests.e2e.conftest import ADMIN_KEY
from tests.support.server import Artifacts
from tests.support.stack import draw_shoe

SHOE = "1001.2"
"""The shoe that `draw_shoe(3)` draws."""


@pytest.fixture
def client(live_server: str) -> Iterator[Client]:
    """A client of the shared service, which is only read."""
    with Client(live_server) as client:
        yield client


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture of `SHOE`."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(draw_shoe(3))
    return path


def size_of(content: bytes) -> tuple[int, int]:
    """Width and height of a picture's file."""
    return Image.open(io.BytesIO(content)).size


def test_every_operation_of_the_description(live_server: str) -> None:
    """There is a method for each operation that the service describes, and for the metrics."""
    described = httpx2.get(f"{live_server}/openapi.json").json()["paths"]
    expected = {(method.upper(), path) for path, methods in described.items() for method in methods}
    known = [each for each in vars(Operations).values() if isinstance(each, Operation)]
    assert {(each.method, each.path) for each in known} >= expected | {("GET", "/metrics")}


def test_names_as_in_the_description(live_server: str) -> None:
    """Every field of an answer that the service describes is an attribute of the client's."""
    described = httpx2.get(f"{live_server}/openapi.json").json()["components"]["schemas"]
    for name, schema in described.items():
        if (model := getattr(models, name, None)) is not None:
            fields = {field.alias or given for given, field in model.model_fields.items()}
            assert fields >= schema["properties"].keys(), name


def test_every_form_of_a_picture(client: Client, photo: Path) -> None:
    """Path, bytes, Pillow image and array find the same shoe."""
    image = Image.open(photo)
    forms: list[Picture] = [photo, str(photo), photo.read_bytes(), image, np.asarray(image)]
    for form in forms:
        assert client.search(form, k=1).hits[0].id == SHOE


def test_searching(client: Client, photo: Path) -> None:
    """By picture, vector, shoe and examples, with options of each kind."""
    found = client.search(photo, k=3, filter=["Gender:Women"], facets=True, fields=["Gender"], condition="category")
    assert found.total is not None
    assert all(hit.attributes == {"Gender": ["Women"]} for hit in found.hits)
    (embedding,) = client.embed(photo).embeddings
    assert embedding.filename == "photo.jpg"
    nearest = client.search_vector(embedding.vector, k=2, exclude=[SHOE]).hits
    assert SHOE not in [hit.id for hit in nearest]
    assert client.search_vector(np.array(embedding.vector), k=1).hits[0].id == SHOE
    other = nearest[0].id
    assert len(client.similar(SHOE, k=4, diversity=0.5).hits) == 4
    assert client.recommend([SHOE, embedding.vector], [other], k=2).hits
    assert client.recommend_pictures([photo], like=[SHOE], unlike=[other], k=2, filter="Gender:Men").hits
    one, wrong = client.search_batch([{"item": SHOE, "k": 2}, {"item": "none"}]).results
    assert isinstance(one, models.SearchAnswer)
    assert [hit.id for hit in one.hits] == [hit.id for hit in client.similar(SHOE, k=2).hits]
    assert isinstance(wrong, models.Problem)
    assert len(client.search_pictures([photo, photo], k=1).results) == 2
    assert client.search(photo, crop=(0, 0, 1, 0.9), rotate=3, subject="whole", k=1).subject is None


def test_catalogue(client: Client) -> None:
    """The whole catalogue is iterated over, in pages, and each shoe is found again."""
    items = list(client.iterate_items(limit=7))
    assert len({item.id for item in items}) == client.items().total == COUNT
    assert client.item(items[0].id).attributes == items[0].attributes
    facets = client.facets(filter="Category:Boots")
    assert {value.value for value in facets.facets["Category"]} == {"Boots"}
    assert client.items_by_id([SHOE, "none", "1000.1"]).missing == ["none"]
    some = {"ids": [SHOE, "1000.1", *(f"none-{number}" for number in range(9_000))]}
    assert {item.id for item in client.iterate_query_items(some, limit=1)} == {SHOE, "1000.1"}
    assert client.query_facets(some).total == 2
    assert [hit.id for hit in client.recommend([SHOE], filter=some).hits] == ["1000.1"]
    alike = client.explain(SHOE, "1000.1")
    assert (alike.item.id, alike.other.id) == (SHOE, "1000.1")
    assert sum(each.share for each in alike.conditions) == pytest.approx(1)
    assert len(list(client.iterate_similar(SHOE, k=10))) == COUNT - 1


def test_pictures(client: Client, photo: Path, artifacts: Artifacts) -> None:
    """Pictures come as the bytes of their files."""
    vector = client.item(SHOE).vector
    assert client.image(SHOE) == next(artifacts.demo.rglob(f"{SHOE}.jpg")).read_bytes()
    for drawn in (client.reconstruction(SHOE), client.reconstruct(photo), client.reconstruct_vector(vector)):
        assert size_of(drawn) == (16, 16)
    assert size_of(client.interpolate(SHOE, "1000.1", steps=3))[0] > 32
    assert size_of(client.swap(SHOE, "closure", "1000.1")) == (16, 16)
    drawn_on_the_way = client.interpolation(SHOE, "1000.1", steps=3).steps
    assert [(step.position, size_of(step.png)) for step in drawn_on_the_way] == [(at, (16, 16)) for at in (0, 0.5, 1)]
    swapped = client.swapped(SHOE, "closure", "1000.1")
    assert swapped.before.nearest is not None
    assert swapped.before.nearest.id == SHOE
    made = client.samples(count=2, around=SHOE, spread=0)
    assert [each.nearest and each.nearest.id for each in made.samples] == [SHOE] * 2
    assert client.samples(count=2, seed=5).samples == client.samples(count=2, seed=5).samples
    assert size_of(client.subject(photo).cutout_png) == size_of(client.cut_out(photo))


def test_service_itself(client: Client) -> None:
    """What it is, how it is, and its metrics."""
    info = client.info()
    assert info.catalog.count == COUNT
    assert info.checkpoint.latent_size == len(client.item(SHOE).vector)
    assert (client.health().status, client.readiness().status) == ("ok", "ready")
    assert "solemate_" in client.metrics()


def test_refusals(client: Client, tmp_path: Path) -> None:
    """The service's own words, and the parameter at fault, are in the exception."""
    with pytest.raises(NotFound, match="no-such-shoe") as missing:
        client.item("no-such-shoe")
    assert missing.value.problem.type == "urn:solemate:unknown-item"
    assert missing.value.request_id
    with pytest.raises(InvalidRequest) as wrong:
        client.similar(SHOE, filter="Colour:red")
    assert wrong.value.problem.field == "filter"
    with pytest.raises(InvalidRequest, match="415"):
        client.search(b"no picture")
    with pytest.raises(NotAllowed):
        client.delete_item(SHOE)


def test_asynchronous(live_server: str, photo: Path) -> None:
    """The asynchronous client does the same, several requests at once."""

    async def ask() -> None:
        async with AsyncClient(live_server) as client:
            answers = await asyncio.gather(*(client.search(photo, k=1) for _ in range(4)))
            assert [each.hits[0].id for each in answers] == [SHOE] * 4
            assert len([item.id async for item in client.iterate_items(limit=15)]) == COUNT

    asyncio.run(ask())


def test_changes(changing: str, photo: Path) -> None:
    """A shoe is added, found, patched, replaced and removed; a batch tells of each of its shoes."""
    with Client(changing, api_key=ADMIN_KEY) as client:
        made = client.create_item("new", photo, {"Gender": ["Women", "Men"]})
        assert client.search(photo, k=2, exclude=[SHOE]).hits[0].id == made.id == "new"
        with pytest.raises(Conflict):
            client.create_item("new", photo)
        assert client.patch_item("new", {"Gender": None, "Brand": ["Ana"]}).attributes == {"Brand": ["Ana"]}
        assert client.replace_item("new", photo).attributes == {}
        shoes = [NewItem("new", photo), NewItem("newer", photo, {"Brand": ["Bo"]}), NewItem("bad", b"no picture")]
        lines = client.add_items(shoes, replace=False)
        assert [line.status for line in lines] == [409, 201, 415]
        assert lines[2].problem is not None
        assert [line.status for line in client.add_items(shoes[:2])] == [200, 200]
        for added in ("new", "newer"):
            client.delete_item(added)
        assert client.items().total == COUNT
        assert client.reload().workers[0].shoes == COUNT
