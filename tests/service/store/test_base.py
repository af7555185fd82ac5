"""The check of vectors that come from outside."""

import numpy as np
import pytest

from model.errors import QueryError
from service.store.base import check_vectors


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
