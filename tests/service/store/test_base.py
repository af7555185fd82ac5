"""The checks of what comes from outside."""

from collections.abc import Callable

import numpy as np
import pytest

from model.errors import QueryError
from service.store.base import check_condition, check_filter, check_vectors, cursor_to_number
from tests.support.filters import where

LONG = "\x01" * 5000


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        (np.zeros(8), "expected 8"),
        (np.zeros((1, 9)), "has 9 numbers; expected 8"),
        (np.zeros((1, 1, 8)), "expected 8"),
        (np.full((1, 8), np.nan), "not finite"),
        (np.full((1, 8), -np.inf), "not finite"),
        (np.full((1, 8), 1e39), "not finite in float32"),
    ],
)
def test_refuses_what_are_no_vectors(vectors: np.ndarray[tuple[int, ...], np.dtype[np.float64]], said: str) -> None:
    """A wrong shape, NaN, infinity and what float32 can't hold are errors of the caller, of the field that it names."""
    with pytest.raises(QueryError, match=said) as caught:
        check_vectors(vectors, 8, "positive")
    assert caught.value.field == "positive"


def test_gives_float32() -> None:
    """Numbers of any kind, with the shape that they came in."""
    checked = check_vectors([[1, 2.5]], 2)
    assert checked.dtype == np.float32
    assert checked.tolist() == [[1.0, 2.5]]


@pytest.mark.parametrize(
    "check",
    [
        lambda: check_condition(LONG, {}),
        lambda: check_condition({LONG: 1.0}, {}),
        lambda: check_filter(where({LONG: {"x"}}), {"a": {"x": 1}}),
        lambda: check_filter(where({"a": {LONG}}), {"a": {"x": 1}}),
        lambda: cursor_to_number(LONG),
    ],
)
def test_errors_repeat_little_of_a_text(check: Callable[[], object]) -> None:
    """Whatever a client has sent, the message is for people to read."""
    with pytest.raises(QueryError) as caught:
        check()
    assert len(str(caught.value)) < 500
