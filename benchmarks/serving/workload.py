"""What is served and what is asked, the same for all servers: a network, 50,000 vectors, and pictures.

checkpoint/    the network, for torch and for ONNX Runtime; of random weights unless one is given: speed does not depend
               on them
catalog/       the vectors as the service keeps them, without pictures
index.faiss    the same vectors, in the same order, for the peers
ids.json       the shoes' ids in that order
pictures/      drawn shoes of 64 to 136 pixels, as JPEGs, or those of a folder
facts.json     what all of it was made from, and the right answers; written last
"""

import io
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss as untyped_faiss
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.serving.load import BenchmarkError
from model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from model.embedder import Embedder
from model.files import sha256_bytes
from model.preprocess import PreprocessConfig
from model.tvae import NETWORK_PRESETS, TVAE, to_float
from service.store.base import Item, Record, StoreSpec
from service.store.embedded.store import EmbeddedStore
from training.demo_catalog import draw_shoe, plan_shoes
from training.onnx_export import export_onnx

faiss: Any = untyped_faiss  # its stubs describe the C++ functions

FORMAT_VERSION = 1
PRESET = "shoes"
SIDES = (64, 136)
"""Widths of the pictures, in pixels, drawn evenly; UT-Zap50K's are 136."""
QUALITY = 90
NEAREST = 10
SPREAD = 0.3
"""How far a shoe of the catalogue lies from the picture it stems from, in standard deviations of each number."""


@dataclass(frozen=True)
class Workload:
    """A folder with everything, and the right answers.

    Attributes:
        folder: where it is.
        items: how many vectors are searched.
        pictures: the JPEGs.
        nearest: for each picture the ids of its ten nearest shoes, nearest first, worked out in float64.
    """

    folder: Path
    items: int
    pictures: tuple[bytes, ...]
    nearest: tuple[tuple[str, ...], ...]

    @property
    def checkpoint(self) -> Path:
        """The network's folder."""
        return self.folder / "checkpoint"

    @property
    def catalog(self) -> Path:
        """The service's catalogue."""
        return self.folder / "catalog"


def make_workload(
    folder: Path,
    *,
    items: int = 50_000,
    pictures: int = 400,
    checkpoint: Path | None = None,
    images: Path | None = None,
    seed: int = 0,
) -> Workload:
    """Build the folder, or take the one that is there if it was made from the same.

    Args:
        folder: is made if need be; what was made there of something else is replaced.
        items: vectors in the catalogue; at least `pictures`.
        pictures: JPEGs, at most.
        checkpoint: the network to serve; a new one of random weights if it is left out.
        images: a folder of JPEGs to take them from, evenly by name; drawn shoes if it is left out.
        seed: of the weights, the shoes and the vectors.

    Raises:
        BenchmarkError: there are no JPEGs in `images`.
    """
    if not 0 < pictures <= items:
        raise ValueError(f"{pictures} pictures and {items} items; expected at least as many items as pictures")
    digest = load_checkpoint(checkpoint).digest if checkpoint else None
    jpegs = _read_jpegs(images, pictures) if images else _draw_jpegs(pictures, seed)
    made_from = {
        "format": FORMAT_VERSION,
        "items": items,
        "pictures": sha256_bytes(b"".join(jpegs)),
        "checkpoint": digest,
        "seed": seed,
    }
    facts = folder / "facts.json"
    if not facts.exists() or json.loads(facts.read_text("utf-8"))["made_from"] != made_from:
        _clear(folder)
        nearest = _build(folder, items, jpegs, checkpoint, seed)
        facts.write_text(json.dumps({"made_from": made_from, "nearest": nearest}), "utf-8")
    answers = json.loads(facts.read_text("utf-8"))["nearest"]
    return Workload(folder, items, tuple(jpegs), tuple(tuple(ids) for ids in answers))


def _read_jpegs(folder: Path, count: int) -> list[bytes]:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
    if not paths:
        raise BenchmarkError(f"{folder} has no JPEGs")
    chosen = np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int)
    return [paths[number].read_bytes() for number in chosen]


def _draw_jpegs(count: int, seed: int) -> list[bytes]:
    rng = np.random.default_rng(seed)
    widths = rng.integers(SIDES[0], SIDES[1] + 1, count)
    return [
        _to_jpeg(draw_shoe(facts)[0], int(width)) for facts, width in zip(plan_shoes(count, seed), widths, strict=True)
    ]


def _clear(folder: Path) -> None:
    """Remove what an earlier call made, and nothing else: the folder may hold more."""
    for name in ("facts.json", "ids.json", "index.faiss"):
        (folder / name).unlink(missing_ok=True)
    for name in ("checkpoint", "catalog", "pictures"):
        shutil.rmtree(folder / name, ignore_errors=True)


def _build(folder: Path, items: int, jpegs: list[bytes], source: Path | None, seed: int) -> list[list[str]]:
    checkpoint = load_checkpoint(source) if source else make_network(jpegs, seed)
    save_checkpoint(folder / "checkpoint", checkpoint)
    export_onnx(folder / "checkpoint")
    (folder / "pictures").mkdir()
    for number, jpeg in enumerate(jpegs):
        (folder / "pictures" / f"{number:04}.jpg").write_bytes(jpeg)
    rng = np.random.default_rng(seed)
    embedder = Embedder(load_checkpoint(folder / "checkpoint"))
    asked = embedder.embed(jpegs)  # (P, D)
    vectors = _scatter(asked, items, rng)
    rows = [draw_shoe(facts)[1] for facts in plan_shoes(len(jpegs), seed)]
    attributes = [{key: tuple(row[key].split(";")) for key in row if row[key] and key != "CID"} for row in rows]
    ids = [f"{number:06}" for number in range(items)]
    (folder / "ids.json").write_text(json.dumps(ids), "utf-8")
    index = faiss.IndexFlatL2(vectors.shape[1])
    index.add(vectors)
    faiss.write_index(index, str(folder / "index.faiss"))
    spec = StoreSpec.of(embedder.dimension, embedder.slices, embedder.checkpoint.digest, folder)
    store = EmbeddedStore.create(folder / "catalog", spec)
    try:
        shoes = (Item(name, f"{name}.jpg", attributes[row % len(jpegs)]) for row, name in enumerate(ids))
        store.upsert(Record(shoe, vector) for shoe, vector in zip(shoes, vectors, strict=True))
    finally:
        store.close()
    return [[ids[row] for row in _find_nearest(vectors, query)] for query in asked]


def _to_jpeg(drawn: Image.Image, width: int) -> bytes:
    size = (width, round(width * drawn.height / drawn.width))
    buffer = io.BytesIO()
    drawn.resize(size, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def make_network(jpegs: list[bytes], seed: int) -> Checkpoint:
    """Random weights, with the batch normalisation's statistics of these pictures: without, all vectors are alike."""
    config = NETWORK_PRESETS[PRESET]
    preprocess = PreprocessConfig(size=config.image_size, channels=config.channels)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        tvae = TVAE(config)
        for module in tvae.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1.0
        pixels = Embedder(Checkpoint(tvae, preprocess=preprocess)).preprocessor
        tvae.train().encode(to_float(np.stack([pixels.decode(jpeg) for jpeg in jpegs])))
    return Checkpoint(tvae.eval(), preprocess=preprocess, training={"note": "random weights"})


def _scatter(asked: NDArray[np.float32], items: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(items, D): each asked vector itself, which makes its nearest shoe certain, and then many round about it."""
    spread = SPREAD * asked.std(axis=0)
    noise = rng.standard_normal((items, asked.shape[1])).astype(np.float32) * spread
    noise[: len(asked)] = 0.0
    vectors: NDArray[np.float32] = (asked[np.arange(items) % len(asked)] + noise).astype(np.float32)
    return vectors


def _find_nearest(vectors: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.int64]:
    distances = np.square(vectors - query.astype(np.float64)).sum(axis=1)
    nearest: NDArray[np.int64] = np.argsort(distances, kind="stable")[:NEAREST]
    return nearest
