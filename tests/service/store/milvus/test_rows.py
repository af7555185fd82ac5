"""Shoes as rows, and rows in parts."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from model.errors import QueryError
from service.milvus_address import Address
from service.store.base import Item
from tests.service.store.conftest import milvus, needs_lite
from tests.service.store.naive import shoe, shoes

pytest.importorskip("pymilvus")

from service.store.milvus import schema
from service.store.milvus.connection import Connection
from service.store.milvus.schema import Rows, decode, digest, encode


def test_digests_keep_names_and_values_apart() -> None:
    """What stands for a value stands for no other one, nor for an attribute, nor for an id; and it is a number."""
    pairs = [("a", "bc"), ("ab", "c"), ("a", "b"), ("b", "a"), ("a", None), ("a", "null"), ("", ""), ("a\0b", "c")]
    digests = {digest(*pair) for pair in pairs} | {digest("a"), digest("abc"), digest("größe\N{HIGH-HEELED SHOE}")}
    assert len(digests) == len(pairs) + 3
    assert all(isinstance(each, int) and 0 <= each < 2**62 for each in digests)


def test_a_row_gives_back_its_item() -> None:
    """Texts come back as they were; attributes without values are left out."""
    item = Item("größe 42", "a.jpg", {"Farbe": ("grün", "blau"), "Gender": ()})
    assert decode(encode(item, 7)) == Item("größe 42", "a.jpg", {"Farbe": ("grün", "blau")})


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (Item("x" * 513, "a.jpg", {}), "513 bytes of its id; expected at most 512"),
        (Item("a", "ü" * 1025, {}), "2,050 bytes of its image"),
        (Item("a", "a.jpg", {"a": ("x" * 17_000,)}), "17,0.. bytes of its attributes"),
        (Item("a", "a.jpg", {"a": tuple(f"{number}" for number in range(1024))}), "1,025 attributes and values"),
        (Item("\ud800", "a.jpg", {}), "not Unicode"),
    ],
)
def test_what_can_not_be_stored_is_refused(item: Item, said: str) -> None:
    """Milvus's limits are told as errors of the caller, before anything is written."""
    with pytest.raises(QueryError, match=said):
        encode(item, 1)


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rows]:
    """60 shoes, of which one answer may have 20, and a page is cut out of 12."""
    monkeypatch.setattr(schema, "WINDOW", 20)
    monkeypatch.setattr(schema, "MOST_READ", 12)
    address = Address(str(tmp_path / "milvus.db"), "shoes")
    with closing(milvus(address)) as store:
        for start in range(0, 60, 20):
            store.upsert(shoes(60)[start : start + 20])
        store.delete(["shoe-7", "shoe-47"])
        store.upsert([shoe("shoe-3", [1.0], {"Gender": ("Women",)})])
        with closing(Connection(address)) as connection:
            yield Rows(connection)


@needs_lite
def test_more_shoes_than_one_answer_holds(many: Rows) -> None:
    """They are read part by part: each shoe that passes once, in the order of insertion where one is asked for."""
    expected = [f"shoe-{number}" for number in range(60) if number not in {7, 47}]
    women = f"array_contains(tokens, {digest('Gender', 'Women')})"
    chosen = [each for each in expected if each == "shoe-3" or is_for_women(int(each.removeprefix("shoe-")))]
    for expression, passing in (("", expected), (women, chosen)):
        assert sorted(row["id"] for row in many.scan(expression, ["id"])) == sorted(passing)
        assert [row["id"] for row in many.first(expression, after=0, limit=1000)] == passing
        found: list[str] = []
        after = 0
        while some := many.first(expression, after=after, limit=5):
            found += [row["id"] for row in some]
            after = some[-1]["number"]
        assert found == passing


def is_for_women(number: int) -> bool:
    """Whether one of `shoes(60)` is."""
    return "Women" in shoes(60)[number].item.attributes.get("Gender", ())
