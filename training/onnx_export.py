"""A checkpoint as ONNX files, for phones, browsers and other programs: the encoder, and the localizer if there is one.

Both take pixels as they lie in memory elsewhere, (B, H, W, C) uint8, and scale them themselves. What turns a picture
into these pixels is no part of the files: docs/export.md describes it, and `preprocess.json` has its numbers.
"""

import io
import json
import logging
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from model.checkpoint import Checkpoint, load_checkpoint
from model.embedder import Embedder
from model.errors import TrainingError
from model.files import explained, write_files
from model.framing import FILL
from model.localizer import LETTERBOX_GREY, SECOND_LOOK, Localizer, probabilities
from model.preprocess import to_float
from model.tvae import TVAE

__all__ = ["TOLERANCE", "export_onnx", "open_session"]

TOLERANCE = 1e-4
"""Largest difference of a number from the library's, relative to the largest of its kind where that is more than 1."""

OPSET = 18

CHECKED = 8
"""Pictures that both are given: half of them noise, half of them flat."""


class _Encoder(nn.Module):
    scale: torch.Tensor

    def __init__(self, tvae: TVAE, scale: NDArray[np.float32]) -> None:
        super().__init__()
        self.tvae = tvae
        self.register_buffer("scale", torch.from_numpy(scale))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, H, W, C) uint8 -> (B, D) float32."""
        return self.tvae.mean(_to_images(pixels)) * self.scale


class _Localizer(nn.Module):
    def __init__(self, localizer: Localizer) -> None:
        super().__init__()
        self.localizer = localizer

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, H, W, 3) uint8 -> (B, H, W) float32 in [0, 1]."""
        return torch.sigmoid(self.localizer(_to_images(pixels)))


def _to_images(pixels: torch.Tensor) -> torch.Tensor:
    return to_float(pixels.permute(0, 3, 1, 2))


def export_onnx(folder: Path, out: Path) -> dict[str, float]:
    """Write `encoder.onnx`, `localizer.onnx` if there is a localizer, and `preprocess.json` of a checkpoint's folder.

    Each network is run by ONNX Runtime and compared with the library before anything is written.

    Returns:
        network's file -> by how much its answer differs from the library's at most.

    Raises:
        ArtifactError: there is no checkpoint, or it is damaged; or the files can't be written.
        TrainingError: a network answers otherwise than the library, by more than `TOLERANCE`.
    """
    checkpoint = load_checkpoint(folder)
    embedder = Embedder(checkpoint)
    config, facts = checkpoint.preprocess, {"checkpoint": checkpoint.digest}
    shape = (CHECKED, config.size, config.size, config.channels)
    pixels = _draw_pixels(shape)
    files = {"encoder.onnx": _export(_Encoder(checkpoint.tvae.cpu(), embedder.scale), pixels, "vector", facts)}
    differences = {
        "encoder.onnx": _compare("encoder.onnx", files, pixels, embedder.embed_pixels(_channels_first(pixels)))
    }
    if checkpoint.localizer is not None:
        size = checkpoint.localizer.config.size
        pixels = _draw_pixels((CHECKED, size, size, 3))
        expected = probabilities(checkpoint.localizer, _channels_first(pixels))
        files["localizer.onnx"] = _export(_Localizer(checkpoint.localizer.cpu()), pixels, "mask", facts)
        differences["localizer.onnx"] = _compare("localizer.onnx", files, pixels, expected)
    files["preprocess.json"] = json.dumps(_describe(checkpoint, embedder), indent=2).encode()
    with explained(out):
        write_files(out, files)
    return differences


def open_session(content: bytes, *, threads: int = 1) -> onnxruntime.InferenceSession:
    """A network of these files, to be run on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _draw_pixels(shape: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    pixels[::2] = rng.integers(0, 256, (len(pixels[::2]), 1, 1, shape[-1]), dtype=np.uint8)
    return pixels


def _channels_first(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def _export(network: nn.Module, pixels: NDArray[np.uint8], output: str, facts: dict[str, str]) -> bytes:
    """The network as the content of an ONNX file, for batches of any size."""
    # What the exporter says is for those who write networks: what can't be exported is an error all the same.
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program: Any = torch.onnx.export(
            network.eval(),
            (torch.from_numpy(pixels),),
            dynamo=True,
            opset_version=OPSET,
            input_names=["pixels"],
            output_names=[output],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    program.model.metadata_props.update(facts)
    file = io.BytesIO()
    program.save(file)
    return file.getvalue()


def _compare(name: str, files: dict[str, bytes], pixels: NDArray[np.uint8], expected: NDArray[np.float32]) -> float:
    """The largest difference of ONNX Runtime's answer."""
    (answer,) = open_session(files[name]).run(None, {"pixels": pixels})
    difference = float(np.abs(answer - expected).max())
    # Written so that a difference that is not a number fails it too.
    if not difference <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise TrainingError(
            f"{name} differs by {difference:.2g} from the library, more than {TOLERANCE:g}; nothing was written"
        )
    return difference


def _describe(checkpoint: Checkpoint, embedder: Embedder) -> dict[str, Any]:
    """What a program has to know that makes the pixels and compares the vectors."""
    described: dict[str, Any] = {
        "checkpoint": checkpoint.digest,
        "preprocess": asdict(checkpoint.preprocess),
        "fill": FILL,
        "dimension": embedder.dimension,
        "slices": embedder.slices,
    }
    if checkpoint.localizer is not None:
        size = checkpoint.localizer.config.size
        described["localizer"] = {"size": size, "grey": LETTERBOX_GREY, "margin": SECOND_LOOK}
    return described
