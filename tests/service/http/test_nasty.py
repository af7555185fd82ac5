"""Nasty pictures and bodies over HTTP: a client's mistake is never the service's failure."""

from collections.abc import Iterator

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from service.serving.engine import Engine, Network
from service.settings import Settings
from tests.support.app import make_app
from tests.support.bodies import CONTENT_TYPE, form, image, part
from tests.support.fakes import DIGEST, FakeEmbedder, MemoryStore
from tests.support.nasty import Nasty, collect, truncate
from tests.support.problems import check_problem
from tests.support.stack import draw_shoe

CORPUS = {**collect(bombs_too=False), **dict(truncate(8192))}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Speaks to a service with the limits that it has by default."""
    folder = tmp_path_factory.mktemp("nasty")
    engine = Engine(FakeEmbedder(), MemoryStore(folder), Network(DIGEST), folder, Settings())
    with TestClient(make_app(Settings(), engine), raise_server_exceptions=False) as client:
        yield client


def check_answer(response: httpx2.Response, nasty: Nasty) -> None:
    """Assert that it is one that the corpus allows."""
    assert response.status_code in nasty.statuses, response.text
    if response.status_code != 200:
        check_problem(response, response.status_code)


@pytest.mark.parametrize("name", CORPUS)
def test_nasty_pictures(client: TestClient, name: str) -> None:
    """Each is answered or refused as it should be, as a form's part and as a body, with its own content type."""
    nasty = CORPUS[name]
    files = {"image": ("shoe.jpg", nasty.data, nasty.content_type)}
    check_answer(client.post("/v1/search", files=files), nasty)
    headers = {"content-type": nasty.content_type}
    check_answer(client.post("/v1/reconstructions", content=nasty.data, headers=headers), nasty)


def test_odd_pictures_are_looked_at_rightly(client: TestClient) -> None:
    """What is good though odd has the vector that the library gives it."""
    embedder = FakeEmbedder()
    good = {name: nasty for name, nasty in CORPUS.items() if nasty.statuses == {200}}
    assert len(good) > 20
    for name, nasty in good.items():
        told = client.post("/v1/embeddings", content=nasty.data, headers={"content-type": nasty.content_type}).json()
        expected = embedder.embed_pixels(embedder.preprocessor.decode(nasty.data)[None])[0]
        assert told["embeddings"][0]["vector"] == pytest.approx(expected.tolist(), abs=1e-6), name


SHOE = draw_shoe(1)
PIECES = (
    image(SHOE),
    image(SHOE[:400]),
    image(b""),
    part("k", b"3"),
    part("k", "³".encode()),
    part("condition", b"overall"),
    part("condition", b"\xff\xfe"),
    part("filter", b"Gender:Women"),
    part("filter", b":"),
    part("image", SHOE),
    part("colour", b"red"),
    b"--a-b--\r\n",
    b"\r\n",
    b"\0",
)
TYPES = (
    CONTENT_TYPE,
    "multipart/form-data",
    'multipart/form-data; boundary="',
    "image/jpeg",
    "application/json",
    "\x7f",
)


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(
    path=st.sampled_from(("/v1/search", "/v1/embeddings", "/v1/reconstructions", "/v1/subjects", "/v1/search/vector")),
    content_type=st.sampled_from(TYPES) | st.text(st.characters(max_codepoint=255, exclude_categories=["C"])),
    pieces=st.lists(st.sampled_from(PIECES) | st.binary(max_size=50), max_size=5),
    whole=st.booleans(),
)
def test_any_body_is_answered_or_refused(
    client: TestClient, path: str, content_type: str, pieces: list[bytes], *, whole: bool
) -> None:
    """Forms, what is left of forms, and bytes that are none give an answer or a client's problem, never a 5xx."""
    body = form(*pieces) if whole else b"".join(pieces)
    headers = {b"content-type": content_type.encode("latin-1")}
    response = client.post(path, content=body, headers=headers)
    if response.status_code != 200:
        assert 400 <= response.status_code < 500, response.text
        check_problem(response, response.status_code, response.json().get("field"))
