"""What a training set is too poor for, in words for the person who starts the training."""

from collections import Counter
from collections.abc import Mapping, Sequence

from training.data.images import ImageSet
from training.objective import ConditionLabels
from training.run import Run

__all__ = ["find_shortcomings"]

FEW_SHOES = 200
"""Fewer than about three batches of the usual size: the network learns these shoes by heart."""
SHOWN = 4
"""Attributes whose reasons are listed."""
PLAIN = (
    "nothing tells which shoes are alike, so this trains a plain VAE: search will go by how whole pictures look, and "
    "offers no conditions"
)
HELP = (
    "What would help: a folder for each kind of shoe (boots/, sandals/), or a CSV file with columns whose values "
    "several shoes share. --triplet-weight 0 asks for a plain VAE, and for no warning"
)


def find_shortcomings(images: ImageSet, run: Run) -> list[str]:
    """Each reason why this run will learn less than its configuration asks for; none where all is well.

    Args:
        images: all shoes, held-out ones included.
        run: of these.
    """
    config, kept, held_out = run.config, len(run.pixels), len(run.validation)
    found = []
    if not run.objective.conditions and (config.objective.triplet_weight > 0 or config.objective.label_weight > 0):
        found.append(f"{PLAIN}. {_describe_attributes(images.attributes)}. {HELP}")
    if kept < FEW_SHOES:
        found.append(
            f"{kept} shoes are few to train on: expect a network that knows these by heart and orders others badly. "
            f"Some hundreds are a start; with few, --erase 0.5 and --reframe 1 help"
        )
    if config.validation_share > 0 and held_out < 2:
        found.append(
            f"{held_out} shoes are held out, too few to measure on: nothing will tell how good this network is. "
            f"A greater --validation-share or more shoes would"
        )
    found += [text for each in run.objective.conditions if (text := _describe_rarity(each, config.batch_size))]
    return found


def _describe_attributes(attributes: Sequence[Mapping[str, tuple[str, ...]]]) -> str:
    """Why none of the catalogue's attributes orders its shoes."""
    counts: dict[str, Counter[str]] = {}
    for each in attributes:
        for name, values in each.items():
            counts.setdefault(name, Counter()).update(set(values))
    if not counts:
        return "No shoe has an attribute"
    reasons = [f"{name!r}: {_describe_values(values, len(attributes))}" for name, values in counts.items()]
    more = [f"and {len(reasons) - SHOWN} more"] if len(reasons) > SHOWN else []
    return "Of the attributes, " + "; ".join(reasons[:SHOWN] + more)


def _describe_values(values: Mapping[str, int], shoes: int) -> str:
    shared = sum(count for count in values.values() if count > 1)
    if len(values) == 1:
        return f"there is one value, {next(iter(values))!r}"
    if not shared:
        return "no two shoes share a value"
    if shared < shoes / 2:
        return f"{shared:,} of {shoes:,} shoes share a value with another"
    return f"{len(values):,} values in {shoes:,} shoes"


def _describe_rarity(condition: ConditionLabels, batch_size: int) -> str | None:
    """Of a condition for whose values most batches hold no two alike shoes, and so no triplet."""
    table = condition.table
    shoes = len(table)
    counts = table.sum(dim=0)
    share = float((counts * (counts - 1)).sum()) / (shoes * (shoes - 1))
    batch = min(batch_size, shoes)
    pairs = share * batch * (batch - 1) / 2
    if pairs >= 1:
        return None
    return (
        f"the attribute {condition.attribute!r} hardly trains: two shoes share one of its {table.shape[1]:,} values in "
        f"about one batch of {1 / pairs:,.0f}. A coarser attribute or a larger --batch-size would help"
    )
