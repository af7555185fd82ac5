"""How the service tells how it is."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from service.serving.engine import Engine
from service.store.base import Hit
from tests.support.problems import check_problem


def test_health(client: TestClient) -> None:
    """A process that answers is healthy."""
    assert client.get("/healthz").json() == {"status": "ok"}


def test_ready(client: TestClient) -> None:
    """A service whose network and store answer is ready."""
    assert client.get("/readyz").json() == {"status": "ready"}


def test_not_ready_with_a_changed_network(
    client: TestClient, memory_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that gives another vector than at the start makes the service not ready, and says no more."""
    for wrong in (0.5, np.nan):
        vector = np.full((1, 8), wrong, np.float32)
        monkeypatch.setattr(memory_engine.embedder, "embed_pixels", lambda pixels, vector=vector: vector)
        assert "log" in check_problem(client.get("/readyz"), 503)["detail"]


def test_not_ready_with_a_broken_store(
    client: TestClient, memory_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that finds nothing in a catalogue that has shoes makes the service not ready."""
    found: list[list[Hit]] = [[]]
    monkeypatch.setattr(memory_engine.store, "search", lambda *args, **options: found)
    check_problem(client.get("/readyz"), 503)


def test_not_ready_while_ending(client: TestClient) -> None:
    """A service that is about to end is not ready any more, and still alive."""
    client.app_state["live"].draining = True
    check_problem(client.get("/readyz"), 503)
    assert client.get("/healthz").status_code == 200
    assert client.get("/v1/info").status_code == 200


def test_ready_with_an_empty_catalogue(client: TestClient, memory_engine: Engine) -> None:
    """A catalogue without a shoe is served as it is."""
    memory_engine.store.delete([item.id for item in memory_engine.page(100).items])
    assert client.get("/readyz").status_code == 200
    assert client.get("/v1/items").json()["items"] == []


def test_info(client: TestClient) -> None:
    """The service tells what it serves and what a request may ask for."""
    info = client.get("/v1/info").json()
    assert info["name"] == "solemate"
    assert info["checkpoint"] == {
        "digest": "0123456789abcdef" * 4,
        "image_size": 16,
        "channels": 3,
        "latent_size": 8,
        "subjects": False,
        "runtime": "torch",
    }
    assert info["catalog"] == {"fingerprint": "catalog-1", "count": 12, "index": "exact", "recall": None}
    assert info["conditions"] == ["overall", "category", "closure"]
    assert info["slices"] == {"category": [0, 3], "closure": [3, 5], "free": [5, 8]}
    assert set(info["attributes"]) == {"Category", "SubCategory", "Closure", "Gender", "Brand"}
    assert info["limits"]["max_k"] == 10
    assert info["limits"]["max_upload_bytes"] == 100_000
    assert "JPEG" in info["limits"]["formats"]


def test_record_of_the_training(
    client: TestClient, memory_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint's card, epochs and evaluation are told where its folder has them, and nothing that it has not."""
    monkeypatch.chdir(tmp_path)  # where the checkpoint's folder lies by default
    digest = memory_engine.network.digest
    nothing: dict[str, object] = {"checkpoint": digest, "card": None, "history": [], "evaluation": None}
    assert client.get("/v1/checkpoint").json() == nothing
    folder = client.app_state["settings"].checkpoint
    folder.mkdir(parents=True)
    (folder / "README.md").write_text(f"digest: {digest}")
    row = {"slice": "heel", "attribute": "HeelHeight", "triplet_accuracy": None, "recall": {"1": 0.5}, "queries": 4}
    metrics: dict[str, Any] = {
        "checkpoint": digest,
        "history": [{"epoch": 1, "seconds": 2.0, "training": {"loss": 0.5}, "validation": {"mse": 0.25}}],
        "evaluation": {"shoes": 4, "rows": [row]},
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    del row["queries"]
    record = client.get("/v1/checkpoint").json()
    assert record["card"] == f"digest: {digest}"
    assert record["history"] == [{"epoch": 1, "training": {"loss": 0.5}, "validation": {"mse": 0.25}}]
    assert record["evaluation"] == {"shoes": 4, "rows": [row]}
    row["recall"], metrics["history"][0]["validation"] = {"1": math.nan}, {"mse": math.inf}  # of a diverged training
    (folder / "metrics.json").write_text(json.dumps(metrics))
    record = client.get("/v1/checkpoint").json()
    assert record["history"][0]["validation"] == {"mse": None}
    assert record["evaluation"]["rows"][0]["recall"] == {"1": None}
    (folder / "metrics.json").write_text(json.dumps({**metrics, "history": "none"}))
    assert client.get("/v1/checkpoint").json() == {**nothing, "card": f"digest: {digest}"}
