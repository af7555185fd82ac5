"""Validation of a new shoe's id and attributes."""

import unicodedata
from collections.abc import Iterable, Mapping

from model.errors import QueryError
from model.text import nfc, nfc_attributes

__all__ = ["MAX_ATTRIBUTES", "MAX_ID", "MAX_NAME", "MAX_VALUE", "MAX_VALUES", "check_attributes", "check_id"]

MAX_ID = 200
MAX_NAME = 100
MAX_VALUE = 200
"""Characters."""

MAX_ATTRIBUTES = 50
MAX_VALUES = 50
"""Attributes of one shoe, and values of one attribute."""

FORBIDDEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories that are refused: control characters, surrogates, line and paragraph separators."""

SHOWN = 40
"""Characters of a wrong value that a message shows."""


def check_id(item_id: str) -> str:
    """The id of a new shoe, in Unicode's normal form C.

    It becomes a part of paths in URLs: a slash would end that part, and `.` and `..` would lead out of it. Shoes that a
    catalogue was indexed with may be called otherwise.
    """
    item_id = nfc(item_id)
    _check_text("id", "id", item_id, MAX_ID)
    if "/" in item_id or item_id in {".", ".."}:
        raise QueryError("id", f"id {_show(item_id)}: expected an id without slashes that is neither . nor ..")
    return item_id


def check_attributes(attributes: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """The attributes of a shoe, each with its values, in normal form C, each value once; none removes an attribute."""
    if len(attributes) > MAX_ATTRIBUTES:
        raise QueryError("attributes", f"{len(attributes)} attributes; expected at most {MAX_ATTRIBUTES}")
    return {_check_name(name): _check_values(name, values) for name, values in nfc_attributes(attributes).items()}


def _check_name(name: str) -> str:
    _check_text("attributes", "attribute", name, MAX_NAME)
    if ":" in name:
        # A filter is `Attribute:Value`, and the first colon divides the two.
        raise QueryError("attributes", f"attribute {_show(name)}: expected a name without colons")
    return name


def _check_values(name: str, values: tuple[str, ...]) -> tuple[str, ...]:
    if len(values) > MAX_VALUES:
        raise QueryError(
            "attributes", f"attribute {_show(name)} has {len(values)} values; expected at most {MAX_VALUES}"
        )
    for value in values:
        _check_text("attributes", f"value of {_show(name)}", value, MAX_VALUE)
    return values


def _check_text(field: str, kind: str, text: str, longest: int) -> None:
    if not 1 <= len(text) <= longest:
        raise QueryError(field, f"{kind} {_show(text)} has {len(text)} characters; expected 1 to {longest}")
    if text != text.strip():
        raise QueryError(field, f"{kind} {_show(text)}: expected no white space at its ends")
    if any(unicodedata.category(character) in FORBIDDEN for character in text):
        raise QueryError(field, f"{kind} {_show(text)}: expected no control characters and no ends of lines")


def _show(text: str) -> str:
    return repr(text[:SHOWN] + "..." if len(text) > SHOWN else text)
