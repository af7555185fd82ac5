import pickle
from pathlib import Path

import pytest

from model.catalog import Shoe
from model.catalog.base import CatalogBuilder, find_id_problem, split_values
from model.errors import CatalogError


@pytest.mark.parametrize("id", ["a", "100627.72", "boots:ankle:7", "Größe 42 ✓", "...", "x" * 200, " x ", "a?b#c&d"])
def test_usable_ids(id: str) -> None:
    """Any text of up to 200 characters is an id, if it has no slashes and control characters."""
    assert find_id_problem(id) is None


@pytest.mark.parametrize("id", ["", "x" * 201, "a/b", ".", "..", "a\nb", "a\x00", "a\x7f", "\x85", "caf\udce9"])
def test_unusable_ids(id: str) -> None:
    """What can't be one segment of a URL's path and a key of the store is not an id."""
    assert find_id_problem(id) is not None


@pytest.mark.parametrize(
    ("cell", "separator", "values"),
    [
        ("Leather;Suede", ";", ("Leather", "Suede")),
        (" Leather ; ;Suede;Leather", ";", ("Leather", "Suede")),
        ("", ";", ()),
        ("NA", ";", ()),
        ("NA;Suede", ";", ("Suede",)),
        ("a;b", "", ("a;b",)),
        ("a|b", "|", ("a", "b")),
        ("two\nlines\tand  gaps", ";", ("two lines and gaps",)),
        ("nul\x00l", ";", ("null",)),
        ("\x00", ";", ()),
    ],
)
def test_split_values(cell: str, separator: str, values: tuple[str, ...]) -> None:
    """A cell's values are trimmed, each once, and neither empty nor NA."""
    assert split_values(cell, separator) == values


def test_group_defaults_to_the_id() -> None:
    """A shoe of which nothing else is known is a group of its own."""
    assert Shoe("a", Path("/x/a.jpg"), {}).group == "a"
    assert Shoe("a", Path("/x/a.jpg"), {}, "product").group == "product"


def test_shoes_travel_and_count() -> None:
    """Shoes can be sent to another process and kept in a set."""
    shoe = Shoe("a", Path("/x/a.jpg"), {"Gender": ("Women",)})
    assert pickle.loads(pickle.dumps(shoe)) == shoe
    assert {shoe, pickle.loads(pickle.dumps(shoe))} == {shoe}


def test_builder_keeps_the_first_of_two_ids() -> None:
    """An id that is taken makes the later row bad, and says by which row it was taken."""
    builder = CatalogBuilder("here", Path("/x"))
    builder.add("line 2", id="a", image="1.jpg", attributes={})
    builder.add("line 3", id="a", image="2.jpg", attributes={})
    catalog = builder.build()
    assert [shoe.image for shoe in catalog.shoes] == [Path("/x/1.jpg")]
    assert [(bad.row, bad.reason) for bad in catalog.bad_rows] == [("line 3", "id 'a' is taken by line 2")]
    assert catalog.size == 2


def test_builder_refuses_names_that_are_not_text() -> None:
    """A file whose name is not UTF-8 is a bad row, and the report of it is text that can be written."""
    builder = CatalogBuilder("here", Path("/x"))
    builder.add("ok", id="ok", image="ok.jpg", attributes={})
    builder.add("caf\udce9.jpg", id="x", image="caf\udce9.jpg", attributes={})
    (bad,) = builder.build().bad_rows
    assert bad.row == "caf\\udce9.jpg"
    bad.reason.encode()


def test_builder_without_a_shoe_gives_the_reasons() -> None:
    """A catalogue of which nothing is usable is an error that says why."""
    builder = CatalogBuilder("here", Path("/x"))
    with pytest.raises(CatalogError, match="no usable shoe in here: it has no rows"):
        builder.build()
    builder.reject("line 2", "it is mouldy")
    with pytest.raises(CatalogError, match="line 2: it is mouldy"):
        builder.build()
