"""The kinds of attributes."""

from pathlib import Path

import pytest

from model.errors import QueryError
from service.catalog.attributes import declare_types, infer_type, parse_types, read_types


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["19.95", "-3", "1e3"], "number"),
        (["2020-01-31", "2020-02-01T10:00:00Z"], "date"),
        (["Yes", "no"], "flag"),
        (["0", "1"], "number"),
        (["36", "36 2/3"], "text"),
        (["inf", "1_000"], "text"),
    ],
)
def test_as_values_look(values: list[str], expected: str) -> None:
    """All values have to be of a kind for an attribute to be of it."""
    assert infer_type(values) == expected


def test_declared_once(tmp_path: Path) -> None:
    """What was declared stays until it is declared otherwise, or to be inferred again."""
    declare_types(tmp_path, parse_types(["price=number", "a=b=text"]))
    declare_types(tmp_path, parse_types([]))
    assert read_types(tmp_path) == {"price": "number", "a=b": "text"}
    declare_types(tmp_path, parse_types(["price=auto", "url=display"]))
    assert read_types(tmp_path) == {"a=b": "text", "url": "display"}


@pytest.mark.parametrize("text", ["price", "=number", "price=money", "price="])
def test_declared_wrongly(text: str) -> None:
    """What is no type is refused, with those that there are."""
    with pytest.raises(QueryError, match="display"):
        parse_types([text])


@pytest.mark.parametrize("content", [b"", b"[]", b'{"format": 2, "types": {}}', b'{"format": 1, "types": {"a": "b"}}'])
def test_damaged_file(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A file that can't be used declares nothing, and the log says what writes it anew."""
    (tmp_path / "attributes.json").write_bytes(content)
    assert read_types(tmp_path) == {}
    assert "index --type" in caplog.text
