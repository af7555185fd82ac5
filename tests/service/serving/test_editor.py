"""Changes that many requests ask for at once."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from model.errors import CorruptImage, QueryError
from model.preprocess import Preprocessor
from service.catalog.images import CleanPicture
from service.catalog.writer import Changed
from service.errors import DeadlineExceeded, Interrupted, ItemExists, NotReady, Overloaded, UnknownItem
from service.serving.bootstrap import Backend
from service.serving.editor import MOST_WRITES, Editor, NewShoe
from service.serving.engine import Embedded, Engine, Network
from service.settings import Settings
from service.store.base import Record
from service.telemetry.request_timing import Stages, watch
from tests.support.fakes import DIGEST, FakeEmbedder, MemoryStore
from tests.support.stack import draw_shoe

PATIENCE = 60.0
"""Seconds after which a test has failed; the machine may be busy."""


class GatedStore(MemoryStore):
    """Notes the size of each step, and waits at a gate before it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.gate, self.began = threading.Event(), threading.Event()
        self.gate.set()
        self.steps: list[int] = []

    def upsert(self, records: Iterable[Record], *, overwrite: bool = True) -> int:
        """See VectorStore."""
        new = list(records)
        self.steps.append(len(new))
        self.began.set()
        assert self.gate.wait(PATIENCE)
        return super().upsert(new, overwrite=overwrite)


@pytest.fixture
def store(tmp_path: Path) -> GatedStore:
    """An empty one, whose gate is open."""
    return GatedStore(tmp_path)


Running = Callable[..., AbstractAsyncContextManager[Backend]]


@pytest.fixture
def running(store: GatedStore, tmp_path: Path) -> Running:
    """A backend over the store from its start to its close; options are settings."""

    @asynccontextmanager
    async def running(**options: Any) -> AsyncIterator[Backend]:
        engine = Engine(FakeEmbedder(), store, Network(DIGEST), tmp_path, Settings())
        backend = Backend(engine, Settings(**{"wait_seconds": PATIENCE, **options}))
        await backend.start()
        try:
            async with asyncio.timeout(PATIENCE):
                yield backend
        finally:
            store.gate.set()
            await backend.close()

    return running


def new(item_id: str, number: int = 0) -> NewShoe:
    """A drawn shoe."""
    return NewShoe(item_id, {"Gender": ["Men"]}, draw_shoe(number))


async def hold(backend: Backend, store: GatedStore) -> "asyncio.Task[Changed]":
    """Have one shoe stay before the gate."""
    store.gate.clear()
    store.began.clear()
    task = asyncio.create_task(backend.editor.add(new("held")))
    assert await asyncio.to_thread(store.began.wait, PATIENCE)
    return task


async def test_changes_that_wait_are_written_together(running: Running, store: GatedStore) -> None:
    """What comes from many requests while one step is written makes the next one; and the event loop goes on."""
    async with running() as backend:
        held = await hold(backend, store)
        others = [asyncio.create_task(backend.editor.add(new(f"{number}", number))) for number in range(20)]
        while backend.editor.batcher.load < 21:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)  # a round of the event loop, in which the last ones reach the batcher's thread
        store.gate.set()
        changed = await asyncio.gather(held, *others)
        assert [each.item.id for each in changed] == ["held", *(f"{number}" for number in range(20))]
        assert all(each.created for each in changed)
    assert store.steps == [1, 20]


async def test_too_many_changes(running: Running, store: GatedStore) -> None:
    """Beyond what may wait, a change is refused at once, and is not written later."""
    async with running() as backend:
        held = await hold(backend, store)
        waiting = [asyncio.create_task(backend.editor.patch("held", {})) for _ in range(MOST_WRITES - 1)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await backend.editor.remove("held")
        store.gate.set()
        await asyncio.gather(held, *waiting)
    assert list(store.records) == ["held"]


async def test_a_change_that_waits_too_long(running: Running, store: GatedStore) -> None:
    """A change that does not come to its turn in time is told so, and is not written; one that is under way is."""
    async with running(wait_seconds=0.5) as backend:
        held = await hold(backend, store)
        with pytest.raises(DeadlineExceeded):
            await backend.editor.patch("held", {"Gender": ["Women"]})
        with pytest.raises(Interrupted, match="may be carried out still"):
            await held  # it is: whoever repeats it must know
        store.gate.set()
    assert store.records["held"].item.attributes == {"Gender": ("Men",)}


async def test_a_picture_that_waits_too_long(
    running: Running, store: GatedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is one whose picture is not decoded in time."""
    gate = threading.Event()

    def clean(_preprocessor: Preprocessor, _image: bytes) -> CleanPicture:
        gate.wait(PATIENCE)
        raise CorruptImage("too late")

    monkeypatch.setattr("service.serving.editor.clean_picture", clean)

    async with running(wait_seconds=0.2) as backend:
        with pytest.raises(DeadlineExceeded):
            await backend.editor.add(new("a"))
        gate.set()
    assert store.steps == []


async def test_a_client_that_goes(running: Running, store: GatedStore) -> None:
    """A change whose client has gone before its turn is not made."""
    async with running() as backend:
        held = await hold(backend, store)
        gone = asyncio.create_task(backend.editor.patch("held", {"Gender": ["Women"]}))
        await asyncio.sleep(0)
        gone.cancel()
        store.gate.set()
        await held
        await asyncio.gather(gone, return_exceptions=True)
    assert store.records["held"].item.attributes == {"Gender": ("Men",)}


async def test_closing_lets_changes_finish(store: GatedStore, tmp_path: Path) -> None:
    """What was taken on before the end is written; what comes after it is refused."""
    backend = Backend(
        Engine(FakeEmbedder(), store, Network(DIGEST), tmp_path, Settings()), Settings(wait_seconds=PATIENCE)
    )
    await backend.start()
    held = await hold(backend, store)
    waiting = asyncio.create_task(backend.editor.patch("held", {"Gender": ["Women"]}))
    await asyncio.sleep(0)
    closing = asyncio.create_task(backend.close())
    await asyncio.sleep(0)
    store.gate.set()
    await closing
    assert (await held).created
    assert (await waiting).item.attributes == {"Gender": ("Women",)}
    with pytest.raises(NotReady):
        await backend.editor.remove("held")


async def test_a_batch_is_written_in_its_order(running: Running, store: GatedStore) -> None:
    """A picture that takes longer than the next one's does not put its shoe behind it."""
    second, calls = asyncio.Event(), list[Sequence[bytes]]()
    async with running() as backend:

        async def embed(images: Sequence[bytes]) -> Embedded:
            calls.append(images)
            if len(calls) == 1:
                await second.wait()
            embedded = await backend.pipeline.embed(images)
            second.set()
            return embedded

        with ThreadPoolExecutor(1) as helpers:  # so that pictures are embedded in their order
            editor = Editor(backend.engine, embed, helpers, Settings(wait_seconds=PATIENCE))
            await editor.start()
            await editor.add_all([new("a"), new("b", 1)])
            await editor.close()
    assert list(store.records) == ["a", "b"]


async def test_add_all_tells_of_each(running: Running, store: GatedStore) -> None:
    """Each shoe of several has its own outcome, in their order."""
    async with running() as backend:
        await backend.editor.add(new("a"))
        shoes = [new("a", 1), NewShoe("b", {}, draw_shoe(1)[:500]), new("c/d"), new("e", 2)]
        outcomes = await backend.editor.add_all(shoes, overwrite=False)
        assert [type(outcome) for outcome in outcomes] == [ItemExists, CorruptImage, QueryError, Changed]
    assert list(store.records) == ["a", "e"]


async def test_stages_are_noted(running: Running, store: GatedStore) -> None:
    """A request is told what decoding, embedding and writing its shoe took."""
    async with running() as backend:
        with watch(Stages()) as stages:
            await backend.editor.add(new("a"))
        assert set(stages.seconds) == {"decode", "queue", "encode", "write"}
        with pytest.raises(UnknownItem):
            await backend.editor.patch("b", {})
