"""What an evaluation asks: the notions of likeness, with their labels and triplets."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.checkpoint import Checkpoint
from model.errors import TrainingError
from training.data.images import ImageSet
from training.data.labels import Labels, encode_labels
from training.evaluation.triplet_lists import draw_triplets, read_triplets, write_triplets

__all__ = ["Question", "ask", "keep_drawn", "name_questions"]

TRIPLETS = 20_000
"""Triplets that are drawn where no list is given."""


@dataclass(frozen=True)
class Question:
    """One notion of likeness, and what it is measured by.

    Attributes:
        name: the attribute, or the key of a triplet list.
        labels: of the evaluated shoes; None where the catalogue does not have the attribute.
        triplets: (M, 3) indices of shoes; None where there are none.
        source: where the triplets came from.
    """

    name: str
    labels: Labels | None
    triplets: NDArray[np.intp] | None
    source: str


def name_questions(
    checkpoints: Sequence[Checkpoint], triplets: Mapping[str, Path], attributes: Sequence[str]
) -> list[str]:
    """The attributes to measure, each once: of the conditions, of the options, and of the lists."""
    conditions = [condition for checkpoint in checkpoints for condition in checkpoint.conditions]
    names = [attribute for condition in conditions for attribute in condition.attributes]
    names = list(dict.fromkeys([*names, *attributes, *triplets]))
    if not names:
        raise TrainingError(
            "the checkpoints were trained for no condition: name what to measure by --attribute or --triplets"
        )
    return names


def ask(
    names: Sequence[str], images: ImageSet, triplets: Mapping[str, Path], seed: int
) -> tuple[list[Question], list[str]]:
    """Labels and triplets of each attribute, and why some have none."""
    questions, warnings = [], []
    for name in names:
        labels, drawn, source = None, None, "none"
        try:
            labels = encode_labels(images.attributes, name)
        except TrainingError as error:
            warnings.append(str(error))
        if name in triplets:
            drawn, source = read_triplets(triplets[name], images.ids), triplets[name].name
        elif labels is not None:
            drawn, source = draw_triplets(labels, TRIPLETS, seed), f"drawn by seed {seed}"
        if labels is not None or drawn is not None:
            questions.append(Question(name, labels, drawn if drawn is not None and len(drawn) else None, source))
    if not questions:
        raise TrainingError(f"nothing to measure: {'; '.join(warnings)}")
    return questions, warnings


def keep_drawn(out: Path, questions: Sequence[Question], images: ImageSet) -> None:
    """Drawn triplets beside the report, so that another evaluation can be given the very same."""
    for question in questions:
        if question.triplets is not None and question.source.startswith("drawn"):
            name = re.sub(r"[^\w.-]+", "-", question.name)
            write_triplets(out / f"triplets-{name}.csv", question.triplets, images.ids)
