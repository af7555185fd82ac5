"""Filters, and what they mean, word by word."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from service.store.filters import All, AnyOf, Filter, HasId, HasValue, InRange, Not


def where(allowed: Mapping[str, AbstractSet[str]]) -> Filter:
    """Attribute -> allowed values: AND across attributes, OR within one."""
    return All(tuple(HasValue(name, frozenset(values)) for name, values in allowed.items()))


def passes(filter: Filter | None, attributes: Mapping[str, tuple[str, ...]], item_id: str = "") -> bool:
    """Whether a shoe with these attributes and this id passes."""
    match filter:
        case None:
            return True
        case HasValue(attribute, values):
            return bool(values & set(attributes.get(attribute, ())))
        case InRange():
            numbers = [filter.parse(value) for value in attributes.get(filter.attribute, ())]
            return any(_is_above(filter, number) and _is_below(filter, number) for number in numbers)
        case HasId(ids):
            return item_id in ids
        case All(parts) | AnyOf(parts):
            each = (passes(part, attributes, item_id) for part in parts)
            return all(each) if isinstance(filter, All) else any(each)
        case Not(part):
            return not passes(part, attributes, item_id)


def _is_above(range: InRange, number: float) -> bool:
    if range.low is None:
        return number == number  # noqa: PLR0124 - not NaN
    return number > range.low if range.open_low else number >= range.low


def _is_below(range: InRange, number: float) -> bool:
    if range.high is None:
        return number == number  # noqa: PLR0124 - not NaN
    return number < range.high if range.open_high else number <= range.high
