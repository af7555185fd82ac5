from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from model.errors import TrainingError
from training.data.labels import Labels, encode_labels

SHOES: list[Mapping[str, tuple[str, ...]]] = [
    {"Closure": ("Lace up", "Zipper")},
    {"Closure": ("Zipper",)},
    {"Closure": ("Buckle",)},
    {"Gender": ("Men",)},
]


def test_shoes_that_share_a_value_are_alike() -> None:
    """Several values overlap where one is shared; a shoe without a value is like none."""
    labels = encode_labels(SHOES, "Closure")
    assert labels.values == ("Buckle", "Lace up", "Zipper")
    left, right = np.array([0, 0, 1, 0]), np.array([1, 2, 2, 3])
    assert labels.alike(left, right).tolist() == [True, False, False, False]
    assert labels.known.tolist() == [True, True, True, False]


def test_unknown_attribute_lists_the_known() -> None:
    """An attribute that no shoe has is answered with those there are."""
    with pytest.raises(TrainingError, match=r"'Heel'.*Closure, Gender"):
        encode_labels(SHOES, "Heel")


def test_one_value_tells_no_two_apart() -> None:
    """An attribute with one value can't make a triplet."""
    with pytest.raises(TrainingError, match="tells no two apart"):
        encode_labels(SHOES, "Gender")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", "a", "b"], True),
        (["a", "b", "c"], False),
        (["a", "a", ""], False),
        (["ab", "a", "ac"], False),
        (["ab", "a", "c"], True),
        (["ab", "ac", "bc"], False),
        (["ab", "cd", "bc"], True),
    ],
)
def test_makes_triplets(values: list[str], *, expected: bool) -> None:
    """A triplet needs a shoe that is like a second one and unlike a third one; a letter is a value here."""
    assert Labels("kind", tuple("abcd"), _table(values)).makes_triplets() is expected


def _table(values: list[str]) -> NDArray[np.bool_]:
    return np.array([[letter in each for letter in "abcd"] for each in values])
