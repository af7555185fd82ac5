"""The work that every peer does for a request: JPEG -> pixels -> mean vector -> the ten nearest shoes.

Written as a user would write it with Pillow, torch and FAISS: without the checks of `model.preprocess`, and with
pixels and vectors equal to those of `model.embedder`. One thread each; the servers run several processes.
"""

import json
import os
from pathlib import Path
from typing import Any, BinaryIO

import faiss as untyped_faiss
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from model.checkpoint import load_checkpoint

faiss: Any = untyped_faiss  # its stubs describe the C++ functions

FOLDER = "SERVING_WORKLOAD"
"""The environment variable that names the folder of `benchmarks.serving.workload`."""

WORKERS = "SERVING_WORKERS"
"""The environment variable that says how many processes to serve from."""

MAX_BATCH = 32
NEAREST = 10


class Work:
    """The network and the index, in this process."""

    def __init__(self, folder: str | Path | None = None) -> None:
        """Load them from `folder`; by default the one that the environment names."""
        folder = Path(folder or os.environ[FOLDER])
        torch.set_num_threads(1)
        faiss.omp_set_num_threads(1)
        checkpoint = load_checkpoint(folder / "checkpoint")
        self.size = checkpoint.preprocess.size
        self._tvae = checkpoint.tvae.eval().to(memory_format=torch.channels_last)
        self._index = faiss.read_index(str(folder / "index.faiss"))
        self._ids: list[str] = json.loads((folder / "ids.json").read_text("utf-8"))

    def decode(self, picture: BinaryIO | Image.Image) -> NDArray[np.uint8]:
        """A JPEG, open as a file or as a picture that is not loaded yet -> (3, H, W) uint8."""
        return read_pixels(picture if isinstance(picture, Image.Image) else Image.open(picture), self.size)

    @torch.inference_mode()
    def encode(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(B, 3, H, W) uint8 -> (B, D) float32."""
        images = torch.from_numpy(pixels).to(torch.float32).div_(255.0).contiguous(memory_format=torch.channels_last)
        vectors: NDArray[np.float32] = self._tvae.mean(images).numpy()
        return vectors

    def search(self, vectors: NDArray[np.float32]) -> list[dict[str, Any]]:
        """(B, D) float32 -> for each the ids of the ten nearest shoes and their distances."""
        faiss.omp_set_num_threads(1)  # OpenMP keeps the number for each thread
        squared, rows = self._index.search(vectors, NEAREST)
        distances = np.sqrt(np.maximum(squared, 0.0))
        return [
            {"ids": [self._ids[row] for row in some], "distances": far}
            for some, far in zip(rows.tolist(), distances.tolist(), strict=True)
        ]

    def answer(self, pictures: list[NDArray[np.uint8]]) -> list[dict[str, Any]]:
        """Encode and search B decoded pictures at once."""
        return self.search(self.encode(np.stack(pictures)))


def read_pixels(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """Decode, pad with white to a square, resize: -> (3, size, size) uint8, as `Preprocessor.decode` does it."""
    image.draft(None, (3 * size, 3 * size))
    square = image.convert("RGB")
    side = max(square.size)
    if square.width != square.height:
        canvas = Image.new("RGB", (side, side), "white")
        canvas.paste(square, ((side - square.width) // 2, (side - square.height) // 2))
        square = canvas
    if side != size:
        square = square.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))  # (H, W, C) -> (C, H, W)
