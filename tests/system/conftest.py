"""A service of two workers that things go wrong with.

By default each fault is short. `SOLEMATE_TEST_LONG=1` makes it long, and runs what takes minutes.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from model.checkpoint import load_checkpoint
from model.embedder import Embedder
from service.http.routes.operations import resident_bytes
from service.store.base import iterate_items
from service.store.embedded.store import EmbeddedStore
from tests.support.commands import run_main
from tests.support.load import Load, Query
from tests.support.server import Artifacts, Server, index_arguments
from tests.support.stack import draw_catalog, draw_shoe, make_checkpoint

KEY = "key-of-the-operators-0123456789"
HEADERS = {"x-api-key": KEY}
PICTURES = tuple(draw_shoe(number) for number in range(8))


def make_queries(pictures: Sequence[bytes], *served: Artifacts) -> list[Query]:
    """Queries by these pictures, with the right answers of each of the artifacts: by NumPy, in float64."""
    distances: list[dict[str, dict[str, float]]] = [{} for _ in pictures]
    for artifacts in served:
        embedder = Embedder(load_checkpoint(artifacts.checkpoint))
        with closing(EmbeddedStore.open(artifacts.catalog)) as store:
            vectors = {item.id: store.vector(item.id).astype(float) for item in iterate_items(store)}
        for each, vector in zip(distances, embedder.embed(list(pictures)), strict=True):
            each[embedder.checkpoint.digest[:16]] = {
                item_id: float(np.linalg.norm(stored - vector)) for item_id, stored in vectors.items()
            }
    return [Query(picture, each) for picture, each in zip(pictures, distances, strict=True)]


@dataclass
class Crew:
    """A service of two workers, whose artifacts are links that a test can turn."""

    server: Server
    artifacts: Artifacts
    folder: Path

    def load(self, *newer: Artifacts, **options: Any) -> Load:
        """Clients at work, who know the right answers of what is served and of what is newer."""
        return Load(self.server.url, make_queries(PICTURES, self.artifacts, *newer), HEADERS, **options)

    def reload(self) -> httpx2.Response:
        """Ask for a reload."""
        return httpx2.post(f"{self.server.url}/v1/admin/reload", headers=HEADERS, timeout=120)

    def pids(self) -> list[int]:
        """The workers that are ready; none where one ends meanwhile, for which a reload is refused."""
        return [worker["pid"] for worker in self.reload().json().get("workers", ())]

    def memory(self) -> int:
        """What the workers hold in memory, in bytes."""
        return sum(resident_bytes(pid) or 0 for pid in self.pids())

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


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    """Two workers, for all tests of a module that leave them at work; their log has no trace of an exception."""
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
    assert "Traceback" not in "".join(server.log)
