"""Disks that are full or read-only: what is said, what is left, and what works again afterwards."""

import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx2
import numpy as np
import pytest

from model.errors import ArtifactError, SolemateError
from service.catalog.indexing.ledger import WHOLE, Ledger, begin
from service.store.base import iterate_items
from service.store.embedded.store import EmbeddedStore
from tests.service.store.naive import NaiveStore
from tests.support.commands import Done, run_main
from tests.support.load import Load
from tests.support.scale import LONG
from tests.support.server import Artifacts, Server, environment, index_arguments
from tests.system.conftest import HEADERS, KEY, PICTURES, make_queries
from tests.system.durability import find_difference, find_wrong_answer, make_operation, make_store

SEED = 7
OPERATIONS = 10
MOST_OPERATIONS = 20_000


def mount(folder: Path, options: str) -> bool:
    """Mount a tmpfs there, or change the one that is; false where this process may not."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@contextmanager
def small_disk(folder: Path, kib: int) -> Iterator[Path]:
    """A disk of a few KiB; the test is skipped where none may be mounted."""
    folder.mkdir()
    if not mount(folder, f"size={kib}k"):
        pytest.skip("mounting a small disk takes root and Linux")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path: Path) -> Path:
    """Take all the room there is."""
    with path.open("wb", buffering=0) as file:
        size = 64 * 1024
        while size:
            try:
                file.write(b"\0" * size)
            except OSError:
                size //= 2
    return path


def check(store: EmbeddedStore, truth: NaiveStore) -> None:
    """The store holds what is true, and finds it."""
    assert find_difference(store, truth) is None
    assert find_wrong_answer(store, truth, np.random.default_rng(0)) is None


def check_opened(folder: Path, truth: NaiveStore) -> None:
    """Likewise, opened anew."""
    with closing(EmbeddedStore.open(folder)) as store:
        check(store, truth)


def check_refused(said: str, *attempts: Callable[[], object]) -> None:
    """Each is refused by an error that a person is meant to see."""
    for attempt in attempts:
        with pytest.raises(SolemateError, match=said):
            attempt()


def test_store_on_a_full_and_a_read_only_disk(tmp_path: Path) -> None:
    """Each refusal says what to do and leaves everything as it was; with room again, everything works."""
    with small_disk(tmp_path / "disk", 8 * 1024) as disk:
        folder, truth = disk / "catalog", NaiveStore()

        def run_all(store: EmbeddedStore, numbers: Iterable[int]) -> None:
            for number in numbers:
                operation = make_operation(SEED, number)
                operation.run(store)
                operation.run(truth)

        others: tuple[Callable[[], object], ...] = (
            lambda: Ledger(folder).add({"x" * 5000: (1, 1)}),
            lambda: begin(folder, WHOLE),
            lambda: make_store(folder.with_name("another")).close(),
        )
        with closing(make_store(folder)) as store:
            run_all(store, range(OPERATIONS))
            check(store, truth)
            ballast = fill(disk / "ballast")
            with pytest.raises(ArtifactError, match="disk is full"):
                run_all(store, range(OPERATIONS, MOST_OPERATIONS))  # removals may still fit for a while
            check(store, truth)
            check_refused("disk is full", *others)
        check_opened(folder, truth)
        ballast.unlink()
        check_opened(folder, truth)
        with closing(EmbeddedStore.open(folder)) as store:
            run_all(store, [MOST_OPERATIONS + 1])
            check(store, truth)
        assert mount(disk, "remount,ro")
        check_opened(folder, truth)
        with closing(EmbeddedStore.open(folder)) as store:
            check_refused("read-only", lambda: make_operation(SEED, 0).run(store), *others)
            check(store, truth)
        assert mount(disk, "remount,rw")
        with closing(EmbeddedStore.open(folder)) as store:
            run_all(store, [0])
            check(store, truth)


def count_whole(folder: Path) -> int:
    """Shoes in a catalogue that passes its checks, each with its vector."""
    with closing(EmbeddedStore.open(folder)) as store:
        return sum(store.vector(item.id).size > 0 for item in iterate_items(store))


def run_index(artifacts: Artifacts, limit: int) -> Done:
    """`index` in a process of its own, whose files may not grow beyond a limit."""
    done = subprocess.run(
        [sys.executable, "-m", "service", *index_arguments(artifacts)],
        env=environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("kib", [256, 512, 768, 1024, 1280] if LONG else [256])
@pytest.mark.parametrize("kind", ["disk", "limit"])
def test_index_without_room(artifacts: Artifacts, tmp_path: Path, kind: str, kib: int) -> None:
    """It ends with the status 1 and one line that says so; what was acknowledged is whole, and with room it goes on."""
    shoes, pictures = 5 * kib, sorted(artifacts.demo.rglob("*.jpg"))
    (tmp_path / "many" / "shoes").mkdir(parents=True)
    for number in range(shoes):
        (tmp_path / "many" / "shoes" / f"{number:05}.jpg").symlink_to(pictures[number % len(pictures)])
    limited = replace(artifacts, demo=tmp_path / "many", catalog=tmp_path / "disk" / "catalog")

    def check_ended(done: Done) -> None:
        assert done.status == 1
        assert done.error.splitlines()[-1].startswith("error: ")
        assert "Traceback" not in done.error
        assert count_whole(limited.catalog) < shoes

    def run_again() -> None:
        assert run_main(*index_arguments(limited)).status == 0
        assert count_whole(limited.catalog) == shoes

    if kind == "limit":
        check_ended(run_index(limited, kib * 1024))
        run_again()
        return
    with small_disk(tmp_path / "disk", kib) as disk:
        check_ended(run_main(*index_arguments(limited)))
        assert mount(disk, "remount,size=64m")
        run_again()


def test_service_on_a_full_disk(artifacts: Artifacts, tmp_path: Path) -> None:
    """With catalogue and temporary files on a disk that fills up, it searches, reloads, is ready and tells metrics."""
    with small_disk(tmp_path / "disk", 4 * 1024) as disk:
        on_disk = replace(artifacts, catalog=shutil.copytree(artifacts.catalog, disk / "catalog"))
        (on_disk.catalog / "vectors.bin").unlink()
        (disk / "tmp").mkdir()
        queries = make_queries(PICTURES, artifacts)
        keys = f"operators:admin:{KEY}"
        server = Server(on_disk, SOLEMATE_WORKERS="2", SOLEMATE_API_KEYS=keys, TMPDIR=str(disk / "tmp"))
        try:
            fill(disk / "filler")
            with Load(server.url, queries, HEADERS, clients=2) as load:
                for method, path in (("POST", "/v1/admin/reload"), ("GET", "/readyz"), ("GET", "/metrics")):
                    load.wait_for(20)
                    response = httpx2.request(method, server.url + path, headers=HEADERS, timeout=120)
                    assert response.status_code == 200, response.text
                load.wait_for(20)
        finally:
            assert server.stop() == 0
    assert not load.failed, load.failed[:3]
    assert load.statuses == {200}
    assert "Traceback" not in "".join(server.log)
