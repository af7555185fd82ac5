"""The steps that a batch goes through: decode, encode, search, draw, each for all its requests that need it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from model.cutout import Cutout
from model.embedder import Vector
from model.errors import ImageError, QueryError, SolemateError
from model.framing import View
from model.preprocess import Framed
from service.errors import CatalogueChanged
from service.search.options import SearchOptions
from service.search.ranker import Ranked
from service.serving.batcher import DEFERRED, Deferred, Job
from service.serving.engine import Engine

__all__ = ["Label", "Steps", "Task", "Work"]

SMALL_BYTES = 64 * 1024
SMALL_PIXELS = 256 * 1024
"""Largest picture that is decoded within a batch, in bytes of the file and in pixels: it takes a few milliseconds."""


@dataclass(frozen=True, slots=True)
class Label:
    """Name of a picture of several in an error: its position among all of them, and its file name.

    Attributes:
        first: position of the work's first picture among all of the request's, from 0.
        total: pictures of the request.
        names: of all of them, as far as they are known.
    """

    first: int
    total: int
    names: Sequence[str]

    def of(self, index: int) -> str:
        """Of the work's picture at `index`."""
        position = self.first + index
        name = self.names[position] if position < len(self.names) else ""
        return f"image {position + 1} of {self.total} ({name!r})"


NOTHING = Ranked(())


@dataclass(slots=True)
class Work:
    """What one request needs of the network and the store; the steps fill in the rest.

    Attributes:
        images: pictures to embed.
        view: where the shoe is in each of them; None leaves that to the framing.
        cuts: the one picture's subject is wanted, cut out, and nothing else.
        label: names one of several pictures.
        plan: gives the vectors where they are not a picture's; runs in the batcher's thread, so it may ask the store.
        reduce: makes one vector, (1, D), of the pictures'; runs in the batcher's thread as well.
        search: how to search for the first vector; None: not at all.
        draws: whether to draw the vectors.
        photo: the one picture, decoded, where the localizer is yet to see it.
        framed: the pictures, once all are decoded.
        cutout: of the picture, once it is made.
        vectors: (n, D).
        found: what was found.
        drawn: (n, C, H, W) float32 in [0, 1].
        fingerprint: the catalogue's.
    """

    images: Sequence[bytes] = ()
    label: Label | None = None
    view: View | None = None
    cuts: bool = False
    plan: Callable[[], Vector] | None = None
    reduce: Callable[[Vector], Vector] | None = None
    search: SearchOptions | None = None
    draws: bool = False
    photo: Image | None = None
    framed: Sequence[Framed] = ()
    cutout: Cutout | None = None
    vectors: Vector | None = None
    found: Ranked = NOTHING
    drawn: NDArray[np.float32] | None = None
    fingerprint: str = ""


Task = Job[Work, Work]


class Steps:
    """Runs batches with an engine. For one thread, but for `decode_all`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def run(self, tasks: Sequence[Task]) -> Sequence[Work | Exception | Deferred]:
        """Run one batch. What is wrong with one work ends that one; what is wrong with a step, the batch."""
        ended: dict[Task, Exception | Deferred] = {}
        # Before anything is read: an answer may then know of a later change, and never claims to and does not.
        fingerprint = self._engine.fingerprint
        for task in tasks:
            try:
                if not self._prepare(task):
                    ended[task] = DEFERRED
            except SolemateError as error:
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
                    framed.append(self._engine.locate(work.photo))
                else:
                    framed.append(self._engine.decode(image, work.view))
            except QueryError as error:
                if work.label is None:
                    raise
                raise QueryError(error.field, f"{work.label.of(index)}: {error}") from error
            except ImageError as error:
                if work.label is None:
                    raise
                raise type(error)(f"{work.label.of(index)}: {error}") from error
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
        began = perf_counter()
        pixels = np.stack([each.pixels for task in tasks for each in task.item.framed])
        vectors = self._engine.embedder.embed_pixels(pixels)
        spent, start = perf_counter() - began, 0
        for task in tasks:
            stop = start + len(task.item.framed)
            task.item.vectors = vectors[start:stop]
            task.record("encode", spent)
            start = stop

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
        spent = perf_counter() - began
        for task in tasks:
            task.record("search", spent)
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
        began = perf_counter()
        vectors = [_require_vectors(task.item) for task in tasks]
        pictures = self._engine.draw(np.concatenate(vectors))
        spent, start = perf_counter() - began, 0
        for task, some in zip(tasks, vectors, strict=True):
            task.item.drawn = pictures[start : start + len(some)]
            task.record("respond", spent)
            start += len(some)


def _find_vector(work: Work, options: SearchOptions) -> Vector:
    """What is searched for, (D,). Raises SolemateError if the work's examples or its cursor are wrong."""
    if work.reduce is not None:
        work.vectors = work.reduce(_require_vectors(work))
    if options.cursor is not None:
        options.cursor.check_catalog(work.fingerprint)
        options.cursor.check_vector(_require_vectors(work)[0])
        work.vectors = options.cursor.vector[None]
    vector: Vector = _require_vectors(work)[0]
    return vector


def _require_vectors(work: Work) -> Vector:
    assert work.vectors is not None
    return work.vectors
