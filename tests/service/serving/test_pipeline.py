"""Requests through the pipeline: many at once, good and bad, with a network that fails on command."""

import asyncio
import io
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from model.embedder import Embedder
from model.errors import CorruptImage, QueryError, UnsupportedImage
from model.framing import View
from model.localizer import Localizer
from model.preprocess import Framed, to_png
from service.errors import CatalogueChanged, Interrupted, NotReady, Overloaded, UnknownItem
from service.search.options import SearchOptions
from service.search.pagination import decode_cursor
from service.serving import pipeline as pipeline_module
from service.serving.bootstrap import Backend
from service.serving.engine import Engine, Network
from service.serving.pipeline import Pipeline, SearchRequest
from service.serving.recommendation import ExamplePicture, Examples
from service.settings import Settings
from service.store.base import Item, Record
from service.telemetry.request_timing import Stages, watch
from tests.model.networks import tiny_checkpoint
from tests.support.fakes import DIGEST, FakeEmbedder, FindsRed, MemoryStore, leave_out
from tests.support.filters import where
from tests.support.stack import draw_shoe

PATIENCE = 20.0

SHOES = [draw_shoe(number) for number in range(12)]
"""The catalogue's pictures, in its order."""

IDS = [f"{1000 + number // 2}.{number % 2 + 1}" for number in range(12)]

POISON = draw_shoe(77)
"""A picture that there is nothing wrong with, and that the network fails on."""

DEADLY = draw_shoe(78)
"""A picture that no thread survives."""


class Killer(BaseException):
    """What no batch survives."""


class MoodyEmbedder(FakeEmbedder):
    """Fails on one picture, dies of another, and waits while its gate is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Event()
        self.batches: list[int] = []
        self.poison, self.deadly = (self.preprocessor.decode(picture) for picture in (POISON, DEADLY))

    def embed_pixels(self, pixels: NDArray[np.uint8], /) -> NDArray[np.float32]:
        """See FakeEmbedder."""
        self.batches.append(len(pixels))
        self.began.set()
        assert self.gate.wait(PATIENCE)
        if any(np.array_equal(each, self.deadly) for each in pixels):
            raise Killer
        if any(np.array_equal(each, self.poison) for each in pixels):
            raise RuntimeError("the network fails on this one")
        return super().embed_pixels(pixels)


@pytest.fixture
def embedder() -> MoodyEmbedder:
    """Of the pipeline's engine."""
    return MoodyEmbedder()


@pytest.fixture
def engine(embedder: MoodyEmbedder, tmp_path: Path) -> Engine:
    """Of twelve shoes."""
    store = MemoryStore(tmp_path)
    pixels = np.stack([embedder.preprocessor.decode(shoe) for shoe in SHOES])
    vectors = FakeEmbedder.embed_pixels(embedder, pixels)
    sides = ("Women", "Men")
    items = [Item(item_id, "", {"Gender": (sides[index % 2],)}) for index, item_id in enumerate(IDS)]
    store.upsert(Record(item, vector) for item, vector in zip(items, vectors, strict=True))
    return Engine(embedder, store, Network(DIGEST, ("closure",)), tmp_path, Settings(max_k=10, max_images=40))


@asynccontextmanager
async def running(engine: Engine, **options: Any) -> AsyncIterator[Pipeline]:
    """A pipeline from its start to its close."""
    backend = Backend(engine, Settings(**{"wait_seconds": PATIENCE, **options}))
    await backend.start()
    try:
        async with asyncio.timeout(PATIENCE):
            yield backend.pipeline
    finally:
        if isinstance(engine.embedder, MoodyEmbedder):
            engine.embedder.gate.set()
        await backend.close()


async def hold(pipeline: Pipeline, embedder: MoodyEmbedder) -> "asyncio.Task[Any]":
    """Send a request that stays in the network until the gate opens."""
    embedder.gate.clear()
    embedder.began.clear()
    task = asyncio.create_task(pipeline.embed([SHOES[0]]))
    end = time.monotonic() + PATIENCE
    while not embedder.began.is_set():
        assert time.monotonic() < end
        await asyncio.sleep(0.001)
    return task


def best(found: Any) -> str:
    """The nearest shoe's id."""
    return str(found.hits[0].item.id)


async def test_each_search_finds_its_own_shoe(engine: Engine, embedder: MoodyEmbedder) -> None:
    """Sixty searches at once: each picture finds the shoe that it is of, and they went through in few batches."""
    order = [number % 12 for number in range(60)]

    async with running(engine) as pipeline:
        embedder.batches.clear()
        found = await asyncio.gather(*(pipeline.search_image(SHOES[number], SearchOptions(1)) for number in order))
        assert [best(each) for each in found] == [IDS[number] for number in order]
        assert {each.fingerprint for each in found} == {engine.fingerprint}
    assert embedder.batches == [32, 28]


@pytest.mark.parametrize("batch", [1, 3, 32])
async def test_a_vector_does_not_depend_on_the_batch(tmp_path: Path, batch: int) -> None:
    """Whatever rides along, a picture's vector is the one that it has alone, to 1e-5."""
    embedder = Embedder(tiny_checkpoint())
    engine = Engine(embedder, MemoryStore(tmp_path), Network(DIGEST), tmp_path, Settings())
    alone = np.concatenate([embedder.embed([shoe]) for shoe in SHOES])

    async with running(engine, batch_size=batch) as pipeline:
        embedded = await asyncio.gather(*(pipeline.embed([shoe]) for shoe in SHOES))
        assert np.abs(np.concatenate([each.vectors for each in embedded]) - alone).max() < 1e-5


async def test_bad_pictures_fail_alone(engine: Engine, embedder: MoodyEmbedder) -> None:
    """Among good pictures the bad ones fail, each by what is wrong with it; the good ones' batch runs once."""
    pictures = [SHOES[0], b"", SHOES[1], b"text", SHOES[2][: len(SHOES[2]) // 2], SHOES[3]]

    async with running(engine) as pipeline:
        embedder.batches.clear()
        found = await asyncio.gather(
            *(pipeline.search_image(each, SearchOptions(1)) for each in pictures), return_exceptions=True
        )
        assert [best(found[place]) for place in (0, 2, 5)] == [IDS[0], IDS[1], IDS[3]]
        assert [type(found[place]) for place in (1, 3, 4)] == [CorruptImage, UnsupportedImage, CorruptImage]
    assert embedder.batches == [3]


async def test_a_picture_that_breaks_its_decoding_fails_alone(
    engine: Engine, embedder: MoodyEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where decoding raises what is no error of ours, the others' batch still runs once."""
    frame = embedder.preprocessor.frame_plain

    def fail(image: Image.Image, view: View | None = None) -> Framed | Image.Image:
        if image.size == (35, 26):
            raise RuntimeError("of the framing")
        return frame(image, view)

    monkeypatch.setattr(embedder.preprocessor, "frame_plain", fail)
    async with running(engine) as pipeline:
        embedder.batches.clear()
        pictures = [SHOES[0], draw_shoe(3, size=(35, 26)), SHOES[1]]
        first, broken, last = await asyncio.gather(
            *(pipeline.search_image(each, SearchOptions(1)) for each in pictures), return_exceptions=True
        )
        assert (best(first), best(last)) == (IDS[0], IDS[1])
        assert isinstance(broken, RuntimeError)
    assert embedder.batches == [2]


async def test_a_picture_that_breaks_the_network_fails_alone(engine: Engine, embedder: MoodyEmbedder) -> None:
    """The batch that it broke is run again one by one, and the service goes on."""
    async with running(engine) as pipeline:
        embedder.batches.clear()
        pictures = [SHOES[0], POISON, SHOES[1]]
        first, poisoned, last = await asyncio.gather(
            *(pipeline.search_image(each, SearchOptions(1)) for each in pictures), return_exceptions=True
        )
        assert (best(first), best(last)) == (IDS[0], IDS[1])
        assert isinstance(poisoned, RuntimeError)
        assert best(await pipeline.search_image(SHOES[5], SearchOptions(1))) == IDS[5]
    assert embedder.batches == [3, 1, 1, 1, 1]


async def test_death_of_the_thread_is_mended(engine: Engine) -> None:
    """Who rode with what killed the thread is asked to try again; the next is served, and the canary lives."""
    async with running(engine) as pipeline:
        lost = await asyncio.gather(
            *(pipeline.search_image(each, SearchOptions(1)) for each in (SHOES[0], DEADLY)), return_exceptions=True
        )
        assert [type(each) for each in lost] == [Interrupted, Interrupted]
        assert best(await pipeline.search_image(SHOES[5], SearchOptions(1))) == IDS[5]
        await pipeline.check_ready()


async def test_not_ready_while_the_thread_is_dead(engine: Engine) -> None:
    """Between a thread that died twice and its successor the pipeline is not ready; with the successor it is again."""
    async with running(engine) as pipeline:
        for _ in range(2):
            with pytest.raises(Interrupted):
                await pipeline.search_image(DEADLY, SearchOptions(1))
        with pytest.raises(NotReady, match="no thread"):
            await pipeline.check_ready()
        await pipeline.search_image(SHOES[0], SearchOptions(1))
        await pipeline.check_ready()


async def test_ready_under_load_and_not_when_stuck(engine: Engine, embedder: MoodyEmbedder) -> None:
    """A full queue does not make it unready, as one canary for all who ask passes it; a batch that never ends does."""
    async with running(engine, queue_size=1) as pipeline:
        held = await hold(pipeline, embedder)
        with pytest.raises(Overloaded):
            await pipeline.search_image(SHOES[1], SearchOptions(1))
        before = len(embedder.batches)
        canaries = [asyncio.create_task(pipeline.check_ready()) for _ in range(20)]
        await asyncio.sleep(0.01)
        canaries.pop().cancel()
        embedder.gate.set()
        await asyncio.gather(held, *canaries)
        assert embedder.batches[before:] == [1]

    async with running(engine, wait_seconds=0.3) as pipeline:
        held = await hold(pipeline, embedder)
        with pytest.raises(NotReady, match="did not come back"):
            await pipeline.check_ready()
        with pytest.raises(Interrupted):
            await held


async def test_a_large_picture_keeps_no_small_one_waiting(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a large picture is decoded, small ones are answered; then it is, and it is the same answer."""
    gate = threading.Event()
    decode = Engine.decode

    def decode_slowly(self: Engine, image: bytes, view: View | None = None) -> Framed:
        assert threading.current_thread().name.startswith("decode")
        assert gate.wait(PATIENCE)
        return decode(self, image, view)

    monkeypatch.setattr(Engine, "decode", decode_slowly)
    monkeypatch.setattr(pipeline_module, "SMALL_PIXELS", 34 * 26)
    large = draw_shoe(3, size=(35, 26))

    async with running(engine) as pipeline:
        slow = asyncio.create_task(pipeline.search_image(large, SearchOptions(1)))
        quick = await asyncio.gather(*(pipeline.search_image(shoe, SearchOptions(1)) for shoe in SHOES))
        assert [best(each) for each in quick] == IDS
        assert not slow.done()
        gate.set()
        vector = engine.embedder.embed_pixels(decode(engine, large).pixels[None])[0]
        assert (await slow).hits == (await pipeline.search(vector, SearchOptions(1))).hits


async def test_a_photo_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the localizer looks at a photo in a helper, pictures with a plain margin pass, without any hand-over."""
    gate, looked = threading.Event(), []
    engine = Engine(
        FakeEmbedder(framing="subject", localizer=FindsRed()),
        MemoryStore(tmp_path),
        Network(DIGEST),
        tmp_path,
        Settings(),
    )
    photo = io.BytesIO()
    Image.effect_noise((40, 30), 90).convert("RGB").save(photo, "PNG")

    def look(_: Localizer, images: torch.Tensor) -> torch.Tensor:
        looked.append((threading.current_thread().name[:6], torch.is_inference_mode_enabled(), len(images)))
        assert gate.wait(PATIENCE)
        return torch.zeros(images[:, 0].shape)

    monkeypatch.setattr(FindsRed, "forward", look)
    monkeypatch.setattr(Engine, "decode", lambda *_: pytest.fail("decoded once more"))

    async with running(engine, decode_threads=1) as pipeline:
        slow = asyncio.create_task(pipeline.embed([photo.getvalue()]))
        await pipeline.check_ready()
        quick = await asyncio.gather(*(pipeline.embed([shoe]) for shoe in SHOES))
        assert all(each.subjects[0] is not None for each in quick)
        assert not slow.done()
        gate.set()
        assert (await slow).subjects == [None]
    assert looked == [("decode", True, 1)]


async def test_bytes_alone_make_a_picture_large(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of many bytes is decoded aside, however few pixels it claims; a broken one fails as it would here."""
    monkeypatch.setattr(Engine, "decode_small", lambda *_: pytest.fail("decoded within the batch"))
    heavy = SHOES[4] + bytes(pipeline_module.SMALL_BYTES)

    async with running(engine) as pipeline:
        assert best(await pipeline.search_image(heavy, SearchOptions(1))) == IDS[4]
        with pytest.raises(UnsupportedImage):
            await pipeline.search_image(bytes(pipeline_module.SMALL_BYTES + 1), SearchOptions(1))


async def test_large_pictures_are_not_decoded_for_nobody(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that is cancelled while its picture waits for a helper costs nothing more."""
    gate, decoded = threading.Event(), []
    decode = Engine.decode

    def note(self: Engine, image: bytes, view: View | None = None) -> Framed:
        assert gate.wait(PATIENCE)
        decoded.append(image)
        return decode(self, image, view)

    monkeypatch.setattr(Engine, "decode", note)
    monkeypatch.setattr(pipeline_module, "SMALL_PIXELS", 1)

    async with running(engine, decode_threads=1) as pipeline:
        tasks = [asyncio.create_task(pipeline.search_image(shoe, SearchOptions(1))) for shoe in SHOES[:3]]
        await asyncio.sleep(0.05)
        tasks[1].cancel()
        await asyncio.sleep(0)
        gate.set()
        assert best(await tasks[0]) == IDS[0]
        assert best(await tasks[2]) == IDS[2]
    assert decoded == [SHOES[0], SHOES[2]]


async def test_many_pictures_of_one_request(engine: Engine, embedder: MoodyEmbedder) -> None:
    """They come back in their order, and never fill more than one batch at a time."""
    async with running(engine, batch_size=5) as pipeline:
        embedder.batches.clear()
        embedded = await pipeline.embed(SHOES)
        expected = np.concatenate([engine.embed([shoe]) for shoe in SHOES])
        np.testing.assert_array_equal(embedded.vectors, expected)
    assert embedder.batches[:3] == [5, 5, 2]


@pytest.mark.parametrize("place", [1, 7])
async def test_the_bad_one_of_many_pictures_is_named(engine: Engine, place: int) -> None:
    """By its place among all of the request's, and its name; the error's kind stays."""
    pictures = [*SHOES[:place], b"", *SHOES[place:8]]
    names = [f"{number}.jpg" for number in range(len(pictures))]

    async with running(engine, batch_size=5) as pipeline:
        with pytest.raises(CorruptImage, match=rf"image {place + 1} of 9 \('{place}.jpg'\): the image is empty"):
            await pipeline.embed(pictures, names)
        with pytest.raises(CorruptImage, match=rf"image {place + 1} of 9 \(''\)"):
            await pipeline.embed(pictures)
        with pytest.raises(CorruptImage, match=r"^the image is empty"):
            await pipeline.embed([b""], ["a"])


async def test_what_is_out_of_range_costs_nothing(engine: Engine, embedder: MoodyEmbedder) -> None:
    """It is refused before a picture is looked at."""
    async with running(engine) as pipeline:
        embedder.batches.clear()
        for call, said in (
            (pipeline.search_image(SHOES[0], SearchOptions(11)), "k is 11"),
            (pipeline.search(np.zeros(8, np.float32), SearchOptions(0)), "k is 0"),
            (pipeline.search([0.0] * 7, SearchOptions(1)), "expected 8"),
            (pipeline.similar(IDS[0], SearchOptions(0)), "k is 0"),
            (pipeline.embed([]), "0 images"),
            (pipeline.embed([SHOES[0]] * 41), "41 images"),
            (pipeline.interpolate(IDS[0], IDS[1], 17), "steps is 17"),
        ):
            with pytest.raises(QueryError, match=said):
                await call
    assert embedder.batches == []


async def test_searches_of_all_kinds_in_one_batch(engine: Engine, embedder: MoodyEmbedder) -> None:
    """Pictures, vectors and shoes, by different conditions and filters, ride together and are answered each rightly."""
    men = where({"Gender": frozenset({"Men"})})
    vector = engine.store.vector(IDS[3])

    async with running(engine) as pipeline:
        held = await hold(pipeline, embedder)
        calls: Sequence[Awaitable[Any]] = (
            pipeline.search(vector, SearchOptions(3)),
            pipeline.search_image(SHOES[3], SearchOptions(3)),
            pipeline.search(vector, SearchOptions(3, condition="closure")),
            pipeline.search(vector, SearchOptions(3, filter=men)),
            pipeline.similar(IDS[3], SearchOptions(3)),
            pipeline.similar(IDS[3], SearchOptions(3, filter=men)),
            pipeline.search(vector, SearchOptions(3, condition="colour")),
            pipeline.similar("no", SearchOptions(3)),
        )
        tasks = asyncio.gather(*calls, return_exceptions=True)
        await asyncio.sleep(0.01)
        embedder.gate.set()
        await held
        results: Any = await tasks
        *found, wrong, unknown = results
        search = engine.store.search
        expected = [
            search(vector[None], 3),
            search(vector[None], 3),
            search(vector[None], 3, condition="closure"),
            search(vector[None], 3, filter=men),
            [leave_out(IDS[3], search(vector[None], 4)[0])[:3]],
            [leave_out(IDS[3], search(vector[None], 4, filter=men)[0])[:3]],
        ]
        assert [[each.hits] for each in found] == expected
        assert isinstance(wrong, QueryError)
        assert isinstance(unknown, UnknownItem)


async def test_how_deep_a_batch_goes(engine: Engine) -> None:
    """Later pages count together; a batch may have as many shoes behind it as its first pages may have."""
    vector = engine.store.vector(IDS[3])
    async with running(engine) as pipeline:
        first = await pipeline.search(vector, SearchOptions(2))
        assert first.next is not None
        page = replace(decode_cursor(first.next), offset=400)
        requests = [SearchRequest(SearchOptions(10, cursor=page), vector=vector.tolist())] * 3
        assert len(await pipeline.search_many(requests[:2])) == 2
        with pytest.raises(QueryError, match="begin 1,200 shoes down; expected at most 1,000"):
            await pipeline.search_many(requests)


async def test_a_catalogue_that_changes_during_a_page(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later page that another catalogue may have come into is refused; a first page in the same batch is given."""
    vector = engine.store.vector(IDS[3])
    search = MemoryStore.search

    def search_and_change(self: MemoryStore, *arguments: Any, **options: Any) -> Any:
        found = search(self, *arguments, **options)
        self.version += 1
        return found

    async with running(engine) as pipeline:
        first = await pipeline.search(vector, SearchOptions(2))
        assert first.next is not None
        page = decode_cursor(first.next)
        assert len((await pipeline.search(vector, SearchOptions(2, cursor=page))).hits) == 2
        monkeypatch.setattr(MemoryStore, "search", search_and_change)
        answers = pipeline.search(vector, SearchOptions(2, cursor=page)), pipeline.search(vector, SearchOptions(2))
        later, again = await asyncio.gather(*answers, return_exceptions=True)
        assert isinstance(later, CatalogueChanged)
        assert not isinstance(again, BaseException)
        assert again.hits == first.hits


async def test_pages_of_a_picture_are_of_its_first_vector(
    engine: Engine, embedder: MoodyEmbedder, tmp_path: Path
) -> None:
    """A vector that differs in its last bits, as in another batch, does not change the pages."""

    class Shaking(FakeEmbedder):
        shift = np.float32(0)

        def embed_pixels(self, pixels: NDArray[np.uint8], /) -> NDArray[np.float32]:
            return super().embed_pixels(pixels) + self.shift

    shaking = Shaking()
    shaken = Engine(shaking, engine.store, Network(DIGEST), tmp_path, Settings())

    async with running(shaken) as pipeline:
        whole = await pipeline.search_image(SHOES[2], SearchOptions(8))
        first = await pipeline.search_image(SHOES[2], SearchOptions(3))
        assert first.next is not None
        options = SearchOptions(5, cursor=decode_cursor(first.next))
        shaking.shift = np.float32(3e-5)
        rest = await pipeline.search_image(SHOES[2], options)
        assert [*first.hits, *rest.hits] == whole.hits
        shaking.shift = np.float32(0.01)
        with pytest.raises(QueryError, match="another shoe"):
            await pipeline.search_image(SHOES[2], options)


async def test_examples_with_large_pictures(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures that are decoded aside make the same vector as small ones, and a bad one is named."""
    pictures = [ExamplePicture(SHOES[0], "a.jpg", liked=True), ExamplePicture(SHOES[5], "b.jpg", liked=False)]
    store = engine.store
    vectors = [store.vector(IDS[number]).astype(np.float64) for number in (0, 7, 5)]
    target = (vectors[0] + vectors[1]) - vectors[2]
    examples = Examples(liked_ids=[IDS[7]], images=pictures)

    async with running(engine) as pipeline:
        found = await pipeline.recommend(examples, SearchOptions(4))
        expected = leave_out(IDS[7], store.search(target.astype(np.float32)[None], 5)[0])[:4]
        assert [hit.item for hit in found.hits] == [hit.item for hit in expected]
        monkeypatch.setattr(pipeline_module, "SMALL_PIXELS", 1)
        assert await pipeline.recommend(examples, SearchOptions(4)) == found
        bad = Examples(images=[*pictures, ExamplePicture(b"no", "c.jpg", liked=True)])
        with pytest.raises(UnsupportedImage, match=r"image 3 of 3 \('c.jpg'\)"):
            await pipeline.recommend(bad, SearchOptions(4))
        with pytest.raises(UnknownItem):
            await pipeline.recommend(Examples(liked_ids=["no"], images=pictures), SearchOptions(4))


async def test_drawings_of_all_kinds_in_one_batch(engine: Engine, embedder: MoodyEmbedder) -> None:
    """Each is the picture of its own vectors, side by side."""
    one, swapped = engine.store.vector(IDS[0]), engine.swap(IDS[0], "closure", IDS[1])

    def draw(vectors: NDArray[np.float32]) -> bytes:
        return to_png(np.concatenate(list(engine.draw(vectors)), axis=2))

    async with running(engine) as pipeline:
        held = await hold(pipeline, embedder)
        tasks = asyncio.gather(
            pipeline.reconstruct(IDS[0]),
            pipeline.interpolate(IDS[0], IDS[1], 4),
            pipeline.swap(IDS[0], "closure", IDS[1]),
            pipeline.reconstruct_image(SHOES[2]),
            pipeline.swap(IDS[0], "colour", IDS[1]),
            pipeline.reconstruct("no"),
            return_exceptions=True,
        )
        await asyncio.sleep(0.01)
        embedder.gate.set()
        await held
        results: Any = await tasks
        *drawn, wrong, unknown = results
        expected = (one[None], engine.interpolate(IDS[0], IDS[1], 4), swapped, engine.embed([SHOES[2]]))
        assert drawn == [draw(vectors) for vectors in expected]
        assert Image.open(io.BytesIO(drawn[1])).size == (64, 16)
        assert isinstance(wrong, QueryError)
        assert isinstance(unknown, UnknownItem)


async def test_cancelled_searches_are_not_worked_out(engine: Engine, embedder: MoodyEmbedder) -> None:
    """What nobody waits for any more reaches neither network nor store."""
    async with running(engine) as pipeline:
        held = await hold(pipeline, embedder)
        unwanted = [asyncio.create_task(pipeline.search_image(shoe, SearchOptions(1))) for shoe in SHOES[:6]]
        await asyncio.sleep(0)
        for task in unwanted[:5]:
            task.cancel()
        embedder.batches.clear()
        embedder.gate.set()
        assert best(await unwanted[5]) == IDS[5]
        await held
        assert embedder.batches == [1]


async def test_stages_are_noted(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request's stopwatch has what its picture took in each stage, also where a helper decoded it."""
    async with running(engine) as pipeline:
        for _ in range(2):
            with watch(Stages()) as stages:
                await pipeline.search_image(SHOES[0], SearchOptions(1))
            assert set(stages.seconds) == {"decode", "queue", "encode", "search"}
            assert min(stages.seconds.values()) >= 0
            monkeypatch.setattr(pipeline_module, "SMALL_BYTES", 1)


async def test_close_answers_what_is_under_way(engine: Engine, embedder: MoodyEmbedder) -> None:
    """What was accepted is answered, what comes later is told that the service is not ready."""
    async with running(engine) as pipeline:
        held = await hold(pipeline, embedder)
        waiting = asyncio.create_task(pipeline.search_image(SHOES[3], SearchOptions(1)))
        await asyncio.sleep(0)
        closing = asyncio.create_task(pipeline.close())
        await asyncio.sleep(0.01)
        with pytest.raises(NotReady):
            await pipeline.search_image(SHOES[3], SearchOptions(1))
        embedder.gate.set()
        await closing
        assert best(await waiting) == IDS[3]
        await held
        with pytest.raises(NotReady):
            await pipeline.check_ready()
