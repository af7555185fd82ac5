"""Similarity tasks: the attributes that an evaluation measures by, each with its labels and triplets."""

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

TRIPLETS = 20_000
"""Triplets that are drawn where no list is given."""


@dataclass(frozen=True)
class SimilarityTask:
    """An attribute to measure an embedding by.

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

    @property
    def size(self) -> int:
        """How many triplets there are."""
        return 0 if self.triplets is None else len(self.triplets)


def list_attributes(
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


def make_tasks(
    names: Sequence[str], images: ImageSet, triplets: Mapping[str, Path], seed: int
) -> tuple[list[SimilarityTask], list[str]]:
    """A task for each attribute, and warnings about those without labels."""
    tasks, warnings = [], []
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
            tasks.append(SimilarityTask(name, labels, drawn if drawn is not None and len(drawn) else None, source))
    if not tasks:
        raise TrainingError(f"nothing to measure: {'; '.join(warnings)}")
    return tasks, warnings


def write_drawn_triplets(out: Path, tasks: Sequence[SimilarityTask], images: ImageSet) -> None:
    """Write drawn triplets beside the report, so that another evaluation can be given the very same."""
    for task in tasks:
        if task.triplets is not None and task.source.startswith("drawn"):
            name = re.sub(r"[^\w.-]+", "-", task.name)
            write_triplets(out / f"triplets-{name}.csv", task.triplets, images.ids)
