"""One side: solemate's training, as `python -m training train` runs it."""

import json
import time
from pathlib import Path

from benchmarks.training.plan import Plan, Trained, run_side
from model.catalog import read_catalog
from model.checkpoint import Condition
from model.preprocess import Preprocessor
from training.config import TrainConfig, one_of
from training.data.images import load_images
from training.train import train


def configure(plan: Plan) -> TrainConfig:
    """The command line's defaults, but no shoe is held out: the other sides measure none either."""
    return TrainConfig(
        network=plan.tvae_config,
        conditions=tuple(Condition(name, (attribute,)) for name, attribute in plan.attributes.items()),
        epochs=plan.epochs,
        batch_size=plan.batch_size,
        validation_share=0.0,
        precision=one_of("precision", plan.precision, ("auto", "bf16", "float32")),
    )


def train_ours(plan: Plan, folder: Path) -> Trained:
    """Decode all pictures, train, and leave a checkpoint and its curves, as a user's run does."""
    config = configure(plan)
    images = load_images(read_catalog(plan.catalog), Preprocessor(config.preprocess))
    loaded = time.perf_counter()
    out = folder / "checkpoint"
    train(images, config, out, device=plan.torch_device, source=plan.catalog)
    history = json.loads((out / "metrics.json").read_text(encoding="utf-8"))["history"]
    return Trained(loaded, tuple(epoch["seconds"] for epoch in history), history[-1]["training"])


if __name__ == "__main__":
    run_side(train_ours, "torch")
