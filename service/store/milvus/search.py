"""The nearest shoes: Milvus finds candidates, and their distances are worked out here, in float64.

Candidates are the m nearest in each slice that is asked about. Any shoe that is not among them is at least as far in
each slice c as the last one there, r_c, and so in all of them together as far as sqrt(sum_c w_c r_c^2). As soon as the
k-th best candidate is nearer than that, the k best candidates are the answer; until then m is doubled. (This is the
threshold algorithm of Fagin, Lotem and Naor, "Optimal aggregation algorithms for middleware", 2003.) With one slice it
comes to asking for a few more than k, so that it is seen where a tie at the k-th place ends.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pymilvus import MilvusClient
from pymilvus.client.search_result import SearchResult

from service.store.base import Hit, Weights
from service.store.index.exact import ROUNDING
from service.store.milvus.layout import Layout, Place
from service.store.milvus.link import Link
from service.store.milvus.records import ITEM_FIELDS, decode_item, decode_vector
from service.store.milvus.tables import WINDOW, Row, Tables, batches

__all__ = ["Question", "Searcher"]

SPARE = 16
"""Candidates beyond k: enough to see where a tie at the k-th place ends, in all but odd catalogues."""

QUERIES_AT_ONCE = 16
"""Of one search of Milvus. For more, its library may compute |x|^2 + |y|^2 - 2xy, which loses small distances."""

ROWS_AT_ONCE = 2000
"""Shoes fetched at once."""

LONGEST = 1e15
"""Queries longer than this are as good as equally far from all shoes, and their squares soon leave float32's range."""

EF = 64
"""The least breadth of a search by HNSW."""


@dataclass(frozen=True)
class Question:
    """What all queries of a search have in common.

    Attributes:
        k: at least 1.
        weights: of the places to compare by; their names are those of `Layout.places`.
        expression: what holds for the shoes to look at; "" for all.
        moment: up to which the answer is to be complete.
        vectors: whether hits are to carry their vectors.
    """

    k: int
    weights: Weights
    expression: str
    moment: int
    vectors: bool


class Found(NamedTuple):
    """Candidates of one query: their numbers, and the last one of each place that has more of them."""

    numbers: frozenset[int]
    last: Mapping[str, int]


class Searcher:
    """Searches one catalogue. For any thread."""

    def __init__(self, link: Link, tables: Tables, layout: Layout) -> None:
        self._link, self._tables, self._layout = link, tables, layout
        self._places = layout.places

    def search(self, queries: NDArray[np.float32], question: Question) -> list[list[Hit]]:
        """The nearest shoes of each query, (B, D)."""
        answers: list[list[Hit] | None] = [None] * len(queries)
        shoes: dict[int, Row] = {}
        count = question.k + SPARE
        while pending := [index for index, answer in enumerate(answers) if answer is None]:
            count = min(count, WINDOW)
            found = self._candidates(queries[pending], question, count)
            self._fetch(shoes, (number for each in found for number in each.numbers), question.moment)
            for index, each in zip(pending, found, strict=True):
                answers[index] = self._settle(queries[index], each, shoes, question, final=count == WINDOW)
            count *= 2
        return [answer for answer in answers if answer is not None]

    def _candidates(self, queries: NDArray[np.float32], question: Question, count: int) -> list[Found]:
        lengths = np.linalg.norm(queries.astype(np.float64), axis=1)
        if (lengths > LONGEST).any():
            return [self._first(question) if length > LONGEST else self._candidates(query[None], question, count)[0]
                    for query, length in zip(queries, lengths.tolist(), strict=True)]  # fmt: skip
        numbers: list[set[int]] = [set() for _ in queries]
        last: list[dict[str, int]] = [{} for _ in queries]
        for name in [name for name, weight in question.weights.items() if weight > 0]:
            for index, ranked in enumerate(self._ask(queries, self._places[name], question, count)):
                numbers[index].update(ranked)
                if len(ranked) == count:
                    last[index][name] = ranked[-1]
        return [Found(frozenset(each), ends) for each, ends in zip(numbers, last, strict=True)]

    def _ask(self, queries: NDArray[np.float32], place: Place, question: Question, count: int) -> list[list[int]]:
        """For each query the numbers of the nearest shoes in one place, nearest first."""
        parts = np.pad(queries[:, place.start : place.stop], ((0, 0), (0, place.padding)))
        parameters = {"ef": max(EF, 2 * count)} if self._layout.address.index == "hnsw" else {}
        ranked: list[list[int]] = []
        for some in batches(list(parts), QUERIES_AT_ONCE):

            def ask(client: MilvusClient, seconds: float, some: list[NDArray[np.float32]] = some) -> SearchResult:
                return client.search(
                    place.collection,
                    data=some,
                    anns_field=place.field,
                    filter=question.expression,
                    limit=count,
                    search_params={"metric_type": "L2", "params": parameters},
                    timeout=seconds,
                    **self._tables.complete(question.moment),
                )

            ranked += [[int(hit.id) for hit in hits] for hits in self._link.call(ask)]
        return ranked

    def _first(self, question: Question) -> Found:
        """Candidates where all shoes are equally far: the first ones in the catalogue."""
        most = min(question.k + SPARE, WINDOW)
        rows = self._tables.first(
            self._layout.main, question.expression, ["number"], question.moment, after=-1, limit=most
        )
        return Found(frozenset(int(row["number"]) for row in rows), {})

    def _fetch(self, shoes: dict[int, Row], numbers: Iterable[int], moment: int) -> None:
        """Put into `shoes` those that are not there yet."""
        missing = sorted({number for number in numbers if number not in shoes})
        for some in batches(missing, ROWS_AT_ONCE):
            rows = self._tables.query(self._layout.main, f"number in {some}", [*ITEM_FIELDS, "overall"], moment)
            shoes.update({int(row["number"]): row for row in rows})

    def _settle(
        self, query: NDArray[np.float32], found: Found, shoes: Mapping[int, Row], question: Question, *, final: bool
    ) -> list[Hit] | None:
        """The hits, or None if a shoe that is no candidate may belong to them."""
        # Who was removed since is no candidate any more.
        rows = [shoes[number] for number in sorted(found.numbers) if number in shoes]
        if not rows:
            return []
        vectors = np.stack([decode_vector(row["overall"], self._layout.facts.dimension) for row in rows])
        differences = vectors - query.astype(np.float64)
        squares = {
            name: np.square(differences[:, place.start : place.stop]).sum(axis=1)
            for name, place in self._places.items()
            if question.weights.get(name, 0.0) > 0
        }
        distances = np.sqrt(sum(question.weights[name] * each for name, each in squares.items()))
        order = np.argsort(distances, kind="stable")[: question.k]  # rows are in the order of insertion
        if (
            found.last
            and not final
            and not self._is_settled(found, rows, squares, question, float(distances[order[-1]]))
        ):
            return None
        return [
            Hit(decode_item(rows[row]), float(distances[row]), vectors[row] if question.vectors else None)
            for row in order.tolist()
        ]

    def _is_settled(
        self,
        found: Found,
        rows: Sequence[Row],
        squares: Mapping[str, NDArray[np.float64]],
        question: Question,
        worst: float,
    ) -> bool:
        """Whether every shoe that is no candidate is farther than `worst`, the k-th best of the candidates."""
        if set(found.last) != set(squares):
            return True  # in one of the places all shoes were looked at
        row_of = {int(row["number"]): index for index, row in enumerate(rows)}
        floor = 0.0
        for name, number in found.last.items():
            if number not in row_of:
                return True  # removed meanwhile: nothing better is known
            place = self._places[name]
            # Milvus ranks in float32: one subtraction, one square, and a sum.
            error = (place.stop - place.start + 3) * ROUNDING
            floor += question.weights[name] * float(squares[name][row_of[number]]) * (1 - error)
        return sqrt(floor) > worst
