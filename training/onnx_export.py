"""A checkpoint as ONNX files: encoder, decoder, and the localizer if there is one.

The service runs them without torch (`model/onnx_checkpoint.py`); phones, browsers and other programs run them too.
Pictures go in as they lie in memory elsewhere, (B, H, W, C) uint8, and are scaled within. What turns a picture into
these pixels is no part of the files: docs/export.md describes it, and `preprocess.json` has its numbers.
"""

import io
import json
import logging
import tempfile
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model.checkpoint import Checkpoint, load_checkpoint
from model.errors import TrainingError
from model.files import explained, sha256_bytes, write_files
from model.framing import FILL, hide_scale
from model.inference import scale_of
from model.localization import LETTERBOX_GREY, SECOND_LOOK
from model.localizer import Localizer
from model.onnx_checkpoint import (
    DECODER_FILE,
    DESCRIPTION_FILE,
    ENCODER_FILE,
    FOLDER,
    LOCALIZER_FILE,
    OnnxNetworks,
)
from model.tvae import TVAE, to_float

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


class _Decoder(nn.Module):
    scale: torch.Tensor

    def __init__(self, tvae: TVAE, scale: NDArray[np.float32], *, marked: bool) -> None:
        super().__init__()
        self.tvae, self.marked = tvae, marked
        self.register_buffer("scale", torch.from_numpy(scale))

    def forward(self, vector: torch.Tensor) -> torch.Tensor:
        """(B, D) float32 -> (B, C, H, W) float32 in [0, 1]."""
        images = self.tvae.decode(vector / self.scale)
        return hide_scale(images) if self.marked else images


class _Localizer(nn.Module):
    def __init__(self, localizer: Localizer) -> None:
        super().__init__()
        self.localizer = localizer

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, H, W, 3) uint8 -> (B, H, W) float32 in [0, 1]."""
        return torch.sigmoid(self.localizer(_to_images(pixels)))


def _to_images(pixels: torch.Tensor) -> torch.Tensor:
    return to_float(pixels.permute(0, 3, 1, 2))


def export_onnx(folder: Path, out: Path | None = None) -> dict[str, float]:
    """Write the networks of a checkpoint's folder, and what describes them, into its folder `onnx`, or into `out`.

    They are run by ONNX Runtime and compared with torch before anything is written.

    Returns:
        network's file -> by how much its answer differs from torch's at most.

    Raises:
        ArtifactError: there is no checkpoint, or it is damaged; or the files can't be written.
        TrainingError: a network answers otherwise than torch, by more than `TOLERANCE`.
    """
    checkpoint = load_checkpoint(folder)
    files = _export_all(checkpoint)
    with tempfile.TemporaryDirectory() as tried:
        for name, content in files.items():
            Path(tried, name).write_bytes(content)
        differences = _compare(checkpoint, Path(tried))
    description = {**_describe(checkpoint), "sha256": {name: sha256_bytes(files[name]) for name in files}}
    out = out or folder / FOLDER
    with explained(out):
        # The description last: until it is there, the others do not fit it, and nobody uses them.
        write_files(out, {**files, DESCRIPTION_FILE: json.dumps(description, indent=2).encode()})
    return differences


def _export_all(checkpoint: Checkpoint) -> dict[str, bytes]:
    tvae, config, localizer = checkpoint.tvae, checkpoint.preprocess, checkpoint.localizer
    scale = scale_of(tvae.config, checkpoint.overall)
    pixels = _draw_pixels(config.size, config.channels)
    facts = {"checkpoint": checkpoint.digest}
    files = {
        ENCODER_FILE: _export(_Encoder(tvae, scale), pixels, "pixels", "vector", facts),
        DECODER_FILE: _export(
            _Decoder(tvae, scale, marked=config.framing == "subject"),
            np.zeros((CHECKED, len(scale)), np.float32),
            "vector",
            "picture",
            facts,
        ),
    }
    if localizer is not None:
        files[LOCALIZER_FILE] = _export(_Localizer(localizer), _draw_pixels(localizer.size, 3), "pixels", "mask", facts)
    return files


def _draw_pixels(size: int, channels: int) -> NDArray[np.uint8]:
    """(CHECKED, size, size, channels)."""
    rng = np.random.default_rng(0)
    shape = (CHECKED, size, size, channels)
    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    pixels[::2] = rng.integers(0, 256, (len(pixels[::2]), 1, 1, shape[-1]), dtype=np.uint8)
    return pixels


def _export(
    network: nn.Module, example: NDArray[Any], input_name: str, output_name: str, facts: dict[str, str]
) -> bytes:
    """The network as the content of an ONNX file, for batches of any size."""
    # What the exporter says is for those who write networks: what can't be exported is an error all the same.
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program: Any = torch.onnx.export(
            network.eval(),
            (torch.from_numpy(example),),
            dynamo=True,
            opset_version=OPSET,
            input_names=[input_name],
            output_names=[output_name],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    program.model.metadata_props.update(facts)
    file = io.BytesIO()
    program.save(file)
    return file.getvalue()


def _compare(checkpoint: Checkpoint, folder: Path) -> dict[str, float]:
    """The largest difference of each network's answer. Raises TrainingError where one is too large."""
    ours = checkpoint.open_networks("cpu")
    theirs = OnnxNetworks(folder, localizer=checkpoint.localizer is not None)
    pixels = _channels_first(_draw_pixels(checkpoint.preprocess.size, checkpoint.preprocess.channels))
    vectors = ours.embed(pixels)
    answers = {
        ENCODER_FILE: (theirs.embed(pixels), vectors),
        DECODER_FILE: (theirs.decode(vectors), ours.decode(vectors)),
    }
    if ours.localizer is not None and theirs.localizer is not None:
        photos = _channels_first(_draw_pixels(ours.localizer.size, 3))
        answers[LOCALIZER_FILE] = theirs.localizer.masks(photos), ours.localizer.masks(photos)
    differences = {name: float(np.abs(answer - expected).max()) for name, (answer, expected) in answers.items()}
    for name, (_, expected) in answers.items():
        # Written so that a difference that is not a number fails it too.
        if not differences[name] <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
            raise TrainingError(
                f"{name} differs by {differences[name]:.2g} from torch, more than {TOLERANCE:g}; nothing was written"
            )
    return differences


def _channels_first(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def _describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a program has to know that makes the pixels and compares the vectors."""
    described: dict[str, Any] = {
        "checkpoint": checkpoint.digest,
        "preprocess": asdict(checkpoint.preprocess),
        "fill": FILL,
        "dimension": checkpoint.tvae.config.latent_size,
        "slices": checkpoint.tvae.config.slice_bounds,
    }
    if checkpoint.localizer is not None:
        size = checkpoint.localizer.size
        described["localizer"] = {"size": size, "grey": LETTERBOX_GREY, "margin": SECOND_LOOK}
    return described
