"""Options as clients spell them."""

import pytest

from model.errors import QueryError
from service.search.options import SearchOptions, parse_weights
from tests.support.filters import where


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("overall", None),
        ("heel", None),
        ("", None),
        ("heel:0.7,category:0.3", {"heel": 0.7, "category": 0.3}),
        ("heel:1", {"heel": 1.0}),
        (" heel : 2 , category : 1e-3 ", {"heel": 2.0, "category": 0.001}),
        ("heel:0,category:1", {"heel": 0.0, "category": 1.0}),
        ("a:b:0.5", {"a:b": 0.5}),
    ],
)
def test_conditions(text: str, expected: object) -> None:
    """With a colon it is a list of weights; a name is none."""
    assert parse_weights(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("heel,category", "heel:", ":1", "heel:1,", ",", ":", "heel:x", "heel:-1", "heel:nan", "heel:inf"),
        *("heel:1_0", "heel:1,heel:2", "heel:1," * 200),
    ],
)
def test_refuses_what_is_no_list_of_weights(text: str) -> None:
    """Each slice once, with a number that is at least 0."""
    with pytest.raises(QueryError) as caught:
        parse_weights(text)
    assert caught.value.field == "condition"


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (SearchOptions(1, exclude=("x",) * 101), "exclude"),
        (SearchOptions(1, max_distance=-1.0), "max_distance"),
        (SearchOptions(1, max_distance=float("nan")), "max_distance"),
        (SearchOptions(1, group=True, duplicate_distance=float("inf")), "duplicate_distance"),
        (SearchOptions(1, duplicate_distance=1.0), "duplicate_distance"),
        (SearchOptions(1, diversity=1.1), "diversity"),
        (SearchOptions(1, diversity=-0.1), "diversity"),
        (SearchOptions(1, diversity=float("nan")), "diversity"),
    ],
)
def test_refuses_what_is_out_of_range(options: SearchOptions, field: str) -> None:
    """By name."""
    with pytest.raises(QueryError) as caught:
        options.check()
    assert caught.value.field == field


def test_lets_the_rest_pass() -> None:
    """The ends of each range belong to it."""
    SearchOptions(1).check()
    many = ("x",) * 100
    SearchOptions(1, exclude=many, max_distance=0.0, group=True, duplicate_distance=0.0, diversity=1.0).check()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (SearchOptions(10), "1c830ab2b81961c7"),
        (
            SearchOptions(
                3,
                "heel:0.7,category:0.3",
                {"heel": 0.7, "category": 0.3},
                where({"Gender": {"Women", "Men"}, "Brand": {"A"}}),
                exclude=("b", "a", "b"),
                leave_out=("c",),
                max_distance=2.0,
                group=True,
                duplicate_distance=0.5,
                diversity=0.25,
                facets=True,
            ),
            "b559202929e36596",
        ),
    ],
)
def test_fingerprints_stay_as_they_are(options: SearchOptions, expected: str) -> None:
    """Clients hold cursors with a fingerprint of their options, which the next release has to know again."""
    assert options.fingerprint().hex() == expected
