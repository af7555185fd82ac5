"""Searches of many requests, answered together: what to ask the store for, and what to make of its answers.

    what passes  ->  is not excluded  ->  is within max_distance  ->  near-duplicates folded  ->  varied  ->  the page

Each step is defined on the whole ranking of the catalogue, and worked out on as much of its beginning as the answer
needs. So an answer does not depend on how many shoes were looked at, and pages one after another are one long answer.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from model.errors import QueryError, SolemateError
from service.search.diversity import are_near, diversify, fold
from service.search.pagination import print_of
from service.store.base import OVERALL, Filter, Hit, VectorStore, Weights
from service.store.index.weighted import scale_of

__all__ = ["MAX_LOOKED_AT", "POOL", "Query", "Ranked", "Searcher", "condition_key"]

POOL = 200
"""How many of the nearest shoes, or groups of them, `diversity` chooses among; those beyond follow by distance."""

MAX_LOOKED_AT = 5_000
"""How many of the nearest shoes are looked at to find groups of near-duplicates."""

MAX_FOLDED = 100
"""How many near-duplicates are named with one shoe."""

FEW_FOLDED = 8
"""How many are looked for at first."""

RIDE = 16
"""Searches that need so many shoes more or less are one search of the store: it costs less than two."""


@dataclass(frozen=True, slots=True)
class Query:
    """One search. See `VectorStore.search`.

    Attributes:
        vector: (D,) float32, finite.
        k: as `Engine.check_k` lets pass.
        condition: `overall`, a slice's name, or weights of slices.
        filter: only shoes that pass it.
        exclude: ids of shoes to leave out.
        offset: how many of the answer's shoes were on pages before.
        after: `print_of` the id of the last of them, b"" for none: the page begins behind it, wherever it is by now.
        max_distance: only shoes that are at most so far, by the condition.
        fold_within: fold shoes into a nearer one that is at most so far from them, by whole vectors; None: don't.
        diversity: 0 to 1; see `service.search.diversity.diversify`.
    """

    vector: NDArray[np.float32]
    k: int
    condition: str | Weights = OVERALL
    filter: Filter | None = None
    exclude: frozenset[str] = frozenset()
    offset: int = 0
    max_distance: float | None = None
    fold_within: float | None = None
    diversity: float = 0.0
    after: bytes = b""

    @property
    def stop(self) -> int:
        """How many shoes, or groups, the ranking has up to the end of the page."""
        return self.offset + self.k

    @property
    def needed(self) -> int:
        """How many shoes, or groups, must be known: one beyond the page, to tell whether another page follows."""
        return max(self.stop + 1, POOL) if self.diversity else self.stop + 1

    @property
    def needs_vectors(self) -> bool:
        """Whether the shoes' vectors decide on the answer."""
        return self.fold_within is not None or self.diversity > 0


@dataclass(frozen=True, slots=True)
class Ranked:
    """What a search found.

    Attributes:
        hits: the page, in its order.
        more: whether there is another page.
        end: the shoes up to the end of the page.
        folded: id of a hit -> ids of the near-duplicates that are folded into it, the nearest to it first.
    """

    hits: Sequence[Hit]
    more: bool = False
    end: int = 0
    folded: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Searcher:
    """Asks a store. Safe in many threads at once."""

    def __init__(self, store: VectorStore) -> None:
        self._store = store

    def search(self, queries: Sequence[Query]) -> list[Ranked | SolemateError]:
        """The page of each query, or what is wrong with it: the others don't suffer from it.

        Queries that compare by the same, among the same shoes, are one search of the store.
        """
        answers: list[Ranked | SolemateError] = [Ranked(())] * len(queries)
        fetches = {index: _first_fetch(query) for index, query in enumerate(queries)}
        while fetches:
            again: dict[int, int] = {}
            for indexes, fetch in _gather(queries, fetches):
                found = self._ask([queries[index] for index in indexes], fetch)
                for index, hits in zip(indexes, found, strict=True):
                    answer = hits if isinstance(hits, SolemateError) else self._answer(queries[index], hits, fetch)
                    if answer is None:
                        again[index] = min(4 * fetch, MAX_LOOKED_AT)
                    else:
                        answers[index] = answer
            fetches = again
        return answers

    def _ask(self, queries: Sequence[Query], fetch: int) -> Sequence[list[Hit] | SolemateError]:
        """The nearest `fetch` shoes of queries that are alike."""
        first, vectors = queries[0], np.stack([query.vector for query in queries])
        try:
            return self._store.search(
                vectors, fetch, condition=first.condition, filter=first.filter, vectors=first.needs_vectors
            )
        except SolemateError as error:
            if len(queries) == 1:
                return [error]
            return [answer for query in queries for answer in self._ask([query], fetch)]

    def _answer(self, query: Query, found: list[Hit], fetch: int) -> Ranked | SolemateError | None:
        """The page out of the nearest `fetch` shoes, fewer only where there are no others; None if that is too few."""
        whole = len(found) < fetch
        if query.exclude:
            found = [hit for hit in found if hit.item.id not in query.exclude]
        if query.max_distance is not None and found and found[-1].distance > query.max_distance:
            whole = True
            found = [hit for hit in found if hit.distance <= query.max_distance]
        if not query.needs_vectors:
            start = _begin(query, found)
            end = start + query.k
            if len(found) <= end and not whole and fetch < MAX_LOOKED_AT:
                return None
            return Ranked(found[start:end], len(found) > end, end)
        leaders = _lead(query, found, query.needed)
        # What is varied is chosen among as many for every page, and so among the same.
        start = query.offset if query.diversity else _begin(query, leaders)
        needed = query.needed + start - query.offset
        if start > query.offset:
            leaders = _lead(query, found, needed)
        if len(leaders) < needed and not whole:
            if fetch < MAX_LOOKED_AT:
                return None
            if len(leaders) < start + query.k:
                return _give_up(query, len(leaders))
        try:
            return self._make_page(query, leaders, start, whole=whole)
        except SolemateError as error:
            return error

    def _make_page(self, query: Query, leaders: list[Hit], start: int, *, whole: bool) -> Ranked:
        order = self._vary(query, leaders) if query.diversity and leaders else leaders
        end = start + query.k
        page = order[start:end]
        folded = {} if query.fold_within is None else self._name_folded(query, page, leaders)
        return Ranked(page, len(leaders) > end or not whole, end, folded)

    def _vary(self, query: Query, ranked: list[Hit]) -> list[Hit]:
        """The ranking in its varied order, up to the end of the page at least."""
        pool = ranked[:POOL]
        distances = np.array([hit.distance for hit in pool])
        scaled = vectors_of(pool) * self._scale(query.condition)
        chosen = [pool[place] for place in diversify(distances, scaled, query.diversity, query.stop)]
        return chosen + ranked[POOL:] if query.stop > POOL else chosen

    def _name_folded(self, query: Query, page: list[Hit], leaders: list[Hit]) -> dict[str, tuple[str, ...]]:
        """What is folded into each hit of a page, looked for around it: it may be far behind it in the ranking."""
        folded: dict[str, tuple[str, ...]] = {}
        place_of = {hit.item.id: place for place, hit in enumerate(leaders)}
        vectors = vectors_of(leaders)
        scale = None if query.max_distance is None else self._scale(query.condition)
        for hit, neighbours in zip(page, self._find_near(query, page), strict=True):
            before = vectors[: place_of[hit.item.id] + 1]
            folded[hit.item.id] = tuple(
                near.item.id
                for near in neighbours
                if near.item.id not in place_of and near.item.id not in query.exclude
                if _is_folded_into_last(query, near, before) and _is_in_reach(query, near, scale)
            )[:MAX_FOLDED]
        return folded

    def _find_near(self, query: Query, page: list[Hit]) -> list[list[Hit]]:
        """All near-duplicates of each hit, up to a bound, by whole vectors."""
        within = query.fold_within
        assert within is not None
        near: list[list[Hit]] = [[] for _ in page]
        for fetch in (FEW_FOLDED, 1 + MAX_FOLDED + len(query.exclude)):
            asked = [place for place, hits in enumerate(near) if fetch == FEW_FOLDED or len(hits) >= FEW_FOLDED]
            if asked:
                around = vectors_of([page[place] for place in asked])
                found = self._store.search(around, fetch, filter=query.filter, vectors=True)
                for place, hits in zip(asked, found, strict=True):
                    # Rather one too many: what is near is decided by the same sum everywhere.
                    near[place] = [hit for hit in hits if hit.distance <= within * (1 + 1e-5)]
        return near

    def _scale(self, condition: str | Weights) -> NDArray[np.float64]:
        """(D,) factors after which the distance of whole vectors is the condition's."""
        info = self._store.info()
        if condition == OVERALL:
            return np.ones(info.dimension)
        weights = {condition: 1.0} if isinstance(condition, str) else condition
        return scale_of(weights, info.slices, info.dimension)


def _lead(query: Query, found: list[Hit], needed: int) -> list[Hit]:
    """The first `needed` shoes that are not folded into one before them; all, where nothing is to be folded."""
    if query.fold_within is None:
        return found
    return [found[place] for place in fold(vectors_of(found), query.fold_within, needed)]


def _begin(query: Query, order: Sequence[Hit]) -> int:
    """The place of the page's first shoe: behind the last one of the page before.

    An approximate index looks further when it is asked for more, and so may come upon shoes that belong before that
    one: by its place alone it would be shown again.
    """
    if not query.after:
        return query.offset
    likely = query.offset - 1
    places = chain(range(likely, len(order)), range(min(likely, len(order))))
    return next((place + 1 for place in places if print_of([order[place].item.id]) == query.after), query.offset)


def vectors_of(hits: Sequence[Hit]) -> NDArray[np.float32]:
    """The vectors that hits carry, (n, D); (0, 0) of none."""
    vectors = [hit.vector for hit in hits if hit.vector is not None]
    assert len(vectors) == len(hits)
    return np.stack(vectors) if vectors else np.empty((0, 0), dtype=np.float32)


def condition_key(condition: str | Weights) -> Hashable:
    """Equal for conditions that compare by the same."""
    return condition if isinstance(condition, str) else tuple(sorted(condition.items()))


def _first_fetch(query: Query) -> int:
    """How many shoes to ask the store for at first: as many as are needed, were all excluded ones among them.

    What is excluded is another shoe in each search, so it is left out afterwards, and the searches can still be one.
    """
    needed = query.needed + len(query.exclude)
    return needed + needed // 2 if query.fold_within is not None else needed


def _gather(queries: Sequence[Query], fetches: Mapping[int, int]) -> Iterator[tuple[list[int], int]]:
    """Queries that can be one search of the store, by their places, and how many shoes to ask it for."""
    groups: dict[Hashable, list[int]] = {}
    for index in fetches:
        query = queries[index]
        key = (condition_key(query.condition), frozenset((query.filter or {}).items()), query.needs_vectors)
        groups.setdefault(key, []).append(index)
    for indexes in groups.values():
        yield from _divide(indexes, fetches)


def _divide(indexes: list[int], fetches: Mapping[int, int]) -> Iterator[tuple[list[int], int]]:
    indexes.sort(key=fetches.__getitem__)
    start = 0
    for place, index in enumerate(indexes):
        if fetches[index] > fetches[indexes[start]] + RIDE:
            yield indexes[start:place], fetches[indexes[place - 1]]
            start = place
    yield indexes[start:], fetches[indexes[-1]]


def _is_folded_into_last(query: Query, near: Hit, leaders: NDArray[np.float32]) -> bool:
    """Whether a shoe is a near-duplicate of the last of these leaders, (n, D), and of none before it."""
    assert query.fold_within is not None
    near_to = are_near(leaders, vectors_of([near])[0], query.fold_within)
    return bool(near_to[-1]) and not near_to[:-1].any()


def _is_in_reach(query: Query, near: Hit, scale: NDArray[np.float64] | None) -> bool:
    """Whether a shoe is within `max_distance`; `scale`: see `Searcher._scale`, None where there is none."""
    if scale is None or query.max_distance is None:
        return True
    difference = (vectors_of([near])[0] - query.vector.astype(np.float64)) * scale
    return bool(np.linalg.norm(difference) <= query.max_distance)


def _give_up(query: Query, found: int) -> QueryError:
    return QueryError(
        "group",
        f"the {MAX_LOOKED_AT:,} nearest shoes make only {found:,} groups of near-duplicates, and "
        f"{query.stop:,} are asked for; ask for fewer, or give a filter or a smaller duplicate_distance",
    )
