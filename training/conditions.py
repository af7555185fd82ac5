"""Conditions: chosen from a catalogue's attributes, and the slices of the mean vector that they get."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from model.catalog.columns import NUMBERS, find_kind, is_nearly_unique
from model.checkpoint import Condition
from model.errors import TrainingError
from model.text import nfc
from model.tvae import FREE, INSTANCE, Slice, TVAEConfig

USUAL_CONDITIONS = {"category": "SubCategory", "closure": "Closure", "gender": "Gender", "heel": "HeelHeight"}
"""UT-Zap50K's conditions, and the attribute of each (Veit et al., "Conditional Similarity Networks", 2017)."""

MAX_CONDITIONS = 4
"""Attributes that become conditions where none are named."""

CONDITION_SIZE = 8
"""Numbers of a condition's slice beside an instance slice, unless its text names a size."""

KIND_NAME = re.compile(r"(sub[ _-]?)?(category|class|group|kind|label|type)|level\d+", re.IGNORECASE)
"""Names of attributes whose numbers are names of kinds, such as those of folders `0` to `9`."""


def parse_condition(text: str) -> tuple[Condition, int | None]:
    """Read `articleType`, `type=articleType`, `type=articleType:16` or `style=Category+Closure:16`.

    Returns:
        the condition, and the size of its slice where the text names one.

    Raises:
        TrainingError: the text is none of these.
    """
    text = nfc(text)
    body, colon, size = text.rpartition(":")
    if not colon:
        body, size = text, ""
    elif not size.isdecimal() or int(size) < 1:
        raise TrainingError(f"condition {text!r}: {size!r} is no slice size; expected NAME=ATTRIBUTE:SIZE")
    name, equals, names = body.partition("=")
    attributes = tuple(part.strip() for part in (names if equals else name).split("+"))
    name = name.strip() if equals else "+".join(attributes)
    if not name or not all(attributes) or name in {FREE, INSTANCE, "overall"} or "/" in name:
        raise TrainingError(
            f"condition {text!r}: expected ATTRIBUTE, NAME=ATTRIBUTE or NAME=ATTRIBUTE+ATTRIBUTE, each with an "
            f"optional :SIZE; the names {FREE!r}, {INSTANCE!r} and 'overall' are taken"
        )
    return Condition(name=name, attributes=attributes), int(size) if size else None


def cut_latent(
    network: TVAEConfig, latent_size: int, parsed: Sequence[tuple[Condition, int | None]], instance_size: int = 0
) -> tuple[TVAEConfig, tuple[Condition, ...]]:
    """Cut the mean vector into the conditions' slices and a free remainder.

    A condition without a size gets an equal share, as does the free remainder; beside an instance slice, of
    `instance_size` numbers, it gets 8, and there has to be a remainder.

    Raises:
        TrainingError: the slices do not fit, or two conditions have one name.
    """
    share = CONDITION_SIZE if instance_size else latent_size // (len(parsed) + 1)
    slices = [Slice(condition.name, size or share) for condition, size in parsed]
    if instance_size:
        slices.append(Slice(INSTANCE, instance_size))
    names = [part.name for part in slices]
    if len(set(names)) != len(names):
        raise TrainingError(f"two conditions have the same name: {', '.join(names)}")
    rest = latent_size - sum(part.size for part in slices)
    if rest < (1 if instance_size else 0) or any(part.size < 1 for part in slices):
        sizes = ", ".join(f"{part.name}:{part.size}" for part in slices)
        beside = f", of which {FREE!r} needs some" if instance_size else ""
        raise TrainingError(f"the slices {sizes} do not fit into a mean vector of {latent_size}{beside}")
    if rest:
        slices.append(Slice(FREE, rest))
    return replace(network, slices=tuple(slices)), tuple(condition for condition, _ in parsed)


def choose_conditions(
    texts: Sequence[str] | None, attributes: Sequence[Mapping[str, tuple[str, ...]]], triplet_weight: float
) -> list[tuple[Condition, int | None]]:
    """The conditions asked for. Where none are: UT-Zap50K's, or else the first four attributes that can order shoes.

    Links, numbers, free text and what is nearly another for each shoe are taken only where they are asked for.

    Args:
        texts: as `parse_condition` reads them.
        attributes: of each shoe.
        triplet_weight: 0 asks for the plain VAE, which has no conditions.
    """
    if triplet_weight == 0:
        return []
    if texts is not None:
        return [parse_condition(text) for text in texts]
    able = [name for name, reason in judge_attributes(attributes).items() if reason is None]
    usual = [(name, attribute) for name, attribute in USUAL_CONDITIONS.items() if attribute in able]
    chosen = usual or [(name, name) for name in able[:MAX_CONDITIONS]]
    return [(Condition(name=name, attributes=(attribute,)), None) for name, attribute in chosen]


def count_values(attributes: Sequence[Mapping[str, tuple[str, ...]]]) -> dict[str, Counter[str]]:
    """For each attribute, in the order they are met, on how many shoes each of its values is."""
    counts: dict[str, Counter[str]] = {}
    for each in attributes:
        for name, values in each.items():
            counts.setdefault(name, Counter()).update(values)
    return counts


def judge_attributes(attributes: Sequence[Mapping[str, tuple[str, ...]]]) -> dict[str, str | None]:
    """For each attribute, in the order they are met, why it is never made a condition; None for one that may be."""
    return {name: _find_reason(name, values, len(attributes)) for name, values in count_values(attributes).items()}


def _find_reason(name: str, counts: Mapping[str, int], shoes: int) -> str | None:
    """Why an attribute can't make triplets for most shoes, or says nothing of what shoes are like."""
    shared = sum(count for count in counts.values() if count > 1)
    if name in {FREE, INSTANCE, "overall"} or not frozenset("/:,").isdisjoint(name):
        return "no name for a condition; give it one with --condition NAME=ATTRIBUTE"
    if len(counts) < 2:
        return "all shoes have the same value"
    kind = find_kind(counts)
    if kind is not None and not (kind == NUMBERS and KIND_NAME.fullmatch(name)):
        return kind
    if is_nearly_unique(counts):
        return "nearly every shoe has a value of its own"
    if shared < shoes / 2:
        return "most shoes have no value that another shoe has"
    return None
