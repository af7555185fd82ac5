"""Filters as clients write them."""

import json
from typing import Any

import pytest

from model.errors import QueryError
from service.store.filters import (
    MAX_IDS,
    All,
    AnyOf,
    Filter,
    HasId,
    HasValue,
    InRange,
    Not,
    canonical,
    find_leaves,
    parse_filter,
    replace_leaves,
)
from tests.support.filters import passes, where

SHOE = {
    "Brand": ("Ana",),
    "Gender": ("Women", "Girls"),
    "price": ("49.95",),
    "released": ("2020-03-01",),
    "sold": ("2020-03-01T23:30:00",),
}


def has(attribute: str, *values: str) -> HasValue:
    """A comparison with values."""
    return HasValue(attribute, frozenset(values))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], None),
        (["Gender:Women"], has("Gender", "Women")),
        (["Ratio:1:72"], has("Ratio", "1:72")),
        (["Gender:Women", "Gender:Men", "Brand:Ana"], All((has("Gender", "Women", "Men"), has("Brand", "Ana")))),
        (["-Brand:Ana"], Not(has("Brand", "Ana"))),
        (["price:>=20", "price:<80"], All((InRange("price", low=20.0), InRange("price", high=80.0, open_high=True)))),
        (["price:20..80", "price:99"], AnyOf((has("price", "99"), InRange("price", 20.0, 80.0)))),
        (["size:a..b"], has("size", "a..b")),
        (['{"ids": ["1", "1", "gru\u0308n"]}', "A:x"], All((has("A", "x"), HasId(frozenset({"1", "gr\u00fcn"}))))),
        (['{"any": ["A:x", {"not": ["B:y"]}]}'], AnyOf((has("A", "x"), Not(AnyOf((has("B", "y"),)))))),
    ],
)
def test_what_is_meant(texts: list[str], expected: Filter | None) -> None:
    """Values and intervals of one attribute are alternatives; comparisons, exclusions and attributes are required."""
    assert parse_filter(texts) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["price:<=49.95"], True),
        (["price:<49.95"], False),
        (["price:>49.9", "price:<50"], True),
        (["price:0..10", "price:40..50"], True),
        (["-price:40..50"], False),
        (["released:2020-01-01..2020-03-01"], True),
        (["released:>2020-02-29"], True),
        (["released:<2020-03-01"], False),
        (["sold:<=2020-03-01"], True),
        (["sold:>2020-03-01"], False),
        (["sold:>=2020-03-01T23:30:00+00:00"], True),
        (["Size:>=3"], False),
        (["-Size:>=3"], True),
        ([{"attribute": "price", "min": 49.95}], True),
        ([{"attribute": "price", "max": 49}], False),
        ([{"attribute": "released", "min": "2020-01-01", "max": "2020-12-31"}], True),
        ([{"attribute": "Gender", "values": ["Men", "Girls"]}], True),
        ([{"all": ["Brand:Ana", "price:<=50"], "not": ["Gender:Men", "Gender:Boys"]}], True),
        ([{"any": ["Brand:Bo", {"all": ["Gender:Girls", "-price:>50"]}]}, "Brand:Ana"], True),
    ],
)
def test_what_passes(given: list[Any], expected: bool) -> None:
    """Numbers compare as numbers, dates as dates, a day to its end; what lacks an attribute is in no range of it."""
    assert passes(parse_filter(given), SHOE) is expected
    if len(given) == 1:
        assert passes(parse_filter([json.dumps({"all": given})]), SHOE) is expected


@pytest.mark.parametrize(
    "given",
    [
        "Gender",
        ":Women",
        "-:Women",
        "price:>=",
        "price:>=cheap",
        '{"any": [',
        '{"any": []}',
        '{"some": ["A:x"]}',
        '{"any": "A:x"}',
        '{"attribute": "A"}',
        '{"attribute": "A", "values": []}',
        '{"attribute": "A", "values": [3]}',
        '{"attribute": "A", "min": true}',
        '{"attribute": "A", "min": 3, "values": ["x"]}',
        '{"ids": []}',
        '{"ids": "1"}',
        '{"ids": [1]}',
        '{"ids": ["1"], "all": ["A:x"]}',
        '{"attribute": "A", "min": 3, "max": "2020-01-01"}',
        "{}",
        json.dumps({"any": ["A:x"] * 201}),
        json.dumps({"any": [{"ids": ["1"]}] * 201}),
        '{"all": [' * 9 + '"A:x"' + "]}" * 9,
    ],
)
def test_what_is_refused(given: str) -> None:
    """What is no condition is refused, and never taken for a value that nobody has."""
    with pytest.raises(QueryError) as caught:
        parse_filter([given])
    assert caught.value.field == "filter"


def test_values_are_in_composed_form() -> None:
    """Unicode's forms of one text are one value."""
    assert parse_filter(["Farbe:gru\u0308n"]) == has("Farbe", "gr\u00fcn")
    assert parse_filter([{"attribute": "Farbe", "values": ["gru\u0308n"]}]) == has("Farbe", "gr\u00fcn")
    assert where({"A": {"x"}}) == All((has("A", "x"),))


def test_ids_are_bounded() -> None:
    """A filter names ten thousand shoes at most, wherever in it they are; the error says how many there were."""
    ids = [str(number) for number in range(MAX_IDS)]
    assert parse_filter([{"ids": ids}]) == HasId(frozenset(ids))
    for given in ([{"ids": [*ids, "more"]}], [{"any": [{"ids": ids}, {"ids": ["1"]}]}]):
        with pytest.raises(QueryError, match="10,001 ids; expected at most 10,000") as caught:
            parse_filter(given)
        assert caught.value.field == "filter"


def test_ids_are_no_attribute() -> None:
    """An expression's comparisons are of attributes; ids are left as they are, and told from values in what it says."""
    one, other = HasId(frozenset({"1", "2"})), HasValue("HasId", frozenset({"1", "2"}))
    both = All((one, other))
    assert list(find_leaves(both)) == [other]
    assert replace_leaves(both, lambda leaf: has(leaf.attribute, "3")) == All((one, has("HasId", "3")))
    assert canonical(one) != canonical(other)
    assert canonical(both) == canonical(All((other, one)))
