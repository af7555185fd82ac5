"""Searches with every option, against plain definitions, page by page."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.errors import QueryError, SolemateError
from model.nearness import Nearness
from service.search import ranker
from service.search.nearness import NearnessScale
from service.search.options import SearchOptions
from service.search.pagination import Cursor, fingerprint_of
from service.search.ranker import Ranked, Searcher
from service.store.base import OVERALL, Filter, Hit, Record, Weights
from tests.service.search.test_diversity import naive_fold, naive_mmr
from tests.service.store.naive import SLICES, distance, shoe, shoes
from tests.support.fakes import MemoryStore
from tests.support.filters import passes, where

KNOWN = dict.fromkeys((OVERALL, *SLICES), Nearness(1.0, 4.0))
WEIGHTS: Weights = {"category": 0.7, "free": 0.3}
SOME: Filter = where({"Gender": frozenset({"Women", "Men"})})


def make_searcher(records: Sequence[Record]) -> Searcher:
    """Over a store in memory."""
    store = MemoryStore(Path())
    store.upsert(records)
    return Searcher(store, NearnessScale(store, KNOWN))


def copies(count: int, each: int, seed: int = 0) -> list[Record]:
    """Random shoes, each with near-duplicates of itself, in random order."""
    rng = np.random.default_rng(seed)
    originals = shoes(count, seed=seed)
    records = [
        shoe(f"{record.item.id}/{copy}", record.vector + rng.normal(0, 0.01 * copy, 8), record.item.attributes)
        for record in originals
        for copy in range(each)
    ]
    return [records[place] for place in rng.permutation(len(records))]


def scaled(vector: Any, condition: str | Weights) -> Any:
    """A vector whose Euclidean distances are the condition's."""
    zero = np.zeros(8, np.float32)
    unit = [distance(np.eye(8, dtype=np.float32)[place], zero, condition) for place in range(8)]
    return vector.astype(float) * np.array(unit)


def rank_naively(
    records: Sequence[Record], vector: NDArray[np.float32], options: SearchOptions
) -> tuple[list[str], dict[str, set[str]]]:
    """The whole ranking by the definitions, step by step, and what is folded into each shoe of it."""
    near = [
        (distance(vector, record.vector, options.compare_by), record)
        for record in records
        if passes(options.filter, record.item.attributes) and record.item.id not in options.exclude
    ]
    near.sort(key=lambda pair: pair[0])
    ranked = [record for far, record in near if options.max_distance is None or far <= options.max_distance]
    folded: dict[str, set[str]] = {}
    if options.fold_within is not None:
        leaders = [ranked[place] for place in naive_fold(stack(ranked), options.fold_within)]
        for record in ranked:
            first = next(each for each in leaders if distance(each.vector, record.vector) <= options.fold_within)
            folded.setdefault(first.item.id, set()).add(record.item.id)
        folded = {leader: members - {leader} for leader, members in folded.items()}
        ranked = leaders
    if options.diversity:
        pool = ranked[: ranker.POOL]
        vectors = np.array([scaled(record.vector, options.compare_by) for record in pool]).reshape(-1, 8)
        order = naive_mmr(scaled(vector, options.compare_by), vectors, options.diversity, len(pool))
        ranked = [pool[place] for place in order] + ranked[ranker.POOL :]
    return [record.item.id for record in ranked], folded


def by(condition: str | Weights) -> dict[str, Any]:
    """The options that compare by a condition."""
    return {"condition": condition} if isinstance(condition, str) else {"weights": condition}


def within(distance: float | None) -> dict[str, Any]:
    """The options that fold what is at most so far apart."""
    return {"group": distance is not None, "duplicate_distance": distance}


def stack(records: Sequence[Record]) -> Any:
    """(n, 8)."""
    return np.array([record.vector for record in records], dtype=np.float32).reshape(-1, 8)


def ask(searcher: Searcher, *asked: tuple[NDArray[np.float32], SearchOptions]) -> list[Ranked | SolemateError]:
    """Several searches, together."""
    return searcher.search([vector for vector, _ in asked], [options for _, options in asked])


def begin(offset: int, last: bytes = b"") -> Cursor | None:
    """The cursor of a page."""
    return Cursor(offset, last, b"", b"", np.zeros(8, np.float32)) if offset else None


def pages(searcher: Searcher, vector: NDArray[np.float32], options: SearchOptions) -> list[Ranked]:
    """All pages, one after another."""
    found: list[Ranked] = []
    while not found or found[-1].more:
        answer = ask(searcher, (vector, replace(options, cursor=begin(options.k * len(found)))))[0]
        assert isinstance(answer, Ranked)
        found.append(answer)
        assert len(found) < 200
    return found


@given(
    seed=st.integers(0, 50),
    count=st.integers(0, 25),
    each=st.integers(1, 5),
    k=st.integers(1, 30),
    condition=st.sampled_from([OVERALL, "closure", WEIGHTS]),
    filter=st.sampled_from([None, SOME]),
    excluded=st.integers(0, 4),
    max_distance=st.none() | st.sampled_from([0.5, 2.0, 4.0]),
    fold_within=st.none() | st.sampled_from([0.0, 0.05, 0.5, 3.0, 100.0]),
    diversity=st.sampled_from([0.0, 0.3, 1.0]),
)
@settings(max_examples=60)
def test_pages_are_one_long_answer_by_the_definitions(
    seed: int, count: int, each: int, excluded: int, **given_options: Any
) -> None:
    """Every option with every other: the pages, put together, are the naive ranking, whatever their size."""
    records = copies(count, each, seed)
    if not any("Gender" in record.item.attributes for record in records):
        given_options["filter"] = None
    condition, fold_within = given_options.pop("condition"), given_options.pop("fold_within")
    left_out = (*(record.item.id for record in records[:excluded]), "nobody")
    options = SearchOptions(exclude=left_out, **by(condition), **within(fold_within), **given_options)
    vector = shoes(1, seed=seed + 1000)[0].vector
    ids, folded = rank_naively(records, vector, options)
    found = pages(make_searcher(records), vector, options)
    assert [hit.item.id for page in found for hit in page.hits] == ids
    assert {len(page.hits) for page in found[:-1]} <= {options.k}
    if fold_within is not None:
        named = {leader: members for page in found for leader, members in page.folded.items()}
        assert {leader: set(members) for leader, members in named.items()} == folded
        assert all(len(set(members)) == len(members) for members in named.values())


def test_diversity_beyond_its_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is beyond the pool follows by distance, on whatever page the pool ends."""
    monkeypatch.setattr(ranker, "POOL", 7)
    records = copies(12, 2)
    vector = shoes(1, seed=9)[0].vector
    ids, _ = rank_naively(records, vector, SearchOptions(1, diversity=0.5))
    for k in (2, 7, 10, 24, 30):
        found = pages(make_searcher(records), vector, SearchOptions(k, diversity=0.5))
        assert [hit.item.id for page in found for hit in page.hits] == ids


def test_k_groups_though_the_nearest_are_all_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many copies are nearest, k groups are found where there are k; the copies named are bounded."""
    many = [shoe(f"copy-{number}", [number * 1e-6]) for number in range(300)]
    others = [shoe(f"other-{number}", [10.0 + number]) for number in range(5)]
    searcher = make_searcher([*many, *others])
    search = np.zeros(8, np.float32), SearchOptions(4, group=True, duplicate_distance=0.01)
    answer = ask(searcher, search)[0]
    assert isinstance(answer, Ranked)
    assert [hit.item.id for hit in answer.hits] == ["copy-0", "other-0", "other-1", "other-2"]
    assert answer.more
    assert answer.folded["copy-0"] == tuple(f"copy-{number}" for number in range(1, 101))
    monkeypatch.setattr(ranker, "MAX_LOOKED_AT", 200)
    refused = ask(searcher, search)[0]
    assert isinstance(refused, QueryError)
    assert refused.field == "group"
    assert "only 1 groups" in str(refused)


def test_a_page_that_the_bound_allows_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the page is full and only the one after it would be too deep, it is given, and says that there is more."""
    monkeypatch.setattr(ranker, "MAX_LOOKED_AT", 200)
    many = [shoe(f"copy-{number}", [number * 1e-6]) for number in range(300)]
    options = SearchOptions(1, group=True, duplicate_distance=0.01)
    answer = ask(make_searcher(many), (np.zeros(8, np.float32), options))[0]
    assert isinstance(answer, Ranked)
    assert [hit.item.id for hit in answer.hits] == ["copy-0"]
    assert answer.more


def test_searches_of_every_shape_together_answer_as_they_do_alone() -> None:
    """Whatever it rides with, a search has its own answer; a wrong one fails alone."""
    searcher = make_searcher(copies(20, 3))
    searches = [
        (
            record.vector,
            SearchOptions(
                2 + place % 3,
                exclude=(record.item.id,),
                cursor=begin(place % 2),
                max_distance=(None, 3.0)[place % 2],
                diversity=(0.0, 0.4)[place // 3 % 2],
                **by((OVERALL, "closure", WEIGHTS)[place % 3]),
                **within((None, 0.1, 0.5)[place % 3]),
            ),
        )
        for place, record in enumerate(shoes(12, seed=5))
    ]
    alone = [ask(searcher, search)[0] for search in searches]
    assert ask(searcher, *searches) == alone
    wrong = searches[0][0], SearchOptions(2, **by({"colour": 1.0}), **within(0.1))
    *good, bad = ask(searcher, *searches, wrong)
    assert good == alone
    assert isinstance(bad, QueryError)


def test_searches_that_differ_in_what_is_done_afterwards_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Excluding, cutting at a distance and paging a little don't make a search of the store of their own."""
    asked = []
    search = MemoryStore.search

    def note(self: MemoryStore, queries: Any, k: int, **options: Any) -> list[list[Hit]]:
        asked.append((len(queries), k, options["vectors"]))
        return search(self, queries, k, **options)

    monkeypatch.setattr(MemoryStore, "search", note)
    vector = np.zeros(8, np.float32)
    options = [
        SearchOptions(5),
        SearchOptions(5, exclude=("shoe-1", "shoe-2")),
        SearchOptions(5, max_distance=1.0),
        SearchOptions(5, cursor=begin(5)),
        SearchOptions(5, cursor=begin(500)),
    ]
    make_searcher(shoes(40)).search([vector] * 5, options)
    assert asked == [(4, 11, False), (1, 506, False)]


class Shallow:
    """A store that finds some shoes only when it is asked for many, as an approximate index does."""

    def __init__(self, records: Sequence[Record], hidden: set[str], below: int) -> None:
        self.store = MemoryStore(Path())
        self.store.upsert(records)
        self.hidden, self.below = hidden, below

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def search(self, queries: Any, k: int, **options: Any) -> list[list[Hit]]:
        """As the store in memory does, but for what is hidden from few."""
        found = self.store.search(queries, 1000, **options)
        return [[hit for hit in hits if k >= self.below or hit.item.id not in self.hidden][:k] for hits in found]


@pytest.mark.parametrize("fold_within", [None, 1e-6])
def test_what_is_found_only_by_looking_further_repeats_no_shoe(fold_within: float | None) -> None:
    """Where deeper searches find nearer shoes, pages go on behind the last one that was shown, as long as asked for."""
    records = shoes(60)
    whole = ask(make_searcher(records), (records[0].vector, SearchOptions(60)))[0]
    assert isinstance(whole, Ranked)
    exact = [hit.item.id for hit in whole.hits]
    hidden = {exact[2], exact[5], exact[6], exact[21]}
    store = Shallow(records, hidden, below=20)
    searcher = Searcher(store, NearnessScale(store, KNOWN))
    shown: list[str] = []
    offset, after = 0, b""
    while True:
        options = SearchOptions(7, cursor=begin(offset, after), **within(fold_within))
        answer = ask(searcher, (records[0].vector, options))[0]
        assert isinstance(answer, Ranked)
        shown += [hit.item.id for hit in answer.hits]
        if not answer.more:
            break
        assert len(answer.hits) == 7
        offset, after = answer.end, fingerprint_of([shown[-1]])
    assert shown == [item_id for item_id in exact if item_id not in hidden - {exact[21]}]
