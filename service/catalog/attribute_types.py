"""What kind of values an attribute has: as it was declared when the catalogue was indexed, or as its values look."""

import json
import logging
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Literal, get_args

from model.errors import QueryError
from model.files import write_json
from model.text import nfc
from service.store.filters import parse_date, parse_number

__all__ = [
    "FALSE",
    "TRUE",
    "AttributeType",
    "declare_types",
    "infer_type",
    "parse_types",
    "read_types",
]

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
