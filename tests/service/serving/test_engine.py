"""The engine, without HTTP and without batches."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.errors import ImageTooLarge, QueryError, SolemateError, UnsupportedImage
from model.preprocess import Framed, ImageLimits
from service.errors import NotReady, UnknownItem
from service.search.options import SearchOptions
from service.search.ranker import Ranked
from service.serving.engine import Engine, Network
from service.settings import Settings
from service.store.base import OVERALL, Filter, Hit, Item, Record, Weights
from service.store.filters import All, HasValue, Not, parse_filter
from tests.support.fakes import DIGEST, FakeEmbedder, MemoryStore, leave_out
from tests.support.filters import where
from tests.support.stack import draw_shoe

Asked = tuple[NDArray[np.float32], SearchOptions]


def query(
    engine: Engine,
    number: int,
    k: int = 3,
    **options: Any,
) -> Asked:
    """A search by a drawn shoe."""
    return engine.embed([draw_shoe(number)])[0], SearchOptions(k, **options)


def ask(engine: Engine, asked: Sequence[Asked]) -> list[Ranked | SolemateError]:
    """Several searches, together."""
    return engine.search([vector for vector, _ in asked], [options for _, options in asked])


def test_an_item_is_of_one_moment(memory_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shoe that is replaced meanwhile does not come with the other's vector."""
    store = memory_engine.store
    before, after = store.record("1000.1"), store.record("1001.1")

    def vector(item_id: str) -> NDArray[np.float32]:
        store.upsert([Record(replace(after.item, id=item_id), after.vector)])
        return after.vector

    monkeypatch.setattr(store, "vector", vector)
    item, found = memory_engine.item("1000.1")
    assert item == before.item
    np.testing.assert_array_equal(found, before.vector)


def test_searches_together_answer_as_they_do_alone(memory_engine: Engine) -> None:
    """Whatever other searches it is asked with, a search has its own answer, in its own place."""
    men = where({"Gender": frozenset({"Men"})})
    queries = [
        query(memory_engine, 0),
        query(memory_engine, 1, condition="closure"),
        query(memory_engine, 2),
        query(memory_engine, 3, filter=men),
        query(memory_engine, 4, k=5),
        query(memory_engine, 5, exclude=("1002.2",)),
        query(memory_engine, 6, filter=where({"Gender": frozenset({"Men"})})),
    ]
    alone = [ask(memory_engine, [each])[0] for each in queries]
    assert ask(memory_engine, queries) == alone
    assert ask(memory_engine, queries[::-1]) == alone[::-1]
    found = alone[3]
    assert isinstance(found, Ranked)
    assert {hit.item.attributes["Gender"] for hit in found.hits} == {("Men",)}


def test_alike_searches_are_one(memory_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is asked once for all that compare by the same, among the same, also where one leaves a shoe out."""
    asked = []
    search = MemoryStore.search

    def note(
        self: MemoryStore,
        queries: NDArray[np.float32],
        k: int,
        *,
        condition: str | Weights = OVERALL,
        filter: Filter | None = None,
        vectors: bool = False,
    ) -> list[list[Hit]]:
        asked.append((len(queries), k))
        return search(self, queries, k, condition=condition, filter=filter, vectors=vectors)

    for condition in (OVERALL, "closure", "free"):
        memory_engine.nearness.of(condition)  # asks the store once
    monkeypatch.setattr(MemoryStore, "search", note)
    ask(
        memory_engine,
        [
            query(memory_engine, 0, k=4),
            query(memory_engine, 1, k=3, exclude=("1000.1",)),
            query(memory_engine, 2, k=3, exclude=("1000.2",)),
            query(memory_engine, 3, k=4, condition="closure"),
            query(memory_engine, 4, k=4, weights={"closure": 1.0, "free": 2.0}),
            query(memory_engine, 5, k=5, weights={"free": 2.0, "closure": 1.0}),
            query(memory_engine, 6, k=90),
        ],
    )
    # One more than k, to tell whether there is another page.
    assert asked == [(3, 5), (1, 91), (1, 5), (2, 6)]


@pytest.mark.parametrize("k", [1, 3, 11, 12])
@pytest.mark.parametrize("left_out", ["1000.1", "1003.2", "not there"])
def test_leaving_one_out(memory_engine: Engine, k: int, left_out: str) -> None:
    """A shoe that is left out is not found, and the others are those that the store finds without it."""
    asked = query(memory_engine, 0, k=k, exclude=(left_out,))
    expected = leave_out(left_out, memory_engine.store.search(asked[0][None], k + 1)[0])[:k]
    found = ask(memory_engine, [asked])[0]
    assert isinstance(found, Ranked)
    assert found.hits == expected


def test_a_wrong_search_fails_alone(memory_engine: Engine) -> None:
    """What is wrong with one search is its own answer; those that are alike fail each with an error of its own."""
    wrong = where({"Colour": frozenset({"Red"})})
    queries = [query(memory_engine, 0), *(query(memory_engine, number, filter=wrong) for number in (1, 2))]
    good, *bad = ask(memory_engine, [*queries, query(memory_engine, 3, condition="colour")])
    assert good == ask(memory_engine, queries[:1])[0]
    assert [each.field for each in bad if isinstance(each, QueryError)] == ["filter", "filter", "condition"]
    assert bad[0] is not bad[1]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_vector_must_be_finite_in_float32(memory_engine: Engine, value: float) -> None:
    """A number that is not finite, or too large for float32, is refused as the vector's."""
    with pytest.raises(QueryError, match="finite") as caught:
        memory_engine.check_vector([0.0] * 7 + [value])
    assert caught.value.field == "vector"
    with pytest.raises(QueryError, match="expected 8"):
        memory_engine.check_vector([0.0] * 7)


def test_limits(memory_engine: Engine) -> None:
    """What is out of range is refused by name, and what is not is let pass."""
    for check, field, good, bad in (
        (memory_engine.check_count, "image", (1, 3), (0, 4)),
        (memory_engine.check_steps, "steps", (2, 16), (1, 17)),
    ):
        for value in good:
            check(value)
        for value in bad:
            with pytest.raises(QueryError, match=f"{value}") as caught:
                check(value)
            assert caught.value.field == field


def test_small_pictures_are_told_by_their_header(memory_engine: Engine) -> None:
    """A picture with more pixels than asked for is not decoded; one with as many is, as any other."""
    shoe = draw_shoe(0, size=(30, 20))
    assert memory_engine.decode_small(shoe, 599) is None
    framed = memory_engine.decode_small(shoe, 600)
    assert isinstance(framed, Framed)
    np.testing.assert_array_equal(framed.pixels, memory_engine.decode(shoe).pixels)
    with pytest.raises(UnsupportedImage):
        memory_engine.decode_small(b"text", 600)


def test_limits_of_pictures_hold_for_small_ones_too(tmp_path: Path) -> None:
    """What is refused is refused, whoever decodes it."""
    embedder = FakeEmbedder(ImageLimits(max_pixels=500))
    engine = Engine(embedder, MemoryStore(tmp_path), Network(DIGEST), tmp_path, Settings())
    with pytest.raises(ImageTooLarge):
        engine.decode_small(draw_shoe(0, size=(30, 20)), 10_000)


def test_unknown_shoes(memory_engine: Engine) -> None:
    """Whatever is asked of a shoe that is not there, the answer is the same error."""
    calls = (
        lambda: memory_engine.item("no"),
        lambda: memory_engine.picture("no"),
        lambda: memory_engine.vectors_of("no"),
        lambda: memory_engine.interpolate("1000.1", "no", 3),
        lambda: memory_engine.swap("no", "closure", "1000.1"),
    )
    for call in calls:
        with pytest.raises(UnknownItem, match="'no'"):
            call()


def test_interpolation_goes_from_end_to_end(memory_engine: Engine) -> None:
    """Its first and last vectors are the shoes', and the one in the middle lies in the middle."""
    way = memory_engine.interpolate("1000.1", "1003.2", 3)
    start, end = memory_engine.store.vector("1000.1"), memory_engine.store.vector("1003.2")
    assert np.allclose(way, np.stack([start, (start + end) / 2, end]), atol=1e-6)


def test_canary(memory_engine: Engine) -> None:
    """The canary passes with its vector and a shoe; another vector, no number, or no shoe at all is a failure."""
    vector = memory_engine.embed([memory_engine.canary])[0]
    hits = [Hit(Item("1", "a", {}), 0.5)]
    memory_engine.check_canary(vector, hits)
    for wrong, found in (
        (vector + 1e-3, hits),
        (vector * np.nan, hits),
        (vector, []),
        (vector, [Hit(hits[0].item, np.nan)]),
    ):
        with pytest.raises(NotReady, match="canary"):
            memory_engine.check_canary(wrong, found)


def test_many_threads_get_their_own_answers(memory_engine: Engine) -> None:
    """Searches side by side answer as they do alone."""
    queries = [query(memory_engine, number) for number in range(8)]
    alone = [ask(memory_engine, [each]) for each in queries]
    together: dict[int, object] = {}

    def search(number: int) -> None:
        together[number] = ask(memory_engine, [queries[number]])

    threads = [threading.Thread(target=search, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[number] for number in range(8)] == alone


def test_catalogue_facts_follow_the_store(memory_engine: Engine) -> None:
    """What is told of the catalogue is what it is now."""
    assert memory_engine.catalogue().info.count == 12
    memory_engine.store.delete(["1000.1"])
    assert memory_engine.catalogue().info.count == 11


def test_values_are_folded_once_an_attribute(memory_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many comparisons of it a filter has, whose values may be in whatever case."""

    class Titles(dict[str, int]):
        """Values that count how often all of them are looked at."""

        looks = 0

        def __iter__(self) -> Iterator[str]:
            self.looks += 1
            return super().__iter__()

    titles = Titles({"Boot": 1, "BOOT": 1, "Clog": 2})
    monkeypatch.setattr(memory_engine.store, "facets", lambda: {"Title": titles})
    given = parse_filter(["-Title:boot", "-Title:cLOG", "-Title:none", "Title:boot", "Title:Clog"])
    assert memory_engine.resolve(given, ignore_case=True) == All(
        (
            HasValue("Title", frozenset({"Boot", "BOOT", "Clog"})),
            *(Not(HasValue("Title", frozenset(each))) for each in ({"Boot", "BOOT"}, {"Clog"}, {"none"})),
        )
    )
    assert titles.looks == 1
