"""Several processes behind one address: killed, reloaded and stopped while clients are at it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.commands import run_main
from tests.support.load import Load
from tests.support.problems import check_problem
from tests.support.server import Artifacts, Server, environment, index_arguments
from tests.support.stack import draw_catalog, draw_shoe, make_checkpoint

KEY = "key-of-the-operators-0123456789"
HEADERS = {"x-api-key": KEY}


@dataclass
class Crew:
    """A service of two workers, whose artifacts are links that a test can turn."""

    server: Server
    artifacts: Artifacts
    folder: Path

    def load(self, **options: Any) -> Load:
        """Clients at work."""
        return Load(self.server.url, draw_shoe(3), HEADERS, **options)

    def reload(self) -> httpx2.Response:
        """Ask for a reload."""
        return httpx2.post(f"{self.server.url}/v1/admin/reload", headers=HEADERS, timeout=120)

    def pids(self) -> list[int]:
        """The workers that are ready."""
        return [worker["pid"] for worker in self.reload().json()["workers"]]

    def turn(self, checkpoint: Path, catalog: Path) -> None:
        """Let the service find other artifacts, each in one step."""
        for link, target in ((self.artifacts.checkpoint, checkpoint), (self.artifacts.catalog, catalog)):
            fresh = link.with_name("fresh")
            fresh.symlink_to(target)
            fresh.replace(link)

    def make_newer(self, seed: int) -> Artifacts:
        """Another checkpoint, and the catalogue indexed with it."""
        newer = replace(
            self.artifacts, checkpoint=self.folder / f"checkpoint-{seed}", catalog=self.folder / f"catalog-{seed}"
        )
        make_checkpoint(newer.checkpoint, seed=seed)
        assert run_main(*index_arguments(newer)).status == 0
        return newer


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what is to come."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    """Two workers, for all tests that leave them at work."""
    folder = tmp_path_factory.mktemp("crew")
    demo = draw_catalog(folder / "demo", 40)
    made = Artifacts(demo, folder / "checkpoint-0", folder / "catalog-0")
    make_checkpoint(made.checkpoint)
    assert run_main(*index_arguments(made)).status == 0
    linked = Artifacts(demo, folder / "checkpoint", folder / "catalog")
    linked.checkpoint.symlink_to(made.checkpoint)
    linked.catalog.symlink_to(made.catalog)
    server = Server(linked, SOLEMATE_WORKERS="2", SOLEMATE_API_KEYS=f"operators:admin:{KEY}")
    yield Crew(server, linked, folder)
    assert server.stop() == 0


def test_killed_worker_comes_back(crew: Crew) -> None:
    """Kill -9 of a worker costs no more than what it had in hand; the other answers on, and a new one joins it."""
    first, second = crew.pids()
    with crew.load() as load:
        load.wait_for(50)
        os.kill(first, signal.SIGKILL)
        load.wait_for(50)
        wait_until(lambda: len(set(crew.pids()) - {first}) == 2)
        load.wait_for(50)
    assert second in crew.pids()
    assert len(load.failed) <= load.clients
    assert {result.status for result in load.answered} == {200}
    assert "SIGKILL" in "".join(crew.server.log)


def test_reload_under_load(crew: Crew) -> None:
    """A reload fails no request; each answer is wholly of the old or of the new, and after it, of the new."""
    newer = crew.make_newer(seed=1)
    with crew.load() as load:
        load.wait_for(50)
        crew.turn(newer.checkpoint, newer.catalog)
        response = crew.reload()
        switched = time.monotonic()
        load.wait_for(50)
    assert response.status_code == 200, response.text
    workers = response.json()["workers"]
    assert [worker["worker"] for worker in workers] == [0, 1]
    assert {worker["shoes"] for worker in workers} == {40}
    new = (workers[0]["checkpoint"], workers[0]["catalog"])
    assert {(worker["checkpoint"], worker["catalog"]) for worker in workers} == {new}
    assert not load.failed
    assert {result.status for result in load.results} == {200}
    served = {(result.checkpoint, result.catalog) for result in load.results}
    assert len(served) == 2
    assert {(result.checkpoint, result.catalog) for result in load.results if result.began > switched} == {new}


def test_refused_reload_under_load(crew: Crew) -> None:
    """A checkpoint without its catalogue is refused with the reason, by request and by signal; nobody notices."""
    crew.make_newer(seed=2)
    catalog = crew.artifacts.catalog.resolve()
    before = crew.artifacts.checkpoint.resolve()
    with crew.load() as load:
        load.wait_for(20)
        crew.turn(crew.folder / "checkpoint-2", catalog)
        refused = crew.reload()
        crew.server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "the reload was refused" in "".join(crew.server.log))
        load.wait_for(20)
    crew.turn(before, catalog)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:solemate:reload-refused")
    # Unlike other clients, an admin is told folders and commands.
    assert f"workers 0, 1: the catalogue in {crew.artifacts.catalog} was indexed by" in refused.json()["detail"]
    assert not load.failed
    assert {result.status for result in load.results} == {200}
    assert len({(result.checkpoint, result.catalog) for result in load.results}) == 1


def test_reload_by_signal(crew: Crew) -> None:
    """SIGHUP exchanges what is served, as the request does."""
    newer = crew.make_newer(seed=3)
    before = crew.reload().json()["workers"][0]["checkpoint"]
    crew.turn(newer.checkpoint, newer.catalog)
    crew.server.process.send_signal(signal.SIGHUP)

    def served() -> str:
        info = httpx2.get(f"{crew.server.url}/v1/info", headers=HEADERS).json()
        return str(info["checkpoint"]["digest"][:16])

    wait_until(lambda: served() != before)


def test_change_is_seen_by_every_worker(crew: Crew) -> None:
    """What another process takes out of the catalogue is missing in the next answer of every worker, unasked."""
    table = crew.artifacts.demo / "ut-zap50k-data" / "meta-data.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-4]))
    assert run_main(*index_arguments(crew.artifacts, "--max-bad-share", "1")).status == 0
    for _ in range(8):  # each over a connection of its own
        info = httpx2.get(f"{crew.server.url}/v1/info", headers=HEADERS).json()
        assert info["catalog"]["count"] == 36


def test_reload_takes_an_admin(crew: Crew, live_server: str) -> None:
    """A reload takes a key of the scope admin; a service without keys can't be told to reload over HTTP."""
    url = f"{crew.server.url}/v1/admin/reload"
    check_problem(httpx2.post(url), 401)
    check_problem(httpx2.post(f"{live_server}/v1/admin/reload"), 403)
    check_problem(httpx2.get(url, headers=HEADERS), 405)


def test_stop_under_load(artifacts: Artifacts) -> None:
    """SIGTERM loses no request: each client is answered until it is told that its connection ends."""
    server = Server(artifacts, SOLEMATE_WORKERS="2")
    with Load(server.url, draw_shoe(3), clients=16, until_closed=True) as load:
        load.wait_for(100)
        status = server.stop()
        load.join()
    assert status == 0
    assert not load.failed, load.failed[:3]
    assert {result.status for result in load.results} == {200}
    log = "".join(server.log)
    assert "Traceback" not in log
    assert "cut off" not in log


def test_failed_start_is_told_once(artifacts: Artifacts, tmp_path: Path) -> None:
    """Artifacts that can't be served end a start of several workers with one line, and the status 1."""
    make_checkpoint(tmp_path / "checkpoint", seed=7)
    arguments = ("--checkpoint", str(tmp_path / "checkpoint"), "--index", str(artifacts.catalog))
    done = subprocess.run(
        [sys.executable, "-m", "service", "serve", "--port", "0", "--workers", "2", *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.count("--rebuild") == 1
    assert done.stderr.splitlines()[-1].startswith("error: the catalogue in")
