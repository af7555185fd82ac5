"""One Unicode form of every text that names something: two spellings of one name compare as equal."""

import re
import unicodedata
from collections.abc import Iterable, Mapping

MAX_ECHO = 80
"""Characters of a wrong name or value that an error message repeats."""

OTHER = r"[^\w\s\x00-\x7f]"
"""Neither a letter nor ASCII; all combining marks are."""

LONG_RUN = re.compile(rf"(?<!{OTHER}){OTHER}{{31,}}")
"""More than 30 in a row, which is more marks than any language has (Unicode's Stream-Safe Text Format, UAX 15)."""


def nfc(text: str) -> str:
    """The text in normal form C, in which keyboards write; macOS writes the names of files in form D.

    A text with more than 30 combining marks in a row stays as it is: Python orders them in quadratic time, and would
    take minutes for 1 MiB of them.
    """
    if text.isascii() or any(map(unicodedata.combining, "".join(LONG_RUN.findall(text)))):
        return text
    return unicodedata.normalize("NFC", text)


def nfc_attributes(attributes: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """Attributes with names and values in normal form C, each value once; names that become one share their values."""
    merged: dict[str, dict[str, None]] = {}
    for name, values in attributes.items():
        merged.setdefault(nfc(name), {}).update(dict.fromkeys(map(nfc, values)))
    return {name: tuple(values) for name, values in merged.items()}
