"""Filters as clients write them."""

import json
from typing import Any

import pytest

from model.errors import QueryError
from service.store.filters import All, AnyOf, Filter, HasValue, InRange, Not, parse_filter
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
        '{"attribute": "A", "min": 3, "max": "2020-01-01"}',
        "{}",
        json.dumps({"any": ["A:x"] * 201}),
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
