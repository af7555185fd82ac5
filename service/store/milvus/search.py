"""The nearest shoes: Milvus finds candidates, and their distances are worked out here, in float64.

Candidates are the m nearest by each slice that is asked about. Any shoe that is not among them is at least as far by
each slice c as the last one there, r_c, and so by all of them together as far as sqrt(sum_c w_c r_c^2). As soon as the
k-th best candidate is nearer than that, the k best candidates are the answer; until then m is doubled. (This is the
threshold algorithm of Fagin, Lotem and Naor, "Optimal aggregation algorithms for middleware", 2003. Milvus's own hybrid
search merges ranks, or scores that it squeezes into [0, 1]; neither gives distances.) With one slice it comes to asking
for a few more than k, so that it is seen where a tie at the k-th place ends.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from service.store.base import OVERALL, Hit, Weights
from service.store.milvus.rows import ITEM_FIELDS, WINDOW, Row, Rows, decode
from service.store.milvus.schema import Catalog, field_of

__all__ = ["Searcher"]

SPARE, EF = 16, 64
"""Candidates beyond k, enough to see where most ties at the k-th place end; the least breadth of a search by HNSW."""

QUERIES_AT_ONCE = 16
"""Of one search of Milvus. For more, its library may compute |x|^2 + |y|^2 - 2xy, which loses small distances."""

LONGEST = 1e15
"""Longer queries are as good as equally far from all shoes, and their squares soon leave float32's range."""

ROUNDING = 2.0**-24
"""Half the distance from 1 to the next float32: the most that one operation is off, relative to its result."""


class Searcher:
    """Searches one catalogue. For any thread."""

    def __init__(self, rows: Rows, catalog: Catalog, *, approximate: bool) -> None:
        self._rows, self._parts, self._approximate = rows, catalog.parts, approximate
        self._whole = field_of(catalog.parts[OVERALL])

    def search(
        self, queries: NDArray[np.float32], k: int, weights: Weights, expression: str, *, vectors: bool
    ) -> list[list[Hit]]:
        """The k nearest shoes of each query, (B, D), of those that an expression holds for."""
        weights = {name: weight for name, weight in weights.items() if weight > 0}
        lengths = np.linalg.norm(queries.astype(np.float64), axis=1)
        shrunk = (queries * np.minimum(1.0, LONGEST / np.maximum(lengths, 1.0))[:, None]).astype(np.float32)
        answers: list[list[Hit] | None] = [None] * len(queries)
        count = k + SPARE
        while pending := [index for index, answer in enumerate(answers) if answer is None]:
            count = min(count, WINDOW)
            ranked = {name: self._ask(shrunk[pending], self._parts[name], expression, count) for name in weights}
            for place, index in enumerate(pending):
                nearest = {name: each[place] for name, each in ranked.items()}
                # Where one condition has no more shoes, all were looked at.
                is_all = any(len(rows) < count for rows in nearest.values())
                final = is_all or count == WINDOW or lengths[index] > LONGEST
                answers[index] = self._rank(queries[index], nearest, k, weights, vectors=vectors, final=final)
            count *= 2
        return [answer for answer in answers if answer is not None]

    def _ask(self, queries: NDArray[np.float32], part: slice, expression: str, count: int) -> list[list[Row]]:
        """For each query the rows that are nearest to it by one part of the vectors, nearest first."""
        return [
            rows
            for start in range(0, len(queries), QUERIES_AT_ONCE)
            for rows in self._rows.search(
                data=list(queries[start : start + QUERIES_AT_ONCE, part]),
                anns_field=field_of(part),
                filter=expression,
                limit=count,
                output_fields=["key", self._whole, *ITEM_FIELDS],
                search_params={"metric_type": "L2", "params": {"ef": max(EF, 2 * count)} if self._approximate else {}},
            )
        ]

    def _rank(
        self,
        query: NDArray[np.float32],
        nearest: Mapping[str, Sequence[Row]],
        k: int,
        weights: Weights,
        *,
        vectors: bool,
        final: bool,
    ) -> list[Hit] | None:
        """The hits among the nearest by each condition; None, unless `final`, if another shoe may belong to them."""
        by_key = {int(row["key"]): row for rows in nearest.values() for row in rows}
        rows = sorted(by_key.values(), key=lambda row: int(row["number"]))
        if not rows:
            return []
        stored = np.array([row[self._whole] for row in rows], dtype=np.float32)
        squares = np.square(stored - query.astype(np.float64))
        sums = {name: squares[:, self._parts[name]].sum(axis=1) for name in weights}
        distances = np.sqrt(sum(weights[name] * each for name, each in sums.items()))
        order = np.argsort(distances, kind="stable")[:k]  # rows are in the order of insertion
        if not final:
            place = {int(row["key"]): index for index, row in enumerate(rows)}
            floor = 0.0
            for name, each in nearest.items():
                # Milvus ranks in float32: one subtraction, one square, and a sum.
                error = (self._parts[name].stop - self._parts[name].start + 3) * ROUNDING
                floor += weights[name] * sums[name][place[int(each[-1]["key"])]] * (1 - error)
            if floor <= distances[order[-1]] ** 2:
                return None
        return [
            Hit(decode(rows[row]), float(distances[row]), stored[row] if vectors else None) for row in order.tolist()
        ]
