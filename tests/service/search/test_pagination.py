"""Cursors: what is written is read, and nothing else is."""

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import QueryError
from service.errors import CatalogueChanged
from service.search.pagination import Cursor, decode_cursor, encode_cursor, fingerprint_of

VECTOR = np.linspace(-3, 3, 8, dtype=np.float32)


def cursor(offset: int = 10) -> Cursor:
    """One of a search for VECTOR."""
    return Cursor(offset, fingerprint_of(["a shoe"]), fingerprint_of(["overall", []]), fingerprint_of(["abc"]), VECTOR)


@given(offset=st.integers(0, 2**32 - 1), values=st.lists(st.floats(width=32, allow_nan=False), max_size=70))
def test_round_trip(offset: int, values: list[float]) -> None:
    """What comes back is what went in, to the bit, in letters that an address may hold."""
    vector = np.array(values, dtype=np.float32)
    text = encode_cursor(Cursor(offset, b"the last", b"options!", b"catalog!", vector))
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    read = decode_cursor(text)
    assert (read.offset, read.last) == (offset, b"the last")
    assert (read.options, read.catalog) == (b"options!", b"catalog!")
    assert read.vector.tobytes() == vector.tobytes()


@given(place=st.integers(0, 79), letter=st.sampled_from("AZaz09-_=+/ é\n\0"))
def test_a_changed_letter_is_noticed(place: int, letter: str) -> None:
    """No letter of a cursor may be another."""
    text = encode_cursor(cursor())
    changed = text[:place] + letter + text[place + 1 :]
    if changed != text:
        with pytest.raises(QueryError, match="is none that an answer gave") as caught:
            decode_cursor(changed)
        assert caught.value.field == "cursor"


@given(text=st.text(max_size=60) | st.binary(max_size=60).map(lambda data: base64.urlsafe_b64encode(data).decode()))
def test_no_other_text_is_one(text: str) -> None:
    """Whatever it holds, it is refused as no cursor."""
    with pytest.raises(QueryError):
        decode_cursor(text)


def test_a_piece_or_a_flood_is_none() -> None:
    """Neither a cursor that was cut off, nor one with something behind it."""
    text = encode_cursor(cursor())
    for wrong in (text[:-1], text[:-4], text + "AAAA", text + "=", "A" * 100_000, ""):
        with pytest.raises(QueryError):
            decode_cursor(wrong)


def test_checks() -> None:
    """It is for the search that it came from: the same options, the same shoe, the same catalogue."""
    one = cursor()
    one.check_options(fingerprint_of(["overall", []]))
    one.check_catalog("abc")
    one.check_vector(VECTOR + np.float32(1e-6))
    with pytest.raises(QueryError, match="other options"):
        one.check_options(fingerprint_of(["closure", []]))
    with pytest.raises(CatalogueChanged):
        one.check_catalog("abd")
    for other in (VECTOR + np.float32(0.1), VECTOR[:7], VECTOR * np.float32(np.nan)):
        with pytest.raises(QueryError, match="another shoe"):
            one.check_vector(other)
