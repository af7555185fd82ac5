"""Every error is a problem, and none tells of the inside."""

import logging
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.responses import StreamingResponse
from starlette.testclient import TestClient

from model import errors as model_errors
from model.errors import ArtifactCorrupt, ImageError, QueryError
from service import errors as service_errors
from service.http.problems import PROBLEMS
from service.serving.engine import Engine
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

    monkeypatch.setattr(memory_engine.store, "get", fail)
    with caplog.at_level(logging.ERROR):
        response = client.get("/v1/items/1000.1")
    detail = check_problem(response, 500)["detail"]
    assert "secret" not in response.text
    number = detail.rpartition(" ")[2]
    assert number in caplog.text
    assert "secret /tmp/path" in caplog.text
    assert response.headers["x-content-type-options"] == "nosniff"


def test_error_after_the_answer_began(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """An error in the middle of an answer is logged and cuts it; a second answer never follows the first."""
    app = client.app
    assert isinstance(app, FastAPI)

    async def broken() -> StreamingResponse:
        async def content() -> Any:
            yield b"begun"
            raise RuntimeError("in the middle")

        return StreamingResponse(content())

    app.add_api_route("/broken", broken)
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


def test_many_faults_are_counted(client: TestClient) -> None:
    """Of many faults the first few are told, and the rest counted."""
    problem = check_problem(client.post("/v1/search/vector", json={"vector": ["x"] * 8}), 422, "vector")
    assert "vector.0" in problem["detail"]
    assert "and 5 more" in problem["detail"]


def test_table_covers_clients_errors() -> None:
    """Clients are told the messages that are meant for them, and of the hierarchy no others."""
    errors = {getattr(module, name) for module in (model_errors, service_errors) for name in module.__all__}
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
