"""What the values of a column are, told from the values themselves: links, numbers, prose, or names of kinds."""

import re
from collections.abc import Callable, Mapping

__all__ = ["LINK", "LINKS", "NUMBERS", "TEXT", "find_kind", "is_nearly_unique"]

LINKS, NUMBERS, TEXT = "links", "numbers, prices or dates", "free text"

LINK = re.compile(r"(?:https?:)?//\S+|www\.\S+", re.IGNORECASE)

CURRENCY = r"(?:[€$£¥₹₺₽₩%]|[A-Z]{3}|kr\.?|zł|Kč|Ft|Fr\.?|SFr\.?)"
NUMBER = re.compile(
    rf"{CURRENCY}?\s*[-+]?\d(?:[\d.,'\s]*\d)?(?:,-|\.-)?\s*{CURRENCY}?"
    r"|\d{4}-\d\d-\d\d(?:[T ].*)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}(?: .*)?"
)
"""A number, a price or a date."""

NEARLY_ALL = 0.9
"""The share of a column's values that makes it one of links or numbers; the others may be "sold out"."""

PROSE_CHARACTERS = 40
PROSE_WORDS = 4
"""Means over a column's values from which they read as sentences, where they are many."""

PROSE_SHARE = 0.1
"""Of the shoes: so many values are many."""


def find_kind(counts: Mapping[str, int]) -> str | None:
    """Whether a column's values are `LINKS`, `NUMBERS` or `TEXT`, in words; None for any other.

    Args:
        counts: value -> number of shoes that have it; at least one.
    """
    total = sum(counts.values())

    def mean(measure: Callable[[str], float]) -> float:
        return sum(measure(value) * count for value, count in counts.items()) / total

    if mean(lambda value: LINK.fullmatch(value) is not None) >= NEARLY_ALL:
        return LINKS
    if mean(lambda value: NUMBER.fullmatch(value) is not None) >= NEARLY_ALL:
        return NUMBERS
    wordy = mean(len) > PROSE_CHARACTERS or mean(lambda value: len(value.split())) >= PROSE_WORDS
    return TEXT if wordy and len(counts) > total * PROSE_SHARE else None


def is_nearly_unique(counts: Mapping[str, int]) -> bool:
    """Whether nearly every shoe has a value of its own: more values than half the shoes, or than a fifth if many."""
    total, distinct = sum(counts.values()), len(counts)
    return distinct > total / 2 or distinct > max(50, total / 5)
