"""From pictures on disk to answers over HTTP, by the commands that a user types."""

import http.client
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx2
import numpy as np
import pytest

from model.catalog import read_catalog
from model.checkpoint import load_checkpoint
from model.embedder import Embedder
from service.cli.main import main
from service.store.base import iterate_items
from service.store.embedded.store import EmbeddedStore
from tests.support.commands import run_main
from tests.support.forking import fork_command, wait_for_end
from tests.support.problems import check_problem
from tests.support.server import Artifacts, Server, index_arguments
from tests.support.stack import draw_catalog, draw_shoe, make_checkpoint
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def server(artifacts: Artifacts) -> Iterator[Server]:
    """That catalogue, served from its own folder by two workers."""
    server = Server(artifacts, cwd=artifacts.demo, SOLEMATE_WORKERS="2")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def live_server(server: Server) -> str:
    """The address of that server."""
    return server.url


@pytest.fixture
def client(live_server: str) -> Iterator[httpx2.Client]:
    """Speaks to the live server."""
    with httpx2.Client(base_url=live_server, timeout=120) as client:
        yield client


def ids_and_vectors(catalog: Path) -> dict[str, np.ndarray]:
    """Everything in an indexed catalogue."""
    with closing(EmbeddedStore.open(catalog)) as store:
        return {item.id: store.vector(item.id) for item in iterate_items(store)}


def test_start_says_where_and_how(server: Server) -> None:
    """The last lines of the start are the page's address, and a curl that works as it stands."""
    assert server.lines[0] == f"solemate serves 40 shoes on {server.url}"
    assert server.url.startswith("http://127.0.0.1:")
    command = server.lines[1].removeprefix("try:  ")
    words = shlex.split(command)
    assert words[:2] == ["curl", "-F"]
    assert words[2] == "image=@ut-zap50k-images/Shoes/Heels/Ana/1000.1.jpg"
    assert words[3] == f"{server.url}/v1/search?k=5"


def test_printed_curl_works(server: Server, artifacts: Artifacts) -> None:
    """Pasted into a shell in the same folder, the example answers with its own shoe."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    command = server.lines[1].removeprefix("try:  ") + " --silent --fail"
    done = subprocess.run(command, shell=True, cwd=artifacts.demo, capture_output=True, text=True, check=True)
    assert '"1000.1"' in done.stdout


def test_same_vector_on_both_sides(client: httpx2.Client, artifacts: Artifacts) -> None:
    """The index builder and the service give a picture the same vector, and each shoe finds itself."""
    for shoe in read_catalog(str(artifacts.demo)).shoes:
        files = {"image": (shoe.image.name, shoe.image.read_bytes())}
        posted = client.post("/v1/embeddings", files=files).json()["embeddings"][0]["vector"]
        indexed = client.get(f"/v1/items/{shoe.id}").json()["vector"]
        np.testing.assert_allclose(posted, indexed, rtol=0, atol=1e-5)
        best = client.post("/v1/search", files=files, params={"k": 1}).json()["hits"][0]
        assert best["id"] == shoe.id
        assert best["distance"] < 1e-4


def test_vector_is_the_embedders(client: httpx2.Client, artifacts: Artifacts) -> None:
    """The service's vector is the checkpoint's mean vector, digit by digit, in every size of request."""
    embedder = Embedder(load_checkpoint(artifacts.checkpoint))
    shoes = [draw_shoe(number, (60, 40)) for number in (100, 101, 102)]
    together = client.post("/v1/embeddings", files=[("image", ("a.jpg", shoe)) for shoe in shoes]).json()
    expected = embedder.embed(shoes)
    received = np.array([each["vector"] for each in together["embeddings"]], dtype=np.float32)
    np.testing.assert_allclose(received, expected, rtol=0, atol=1e-6)
    assert together["checkpoint"] == embedder.checkpoint.digest[:16]


def test_answers_agree_with_numpy(client: httpx2.Client, artifacts: Artifacts) -> None:
    """The nearest shoes and their distances are those that NumPy finds, by the whole vector and by a slice."""
    stored = ids_and_vectors(artifacts.catalog)
    slices = client.get("/v1/info").json()["slices"]
    for condition, (start, stop) in {"overall": (0, 8), **slices}.items():
        query = stored["1003.1"][start:stop]
        expected = sorted(
            (float(np.linalg.norm(vector[start:stop] - query)), item_id)
            for item_id, vector in stored.items()
            if item_id != "1003.1"
        )
        hits = client.get("/v1/items/1003.1/similar", params={"k": 8, "condition": condition}).json()["hits"]
        np.testing.assert_allclose([hit["distance"] for hit in hits], [d for d, _ in expected[:8]], atol=1e-5)


def test_whole_surface_answers(client: httpx2.Client) -> None:
    """Every page and picture of the interface answers on the real stack."""
    for path in (
        *("/", "/docs", "/openapi.json", "/healthz", "/readyz", "/v1/info", "/v1/facets", "/v1/items?limit=3"),
        *("/v1/items/1000.1/image", "/v1/items/1000.1/reconstruction"),
        "/v1/swaps?item=1000.1&condition=closure&of=1000.2",
        "/v1/interpolations?from=1000.1&to=1005.1&steps=4",
    ):
        assert client.get(path).status_code == 200, path
    drawn = client.post("/v1/reconstructions", files={"image": ("a.jpg", draw_shoe(0))})
    assert drawn.content == client.get("/v1/items/1000.1/reconstruction").content


def test_head_over_a_socket(live_server: str) -> None:
    """HEAD has the headers of GET and no body, and the connection goes on with the next request."""
    host, port = live_server.removeprefix("http://").split(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=60)) as connection:
        for path in ("/", "/healthz", "/v1/items?limit=2", "/v1/items/1000.1/image", "/v1/items/1000.1/reconstruction"):
            answers = []
            for method in ("HEAD", "GET"):
                connection.request(method, path)
                response = connection.getresponse()
                answers.append((response.status, response.headers["content-length"], len(response.read())))
            (asked, asked_length, nothing), (got, length, size) = answers
            assert (asked, asked_length, nothing) == (got, length, 0) == (200, str(size), 0), path


def test_refused_body_over_a_socket(live_server: str) -> None:
    """A body that announces more than is allowed is refused though none of it was sent."""
    host, port = live_server.removeprefix("http://").split(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=60)) as connection:
        connection.putrequest("POST", "/v1/search")
        connection.putheader("content-length", str(10**12))
        connection.putheader("content-type", "multipart/form-data; boundary=x")
        connection.endheaders()
        response = connection.getresponse()
        assert response.status == 413
        assert response.headers["content-type"] == "application/problem+json"


def test_vanished_picture_and_graceful_stop(artifacts: Artifacts, tmp_path: Path) -> None:
    """A picture gone from disk is a 404 and no failure; settings come from the environment; SIGTERM ends it well."""
    moved = replace(artifacts, demo=tmp_path / "demo", catalog=tmp_path / "moved")
    shutil.copytree(artifacts.demo, moved.demo)
    assert run_main(*index_arguments(moved)).status == 0
    server = Server(moved, SOLEMATE_MAX_K="7")
    try:
        next(moved.demo.rglob("1000.1.jpg")).unlink()
        check_problem(httpx2.get(f"{server.url}/v1/items/1000.1/image"), 404)
        assert httpx2.get(f"{server.url}/v1/items/1000.1").status_code == 200
        problem = httpx2.get(f"{server.url}/v1/items/1000.1/similar", params={"k": 8})
        assert "1 to 7" in check_problem(problem, 422, "k")["detail"]
    finally:
        status = server.stop()
    assert status == 0
    log = "".join(server.log)
    assert "Traceback" not in log
    assert "max_k=7" in log
    assert "shutdown complete" in log


def count_stored(catalog: Path) -> int:
    """Acknowledged shoes in a store that another process writes."""
    try:
        with closing(sqlite3.connect(f"file:{catalog / 'catalog.sqlite'}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM shoes").fetchone()[0])
    except sqlite3.Error:
        return 0


def wait_until_stored(artifacts: Artifacts, process: BaseProcess, count: int) -> int:
    """Wait until so many shoes are acknowledged, while the process still runs; returns how many are."""
    wait_until(lambda: count_stored(artifacts.catalog) >= count or not process.is_alive(), every=0.002)
    assert process.is_alive()
    return count_stored(artifacts.catalog)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_index_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    """A signal ends an indexing with its usual status and a hint; nothing that was embedded is embedded again."""
    count = 600
    artifacts = Artifacts(draw_catalog(tmp_path / "demo", count), tmp_path / "checkpoint", tmp_path / "catalog")
    make_checkpoint(artifacts.checkpoint)
    log = tmp_path / "log"
    process = fork_command(main, *index_arguments(artifacts, "--batch-size", "2"), log=log)
    wait_until_stored(artifacts, process, 20)
    assert process.pid is not None
    os.kill(process.pid, number)
    assert wait_for_end(process) == 128 + number
    error = log.read_text()
    assert "the same command goes on from here" in error
    assert "Traceback" not in error
    assert not (artifacts.catalog / "catalog.sqlite-wal").exists()  # the store was closed
    stored = count_stored(artifacts.catalog)
    assert 20 <= stored < count
    done = run_main(*index_arguments(artifacts))
    assert f" {count - stored} embedded, {stored} were there" in done.output


def test_parts_are_indexed_at_once(tmp_path: Path) -> None:
    """Three processes fill one store side by side, with the vectors that one alone would have made."""
    count = 90
    artifacts = Artifacts(draw_catalog(tmp_path / "demo", count), tmp_path / "checkpoint", tmp_path / "catalog")
    make_checkpoint(artifacts.checkpoint)
    logs = [tmp_path / f"log-{part}" for part in (1, 2, 3)]
    parts = [
        fork_command(main, *index_arguments(artifacts, "--batch-size", "4", "--shard", f"{part}/3"), log=log)
        for part, log in enumerate(logs, 1)
    ]
    for process, log in zip(parts, logs, strict=True):
        assert wait_for_end(process) == 0, log.read_text()
    alone = replace(artifacts, catalog=tmp_path / "alone")
    assert run_main(*index_arguments(alone)).status == 0
    together, expected = ids_and_vectors(artifacts.catalog), ids_and_vectors(alone.catalog)
    assert together.keys() == expected.keys()
    for item_id, vector in expected.items():
        np.testing.assert_allclose(together[item_id], vector, rtol=0, atol=1e-5)
    assert f"0 embedded, {count} were there" in run_main(*index_arguments(artifacts)).output


def test_killed_index_goes_on(tmp_path: Path) -> None:
    """Kill -9 in the middle loses nothing that was acknowledged and tears nothing; the next run does only the rest."""
    count = 400
    artifacts = Artifacts(draw_catalog(tmp_path / "demo", count), tmp_path / "checkpoint", tmp_path / "catalog")
    make_checkpoint(artifacts.checkpoint)
    process = fork_command(main, *index_arguments(artifacts, "--batch-size", "2"), log=tmp_path / "log")
    stored = wait_until_stored(artifacts, process, 20)
    process.kill()
    assert wait_for_end(process) == -signal.SIGKILL
    survived = ids_and_vectors(artifacts.catalog)
    assert stored <= len(survived) < count

    done = run_main(*index_arguments(artifacts))
    assert done.status == 0, done.error
    embedded = int(done.output.split(": ")[1].split()[0])
    assert count - len(survived) <= embedded <= count - len(survived) + 2
    after = ids_and_vectors(artifacts.catalog)
    assert len(after) == count
    for item_id, vector in survived.items():
        np.testing.assert_allclose(vector, after[item_id], rtol=0, atol=1e-5)
