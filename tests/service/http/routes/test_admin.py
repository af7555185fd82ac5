"""Changing what is served, over HTTP."""

from collections.abc import Iterator
from unittest import mock

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from model.errors import ArtifactCorrupt
from service.serving.engine import Engine
from service.settings import Settings
from tests.support.app import make_app
from tests.support.problems import check_problem

READER = {"x-api-key": "a-key-that-may-read-only"}
ADMIN = {"x-api-key": "a-key-that-may-change-all"}
KEYS = f"shop:read:{READER['x-api-key']} operators:admin:{ADMIN['x-api-key']}"


@pytest.fixture
def guarded(memory_engine: Engine, settings: Settings) -> Iterator[TestClient]:
    """A service with a key to read and a key to change."""
    keyed = settings.model_copy(update={"api_keys": SecretStr(KEYS)})
    with TestClient(make_app(keyed, memory_engine)) as client:
        yield client


def test_reload(guarded: TestClient) -> None:
    """A reload tells what each process serves from now on, and the service answers as before."""
    response = guarded.post("/v1/admin/reload", headers=ADMIN)
    assert response.status_code == 200
    (worker,) = response.json()["workers"]
    assert (
        worker.items() >= {"worker": 0, "checkpoint": "0123456789abcdef", "catalog": "catalog-1", "shoes": 12}.items()
    )
    assert worker["seconds"] >= 0
    assert guarded.get("/readyz").status_code == 200
    assert guarded.get("/v1/items/1000.1/similar", headers=READER).status_code == 200


def test_refused_reload(guarded: TestClient) -> None:
    """A reload that fails is a conflict that tells an admin why, paths and all; the service answers as before."""
    with mock.patch("tests.support.app.Backend", side_effect=ArtifactCorrupt("/srv/checkpoint fails its digest")):
        response = guarded.post("/v1/admin/reload", headers=ADMIN)
    assert response.status_code == 409
    assert response.json()["type"] == "urn:solemate:reload-refused"
    assert response.json()["detail"].endswith("worker 0: /srv/checkpoint fails its digest")
    assert guarded.get("/v1/items/1000.1/similar", headers=READER).status_code == 200


def test_nothing_to_choose(guarded: TestClient) -> None:
    """A reload takes no parameters: what is loaded is the settings', and no client's."""
    check_problem(guarded.post("/v1/admin/reload", headers=ADMIN, params={"checkpoint": "/tmp"}), 422, "checkpoint")
