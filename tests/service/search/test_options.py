"""Options as clients spell them."""

import pytest

from model.errors import QueryError
from service.search.options import Refinement, parse_condition


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("overall", "overall"),
        ("heel", "heel"),
        ("", ""),
        ("heel:0.7,category:0.3", {"heel": 0.7, "category": 0.3}),
        ("heel:1", {"heel": 1.0}),
        (" heel : 2 , category : 1e-3 ", {"heel": 2.0, "category": 0.001}),
        ("heel:0,category:1", {"heel": 0.0, "category": 1.0}),
        ("a:b:0.5", {"a:b": 0.5}),
    ],
)
def test_conditions(text: str, expected: object) -> None:
    """A name stays a name; with a colon it is a list of weights."""
    assert parse_condition(text) == expected


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
        parse_condition(text)
    assert caught.value.field == "condition"


@pytest.mark.parametrize(
    ("refinement", "field"),
    [
        (Refinement(exclude=("x",) * 101), "exclude"),
        (Refinement(max_distance=-1.0), "max_distance"),
        (Refinement(max_distance=float("nan")), "max_distance"),
        (Refinement(group=True, duplicate_distance=float("inf")), "duplicate_distance"),
        (Refinement(duplicate_distance=1.0), "duplicate_distance"),
        (Refinement(diversity=1.1), "diversity"),
        (Refinement(diversity=-0.1), "diversity"),
        (Refinement(diversity=float("nan")), "diversity"),
    ],
)
def test_refuses_what_is_out_of_range(refinement: Refinement, field: str) -> None:
    """By name."""
    with pytest.raises(QueryError) as caught:
        refinement.check()
    assert caught.value.field == field


def test_lets_the_rest_pass() -> None:
    """The ends of each range belong to it."""
    Refinement().check()
    Refinement(("x",) * 100, None, 0.0, group=True, duplicate_distance=0.0, diversity=1.0, facets=True).check()
