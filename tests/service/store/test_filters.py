"""Filters as clients write them."""

import json
from typing import Any

import pytest

from model.errors import QueryError
from service.store.filters import (
    MAX_IDS,
    MAX_LEAVES,
    MAX_TERMS,
    MAX_VALUES,
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
    """A filter names ten thousand shoes at most, wherever in it they are."""
    ids = [str(number) for number in range(MAX_IDS)]
    assert parse_filter([{"ids": ids}]) == HasId(frozenset(ids))
    for given in ([{"ids": [*ids, "more"]}], [{"any": [{"ids": ids}, {"ids": ["1"]}]}]):
        with pytest.raises(QueryError, match="more than 10,000 ids") as caught:
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


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (["-a:1"], "200 comparisons"),
        (["a:>1"], "200 comparisons"),
        (["a:1"], "1,000 values"),
        ([{"any": ["a:1"]}], "200 comparisons"),
        ([{"ids": ["1"]}], "200 comparisons"),
        ([{"attribute": "a", "values": ["1", "2", "3", "4", "5", "6"]}], "1,000 values"),
        ([{"ids": ["1"] * 1000}], "10,000 ids"),
        (["a:" + "1" * 10_000], "2,097,152 characters"),
        (['{"any": ["a:1"], "any": ' + " " * 20_000 + '["a:1"]}'], "2,097,152 characters"),
        ([{"attribute": "a", "values": ["1" * 20_000]}], "2,097,152 characters"),
    ],
)
def test_parsing_ends_where_there_is_too_much(given: list[Any], kind: str) -> None:
    """What follows the first too many is not looked at: here it would be no filter at all."""
    with pytest.raises(QueryError, match=f"the filter has more than {kind}"):
        parse_filter([*given * MAX_TERMS, {}])


def test_values_of_one_attribute_are_one_comparison() -> None:
    """A filter compares to a thousand values, in whatever way it has them, and not to one more."""
    texts = [f"a:{number}" for number in range(MAX_VALUES)]
    values = [text.removeprefix("a:") for text in texts]
    assert parse_filter(texts) == parse_filter([{"attribute": "a", "values": values}]) == has("a", *values)
    ranges = [f"b:>{number}" for number in range(MAX_LEAVES - 1)]
    assert parse_filter([*texts, *ranges])
    for more in ("a:x", "b:>x"):
        with pytest.raises(QueryError):
            parse_filter([*texts, *ranges, more])


@pytest.mark.parametrize(
    "given",
    [
        "\x01" * 10**5,
        "{" + "\x01" * 10**5,
        "a:>" + "\x01" * 10**5,
        "\x01" * 10**5 + ":>x",
        {"attribute": "a", "values": [3, "\x01" * 10**5]},
        {"some": [{"\x01" * 10**5: ["\x01" * 10**5] * 1000}] * 1000},
        {"any": [[[[]]] * 10**5]},
    ],
)
def test_errors_repeat_little_of_a_filter(given: Any) -> None:
    """However much of it is wrong."""
    with pytest.raises(QueryError) as caught:
        parse_filter([given])
    assert len(str(caught.value)) < 1000
