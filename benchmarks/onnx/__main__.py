"""Processor time of a checkpoint's encoder in ONNX Runtime and in torch, both in float32 with one thread.

    python -m benchmarks.onnx --checkpoint artifacts/checkpoint

The two take turns, so that what else the machine does meets both. On a machine with nothing else to do, processor time
with one thread is the latency.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from model.checkpoint import load_checkpoint
from model.embedder import Embedder
from model.onnx_checkpoint import open_session
from training.onnx_export import export_onnx

BATCHES = (1, 32)

CALLS = {1: 20, 32: 2}
"""Batch size -> calls in one turn."""


def measure(checkpoint: Path, rounds: int) -> dict[int, tuple[float, float, float]]:
    """Batch size -> milliseconds of torch, of ONNX Runtime, and the median of the rounds' ratios."""
    torch.set_num_threads(1)
    embedder = Embedder(load_checkpoint(checkpoint))
    with tempfile.TemporaryDirectory() as folder:
        export_onnx(checkpoint, Path(folder))
        session = open_session(Path(folder, "encoder.onnx"))
    config = embedder.checkpoint.preprocess
    results = {}
    for batch in BATCHES:
        shape = (batch, config.size, config.size, config.channels)
        pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        first = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
        ours = _turns(partial(embedder.embed_pixels, first), CALLS[batch])
        theirs = _turns(partial(session.run, None, {"pixels": pixels}), CALLS[batch])
        ours(), theirs()
        times = np.array([(ours(), theirs()) for _ in range(rounds)])
        results[batch] = (*np.median(times, axis=0).tolist(), float(np.median(times[:, 1] / times[:, 0])))
    return results


def _turns(call: Callable[[], object], count: int) -> Callable[[], float]:
    """A function that makes so many calls and returns the milliseconds of one."""

    def turn() -> float:
        began = time.process_time()
        for _ in range(count):
            call()
        return (time.process_time() - began) * 1000 / count

    return turn


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, default=Path("artifacts/checkpoint"))
    parser.add_argument("--rounds", type=int, default=50)
    given = parser.parse_args()
    print("| batch | torch, ms | ONNX Runtime, ms | ONNX Runtime / torch |\n| --- | --- | --- | --- |")
    for batch, (ours, theirs, ratio) in measure(given.checkpoint, given.rounds).items():
        print(f"| {batch} | {ours:.2f} | {theirs:.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
