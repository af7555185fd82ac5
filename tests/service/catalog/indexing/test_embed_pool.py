"""Worker pools of threads and of processes that embed pictures."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from model.catalog import BadRow, Shoe, read_catalog
from model.embedder import Embedder
from model.errors import ArtifactMismatch
from service.catalog.indexing import embed_pool
from service.catalog.indexing.embed_pool import (
    CHUNKS_AHEAD,
    EmbedderRecipe,
    EmbedPool,
    PoolBroken,
    choose_pool,
    processes,
    threads,
)
from tests.support.fakes import FakeEmbedder
from tests.support.stack import draw_catalog, make_checkpoint
from tests.support.waiting import wait_until

PROJECT = Path(__file__).parents[4]
BAD = 5


class Shop(NamedTuple):
    """Shoes, one of which has a broken picture, and a network."""

    shoes: tuple[Shoe, ...]
    recipe: EmbedderRecipe
    embedder: Embedder


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Thirty shoes."""
    folder = tmp_path_factory.mktemp("shop")
    shoes = read_catalog(str(draw_catalog(folder / "demo", 30))).shoes
    shoes[BAD].image.write_bytes(b"broken")
    checkpoint = make_checkpoint(folder / "checkpoint")
    return Shop(shoes, EmbedderRecipe(folder / "checkpoint", checkpoint.digest, "cpu"), Embedder(checkpoint))


@pytest.fixture(scope="module", params=["threads", "processes"])
def pool(request: pytest.FixtureRequest, shop: Shop) -> Iterator[EmbedPool]:
    """Two workers of each kind."""
    with threads(shop.embedder, 2) if request.param == "threads" else processes(shop.recipe, 2) as pool:
        yield pool


@pytest.mark.parametrize("chunk", [1, 4, 64])
def test_vectors_are_the_embedders(pool: EmbedPool, shop: Shop, chunk: int) -> None:
    """In the shoes' order, whatever the size of a chunk; a bad picture is left out alone, with its reason."""
    embedded = [each for chunk_ in pool.embed(shop.shoes, chunk) for each in chunk_]
    assert [shoe for shoe, _ in embedded] == list(shop.shoes)
    for place, (shoe, result) in enumerate(embedded):
        if place == BAD:
            assert isinstance(result, BadRow)
            assert result.row == shoe.id
            assert "not an image" in result.reason
        else:
            assert not isinstance(result, BadRow)
            expected = shop.embedder.embed([shoe.image.read_bytes()])[0]
            np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5)


def test_a_bounded_number_is_ahead(shop: Shop) -> None:
    """A catalogue of any size takes the same memory: shoes are taken as the caller goes on."""
    taken = 0

    def count() -> Iterator[Shoe]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield shop.shoes[number % 4]

    with threads(FakeEmbedder(), 2) as pool:
        chunks = pool.embed(count(), 5)
        next(chunks)
        assert taken == 5 * (2 * CHUNKS_AHEAD + 1)
        chunks.close()


def test_a_replaced_checkpoint_is_said(shop: Shop) -> None:
    """A member never embeds with another network than the one that was checked."""
    recipe = EmbedderRecipe(shop.recipe.checkpoint, "0" * 64, "cpu")
    with processes(recipe, 1) as pool, pytest.raises(ArtifactMismatch, match="was replaced"):
        next(pool.embed(shop.shoes))


def test_a_member_that_is_killed_is_said(shop: Shop) -> None:
    """The error tells what to do; nothing waits for the dead."""
    others = set(multiprocessing.active_children())
    with processes(shop.recipe, 1) as pool:
        chunks = pool.embed(shop.shoes * 20, 1)
        next(chunks)
        for child in set(multiprocessing.active_children()) - others:
            child.kill()
        with pytest.raises(PoolBroken, match="fewer --workers"):
            list(chunks)


def test_processes_are_for_large_catalogues(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few pictures are embedded in this process, since loading the network elsewhere would take longer."""
    monkeypatch.setattr(embed_pool, "WORTH_PROCESSES", 10)
    others = set(multiprocessing.active_children())
    for pictures, workers, expected in ((9, 2, 0), (10, 2, 2), (10, 1, 0)):
        with choose_pool(pictures, embedder=shop.embedder, recipe=shop.recipe, workers=workers) as pool:
            next(pool.embed(shop.shoes, 1))
            assert len(set(multiprocessing.active_children()) - others) == expected


ORPHANS = """
import multiprocessing, sys, time
from pathlib import Path
from model.catalog import read_catalog
from service.catalog.indexing.embed_pool import EmbedderRecipe, processes

if __name__ == "__main__":
    with processes(EmbedderRecipe(Path(sys.argv[1]), sys.argv[2], "cpu"), 2) as pool:
        next(pool.embed(read_catalog(sys.argv[3]).shoes, 1))
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        time.sleep(60)
"""


def is_running(pid: int) -> bool:
    """Whether a process is there, and not only its entry in the table."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at Linux's /proc")
def test_workers_end_with_a_parent_that_is_killed(shop: Shop, tmp_path: Path) -> None:
    """No process goes on, or waits for ever, when the one that started it was killed."""
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS)
    root = shop.shoes[0].image.parents[4]
    command = [sys.executable, str(script), str(shop.recipe.checkpoint), shop.recipe.digest, str(root)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(workers) == 2
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not any(map(is_running, workers)))
