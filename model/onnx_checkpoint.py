"""A checkpoint whose networks are run by ONNX Runtime: a process that serves with it never loads torch.

The files are derived from a checkpoint, by `training/onnx_export.py` (docs/export.md), and lie in its folder `onnx`:

    encoder.onnx decoder.onnx localizer.onnx    the networks; the last only where there is a localizer
    preprocess.json                             the checkpoint's digest, the files', and facts for other programs
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from model.base_checkpoint import LOCALIZER, BaseCheckpoint, read_config, read_facts, read_network
from model.config import TVAEConfig
from model.errors import ArtifactCorrupt, ArtifactMismatch, ArtifactMissing, QueryError
from model.files import sha256_file

__all__ = [
    "DECODER_FILE",
    "DESCRIPTION_FILE",
    "ENCODER_FILE",
    "FOLDER",
    "LOCALIZER_FILE",
    "OnnxCheckpoint",
    "OnnxNetworks",
    "load_onnx",
    "open_session",
]

FOLDER = "onnx"
ENCODER_FILE, DECODER_FILE, LOCALIZER_FILE = "encoder.onnx", "decoder.onnx", "localizer.onnx"
DESCRIPTION_FILE = "preprocess.json"


def open_session(file: Path, *, threads: int = 1) -> onnxruntime.InferenceSession:
    """A network of these files, to be run on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # The arena keeps the memory of the largest batch for good: 25 MB, without being faster.
    options.enable_cpu_mem_arena = False
    # Of its content it would keep a copy, 20 MB.
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


class OnnxLocalizer:
    """`model.localization.MaskNetwork`, run by ONNX Runtime."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self.size = int(session.get_inputs()[0].shape[1])

    def masks(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See MaskNetwork."""
        return _run(self._session, pixels=_channels_last(images))


class OnnxNetworks:
    """`model.base_checkpoint.Networks`, run by ONNX Runtime."""

    runtime: Literal["onnx"] = "onnx"

    def __init__(self, folder: Path, *, localizer: bool, threads: int = 1) -> None:
        """Open a session for each network, which uses `threads` threads. Raises what ONNX Runtime does."""
        self._encoder = open_session(folder / ENCODER_FILE, threads=threads)
        self._decoder = open_session(folder / DECODER_FILE, threads=threads)
        self._localizer = open_session(folder / LOCALIZER_FILE, threads=threads) if localizer else None
        self.localizer = None if self._localizer is None else OnnxLocalizer(self._localizer)

    @property
    def checkpoints(self) -> set[str]:
        """The digests of the checkpoints that the networks were made of: one, unless files were mixed."""
        sessions = (each for each in (self._encoder, self._decoder, self._localizer) if each is not None)
        return {each.get_modelmeta().custom_metadata_map.get("checkpoint", "") for each in sessions}

    def embed(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See Networks."""
        return _run(self._encoder, pixels=_channels_last(pixels))

    def decode(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """See Networks."""
        return _run(self._decoder, vector=vectors)


@dataclass(frozen=True)
class OnnxCheckpoint(BaseCheckpoint):
    """A checkpoint without torch.

    Attributes:
        config: the shape of encoder and decoder.
        networks: on the CPU.
    """

    config: TVAEConfig
    networks: OnnxNetworks

    @property
    def network(self) -> TVAEConfig:
        """See BaseCheckpoint."""
        return self.config

    def open_networks(self, device: str) -> OnnxNetworks:
        """See BaseCheckpoint. Raises QueryError for another device than the CPU."""
        if device != "cpu":
            raise QueryError("device", f"device {device!r} is torch's; ONNX Runtime runs on the CPU")
        return self.networks


def load_onnx(folder: Path, *, threads: int = 1) -> OnnxCheckpoint:
    """Read the ONNX files of the checkpoint in `folder`, and check all of them before any is used.

    Raises:
        ArtifactMissing: there are none that can be read, or no checkpoint.
        ArtifactMismatch: they are of another checkpoint.
        ArtifactCorrupt: one fails its digest, or can't be run here.
    """
    config, files = read_config(folder), folder / FOLDER
    _check_digests(files, [ENCODER_FILE, DECODER_FILE, *([LOCALIZER_FILE] if LOCALIZER in config else [])])
    try:
        networks = OnnxNetworks(files, localizer=LOCALIZER in config, threads=threads)
        checkpoint = OnnxCheckpoint(read_network(config["network"]), networks, **read_facts(config))
    except Exception as error:  # ONNX Runtime's errors have no ancestor of their own
        raise ArtifactCorrupt(f"the networks in {files} can't be run here ({error})") from error
    # By what is in the files themselves: another export may have replaced them since their digests were read.
    if networks.checkpoints != {checkpoint.digest}:
        raise ArtifactMismatch(f"the networks in {files} were not made of the checkpoint {checkpoint.digest[:16]}")
    return checkpoint


def _check_digests(folder: Path, names: list[str]) -> None:
    try:
        digests = json.loads((folder / DESCRIPTION_FILE).read_bytes())["sha256"]
        damaged = [name for name in names if sha256_file(folder / name) != digests[name]]
    except OSError as error:
        raise ArtifactMissing(f"{error.filename}: {error.strerror}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactCorrupt(f"{folder / DESCRIPTION_FILE} is broken ({error})") from None
    if damaged:
        raise ArtifactCorrupt(f"{folder / damaged[0]} fails its digest: truncated, or changed")


def _channels_last(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))


def _run(session: onnxruntime.InferenceSession, **given: NDArray[Any]) -> NDArray[np.float32]:
    result: NDArray[np.float32] = session.run(None, given)[0]
    return result
