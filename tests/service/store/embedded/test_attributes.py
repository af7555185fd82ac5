"""The table of attributes alone, against counting one by one."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import QueryError
from service.store.base import check_filter, sort_counts
from service.store.embedded.attributes import AttributeTable
from service.store.filters import All, AnyOf, Filter, HasValue, InRange, Not, parse_date
from tests.support.filters import passes, where

Attributes = Mapping[str, tuple[str, ...]]

VALUES = ("x", "y", "-1", "2.5", "1e3", "2020-02-29", "2020-03-01T12:00:00+02:00")
ATTRIBUTES = st.dictionaries(
    st.sampled_from("AB"), st.lists(st.sampled_from(VALUES), max_size=3).map(tuple), max_size=2
)
BOUNDS = st.none() | st.sampled_from([-1.0, 0.0, 2.5, 1000.0])
DAYS = st.none() | st.sampled_from(["2020-02-29", "2020-03-01", "2020-03-01T10:00:00Z"]).map(parse_date)
LEAVES = (
    st.builds(HasValue, st.sampled_from("ABC"), st.frozensets(st.sampled_from((*VALUES, "w")), min_size=1))
    | st.builds(InRange, st.sampled_from("ABC"), BOUNDS, BOUNDS, st.booleans(), st.booleans())
    | st.builds(InRange, st.sampled_from("AB"), DAYS, DAYS, st.booleans(), st.booleans(), st.just(True))
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(All, st.lists(inner, min_size=1, max_size=3).map(tuple))
        | st.builds(AnyOf, st.lists(inner, min_size=1, max_size=3).map(tuple))
    ),
    max_leaves=6,
)


def passing(rows: Sequence[Attributes], filter: Filter) -> list[int]:
    """Looked at one by one."""
    return [row for row, attributes in enumerate(rows) if passes(filter, attributes)]


def counted(rows: Sequence[Attributes]) -> dict[str, dict[str, int]]:
    """Attribute -> value -> rows."""
    counts: dict[str, dict[str, int]] = {}
    for attributes in rows:
        for name, values in attributes.items():
            for value in set(values):
                of_name = counts.setdefault(name, {})
                of_name[value] = of_name.get(value, 0) + 1
    return counts


@settings(max_examples=100)
@given(rows=st.lists(ATTRIBUTES, max_size=12), filter=FILTERS, data=st.data())
def test_agrees_with_a_loop(rows: list[Attributes], filter: Filter, data: st.DataObject) -> None:
    """Rows that pass and numbers of values, whether the table was made at once or row by row, or shares mappings."""
    shared = list({repr(each): each for each in rows}.values())
    same = [next(each for each in shared if each == row) for row in rows]
    gone = np.empty(0, np.int32)
    tables = (
        AttributeTable.of(rows),
        AttributeTable.of(same),
        AttributeTable().updated(gone, list(enumerate(rows)), len(rows)),
    )
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), dtype=np.bool_)
    chosen = [row for row, take in zip(rows, mask.tolist(), strict=True) if take]
    for table in tables:
        assert table.rows(filter).tolist() == passing(rows, filter)
        assert sort_counts(table.facets(None)) == sort_counts(counted(rows))
        assert sort_counts(table.facets(mask)) == sort_counts(counted(chosen))


@settings(max_examples=60)
@given(rows=st.lists(ATTRIBUTES, min_size=1, max_size=9), new=st.lists(ATTRIBUTES, max_size=4), data=st.data())
def test_an_updated_table_is_that_of_the_rows_as_they_are(
    rows: list[Attributes], new: list[Attributes], data: st.DataObject
) -> None:
    """Rows go, rows change, and rows come at the end."""
    fate = data.draw(st.lists(st.sampled_from(["keep", "drop", "change"]), min_size=len(rows), max_size=len(rows)))
    left: list[Attributes] = []
    moved = np.full(len(rows), -1, dtype=np.int32)
    changed: list[tuple[int, Attributes]] = []
    for row, what in enumerate(fate):
        if what == "keep":
            moved[row] = len(left)
        elif what == "change":
            changed.append((len(left), {"B": ("changed",)}))
        if what != "drop":
            left.append(rows[row] if what == "keep" else {"B": ("changed",)})
    changed += [(len(left) + place, each) for place, each in enumerate(new)]
    left += new
    table = AttributeTable.of(rows).updated(moved, changed, len(left))
    assert sort_counts(table.facets(None)) == sort_counts(counted(left))
    for value in ("x", "y", "changed"):
        chosen = where({"B": frozenset({value})})
        assert table.rows(chosen).tolist() == passing(left, chosen)


def test_counts_are_in_order() -> None:
    """Attributes by name, frequent values first and equal ones by name, none with zero."""
    counts = {"b": {"x": 1, "y": 2, "z": 2, "w": 0}, "a": {"only": 3}, "c": {"none": 0}}
    ordered = sort_counts(counts)
    assert list(ordered) == ["a", "b"]
    assert list(ordered["b"].items()) == [("y", 2), ("z", 2), ("x", 1)]


def test_what_no_shoe_has_is_an_error_that_lists_the_rest() -> None:
    """The message has the known attributes, or the known values, and says how many it left out."""
    counts = {"Gender": {f"v{number:02}": 30 - number for number in range(25)} | {"none": 0}, "Empty": {"x": 0}}
    with pytest.raises(QueryError, match=r"unknown attribute 'Empty'; known attributes: Gender$"):
        check_filter(where({"Empty": frozenset({"x"})}), counts)
    with pytest.raises(QueryError, match=r"unknown value 'none' of 'Gender'; known values: v00, .*v19 and 5 more$"):
        check_filter(where({"Gender": frozenset({"none"})}), counts)
    check_filter(where({"Gender": frozenset({"v03", "v24"})}), counts)
