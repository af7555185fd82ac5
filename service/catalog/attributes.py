"""A shoe's id and attributes: what those of a new shoe may be, and what kind of values each attribute has.

The kind is what was declared when the catalogue was indexed, or what its values look like.
"""

import json
import logging
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Literal, get_args

from model.errors import QueryError
from model.files import write_json
from model.text import nfc, nfc_attributes
from service.store.filters import parse_date, parse_number

logger = logging.getLogger(__name__)

AttributeType = Literal["text", "number", "date", "flag", "display"]
"""`display`: shown with a shoe, and neither counted nor filtered by, as a link or a title."""

TYPES = "attributes.json"
"""The file in the catalogue's folder: the declared types. Others are inferred from what the catalogue holds."""

FORMAT = 1

AUTO = "auto"

TRUE = frozenset({"true", "yes", "y", "1", "on"})
FALSE = frozenset({"false", "no", "n", "0", "off"})
"""What a flag's values may be, in any case."""


def infer_type(values: Collection[str]) -> AttributeType:
    """What values look like: flags if they are all words for yes and no, but for 0 and 1, which may be numbers."""
    if all(parse_number(value) is not None for value in values):
        return "number"
    if all(parse_date(value) is not None for value in values):
        return "date"
    return "flag" if all(value.casefold() in TRUE | FALSE for value in values) else "text"


def parse_types(texts: Iterable[str]) -> dict[str, AttributeType | None]:
    """`price=number` each; `price=auto` is None: inferred again. Raises QueryError."""
    types: dict[str, AttributeType | None] = {}
    known: dict[str, AttributeType] = {name: name for name in get_args(AttributeType)}
    for text in texts:
        name, equals, kind = nfc(text).rpartition("=")
        if not (name and equals) or kind not in {AUTO, *known}:
            raise QueryError(
                "type", f"type {text!r} is not ATTRIBUTE=TYPE; expected one of {', '.join(known)} or {AUTO}"
            )
        types[name] = known.get(kind)
    return types


def declare_types(folder: Path, types: Mapping[str, AttributeType | None]) -> None:
    """Keep types in the catalogue's folder, which is made if need be, on top of those of before. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    if not types:
        return
    kept = {**read_types(folder), **types}
    write_json(folder / TYPES, {"format": FORMAT, "types": {name: kind for name, kind in kept.items() if kind}})


def read_types(folder: Path) -> dict[str, AttributeType]:
    """The declared types; none, with a line in the log, where the file can't be used."""
    path = folder / TYPES
    try:
        return _parse(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError) as error:
        logger.warning("%s can't be used (%s); `python -m service index --type` writes it anew", path, error)
        return {}


def _parse(data: bytes) -> dict[str, AttributeType]:
    content = json.loads(data)
    if (version := content["format"]) != FORMAT:
        raise ValueError(f"it has the format {version!r}, not {FORMAT}")
    types: dict[str, AttributeType] = dict(content["types"])
    if not set(types.values()) <= set(get_args(AttributeType)):
        raise ValueError("it has a type that is none")
    return types


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
