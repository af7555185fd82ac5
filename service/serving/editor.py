"""The editor: prepares changes of the catalogue concurrently, embeds their pictures, and has one thread write them.

    add(...)  ->  helper threads      each picture is decoded and written anew
                  the encode batcher  their vectors, in the batches of all requests
                  the write batcher   pictures and rows of all requests that wait, in one transaction where that can be

A failure concerns one shoe: a bad picture is reported for its shoe, and the shoes beside it are written.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from time import perf_counter

from service.catalog.attributes import check_attributes, check_id
from service.catalog.images import CleanPicture, clean_picture
from service.catalog.writer import Add, CatalogWriter, Change, Changed, Patch, Remove
from service.errors import DeadlineExceeded
from service.serving.batcher import Batcher, BatchLimits, Job
from service.serving.engine import Embedded, Engine
from service.settings import Settings
from service.telemetry.request_timing import current_stages

MOST_WRITES = 64
"""Largest number of changes that wait in one process; each may hold a picture of a megabyte or more."""

Attributes = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class NewShoe:
    """A shoe as a client sent it, not checked yet. `image`: a file's bytes."""

    item_id: str
    attributes: Attributes
    image: bytes


class Editor:
    """Changes what its engine serves. For one event loop.

    Attributes:
        batcher: whose thread writes.
        batch: how many shoes `add` is best given at once.
    """

    def __init__(
        self,
        engine: Engine,
        embed: Callable[[Sequence[bytes]], Awaitable[Embedded]],
        helpers: Executor,
        settings: Settings,
    ) -> None:
        """Start nothing yet.

        Args:
            engine: whose store is changed.
            embed: gives the vectors of pictures; see `Pipeline.embed`.
            helpers: threads that decode pictures.
            settings: how much may wait, and how long.
        """
        self._engine, self._embed, self._helpers = engine, embed, helpers
        self._seconds = settings.wait_seconds
        limits = BatchLimits(settings.batch_size, min(MOST_WRITES, settings.queue_size), seconds=settings.wait_seconds)
        self.batch = min(settings.batch_size, limits.inside)
        self.batcher = Batcher[Change, Changed](self._run, limits, name="write")
        self._writer = CatalogWriter(engine.store, engine.uploads, patience=settings.wait_seconds / 3)

    async def start(self) -> None:
        """Start the thread that writes."""
        await self.batcher.start()

    async def close(self) -> None:
        """Let what is under way be written; nothing new is taken on."""
        await self.batcher.close()

    # Each of these raises Overloaded and its kinds, also StoreBusy, and ArtifactError where the store can't be written.

    async def add(self, shoe: NewShoe, *, overwrite: bool = True) -> Changed:
        """Insert a shoe, or put it in the place of the one of its id; durable once this returns.

        Raises:
            QueryError: the id or the attributes can't be used.
            ImageError: the picture can't be used.
            ItemExists: there is a shoe of this id, and `overwrite` is False.
        """
        return await self.batcher.submit(await self._prepare(shoe, overwrite=overwrite))

    async def add_all(self, shoes: Sequence[NewShoe], *, overwrite: bool = True) -> list[Changed | Exception]:
        """Add shoes of different ids, at most `batch` of them: for each what `add` returns, or would have raised.

        They are written in their order, whichever picture is decoded first.
        """
        prepared = await asyncio.gather(
            *(self._prepare(shoe, overwrite=overwrite) for shoe in shoes), return_exceptions=True
        )
        written = await asyncio.gather(
            *(self.batcher.submit(each) for each in prepared if isinstance(each, Add)), return_exceptions=True
        )
        outcomes = iter(written)
        return [require_outcome(next(outcomes) if isinstance(each, Add) else each) for each in prepared]

    async def _prepare(self, shoe: NewShoe, *, overwrite: bool) -> Add:
        item_id, attributes = check_id(shoe.item_id), check_attributes(shoe.attributes)
        picture = await self._clean(shoe.image)
        # Not of what was sent: whoever has the catalogue can make the vector again.
        vector = (await self._embed([picture.content])).vectors[0]
        return Add(item_id, attributes, picture, vector, overwrite=overwrite)

    async def patch(self, item_id: str, attributes: Attributes) -> Changed:
        """Replace the named attributes of a shoe; no values remove one. Raises UnknownItem and QueryError."""
        return await self.batcher.submit(Patch(item_id, check_attributes(attributes)))

    async def remove(self, item_id: str) -> Changed:
        """Take a shoe out of the catalogue. Raises UnknownItem."""
        return await self.batcher.submit(Remove(item_id))

    async def _clean(self, image: bytes) -> CleanPicture:
        """Decode a picture, and write it anew, in a helper thread."""
        stages = current_stages()
        try:
            async with asyncio.timeout(self._seconds):
                loop = asyncio.get_running_loop()
                picture, spent = await loop.run_in_executor(self._helpers, self._clean_and_time, image)
        except TimeoutError:
            raise DeadlineExceeded("the picture waited too long for its turn") from None
        if stages is not None:
            stages.add("decode", spent)
        return picture

    # In the threads.

    def _clean_and_time(self, image: bytes) -> tuple[CleanPicture, float]:
        began = perf_counter()
        return clean_picture(self._engine.embedder.preprocessor, image), perf_counter() - began

    def _run(self, jobs: Sequence[Job[Change, Changed]]) -> Sequence[Changed | Exception]:
        began = perf_counter()
        outcomes = self._writer.run([job.item for job in jobs])
        spent = perf_counter() - began
        for job in jobs:
            job.record("write", spent)
        return outcomes


def require_outcome(outcome: Changed | BaseException) -> Changed | Exception:
    """What `asyncio.gather` gives, but for what ends this task too."""
    if isinstance(outcome, Changed | Exception):
        return outcome
    raise outcome
