"""What the ids and attributes of new shoes may be."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.errors import QueryError
from service.catalog.attributes import check_attributes, check_id


@pytest.mark.parametrize("item_id", ["a", "x" * 200, "Größe 42 / "[:8], "a:b", "..a", "👟", "a\u200db"])
def test_ids(item_id: str) -> None:
    """Letters of any language, spaces within and most signs are taken as they are."""
    assert check_id(item_id) == item_id


@pytest.mark.parametrize(
    ("item_id", "why"),
    [
        ("", "0 characters"),
        ("x" * 201, "201 characters"),
        ("a/b", "slashes"),
        ("..", "slashes"),
        (" a", "white space"),
        ("a\tb", "control"),
        ("a\ud800", "control"),
        ("a\u2029b", "control"),
    ],
)
def test_ids_that_are_none(item_id: str, why: str) -> None:
    """What is wrong is said, in text that any terminal and log can carry."""
    with pytest.raises(QueryError, match=why) as caught:
        check_id(item_id)
    assert caught.value.field == "id"
    assert len(str(caught.value)) < 200
    str(caught.value).encode()


def test_attributes() -> None:
    """Values are kept in their order, each once; an attribute without values stays, to be removed."""
    assert check_attributes({"Farbe": ["rot", "grün", "rot"], "Closure": []}) == {
        "Farbe": ("rot", "grün"),
        "Closure": (),
    }


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({f"a{number}": ["x"] for number in range(51)}, "at most 50"),
        ({"a": [f"{number}" for number in range(51)]}, "at most 50"),
        ({"": ["x"]}, "1 to 100"),
        ({"x" * 101: ["x"]}, "1 to 100"),
        ({"a:b": ["x"]}, "colons"),
        ({"a": [""]}, "1 to 200"),
        ({"a": ["x" * 201]}, "1 to 200"),
        ({"a": ["x\ny"]}, "control"),
        ({"a\x7f": ["x"]}, "control"),
    ],
)
def test_attributes_that_are_none(attributes: dict[str, list[str]], why: str) -> None:
    """Too many, too long, or with what no line of text has."""
    with pytest.raises(QueryError, match=why) as caught:
        check_attributes(attributes)
    assert caught.value.field == "attributes"


@given(st.text(max_size=250))
@example("\uf900")  # a compatibility ideograph: its normal form is another character
@example("e\u0301")
def test_any_text_is_taken_or_refused(text: str) -> None:
    """Whatever the text, it is taken in its normal form C or refused, never else; what is taken can be written down."""
    normal = unicodedata.normalize("NFC", text)
    try:
        assert check_id(text) == normal
        assert check_id(normal) == normal
        normal.encode()
    except QueryError as error:
        str(error).encode()
