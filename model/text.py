"""One Unicode form of every text that names something: two spellings of one name compare as equal."""

import unicodedata
from collections.abc import Iterable, Mapping

__all__ = ["nfc", "nfc_attributes"]


def nfc(text: str) -> str:
    """The text in normal form C, in which keyboards write; macOS writes the names of files in form D."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def nfc_attributes(attributes: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """Attributes with names and values in normal form C, each value once; names that become one share their values."""
    merged: dict[str, dict[str, None]] = {}
    for name, values in attributes.items():
        merged.setdefault(nfc(name), {}).update(dict.fromkeys(map(nfc, values)))
    return {name: tuple(values) for name, values in merged.items()}
