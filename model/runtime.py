"""The choice of what runs a checkpoint's networks: ONNX Runtime, or torch, which is loaded only then."""

import logging
import sys
from pathlib import Path
from typing import Literal

from model.base_checkpoint import BaseCheckpoint, read_config
from model.embedder import Embedder
from model.errors import ArtifactError, ArtifactMissing
from model.preprocess import ImageLimits

logger = logging.getLogger(__name__)

GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""Device files of drivers for NVIDIA, AMD, and either within WSL."""


def open_embedder(
    folder: Path,
    *,
    runtime: Literal["auto", "onnx", "torch"] = "auto",
    device: str = "cpu",
    threads: int | None = None,
    limits: ImageLimits | None = None,
) -> Embedder:
    """The embedder of the checkpoint in `folder`.

    Args:
        folder: of the checkpoint.
        runtime: `auto` takes ONNX Runtime on the CPU where the checkpoint has ONNX files that fit it, else torch.
        device: auto, cpu or cuda.
        threads: that one call may use; left out: one of ONNX Runtime, and what torch chooses.
        limits: of pictures.

    Raises:
        ArtifactError: the checkpoint can't be used; or `runtime` is `onnx`, and its ONNX files can't.
        QueryError: the device can't be used, or not by that runtime.
    """
    read_config(folder)  # what is wrong with it is not the ONNX files'
    device = device.lower()
    if runtime == "onnx" or (runtime == "auto" and (device == "cpu" or (device == "auto" and not _may_have_gpu()))):
        try:
            checkpoint = _load_onnx(folder, threads or 1)
            return Embedder(checkpoint, limits=limits, device="cpu" if device == "auto" else device)
        except ArtifactError as error:
            remedy = f"`python -m training export-onnx --checkpoint {folder}` makes the files"
            if runtime == "onnx":
                raise ArtifactError(f"{error}; {remedy}") from error
            level = logging.INFO if isinstance(error, ArtifactMissing) else logging.WARNING
            logger.log(level, "%s; %s; torch runs the networks", error, remedy)
    return _open_with_torch(folder, device, threads, limits)


def _load_onnx(folder: Path, threads: int) -> BaseCheckpoint:
    try:
        from model.onnx_checkpoint import load_onnx  # noqa: PLC0415 - one of two runtimes is loaded
    except ModuleNotFoundError as error:
        raise ArtifactMissing(f"{error.name} is not installed") from error
    return load_onnx(folder, threads=threads)


def _open_with_torch(folder: Path, device: str, threads: int | None, limits: ImageLimits | None) -> Embedder:
    import torch  # noqa: PLC0415 - as above

    from model.checkpoint import load_checkpoint  # noqa: PLC0415
    from model.inference import pick_device  # noqa: PLC0415

    if threads is not None:
        torch.set_num_threads(threads)
    return Embedder(load_checkpoint(folder), limits=limits, device=pick_device(device))


def _may_have_gpu() -> bool:
    """Whether torch has to be asked for one."""
    return sys.platform == "win32" or any(Path(path).exists() for path in GPU_DEVICES)
