"""Every error is a problem, and none tells of the inside; a path with a slash too many or too few leads on."""

import logging
from typing import Any
from urllib.parse import urljoin

import pytest
from starlette.responses import StreamingResponse
from starlette.testclient import TestClient

from model import errors as model_errors
from model.errors import ArtifactCorrupt, ImageError, QueryError
from service import errors as service_errors
from service.http.problems import PROBLEMS
from service.serving.engine import Engine
from service.settings import Settings
from tests.support.app import make_app
from tests.support.problems import check_problem


def test_unknown_path(client: TestClient) -> None:
    """A path that is not there is a 404 problem that says where the paths are."""
    assert "/docs" in check_problem(client.get("/v2/search"), 404)["detail"]
    check_problem(client.get("/web/nothing.js"), 404)
    assert client.get("/web/%2e%2e/schemas.py").status_code == 404


def test_wrong_method(client: TestClient) -> None:
    """A method that a path does not take is a 405 problem that names those it does."""
    response = client.get("/v1/search")
    assert "POST" in check_problem(response, 405)["detail"]
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("error", [RuntimeError("secret /tmp/path"), ArtifactCorrupt("secret /tmp/path")])
def test_unexpected_error_is_logged_under_a_number(
    client: TestClient,
    memory_engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    """What nobody foresaw is a 500 that tells only a number, under which the log has the trace."""

    def fail(*args: Any) -> Any:
        raise error

    monkeypatch.setattr(memory_engine.store, "record", fail)
    with caplog.at_level(logging.ERROR):
        response = client.get("/v1/items/1000.1")
    detail = check_problem(response, 500)["detail"]
    assert "secret" not in response.text
    number = detail.rpartition(" ")[2]
    assert number in caplog.text
    assert "secret /tmp/path" in caplog.text
    assert response.headers["x-content-type-options"] == "nosniff"


def test_error_after_the_answer_began(
    memory_engine: Engine, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """An error in the middle of an answer is logged and cuts it; a second answer never follows the first."""
    app = make_app(settings, memory_engine)

    async def broken() -> StreamingResponse:
        async def content() -> Any:
            yield b"begun"
            raise RuntimeError("in the middle")

        return StreamingResponse(content())

    app.add_api_route("/broken", broken)
    with TestClient(app, raise_server_exceptions=False) as client:
        response = client.get("/broken")
    assert response.status_code == 200
    assert response.content == b"begun"
    assert "in the middle" in caplog.text


def test_long_values_are_cut(client: TestClient) -> None:
    """A value echoed in a problem is cut to a readable length."""
    problem = check_problem(client.get("/v1/items", params={"limit": "x" * 5000}), 422, "limit")
    assert len(problem["detail"]) < 300
    problem = check_problem(client.get("/v1/items", params={"y" * 5000: "1"}), 422, "y" * 80)
    assert len(problem["detail"]) < 300


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("search/vector", {"vector": [0.0] * 8, "\x01" * 5000: 1}),
        ("search/vector", {"vector": [0.0] * 8, "condition": "\x01" * 5000 + ":1"}),
        ("search/vector", {"vector": [0.0] * 8, "condition": ",".join(["\x01" * 2500 + ":1"] * 2)}),
        ("search/vector", {"vector": [0.0] * 8, "fields": ["\x01" * 5000]}),
        ("items:query", {"filter": ["\x01" * 5000]}),
        ("recommendations", {"positive": ["\x01" * 5000]}),
    ],
)
def test_long_values_in_bodies_are_cut(client: TestClient, path: str, body: dict[str, Any]) -> None:
    """Wherever a text of a client's is repeated, whatever it consists of."""
    answer = client.post(f"/v1/{path}", json=body)
    assert answer.status_code in {404, 422}
    assert len(answer.content) < 2000


def test_many_faults_are_counted(client: TestClient) -> None:
    """Of many faults the first few are told, and the rest counted."""
    body = {"vector": ["x"] * 8, "k": "x", "facets": "x", "limit": "x", "colour": "x"}
    problem = check_problem(client.post("/v1/search/vector", json=body), 422, "k")
    assert problem["detail"].count("Input should be") == 3
    assert "and 2 more" in problem["detail"]


def test_table_covers_clients_errors() -> None:
    """Clients are told the messages that are meant for them, and of the hierarchy no others."""
    errors = {
        error
        for module in (model_errors, service_errors)
        for error in vars(module).values()
        if isinstance(error, type) and error.__module__ == module.__name__
    }
    leaves = {error for error in errors if not error.__subclasses__()}
    told = (
        ImageError,
        QueryError,
        service_errors.CatalogueChanged,
        service_errors.UnknownItem,
        service_errors.ItemExists,
        service_errors.PictureMissing,
        service_errors.MapMissing,
        service_errors.Overloaded,
    )
    tells = {error for error in leaves if error in PROBLEMS and PROBLEMS[error].detail is None}
    assert tells == {error for error in leaves if issubclass(error, told)}


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("/v1/search/", "/v1/search"),
        ("/v1/items:batch/", "/v1/items:batch"),
        ("/v1/items/a%20b/?x=1&y=%20", "/v1/items/a%20b?x=1&y=%20"),
        ("/web", "/web/"),
    ],
)
def test_slash_at_the_end(client: TestClient, asked: str, meant: str) -> None:
    """A client is sent to the path that is there, by a relative reference, which is right behind any proxy."""
    response = client.request("POST", asked, follow_redirects=False)
    assert response.status_code == 307
    location = response.headers["location"]
    assert not location.startswith(("/", "http"))
    for base in ("http://shoes", "https://shop.example/shoes"):
        assert urljoin(base + asked, location) == base + meant


@pytest.mark.parametrize("path", ["/v1/search//", "/v2/", "/v1/info//", "/nothing", "/web//evil.example"])
def test_other_paths_are_not_redirected(client: TestClient, path: str) -> None:
    """Where neither is there, the answer is a 404."""
    check_problem(client.get(path, follow_redirects=False), 404)


def test_all_methods_of_a_path(client: TestClient) -> None:
    """A wrong method is told all right ones, whichever routes they belong to."""
    assert client.request("BREW", "/v1/items").headers["allow"] == "GET, POST, HEAD"
    assert client.delete("/web/main.js").headers["allow"] == "GET, HEAD"
