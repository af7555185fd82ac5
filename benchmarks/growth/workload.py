"""The vectors that are searched, and those that are asked for: embeddings of drawn shoes, perturbed.

drawn.npy      (S, D) float32: drawn shoes of the demo catalogue's kinds, embedded by the checkpoint
asked.npy      (Q, D) float32: other drawn shoes, of another seed; the queries are these, perturbed in the same way
facts.json     what both were made from; written last

Vector i of a catalogue is drawn shoe number i mod S, and each of its numbers is moved by a normal number whose standard
deviation is SPREAD times that of this number over all drawn shoes. So each drawn shoe has N / S likenesses, which
differ from it in every direction by nearly a third of what one shoe differs from another.
"""

import io
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.checkpoint import load_checkpoint
from model.embedder import Embedder
from model.progress import progress
from training.demo_catalog import ShoeFacts, draw_shoe, plan_shoes

Vectors = NDArray[np.float32]

SPREAD = 0.3
SEEDS = {"drawn": 1001, "asked": 1002}
AT_ONCE = 256


@dataclass(frozen=True)
class Drawn:
    """What all catalogues of the benchmark are made of.

    Attributes:
        shoes: (S, D) float32, the embeddings of drawn shoes.
        asked: (Q, D) float32, those of other drawn shoes.
        slices: condition -> (start, stop) of its part of a vector.
        fingerprint: of the checkpoint and the numbers of shoes.
    """

    shoes: Vectors
    asked: Vectors
    slices: dict[str, tuple[int, int]]
    fingerprint: str


def draw(folder: Path, checkpoint: Path, *, shoes: int, asked: int) -> Drawn:
    """Draw shoes and embed them, or take those that an earlier call left in `folder`, if they are the same.

    Raises:
        ArtifactError: the checkpoint can't be used.
    """
    loaded = load_checkpoint(checkpoint)
    facts = {"checkpoint": loaded.digest, "shoes": shoes, "asked": asked}
    kept = folder / "facts.json"
    embedder = Embedder(loaded)
    if not kept.exists() or json.loads(kept.read_text("utf-8")) != facts:
        folder.mkdir(parents=True, exist_ok=True)
        kept.unlink(missing_ok=True)
        for name, count in (("drawn", shoes), ("asked", asked)):
            np.save(folder / f"{name}.npy", _embed_drawn(embedder, count, SEEDS[name]))
        kept.write_text(json.dumps(facts), "utf-8")
    fingerprint = f"{loaded.digest[:16]}-{shoes}-{asked}"
    return Drawn(np.load(folder / "drawn.npy"), np.load(folder / "asked.npy"), dict(embedder.slices), fingerprint)


def scatter(centres: Vectors, count: int, deviations: Vectors, rng: np.random.Generator) -> Vectors:
    """`count` likenesses of the centres, (S, D), taken in turn: (count, D).

    Args:
        centres: what they are likenesses of.
        count: how many; those of a smaller count are the first of a larger one.
        deviations: (D,), of each number over all drawn shoes.
        rng: draws how each differs.
    """
    vectors = np.empty((count, centres.shape[1]), dtype=np.float32)
    for start in range(0, count, len(centres)):
        part = vectors[start : start + len(centres)]
        rng.standard_normal(part.shape, dtype=np.float32, out=part)
        part *= np.float32(SPREAD) * deviations
        part += centres[: len(part)]
    return vectors


def estimate_dimension(vectors: Vectors, distances: NDArray[np.float64]) -> float:
    """The local intrinsic dimension of vectors, (N, D): how many directions there are to go, as neighbours see it.

    The maximum-likelihood estimate of Levina and Bickel (2004), as MacKay and Ghahramani average it.

    Args:
        vectors: only to bound the answer: it is at most D.
        distances: (Q, k), of each query's k nearest vectors, nearest first and none of them 0.
    """
    logs = np.log(distances[:, -1:] / distances[:, :-1])
    return float(min(vectors.shape[1], 1.0 / logs.mean()))


def _embed_drawn(embedder: Embedder, count: int, seed: int) -> Vectors:
    batches: list[Vectors] = []
    with progress(desc="draw", unit="shoes", total=count) as shown:
        for pictures in _draw_batches(count, seed):
            batches.append(embedder.embed(pictures))
            shown.update(len(pictures))
    return np.concatenate(batches)


def _draw_batches(count: int, seed: int) -> Iterator[list[bytes]]:
    """The shoes' pictures as PNGs, AT_ONCE at a time."""
    facts = list(plan_shoes(count, seed))
    batches = [facts[start : start + AT_ONCE] for start in range(0, count, AT_ONCE)]
    # A process in which torch runs threads can't be forked.
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=get_context("spawn")) as pool:
        yield from pool.map(_draw_pngs, batches)


def _draw_pngs(facts: Sequence[ShoeFacts]) -> list[bytes]:
    pngs = []
    for each in facts:
        buffer = io.BytesIO()
        draw_shoe(each)[0].save(buffer, "PNG", compress_level=1)
        pngs.append(buffer.getvalue())
    return pngs
