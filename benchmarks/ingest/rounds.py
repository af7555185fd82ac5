"""One indexing of a catalogue that pauses after each part of it, so that the ceiling can run on the same pictures."""

import os
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmarks.ingest.ceiling import Ceiling, run_ceiling
from benchmarks.serving.processes import cpu_seconds, family
from model.catalog import Catalog, Shoe
from model.checkpoint import load_checkpoint
from model.embedder import Embedder
from service.catalog.indexing.embed_pool import EmbeddedShoe, EmbedderRecipe, EmbedPool, processes, threads
from service.catalog.indexing.index import index_catalog
from service.store.base import StoreSpec
from service.store.embedded.store import EmbeddedStore


@dataclass(frozen=True)
class Part:
    """What one part of the catalogue took.

    Attributes:
        pictures: in it.
        ingest: seconds of the indexing.
        ceiling: seconds of decoding and encoding alone.
        ingest_cpu: processor seconds of the indexing, in all of its processes.
        ceiling_cpu: those of the ceiling.
    """

    pictures: int
    ingest: float
    ceiling: float
    ingest_cpu: float
    ceiling_cpu: float


@dataclass(frozen=True)
class Result:
    """A whole measurement.

    Attributes:
        team: what embeds: `processes` or `threads`.
        parts: in their order.
        rest: seconds of the indexing outside of the parts: planning before them and tidying up after them.
        rest_cpu: processor seconds of that.
    """

    team: str
    parts: tuple[Part, ...]
    rest: float
    rest_cpu: float

    @property
    def pictures(self) -> int:
        """Of all parts."""
        return sum(part.pictures for part in self.parts)

    @property
    def ingest_rate(self) -> float:
        """Pictures a second of the indexing, with its planning and tidying up."""
        return self.pictures / (sum(part.ingest for part in self.parts) + self.rest)

    @property
    def ceiling_rate(self) -> float:
        """Pictures a second of decoding and encoding alone."""
        return self.pictures / sum(part.ceiling for part in self.parts)

    @property
    def ingest_cpu_ms(self) -> float:
        """Processor time of a picture in the indexing, in milliseconds."""
        return 1000 * (sum(part.ingest_cpu for part in self.parts) + self.rest_cpu) / self.pictures

    @property
    def ceiling_cpu_ms(self) -> float:
        """Processor time of a picture in decoding and encoding alone, in milliseconds."""
        return 1000 * sum(part.ceiling_cpu for part in self.parts) / self.pictures


class _Clock:
    """Seconds and processor seconds of this process and all below it, between two looks."""

    def __init__(self) -> None:
        self._seen = self._look()

    def lap(self) -> tuple[float, float]:
        """Since the last look."""
        before, self._seen = self._seen, self._look()
        return self._seen[0] - before[0], self._seen[1] - before[1]

    @staticmethod
    def _look() -> tuple[float, float]:
        return time.perf_counter(), cpu_seconds(family(os.getpid()))


class _Pausing(EmbedPool):
    """A team that lets the ceiling run after each part."""

    def __init__(self, team: EmbedPool, size: int, ceiling: Ceiling, clock: _Clock) -> None:
        self._team, self._size, self._ceiling, self._clock = team, size, ceiling, clock
        self.parts: list[Part] = []
        self.rest = (0.0, 0.0)

    def embed(self, shoes: Iterable[Shoe], chunk: int = 64) -> Generator[list[EmbeddedShoe], None, None]:
        """See EmbedPool."""
        self.rest = self._clock.lap()  # the planning
        source, start = iter(shoes), 0
        while part := list(islice(source, self._size)):
            ceiling_first = len(self.parts) % 2 == 1
            ceiling = self._run_ceiling(start, start + len(part)) if ceiling_first else (0.0, 0.0)
            yield from self._team.embed(part, chunk)
            ingest = self._clock.lap()
            if not ceiling_first:
                ceiling = self._run_ceiling(start, start + len(part))
            self.parts.append(Part(len(part), ingest[0], ceiling[0], ingest[1], ceiling[1]))
            start += len(part)

    def _run_ceiling(self, start: int, stop: int) -> tuple[float, float]:
        self._ceiling.run(start, stop)
        return self._clock.lap()


def measure(catalog: Catalog, checkpoint: Path, out: Path, *, team: str, members: int, size: int) -> Result:
    """Index `catalog` into the empty folder `out`, in turn with the ceiling on the same pictures.

    Args:
        catalog: without bad pictures.
        checkpoint: the network's folder.
        out: where the store is made.
        team: `processes` or `threads`.
        members: of the team, and processes of the ceiling.
        size: pictures of a part.
    """
    loaded = load_checkpoint(checkpoint)
    embedder = Embedder(loaded)
    recipe = EmbedderRecipe(checkpoint, loaded.digest, "cpu")
    hired = processes(recipe, members) if team == "processes" else threads(embedder, members)
    pictures = [shoe.image for shoe in catalog.shoes]
    spec = StoreSpec.of(embedder.dimension, embedder.slices, loaded.digest, catalog.root)
    store_made = EmbeddedStore.create(out, spec)
    with (
        run_ceiling(checkpoint, pictures, members) as ceiling,
        hired as embedding,
        closing(store_made) as store,
    ):
        for _ in embedding.embed(catalog.shoes[: 64 * members]):  # it loads the network, as the ceiling has
            pass
        clock = _Clock()
        pausing = _Pausing(embedding, size, ceiling, clock)
        index_catalog(catalog, embedder, store, out, make_pool=_giving(pausing))
        after = clock.lap()
    rest = pausing.rest[0] + after[0], pausing.rest[1] + after[1]
    return Result(team, tuple(pausing.parts), *rest)


def _giving(team: EmbedPool) -> Callable[[int], AbstractContextManager[EmbedPool]]:
    def make_pool(_pictures: int) -> AbstractContextManager[EmbedPool]:
        return nullcontext(team)

    return make_pool
