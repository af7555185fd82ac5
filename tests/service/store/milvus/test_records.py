"""Shoes as rows, and changes as texts."""

from dataclasses import replace

import numpy as np
import pytest

from model.errors import QueryError
from service.store.base import Item, Record
from service.store.milvus.records import (
    JOURNAL_BYTES,
    Change,
    attribute_token,
    decode_item,
    digest,
    encode,
    tokens_of,
    value_token,
)
from tests.service.store.naive import DIMENSION, shoe, shoes

NASTY = ('"]) or number > 0 or array_contains(tokens, ["', "'; drop", "a\0b", "größe \N{HIGH-HEELED SHOE}", "%", "\\")


def test_a_change_survives_its_texts() -> None:
    """Written as texts that Milvus takes, and read in any order, it is the same change, bit by bit."""
    puts = [replace(encode(record, DIMENSION), number=place) for place, record in enumerate(shoes(700), start=1)]
    puts += [
        replace(encode(shoe(text, [1.5], {text: (text, "x")}), DIMENSION), number=1000 + place)
        for place, text in enumerate(NASTY)
    ]
    change = Change(puts, removals=range(10**15, 10**15 + 9000))
    texts = list(change.texts())
    assert len(texts) > 4
    assert all(len(text.encode()) <= JOURNAL_BYTES + 2 for text in texts)
    read = Change.of(reversed(texts), DIMENSION)
    assert sorted(read.puts, key=lambda each: each.number) == puts
    assert sorted(read.removals) == list(change.removals)


def test_tokens_keep_names_and_values_apart() -> None:
    """What stands for a value stands for no other one, of this attribute or another."""
    pairs = [("a", "bc"), ("ab", "c"), ("a", "b"), ("b", "a"), ("value", "a"), ("", ""), ("a\0b", "c"), ("a", "b\0c")]
    tokens = {value_token(*pair) for pair in pairs} | {attribute_token(name) for name, _ in pairs}
    assert len(tokens) == len(pairs) + len({name for name, _ in pairs})
    assert all(0 <= token < 2**62 for token in tokens)
    assert tokens_of({"a": ("bc",)}) == {attribute_token("a"): ("a", None), value_token("a", "bc"): ("a", "bc")}


@pytest.mark.parametrize("text", NASTY)
def test_nothing_of_a_text_is_in_what_milvus_is_asked(text: str) -> None:
    """Ids and values become numbers before they come near an expression."""
    assert isinstance(digest(text), int)
    assert isinstance(value_token(text, text), int)


def test_a_row_gives_back_its_item() -> None:
    """Texts come back as they were, and are checked."""
    record = shoe("größe 42", [1.0], {"Farbe": ("grün", "blau")})
    fields = encode(record, DIMENSION).fields()
    assert decode_item(fields) == record.item


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (Item("x" * 513, "a.jpg", {}), "its id has 513 bytes; expected at most 512"),
        (Item("a", "ü" * 1025, {}), "its image has 2,050 bytes"),
        (Item("a", "a.jpg", {"a": ("x" * 17_000,)}), "its attributes has 17,0"),
        (Item("a", "a.jpg", {"a": tuple(f"{number}" for number in range(1024))}), "1,025 attributes and values"),
        (Item("\ud800", "a.jpg", {}), "not Unicode"),
    ],
)
def test_what_can_not_be_stored_is_refused(item: Item, said: str) -> None:
    """Milvus's limits are told as errors of the caller, before anything is written."""
    with pytest.raises(QueryError, match=said):
        encode(Record(item, np.zeros(DIMENSION, dtype=np.float32)), DIMENSION)
