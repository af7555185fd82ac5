"""The ranker: answers the searches of a batch with few queries of the store, and makes pages of what it finds.

    what passes  ->  is not excluded  ->  is within max_distance  ->  near-duplicates folded  ->  varied  ->  the page

Each step is defined on the whole ranking of the catalogue, and worked out on as much of its beginning as the answer
needs. So an answer does not depend on how many shoes were looked at, and pages one after another are one long answer.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from model.embedder import Vector
from model.errors import QueryError, SolemateError
from model.nearness import Nearness
from service.search.diversity import are_near, diversify, fold
from service.search.nearness import NearnessScale
from service.search.options import SearchOptions
from service.search.pagination import fingerprint_of
from service.store.base import OVERALL, Hit, VectorStore, Weights, scale_of

POOL = 200
"""Nearest shoes, or groups of them, that `diversity` re-ranks; those beyond follow by distance."""

MAX_LOOKED_AT = 5_000
"""Most nearest shoes that are fetched to find groups of near-duplicates."""

MAX_FOLDED = 100
"""Most near-duplicates that are named with one shoe."""

FEW_FOLDED = 8
"""Near-duplicates of each shoe that are fetched at first."""

MERGED_FETCH = 16
"""Searches whose numbers of shoes differ by at most this share one query of the store: it costs less than two."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """What a search found.

    Attributes:
        hits: the page, in its order.
        more: whether there is another page.
        end: the shoes up to the end of the page.
        folded: id of a hit -> ids of the near-duplicates that are folded into it, the nearest to it first.
        nearness: of the distances; None where nothing was ranked.
    """

    hits: Sequence[Hit]
    more: bool = False
    end: int = 0
    folded: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nearness: Nearness | None = None


class Searcher:
    """Ranks the shoes of a store. Safe in many threads at once."""

    def __init__(self, store: VectorStore, nearness: NearnessScale) -> None:
        self._store, self._nearness = store, nearness

    def search(self, vectors: Sequence[Vector], options: Sequence[SearchOptions]) -> list[Ranked | SolemateError]:
        """The page of each search, or what is wrong with it: the others don't suffer from it.

        Searches that compare by the same, among the same shoes, are one search of the store.

        Args:
            vectors: (D,) float32 each, finite: what is searched for.
            options: of each search, checked; `duplicate_distance` is given where near-duplicates are folded.
        """
        answers: list[Ranked | SolemateError] = [Ranked(())] * len(vectors)
        fetches = {index: _first_fetch(each) for index, each in enumerate(options)}
        while fetches:
            again: dict[int, int] = {}
            for indexes, fetch in _gather(options, fetches):
                found = self._ask([vectors[index] for index in indexes], options[indexes[0]], fetch)
                for index, hits in zip(indexes, found, strict=True):
                    answer = (
                        hits
                        if isinstance(hits, SolemateError)
                        else self._answer(vectors[index], options[index], hits, fetch)
                    )
                    if answer is None:
                        again[index] = min(4 * fetch, MAX_LOOKED_AT)
                    elif isinstance(answer, SolemateError):
                        answers[index] = answer
                    else:
                        answers[index] = replace(answer, nearness=self._nearness.of(options[index].compare_by))
            fetches = again
        return answers

    def _ask(
        self, vectors: Sequence[Vector], options: SearchOptions, fetch: int
    ) -> Sequence[list[Hit] | SolemateError]:
        """The nearest `fetch` shoes of each vector, by options that are the same to the store."""
        try:
            return self._store.search(
                np.stack(vectors),
                fetch,
                condition=options.compare_by,
                filter=options.filter,
                vectors=options.needs_vectors,
            )
        except SolemateError as error:
            if len(vectors) == 1:
                return [error]
            return [answer for vector in vectors for answer in self._ask([vector], options, fetch)]

    def _answer(
        self, vector: Vector, options: SearchOptions, found: list[Hit], fetch: int
    ) -> Ranked | SolemateError | None:
        """The page out of the nearest `fetch` shoes, fewer only where there are no others; None if that is too few."""
        whole = len(found) < fetch
        if excluded := options.excluded:
            found = [hit for hit in found if hit.item.id not in excluded]
        if options.max_distance is not None and found and found[-1].distance > options.max_distance:
            whole = True
            found = [hit for hit in found if hit.distance <= options.max_distance]
        if not options.needs_vectors:
            start = _begin(options, found)
            end = start + options.k
            if len(found) <= end and not whole and fetch < MAX_LOOKED_AT:
                return None
            return Ranked(found[start:end], len(found) > end, end)
        needed = _count_needed(options)
        leaders = _lead(options, found, needed)
        # What is varied is chosen among as many for every page, and so among the same.
        start = options.offset if options.diversity else _begin(options, leaders)
        needed += start - options.offset
        if start > options.offset:
            leaders = _lead(options, found, needed)
        if len(leaders) < needed and not whole:
            if fetch < MAX_LOOKED_AT:
                return None
            if len(leaders) < start + options.k:
                return _give_up(options, len(leaders))
        try:
            return self._make_page(vector, options, leaders, start, whole=whole)
        except SolemateError as error:
            return error

    def _make_page(
        self, vector: Vector, options: SearchOptions, leaders: list[Hit], start: int, *, whole: bool
    ) -> Ranked:
        order = self._vary(options, leaders) if options.diversity and leaders else leaders
        end = start + options.k
        page = order[start:end]
        folded = {} if options.fold_within is None else self._name_folded(vector, options, page, leaders)
        return Ranked(page, len(leaders) > end or not whole, end, folded)

    def _vary(self, options: SearchOptions, ranked: list[Hit]) -> list[Hit]:
        """The ranking in its varied order, up to the end of the page at least."""
        pool = ranked[:POOL]
        distances = np.array([hit.distance for hit in pool])
        scaled = vectors_of(pool) * self._scale(options.compare_by)
        chosen = [pool[position] for position in diversify(distances, scaled, options.diversity, options.stop)]
        return chosen + ranked[POOL:] if options.stop > POOL else chosen

    def _name_folded(
        self, vector: Vector, options: SearchOptions, page: list[Hit], leaders: list[Hit]
    ) -> dict[str, tuple[str, ...]]:
        """What is folded into each hit of a page, looked for around it: it may be far behind it in the ranking."""
        folded: dict[str, tuple[str, ...]] = {}
        excluded = options.excluded
        position_of = {hit.item.id: position for position, hit in enumerate(leaders)}
        vectors = vectors_of(leaders).astype(np.float64)
        scale = None if options.max_distance is None else self._scale(options.compare_by)
        for hit, neighbours in zip(page, self._find_near(options, page), strict=True):
            before = vectors[: position_of[hit.item.id] + 1]
            folded[hit.item.id] = tuple(
                near.item.id
                for near in neighbours
                if near.item.id not in position_of and near.item.id not in excluded
                if _is_folded_into_last(options, near, before) and _is_in_reach(vector, options, near, scale)
            )[:MAX_FOLDED]
        return folded

    def _find_near(self, options: SearchOptions, page: list[Hit]) -> list[list[Hit]]:
        """All near-duplicates of each hit, up to a bound, by whole vectors."""
        within = options.fold_within
        assert within is not None
        near: list[list[Hit]] = [[] for _ in page]
        for fetch in (FEW_FOLDED, 1 + MAX_FOLDED + len(options.excluded)):
            asked = [position for position, hits in enumerate(near) if fetch == FEW_FOLDED or len(hits) >= FEW_FOLDED]
            if asked:
                around = vectors_of([page[position] for position in asked])
                found = self._store.search(around, fetch, filter=options.filter, vectors=True)
                for position, hits in zip(asked, found, strict=True):
                    # Rather one too many: what is near is decided by the same sum everywhere.
                    near[position] = [hit for hit in hits if hit.distance <= within * (1 + 1e-5)]
        return near

    def _scale(self, condition: str | Weights) -> NDArray[np.float64]:
        """(D,) factors after which the distance of whole vectors is the condition's."""
        info = self._store.info()
        if condition == OVERALL:
            return np.ones(info.dimension)
        weights = {condition: 1.0} if isinstance(condition, str) else condition
        return scale_of(weights, info.slices, info.dimension)


def _lead(options: SearchOptions, found: list[Hit], needed: int) -> list[Hit]:
    """The first `needed` shoes that are not folded into one before them; all, where nothing is to be folded."""
    if options.fold_within is None:
        return found
    return [found[position] for position in fold(vectors_of(found), options.fold_within, needed)]


def _begin(options: SearchOptions, order: Sequence[Hit]) -> int:
    """Position of the page's first shoe: behind the last one of the page before.

    An approximate index looks further when it is asked for more, and so may come upon shoes that belong before that
    one: by its position alone it would be shown again.
    """
    if options.cursor is None or not options.cursor.last:
        return options.offset
    last, likely = options.cursor.last, options.offset - 1
    positions = chain(range(likely, len(order)), range(min(likely, len(order))))
    return next(
        (position + 1 for position in positions if fingerprint_of([order[position].item.id]) == last), options.offset
    )


def vectors_of(hits: Sequence[Hit]) -> NDArray[np.float32]:
    """The vectors that hits carry, (n, D); (0, 0) of none."""
    vectors = [hit.vector for hit in hits if hit.vector is not None]
    assert len(vectors) == len(hits)
    return np.stack(vectors) if vectors else np.empty((0, 0), dtype=np.float32)


def _count_needed(options: SearchOptions) -> int:
    """How many shoes, or groups, must be known: one beyond the page, which decides whether another page follows."""
    return max(options.stop + 1, POOL) if options.diversity else options.stop + 1


def _first_fetch(options: SearchOptions) -> int:
    """How many shoes to ask the store for at first: as many as are needed, were all excluded ones among them.

    What is excluded is another shoe in each search, so it is left out afterwards, and the searches can still be one.
    """
    needed = _count_needed(options) + len(options.excluded)
    return needed + needed // 2 if options.fold_within is not None else needed


def _gather(options: Sequence[SearchOptions], fetches: Mapping[int, int]) -> Iterator[tuple[list[int], int]]:
    """Searches that can be one search of the store, by their places, and how many shoes to ask it for."""
    groups: dict[Hashable, list[int]] = {}
    for index in fetches:
        one = options[index]
        key = (one.comparison, one.filter, one.needs_vectors)
        groups.setdefault(key, []).append(index)
    for indexes in groups.values():
        yield from _divide(indexes, fetches)


def _divide(indexes: list[int], fetches: Mapping[int, int]) -> Iterator[tuple[list[int], int]]:
    indexes.sort(key=fetches.__getitem__)
    start = 0
    for position, index in enumerate(indexes):
        if fetches[index] > fetches[indexes[start]] + MERGED_FETCH:
            yield indexes[start:position], fetches[indexes[position - 1]]
            start = position
    yield indexes[start:], fetches[indexes[-1]]


def _is_folded_into_last(options: SearchOptions, near: Hit, leaders: NDArray[np.float64]) -> bool:
    """Whether a shoe is a near-duplicate of the last of these leaders, (n, D), and of none before it."""
    assert options.fold_within is not None
    near_to = are_near(leaders, vectors_of([near])[0], options.fold_within)
    return bool(near_to[-1]) and not near_to[:-1].any()


def _is_in_reach(vector: Vector, options: SearchOptions, near: Hit, scale: NDArray[np.float64] | None) -> bool:
    """Whether a shoe is within `max_distance`; `scale`: see `Searcher._scale`, None where there is none."""
    if scale is None or options.max_distance is None:
        return True
    difference = (vectors_of([near])[0] - vector.astype(np.float64)) * scale
    return bool(np.linalg.norm(difference) <= options.max_distance)


def _give_up(options: SearchOptions, found: int) -> QueryError:
    return QueryError(
        "group",
        f"the {MAX_LOOKED_AT:,} nearest shoes make only {found:,} groups of near-duplicates, and "
        f"{options.stop:,} are asked for; ask for fewer, or give a filter or a smaller duplicate_distance",
    )
