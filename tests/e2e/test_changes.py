"""A living catalogue, with several processes: an acknowledged change is everywhere, and survives."""

import http.client
import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2
import pytest

from service.catalog.images import Uploads, require_name
from service.store.embedded.store import EmbeddedStore
from tests.support import bodies
from tests.support.commands import Done, run_main
from tests.support.problems import check_problem
from tests.support.scale import LONG
from tests.support.server import Artifacts, Server, index_arguments, serve_in_thread
from tests.support.stack import draw_catalog, draw_shoe, make_checkpoint
from tests.support.waiting import wait_until

KEY = "key-of-the-operators-0123456789"
HEADERS = {"x-api-key": KEY}

WORKERS = 3
CONNECTIONS = 12
"""So many that each of the workers has some of them."""


@dataclass
class Shop:
    """A service of three workers over a catalogue of forty shoes."""

    server: Server
    artifacts: Artifacts

    def connect(self) -> http.client.HTTPConnection:
        """A connection that is kept: to one of the workers."""
        place = urlsplit(self.server.url)
        assert place.hostname is not None
        return http.client.HTTPConnection(place.hostname, place.port, timeout=120)

    def pids(self) -> list[int]:
        """The workers that are ready."""
        response = httpx2.post(f"{self.server.url}/v1/admin/reload", headers=HEADERS, timeout=120)
        return [worker["pid"] for worker in response.json().get("workers", ())]

    def verify(self, *options: str) -> Done:
        """Look the catalogue over."""
        return run_main(
            *("verify", "--index", str(self.artifacts.catalog), "--checkpoint", str(self.artifacts.checkpoint)),
            *("--device", "cpu", "--orphan-seconds", "0", *options),
        )


def form(fields: dict[str, str], image: bytes) -> tuple[bytes, dict[str, str]]:
    """A form with a picture, and the headers to send with it."""
    parts = [bodies.part(name, value.encode()) for name, value in fields.items()]
    return bodies.form(*parts, bodies.image(image)), {"content-type": bodies.CONTENT_TYPE, **HEADERS}


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, Any]:
    """One request over a connection: the status, and the body if it is JSON."""
    connection.request(method, path, body, headers or HEADERS)
    response = connection.getresponse()
    content = response.read()
    is_json = "json" in response.headers.get("content-type", "") and content
    return response.status, json.loads(content) if is_json else content


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One for all tests, each with shoes of its own."""
    folder = tmp_path_factory.mktemp("shop")
    made = Artifacts(draw_catalog(folder / "demo", 40), folder / "checkpoint", folder / "catalog")
    make_checkpoint(made.checkpoint)
    assert run_main(*index_arguments(made)).status == 0
    server = Server(made, SOLEMATE_WORKERS=f"{WORKERS}", SOLEMATE_API_KEYS=f"operators:admin:{KEY}")
    yield Shop(server, made)
    assert server.stop() == 0


def test_every_worker_sees_a_change_at_once(shop: Shop) -> None:
    """What one worker acknowledged is in the very next answer of each, whichever it was: added, patched, deleted."""
    connections = [shop.connect() for _ in range(CONNECTIONS)]
    for number, writer in enumerate(connections):
        item_id, image = f"seen-{number}", draw_shoe(500 + number)
        path = f"/v1/items/{item_id}"
        body, headers = form({"id": item_id, "attributes": '{"Step": ["added"]}'}, image)
        status, told = ask(writer, "POST", "/v1/items", body, headers)
        assert status == 201, told
        for reader in connections:
            search = ask(reader, "POST", "/v1/search?k=1", image, {"content-type": "image/jpeg", **HEADERS})[1]
            assert (search["hits"][0]["id"], search["catalog"]) == (item_id, told["catalog"])
            assert ask(reader, "GET", f"{path}/image")[0] == 200
        assert (
            ask(
                writer,
                "PATCH",
                path,
                b'{"attributes": {"Step": ["patched"]}}',
                {"content-type": "application/json", **HEADERS},
            )[0]
            == 200
        )
        for reader in connections:
            assert ask(reader, "GET", "/v1/items?filter=Step:patched")[1]["items"][0]["id"] == item_id
        assert ask(writer, "DELETE", path)[0] == 204
        for reader in connections:
            assert ask(reader, "GET", path)[0] == 404
    for connection in connections:
        connection.close()


def test_one_of_many_writers_wins(shop: Shop) -> None:
    """Of several clients that add a shoe of one id, over all workers, one does; the others get 409."""

    def race(connection: http.client.HTTPConnection, number: int, item_id: str) -> int:
        body, headers = form({"id": item_id, "attributes": json.dumps({"Winner": [f"{number}"]})}, draw_shoe(number))
        return ask(connection, "POST", "/v1/items", body, headers)[0]

    connections = [shop.connect() for _ in range(CONNECTIONS)]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for attempt in range(5):
            item_id = f"race-{attempt}"
            statuses = list(pool.map(race, connections, range(CONNECTIONS), [item_id] * CONNECTIONS))
            assert sorted(statuses) == [201] + [409] * (CONNECTIONS - 1)
            for connection in connections:
                told = ask(connection, "GET", f"/v1/items/{item_id}")[1]
                assert told["attributes"] == {"Winner": [f"{statuses.index(201)}"]}
    for connection in connections:
        connection.close()
    assert shop.verify().output.endswith("all is well\n")


def test_awkward_ids_over_the_wire(shop: Shop) -> None:
    """An id that looks like an escaped path is one shoe's own, from the form to its picture's link."""
    connection = shop.connect()
    for item_id in ("a%2Fb", "100%", "Größe 42", "..%2f..", "a?b#c"):
        body, headers = form({"id": item_id}, draw_shoe(9))
        status, told = ask(connection, "POST", "/v1/items", body, headers)
        assert (status, told["id"]) == (201, item_id)
        assert ask(connection, "GET", told["image"])[0] == 200
        assert ask(connection, "DELETE", f"/v1/items/{quote(item_id, safe='')}")[0] == 204
    connection.close()


def test_batch_over_the_wire(shop: Shop) -> None:
    """A batch is answered line by line; what its lines say was written is there."""
    parts: list[Any] = []
    for number in range(100):
        parts.append(("item", (None, json.dumps({"id": f"batch-{number}"}))))
        parts.append(("image", ("a.jpg", draw_shoe(number) if number % 10 else b"no picture")))
    lines = []
    with httpx2.stream(
        "POST", f"{shop.server.url}/v1/items:batch", files=parts, headers=HEADERS, timeout=120
    ) as response:
        assert response.status_code == 200
        lines = [json.loads(line) for line in response.iter_lines() if line]
    assert [line["index"] for line in lines] == list(range(100))
    assert [line["status"] for line in lines] == [201 if number % 10 else 415 for number in range(100)]
    page = httpx2.get(f"{shop.server.url}/v1/items?limit=500", headers=HEADERS).json()
    there = {item["id"] for item in page["items"]}
    assert {line["id"] for line in lines if line["status"] == 201} == {name for name in there if "batch-" in name}


def test_a_busy_database(shop: Shop) -> None:
    """While another program holds the catalogue, changes are a 503 that says when to try again; searches go on."""
    settings = {"SOLEMATE_WAIT_SECONDS": "1.5", "SOLEMATE_API_KEYS": f"o:admin:{KEY}"}
    with serve_in_thread(shop.artifacts, **settings) as served:
        url = f"{served}/v1/items"
        with closing(sqlite3.connect(shop.artifacts.catalog / "catalog.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            files = {"image": ("a.jpg", draw_shoe(3))}
            response = httpx2.post(url, data={"id": "busy"}, files=files, headers=HEADERS, timeout=60)
            assert check_problem(response, 503)["type"] == "urn:solemate:store-busy"
            assert int(response.headers["retry-after"]) >= 1
            assert httpx2.post(f"{served}/v1/search", files=files, headers=HEADERS).status_code == 200
            other.execute("ROLLBACK")
        assert httpx2.post(url, data={"id": "busy"}, files=files, headers=HEADERS, timeout=60).status_code == 201


def test_backup_in_use(shop: Shop, tmp_path: Path) -> None:
    """A backup made while shoes are replaced and deleted is whole: every shoe in it has its picture and its vector."""
    over = threading.Event()

    def change(number: int) -> int:
        connection, done = shop.connect(), 0
        while not over.is_set():
            path = f"/v1/items/moving-{number}-{done % 5}"
            assert ask(connection, "PUT", path, *form({}, draw_shoe(done)))[0] in {200, 201}
            if done % 7 == 6:
                ask(connection, "DELETE", path)
            done += 1
        connection.close()
        return done

    with ThreadPoolExecutor(3) as pool:
        changing = [pool.submit(change, number) for number in range(3)]
        try:
            for attempt in range(3):
                to = tmp_path / f"{attempt}"
                done = run_main("backup", str(to), "--index", str(shop.artifacts.catalog))
                assert done.status == 0, done.error
                checked = run_main(
                    *("verify", "--index", str(to), "--checkpoint", str(shop.artifacts.checkpoint)),
                    *("--device", "cpu", "--orphan-seconds", "0"),
                )
                assert checked.status == 0, checked.output
        finally:
            over.set()
        assert all(each.result() > 0 for each in changing)


@pytest.mark.slow
@pytest.mark.timeout(900)  # each worker that is killed loads torch anew
def test_nothing_acknowledged_is_lost(shop: Shop) -> None:
    """Two workers of three are killed (-9) under load: what was acknowledged is there, whole, and nothing in part."""
    acknowledged: dict[str, set[int]] = {}
    over = threading.Event()

    def write(number: int) -> None:
        connection, step = shop.connect(), 0
        while not over.is_set():
            item_id, step = f"kept-{number}-{step % 9}", step + 1
            body, headers = form({"attributes": json.dumps({"Step": [f"{step}"]})}, draw_shoe(step))
            # What is under way when a worker dies may or may not be stored: both are right, until the next answer.
            acknowledged.setdefault(item_id, set()).add(step)
            try:
                status = ask(connection, "PUT", f"/v1/items/{item_id}", body, headers)[0]
            except (OSError, http.client.HTTPException):
                connection.close()
                connection = shop.connect()
                continue
            if status in {200, 201}:
                acknowledged[item_id] = {step}
            else:
                assert status == 503
            time.sleep(0.05)  # else the new workers would hardly come to start
        connection.close()

    with ThreadPoolExecutor(4) as pool:
        writing = [pool.submit(write, number) for number in range(4)]
        try:
            for _ in range(4 if LONG else 1):
                for pid, pause in zip(wait_for_workers(shop)[:2], (0.3, 0.05), strict=True):
                    time.sleep(pause)
                    os.kill(pid, signal.SIGKILL)
            wait_for_workers(shop)
        finally:
            over.set()
        for each in writing:
            each.result()
    with closing(EmbeddedStore.open(shop.artifacts.catalog)) as store:
        uploads = Uploads(shop.artifacts.catalog)
        for item_id, steps in acknowledged.items():
            item = store.get(item_id)
            assert int(item.attributes["Step"][0]) in steps
            assert uploads.locate(item.image).exists()
        named = {require_name(item.image) for item in store.page(limit=10_000).items if item.image.startswith("/")}
    assert named <= set(uploads.names())
    assert shop.verify("--remove-orphans").output.endswith("all is well\n")
    assert set(uploads.names()) == named


def wait_for_workers(shop: Shop) -> list[int]:
    """Once all of them are ready."""
    pids: list[int] = []

    def are_ready() -> bool:
        pids[:] = shop.pids()
        return len(pids) == WORKERS

    wait_until(are_ready, every=1.0)  # each look is a reload of all of them
    return pids
