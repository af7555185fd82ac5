"""The pipeline: runs embeddings, searches and drawings of many requests through the engine, in batches.

    search_image(...)  ->  Work: pictures, what to search for by their vectors, whether to draw
                           |
    the batcher's thread   decode  ->  encode  ->  search  ->  draw      each step for all works of the batch
                           |
    helper threads         large pictures and photos that the localizer has to see, which would keep the others waiting

A small picture is decoded where it is embedded: handing it from thread to thread would take a good part of the time
that decoding does. So one thread computes, and the event loop does the I/O.

The localizer sees one picture at a time, in a helper: on a CPU it takes as long for each of several pictures as for one
alone (7 ms a look, whether 1 or 32 are looked at), and in the batch everybody would wait for it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from model.cutout import Cutout
from model.embedder import Vector
from model.errors import ImageError, QueryError, SolemateError
from model.framing import Subject, View
from model.nearness import Nearness
from model.preprocess import Framed, to_png
from service.errors import CatalogueChanged, NotReady, Overloaded
from service.search.options import SearchOptions, require_range
from service.search.pagination import Cursor, encode_cursor, fingerprint_of
from service.search.ranker import Ranked
from service.serving.batcher import Batcher, BatchLimits, Job
from service.serving.engine import CANARY_VIEW, Embedded, Engine, Facets
from service.serving.recommendation import Examples
from service.settings import Settings
from service.store.base import Hit

SMALL_BYTES = 64 * 1024
SMALL_PIXELS = 256 * 1024
"""Largest picture that is decoded within a batch, in bytes of the file and in pixels: it takes a few milliseconds."""


@dataclass(slots=True)
class Work:
    """What one request needs of the network and the store; the steps fill in the rest.

    Attributes:
        images: pictures to embed.
        view: where the shoe is in each of them; None leaves that to the framing.
        cuts: the one picture's subject is wanted, cut out, and nothing else.
        labels: what to call each of several pictures in an error.
        plan: gives the vectors where they are not a picture's; runs in the batcher's thread, so it may ask the store.
        reduce: makes one vector, (1, D), of the pictures'; runs in the batcher's thread as well.
        search: how to search for the first vector; None: not at all.
        draws: whether to draw the vectors.
        photo: the one picture, decoded, where the localizer is yet to see it.
        framed: the pictures, once all are decoded.
        cutout: of the picture, once it is made.
        vectors: (n, D); none as long as there are none.
        found: what was found; None where nothing was searched for.
        drawn: (n, C, H, W) float32 in [0, 1].
        fingerprint: the catalogue's.
    """

    images: Sequence[bytes] = ()
    labels: Sequence[str] = ()
    view: View | None = None
    cuts: bool = False
    plan: Callable[[], Vector] | None = None
    reduce: Callable[[Vector], Vector] | None = None
    search: SearchOptions | None = None
    draws: bool = False
    photo: Image | None = None
    framed: Sequence[Framed] = ()
    cutout: Cutout | None = None
    vectors: Vector = field(default_factory=lambda: np.empty((0, 0), np.float32))
    found: Ranked | None = None
    drawn: NDArray[np.float32] | None = None
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found.

    Attributes:
        hits: a page of the shoes, nearest first unless they were asked to be varied.
        fingerprint: of the catalogue that they were found in.
        nearness: of their distances.
        next: the cursor of the next page; None on the last one.
        folded: id of a hit -> ids of its near-duplicates; None where they were not folded.
        facets: how the shoes divide that pass the filter; None where that was not asked.
        subjects: what was taken for the shoe of the picture that was searched by; none where it was not by one.
        confidence: how likely that picture shows a shoe, in [0, 1]; None where the checkpoint has no confidence.
    """

    hits: Sequence[Hit]
    fingerprint: str
    nearness: Nearness
    next: str | None = None
    folded: Mapping[str, tuple[str, ...]] | None = None
    facets: Facets | None = None
    subjects: Sequence[Subject | None] = ()
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One search of several: what is searched for, which is an image's bytes, an item's id or a vector, and how."""

    options: SearchOptions
    image: bytes | None = None
    view: View | None = None
    item_id: str | None = None
    vector: Sequence[float] | None = None


@dataclass(frozen=True, slots=True)
class Illustration:
    """What a vector decodes to, as a PNG, and the shoe of the catalogue nearest to it: None in an empty one."""

    image: bytes
    nearest: Hit | None
    nearness: Nearness


class Pipeline:
    """Runs requests through its engine, in batches. For one event loop."""

    def __init__(self, engine: Engine, helpers: Executor, settings: Settings) -> None:
        """Start nothing yet.

        Args:
            engine: what does the work; whoever made it closes it, after this.
            helpers: threads that decode large pictures; likewise.
            settings: how much may wait, and how long.
        """
        self.engine = engine
        limits = BatchLimits(
            batch=settings.batch_size,
            inside=settings.queue_size,
            wait=settings.batch_wait_ms / 1000,
            seconds=settings.wait_seconds,
        )
        self._batch = limits.batch
        self._check: asyncio.Task[None] | None = None
        self._batcher = Batcher[Work, Work](Steps(engine).run, limits, helpers=helpers)

    async def start(self) -> None:
        """Start the thread of the batches."""
        await self._batcher.start()

    async def close(self) -> None:
        """Let what is under way finish; nothing new is taken on."""
        await self._batcher.close()

    async def check_ready(self) -> None:
        """Send a picture that never changes through the batches and the store, before all that waits.

        Who asks while that is under way shares its outcome, so that it takes one place however many ask.

        Raises:
            NotReady: its vector is not what it was at the start, or the store does not answer as it should, or there is
                no answer in time.
        """
        if self._check is None or self._check.done():
            self._check = asyncio.create_task(self._send_canary())
        await asyncio.shield(self._check)

    async def _send_canary(self) -> None:
        if not self._batcher.alive:
            raise NotReady("no thread runs batches")
        work = Work(images=[self.engine.canary], view=CANARY_VIEW, search=SearchOptions(1))
        try:
            work = await self._batcher.submit(work, urgent=True)
        except Overloaded as error:
            raise NotReady(f"the canary did not come back: {error}") from error
        assert work.found is not None
        self.engine.check_canary(work.vectors[0], work.found.hits)

    # Each of these raises, beside its own errors, Overloaded and its kinds where there is too much to do.

    async def embed(self, images: Sequence[bytes], names: Sequence[str] = (), *, view: View | None = None) -> Embedded:
        """The vectors of pictures, in their order.

        Args:
            images: their bytes, as many as the engine's limits allow.
            names: what to call each of several pictures in an error.
            view: where the shoe is in each of them.

        Raises:
            QueryError: none, or too many, or the view can't be had of one of them.
            ImageError: one of them can't be used; the message says which, where there are several.
        """
        self.engine.check_count(len(images))
        labels = _label(len(images), names)
        parts: list[Vector] = []
        subjects: list[Subject | None] = []
        # A batch at a time, so that one request's many pictures don't keep all others waiting.
        for start in range(0, len(images), self._batch):
            some = images[start : start + self._batch]
            work = Work(images=some, labels=labels[start : start + self._batch], view=view)
            work = await self._batcher.submit(work, size=len(some))
            parts.append(work.vectors)
            subjects += [each.subject for each in work.framed]
        vectors = np.concatenate(parts)
        return Embedded(
            vectors, work.fingerprint, subjects, self.engine.embedder.estimate_confidence(vectors, subjects)
        )

    async def cut_out(self, image: bytes, view: View | None = None) -> Cutout:
        """What is taken for the shoe of a picture, cut out. Raises ImageError, and QueryError for the view."""
        work = await self._batcher.submit(Work(images=[image], view=view, cuts=True))
        assert work.cutout is not None
        return work.cutout

    async def search_image(self, image: bytes, options: SearchOptions, view: View | None = None) -> SearchResult:
        """The shoes nearest to the one in a picture. Raises ImageError, and what `search` does."""
        return await self._find(Work(images=[image], view=view, search=self._complete(options)))

    async def search(self, vector: Sequence[float] | Vector, options: SearchOptions) -> SearchResult:
        """The shoes nearest to a vector, (D,), which is whole also where the condition compares only a slice.

        Raises:
            QueryError: the vector or an option is out of range.
            CatalogueChanged: this is a later page, and the catalogue is another than at the first.
        """
        options = self._complete(options)
        return await self._find(Work(vectors=self.engine.check_vector(vector)[None], search=options))

    async def similar(self, item_id: str, options: SearchOptions) -> SearchResult:
        """The shoes nearest to one of the catalogue, without itself. Raises UnknownItem, and what `search` does."""
        options = self._complete(replace(options, leave_out=(item_id,)))
        return await self._find(Work(plan=lambda: self.engine.vectors_of(item_id), search=options))

    async def recommend(self, examples: Examples, options: SearchOptions) -> SearchResult:
        """The shoes nearest to what some shoes have and others don't, without those that are in the catalogue.

        Raises UnknownItem and ImageError for an example, and what `search` does.
        """
        examples.check(self.engine)
        options = self._complete(replace(options, leave_out=examples.ids))
        images = [image.content for image in examples.images]
        if not images:
            return await self._find(Work(plan=lambda: examples.target(self.engine), search=options))
        labels = _label(len(images), [image.filename for image in examples.images])
        work = Work(images, labels, reduce=partial(examples.target, self.engine), search=options)
        return await self._find(work, size=len(images))

    async def search_many(self, requests: Sequence[SearchRequest]) -> list[SearchResult | Exception]:
        """Several searches in one batch, as far as it holds them: for each what it found, or what it raised.

        Raises QueryError where together their pages begin further down than the first pages of any batch may end.
        """
        limits, depth = self.engine.limits, sum(each.options.offset for each in requests)
        most = max(limits.max_depth, limits.max_images * limits.max_k)
        if depth > most:
            raise QueryError(
                "cursor", f"together the pages of these searches begin {depth:,} shoes down; expected at most {most:,}"
            )
        outcomes = await asyncio.gather(*(self._search_one(each) for each in requests), return_exceptions=True)
        refusal = next((each for each in outcomes if isinstance(each, Overloaded)), None)
        if refusal is not None:
            raise refusal  # the client is to send all of it again, later
        if ended := [each for each in outcomes if not isinstance(each, SearchResult | Exception)]:
            raise ended[0]
        return [each for each in outcomes if isinstance(each, SearchResult | Exception)]

    async def _search_one(self, request: SearchRequest) -> SearchResult:
        if request.image is not None:
            return await self.search_image(request.image, request.options, request.view)
        if request.item_id is not None:
            return await self.similar(request.item_id, request.options)
        assert request.vector is not None
        return await self.search(request.vector, request.options)

    async def reconstruct(self, item_id: str) -> bytes:
        """What a shoe's vector stands for, as a PNG. Raises UnknownItem."""
        return await self._draw(Work(plan=lambda: self.engine.vectors_of(item_id), draws=True))

    async def reconstruct_image(self, image: bytes, view: View | None = None) -> bytes:
        """A picture after a pass through the network, as a PNG. Raises ImageError, and QueryError for the view."""
        return await self._draw(Work(images=[image], view=view, draws=True))

    async def reconstruct_vector(self, vector: Sequence[float] | Vector) -> bytes:
        """What a vector, (D,), decodes to, as a PNG. Raises QueryError."""
        return await self._draw(Work(vectors=self.engine.check_vector(vector)[None], draws=True))

    async def interpolate(self, start_id: str, end_id: str, steps: int) -> bytes:
        """The way from one shoe to another, as a PNG with `steps` pictures side by side.

        Raises:
            UnknownItem: either of them.
            QueryError: steps out of range.
        """
        self.engine.check_steps(steps)
        work = Work(plan=lambda: self.engine.interpolate(start_id, end_id, steps), draws=True)
        return await self._draw(work, size=steps)

    async def swap(self, item_id: str, condition: str, other_id: str) -> bytes:
        """One shoe with the condition's slice of another, as a PNG. Raises UnknownItem and QueryError."""
        return await self._draw(Work(plan=lambda: self.engine.swap(item_id, condition, other_id), draws=True))

    async def illustrate_interpolation(self, start_id: str, end_id: str, steps: int) -> list[Illustration]:
        """The steps of `interpolate`, one by one, each with the shoe nearest to it. Raises likewise.

        Between the two shoes, the nearest other one: in as many dimensions as a vector has, the nearest of all is
        mostly one of the two.
        """
        self.engine.check_steps(steps)
        options = [SearchOptions(1, leave_out=(start_id, end_id))] * steps
        options[0] = options[-1] = SearchOptions(1)
        return await self._illustrate(lambda: self.engine.interpolate(start_id, end_id, steps), options)

    async def illustrate_swap(self, item_id: str, condition: str, other_id: str) -> list[Illustration]:
        """A shoe before and after `swap`, each with the shoe nearest to it. Raises likewise.

        For the one after it, that is neither of the two, and the slice that was exchanged counts as much as all others
        together: by the whole vector, the nearest shoe is mostly one that looks like the shoe before.
        """

        def plan() -> Vector:
            return np.concatenate([self.engine.vectors_of(item_id), self.engine.swap(item_id, condition, other_id)])

        slices = await asyncio.to_thread(lambda: self.engine.store.info().slices)
        weights = {name: max(1.0, len(slices) - 1.0) if name == condition else 1.0 for name in slices}
        after = SearchOptions(1, weights=weights, leave_out=(item_id, other_id))
        return await self._illustrate(plan, [SearchOptions(1), after])

    async def sample(self, count: int, seed: int, around: str | None, spread: float) -> bytes:
        """Shoes that could be, as a PNG with `count` pictures side by side. Raises as `Sampler.sample`."""
        vectors = await asyncio.to_thread(self.engine.sampler.sample, count, seed, around, spread)
        return await self._draw(Work(vectors=vectors, draws=True), size=count)

    async def illustrate_samples(self, count: int, seed: int, around: str | None, spread: float) -> list[Illustration]:
        """The same, one by one, each with the shoe nearest to it."""
        vectors = await asyncio.to_thread(self.engine.sampler.sample, count, seed, around, spread)
        return await self._illustrate(lambda: vectors, [SearchOptions(1)] * count)

    async def _illustrate(self, plan: Callable[[], Vector], options: Sequence[SearchOptions]) -> list[Illustration]:
        """Draw the vectors of a plan, and find for each the nearest shoe by its options."""
        work = await self._batcher.submit(Work(plan=plan, draws=True), size=len(options))
        drawn = work.drawn
        assert drawn is not None
        found = await asyncio.gather(
            *(
                self._find(Work(vectors=vector[None], search=each))
                for vector, each in zip(work.vectors, options, strict=True)
            )
        )
        images = await asyncio.to_thread(lambda: [to_png(picture) for picture in drawn])
        return [
            Illustration(image, each.hits[0] if each.hits else None, each.nearness)
            for image, each in zip(images, found, strict=True)
        ]

    def _complete(self, options: SearchOptions) -> SearchOptions:
        """Check the options, and give near-duplicates the measured distance if no other is given. Raises QueryError."""
        limits, measured = self.engine.limits, self.engine.duplicate_distance
        require_range("k", options.k, 1, limits.max_k)
        options.check()
        if options.group and options.duplicate_distance is None:
            if measured is None:
                text = "no distance of near-duplicates was measured for this catalogue; give duplicate_distance"
                raise QueryError("group", text)
            options = replace(options, duplicate_distance=measured)
        if options.cursor is not None:
            options.cursor.check_options(options.fingerprint())
            left = limits.depth - options.offset
            if left < 1:
                text = f"a search goes down to its {limits.depth:,} nearest shoes; narrow it with a filter instead"
                raise QueryError("cursor", text)
            options = replace(options, k=min(options.k, left))
        return options

    async def _find(self, work: Work, size: int = 1) -> SearchResult:
        options = work.search
        assert options is not None
        if options.fields:
            await asyncio.to_thread(self.engine.check_fields, options.fields)  # may count a catalogue that has changed
        asked = options
        if options.filter is not None and (options.ignore_case or self.engine.declares_types):
            passing = await asyncio.to_thread(self.engine.resolve, options.filter, ignore_case=options.ignore_case)
            work.search = asked = replace(options, filter=passing)
        work = await self._batcher.submit(work, size=size)
        found = work.found
        assert found is not None
        assert found.nearness is not None
        # Not in the batch, which would wait for it.
        facets = await asyncio.to_thread(self.engine.facets, asked.filter) if options.facets else None
        subjects = [each.subject for each in work.framed] if work.reduce is None else []
        confidences = self.engine.embedder.estimate_confidence(work.vectors, subjects) if subjects else None
        return SearchResult(
            found.hits,
            work.fingerprint,
            found.nearness,
            _name_next(work, found, options) if found.more and found.end < self.engine.limits.depth else None,
            found.folded if options.group else None,
            facets,
            subjects,
            None if confidences is None else confidences[0],
        )

    async def _draw(self, work: Work, size: int = 1) -> bytes:
        work = await self._batcher.submit(work, size=size)
        assert work.drawn is not None
        return await asyncio.to_thread(to_png, np.concatenate(list(work.drawn), axis=2))


def _label(total: int, names: Sequence[str]) -> list[str]:
    """What to call each of several pictures, whose file names are known as far as given; nothing for one."""
    padded = [*names, *[""] * (total - len(names))]
    return [f"image {place} of {total} ({name!r})" for place, name in enumerate(padded, start=1)] if total > 1 else []


def _name_next(work: Work, found: Ranked, options: SearchOptions) -> str:
    """The cursor of the page after the one that a work has found."""
    catalog = fingerprint_of([work.fingerprint])
    last = fingerprint_of([found.hits[-1].item.id])
    return encode_cursor(Cursor(found.end, last, options.fingerprint(), catalog, work.vectors[0]))


Task = Job[Work, Work]


class Steps:
    """Runs batches with an engine. For one thread, but for `decode_all`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def run(self, tasks: Sequence[Task]) -> Sequence[Work | Exception | None]:
        """Run one batch. What is wrong with one work ends that one; what is wrong with a step, the batch."""
        ended: dict[Task, Exception | None] = {}
        # Before anything is read: an answer may then know of a later change, and never claims to and does not.
        fingerprint = self._engine.fingerprint
        for task in tasks:
            try:
                if not self._prepare(task):
                    ended[task] = None
            except Exception as error:  # noqa: BLE001 - whatever it is, the others are not to be run again for it
                ended[task] = error
            task.item.fingerprint = fingerprint
        self._encode([task for task in tasks if task not in ended and task.item.framed])
        ended.update(self._search([task for task in tasks if task not in ended and task.item.search is not None]))
        self._draw([task for task in tasks if task not in ended and task.item.draws])
        return [ended.get(task, task.item) for task in tasks]

    def decode_all(self, task: Task) -> None:
        """Decode a work's pictures, as long as somebody waits for it. For any thread. Raises ImageError, QueryError."""
        began = perf_counter()
        work, framed = task.item, []
        if work.cuts:
            if not task.future.done():
                work.cutout = self._engine.cut_out(work.images[0], work.view)
                task.record("decode", perf_counter() - began)
            return
        for index, image in enumerate(work.images):
            if task.future.done():
                return
            try:
                if work.photo is not None:
                    framed.append(self._engine.embedder.preprocessor.frame_picture(work.photo))
                else:
                    framed.append(self._engine.decode(image, work.view))
            except (QueryError, ImageError) as error:
                if not work.labels:
                    raise
                text = f"{work.labels[index]}: {error}"
                raise QueryError(error.field, text) if isinstance(error, QueryError) else type(error)(text) from error
        task.record("decode", perf_counter() - began)
        work.framed = framed

    def _prepare(self, task: Task) -> bool:
        """Decode a work's pictures, or make its vectors; False if it was deferred, as that would delay the batch."""
        work = task.item
        if work.plan is not None:
            work.vectors = work.plan()
        if len(work.framed) == len(work.images) or work.cutout is not None:
            return True
        if task.deferred:  # already; the batch is run again
            return False
        if len(work.images) == 1 and len(work.images[0]) <= SMALL_BYTES and not work.cuts:
            began = perf_counter()
            framed = self._engine.decode_small(work.images[0], SMALL_PIXELS, work.view)
            task.record("decode", perf_counter() - began)
            if isinstance(framed, Framed):
                work.framed = [framed]
                return True
            work.photo = framed
        task.defer(partial(self.decode_all, task))
        return False

    def _encode(self, tasks: Sequence[Task]) -> None:
        if not tasks:
            return
        began, start = perf_counter(), 0
        pixels = np.stack([each.pixels for task in tasks for each in task.item.framed])
        vectors = self._engine.embedder.embed_pixels(pixels)
        for task in tasks:
            stop = start + len(task.item.framed)
            task.item.vectors = vectors[start:stop]
            start = stop
        _record("encode", tasks, began)

    def _search(self, tasks: Sequence[Task]) -> dict[Task, Exception]:
        """Gives the tasks whose search was wrong."""
        if not tasks:
            return {}
        began = perf_counter()
        wrong: dict[Task, Exception] = {}
        asked: list[Task] = []
        vectors: list[Vector] = []
        options: list[SearchOptions] = []
        for task in tasks:
            assert task.item.search is not None
            try:
                vectors.append(_find_vector(task.item, task.item.search))
            except SolemateError as error:
                wrong[task] = error
            else:
                asked.append(task)
                options.append(task.item.search)
        for task, answer in zip(asked, self._engine.search(vectors, options), strict=True):
            if isinstance(answer, Exception):
                wrong[task] = answer
            else:
                task.item.found = answer
        wrong.update(self._check_pages([task for task in asked if task not in wrong]))
        _record("search", tasks, began)
        return wrong

    def _check_pages(self, tasks: Sequence[Task]) -> dict[Task, Exception]:
        """Later pages are of the first one's catalogue, or none: it may have changed while they were searched for."""
        pages = [task for task in tasks if task.item.search is not None and task.item.search.cursor is not None]
        if not pages or self._engine.fingerprint == pages[0].item.fingerprint:
            return {}
        return {task: CatalogueChanged() for task in pages}

    def _draw(self, tasks: Sequence[Task]) -> None:
        if not tasks:
            return
        began, start = perf_counter(), 0
        vectors = [task.item.vectors for task in tasks]
        pictures = self._engine.draw(np.concatenate(vectors))
        for task, some in zip(tasks, vectors, strict=True):
            task.item.drawn = pictures[start : start + len(some)]
            start += len(some)
        _record("respond", tasks, began)


def _record(stage: str, tasks: Sequence[Task], began: float) -> None:
    spent = perf_counter() - began
    for task in tasks:
        task.record(stage, spent)


def _find_vector(work: Work, options: SearchOptions) -> Vector:
    """What is searched for, (D,). Raises SolemateError if the work's examples or its cursor are wrong."""
    if work.reduce is not None:
        work.vectors = work.reduce(work.vectors)
    if options.cursor is not None:
        options.cursor.check_catalog(work.fingerprint)
        options.cursor.check_vector(work.vectors[0])
        work.vectors = options.cursor.vector[None]
    vector: Vector = work.vectors[0]
    return vector
