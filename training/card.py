"""The model card that travels with a checkpoint."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.checkpoint import Checkpoint
from model.files import write_atomic

__all__ = ["write_card"]


def write_card(folder: Path, digest: str, checkpoint: Checkpoint, history: Sequence[dict[str, Any]]) -> None:
    """Write the checkpoint's README.md, atomically."""
    facts = checkpoint.training
    network = checkpoint.tvae.config
    conditions = {each.name: " and ".join(each.attributes) for each in checkpoint.conditions}
    lines = [
        "# A solemate checkpoint",
        "",
        (
            f"A triplet variational autoencoder for {network.image_size}x{network.image_size} pictures with "
            f"{network.channels} channels; its mean vector of {network.latent_size} numbers is the embedding."
        ),
        "",
        f"- digest: `{digest}`",
        f"- trained on: {facts['shoes']:,} shoes of `{facts['catalog']}`; {facts['held_out']:,} were held out",
        (
            f"- epochs: {facts['epoch']} of {facts['epochs']}, seed {facts['seed']}; "
            f"the weights are of epoch {facts['weights_of_epoch']}"
        ),
        f"- computed with {facts['execution']['threads']} threads, convolutions in {facts['execution']['precision']}",
        "",
        "| slice | numbers | ordered by |",
        "| --- | --- | --- |",
    ]
    for name, (start, stop) in network.slice_bounds.items():
        lines.append(f"| {name} | {start} to {stop - 1} | {conditions.get(name, 'nothing: left free')} |")
    measured = [each for each in history if each["epoch"] == facts["weights_of_epoch"] and each["validation"]]
    for each in measured:
        lines += ["", f"On the held-out shoes, after epoch {each['epoch']}:", "", "| figure | value |", "| --- | --- |"]
        lines += [f"| {name} | {value:.4f} |" for name, value in each["validation"].items()]
    lines += ["", "Pictures of a training set may be under terms of their own; so may a network trained on them.", ""]
    write_atomic(folder / "README.md", "\n".join(lines).encode())
