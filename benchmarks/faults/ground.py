"""What the faults are tried on: two networks, each with its catalogue, pictures and right answers.

first/ second/     as `benchmarks.serving.workload` makes them, with the pictures of the catalogue's first shoes too
checkpoint catalog links to one of the two: what a reload finds
logs/              of the services
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.serving.workload import Workload, make_workload
from model.checkpoint import load_checkpoint
from model.embedder import Embedder
from service.store.base import iterate_items
from service.store.embedded.store import EmbeddedStore

__all__ = ["Ground", "make_ground"]


@dataclass(frozen=True)
class Ground:
    """The folder.

    Attributes:
        folder: where all of it is.
        first: what is served at the start.
        second: what it is exchanged for.
    """

    folder: Path
    first: Workload
    second: Workload

    @property
    def checkpoint(self) -> Path:
        """The link that services are started with."""
        return self.folder / "checkpoint"

    @property
    def catalog(self) -> Path:
        """Likewise."""
        return self.folder / "catalog"

    def link(self, checkpoint: Path, catalog: Path) -> None:
        """Let the links lead elsewhere, each in one step."""
        for link, target in ((self.checkpoint, checkpoint), (self.catalog, catalog)):
            fresh = link.with_name(f"{link.name}.fresh")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(target)
            fresh.replace(link)

    def reset(self) -> None:
        """Let them lead to the first workload."""
        self.link(self.first.checkpoint, self.first.catalog)

    def scratch(self, name: str) -> Path:
        """An empty folder of that name."""
        folder = self.folder / "scratch" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def nearest(self) -> dict[str, Sequence[Sequence[str]]]:
        """Fingerprint of a checkpoint -> for each picture of `first` the ids that are nearest by it.

        Both workloads have the same pictures, as they are drawn with the same seed.
        """
        return {load_checkpoint(each.checkpoint).digest[:16]: each.nearest for each in (self.first, self.second)}

    def find_nearest(self, pictures: Sequence[bytes], k: int = 10) -> dict[str, Sequence[Sequence[str]]]:
        """As `nearest`, for other pictures in the first catalogue, worked out in float64 without the service."""
        embedder = Embedder(load_checkpoint(self.first.checkpoint))
        store = EmbeddedStore.open(self.first.catalog)
        try:
            ids = sorted(item.id for item in iterate_items(store))
            vectors = np.stack([store.vector(each) for each in ids]).astype(np.float64)
        finally:
            store.close()
        found = []
        for query in embedder.embed(list(pictures)):
            order = np.argsort(np.square(vectors - query).sum(axis=1), kind="stable")[:k]
            found.append([ids[row] for row in order])
        return {embedder.checkpoint.digest[:16]: found}


def make_ground(folder: Path, *, items: int = 2000, pictures: int = 200) -> Ground:
    """Build the folder, or take what is there of it."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    first = make_workload(folder / "first", items=items, pictures=pictures, seed=0)
    other = make_workload(folder / "other", items=pictures, pictures=pictures, seed=1).checkpoint
    second = make_workload(folder / "second", items=items, pictures=pictures, checkpoint=other, seed=0)
    for workload in (first, second):
        for number, picture in enumerate(workload.pictures):
            (workload.folder / f"{number:06}.jpg").write_bytes(picture)
    (folder / "logs").mkdir(exist_ok=True)
    ground = Ground(folder, first, second)
    ground.reset()
    return ground
