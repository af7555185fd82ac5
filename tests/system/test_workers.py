"""Several processes behind one address: killed, reloaded and stopped while clients are at it."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from tests.support.commands import run_main
from tests.support.load import Load
from tests.support.scale import LONG
from tests.support.server import Artifacts, Server, environment, index_arguments
from tests.support.stack import make_checkpoint
from tests.support.waiting import wait_until
from tests.system.conftest import HEADERS, PICTURES, Crew, make_queries


def test_killed_worker_comes_back(crew: Crew) -> None:
    """Kill -9 of a worker costs no more than what it had in hand; the other answers on, and a new one joins it."""
    kills = 5 if LONG else 1
    with crew.load() as load:
        for _ in range(kills):
            first, second = crew.pids()
            load.wait_for(50)
            os.kill(first, signal.SIGKILL)
            load.wait_for(50)
            wait_until(lambda gone=first: len(set(crew.pids()) - {gone}) == 2, every=0.5)  # type: ignore[misc]
            load.wait_for(50)
            assert second in crew.pids()
    assert len(load.failed) <= kills * load.clients
    assert not [result for result in load.answered if result.failure]
    assert load.statuses == {200}
    assert "SIGKILL" in "".join(crew.server.log)


def test_killed_batcher_comes_back(artifacts: Artifacts) -> None:
    """Where the thread that runs batches dies, what it had in hand is a 503, and a new one takes its place."""
    kills = 10 if LONG else 1
    server = Server(artifacts, module="tests.system.wounded")

    def deaths() -> int:
        return "".join(server.log).count("were lost with the thread of the batcher")

    try:
        with Load(server.url, make_queries(PICTURES, artifacts)) as load:
            for number in range(kills):
                load.wait_for(50)
                server.process.send_signal(signal.SIGUSR1)
                wait_until(lambda before=number: deaths() > before)  # type: ignore[misc]
                wait_until(lambda: httpx2.get(f"{server.url}/readyz", timeout=60).status_code == 200)
                load.wait_for(50)
    finally:
        server.stop()
    assert not load.failed, load.failed[:3]
    assert load.statuses <= {200, 503}
    refused = load.with_status(503)
    assert len(refused) <= kills * load.clients
    assert all(result.retry_after.isdigit() for result in refused)


def test_reload_under_load(crew: Crew) -> None:
    """A reload fails no request; each answer is wholly of the old or of the new, and after it, of the new."""
    older = replace(
        crew.artifacts, checkpoint=crew.artifacts.checkpoint.resolve(), catalog=crew.artifacts.catalog.resolve()
    )
    newer = crew.make_newer(seed=1)
    with crew.load(newer) as load:
        for target in (newer, older) * (10 if LONG else 0) + (newer,):
            load.wait_for(50)
            crew.turn(target.checkpoint, target.catalog)
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
    assert load.statuses == {200}
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
    assert load.statuses == {200}
    assert len({(result.checkpoint, result.catalog) for result in load.results}) == 1


def test_reload_by_signal(crew: Crew) -> None:
    """SIGHUP exchanges what is served, as the request does."""
    newer = crew.make_newer(seed=3)
    before = crew.reload().json()["workers"][0]["checkpoint"]
    crew.turn(newer.checkpoint, newer.catalog)
    crew.server.process.send_signal(signal.SIGHUP)

    def served() -> str:
        info = httpx2.get(f"{crew.server.url}/v1/info", headers=HEADERS, timeout=60).json()
        return str(info["checkpoint"]["digest"][:16])

    wait_until(lambda: served() != before)


def test_change_is_seen_by_every_worker(crew: Crew) -> None:
    """What another process takes out of the catalogue is missing in the next answer of every worker, unasked."""
    table = crew.artifacts.demo / "ut-zap50k-data" / "meta-data.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-4]))
    assert run_main(*index_arguments(crew.artifacts, "--max-bad-share", "1")).status == 0
    for _ in range(8):  # each over a connection of its own
        info = httpx2.get(f"{crew.server.url}/v1/info", headers=HEADERS, timeout=60).json()
        assert info["catalog"]["count"] == 36


@pytest.mark.parametrize("stop", range(5 if LONG else 1))
def test_stop_under_load(crew: Crew, stop: int) -> None:
    """SIGTERM loses no request, over connections that are kept until they are said to end, and over new ones.

    No test of these workers may come after it.
    """
    server = Server(crew.artifacts, SOLEMATE_WORKERS="2") if stop else crew.server
    queries = make_queries(PICTURES, crew.artifacts)
    single = Load(server.url, queries, HEADERS, until_closed=True, keep=False)
    with Load(server.url, queries, HEADERS, clients=16, until_closed=True) as load, single:
        load.wait_for(100)
        single.wait_for(20)
        before = len(server.log)
        status = server.stop()
        load.join()
        single.join()
    assert status == 0
    for each in (load, single):
        assert not each.failed, each.failed[:3]
        assert each.statuses == {200}
    log = "".join(server.log[before:])
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
