"""A checkpoint whose networks are run from ONNX files: a process that serves with it never loads torch.

ONNX Runtime runs them, or OpenVINO (`openvino_network.py`).

The files are derived from a checkpoint, by `training/onnx_export.py` (docs/export.md), and lie in its folder `onnx`:

    encoder.onnx decoder.onnx localizer.onnx    the networks; the last only where there is a localizer
    preprocess.json                             the checkpoint's digest, the files', and facts for other programs
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from model.base_checkpoint import LOCALIZER, BaseCheckpoint, Runtime, read_config, read_facts, read_network
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


class FileNetwork(Protocol):
    """A network of one of these files, with one input and one output. Safe in many threads.

    Attributes:
        checkpoint: digest of the checkpoint that it was made of; "" where the file does not say.
        side: second dimension of its input.
    """

    checkpoint: str
    side: int

    def __call__(self, given: NDArray[Any], /) -> NDArray[np.float32]:
        """Its output for an input as the file has it."""
        ...


class OrtNetwork:
    """`FileNetwork`, run by ONNX Runtime."""

    def __init__(self, file: Path, *, threads: int = 1) -> None:
        self._session = open_session(file, threads=threads)
        (given,) = self._session.get_inputs()
        self._name, self.side = given.name, int(given.shape[1])
        self.checkpoint = str(self._session.get_modelmeta().custom_metadata_map.get("checkpoint", ""))

    def __call__(self, given: NDArray[Any]) -> NDArray[np.float32]:
        """See FileNetwork."""
        result: NDArray[np.float32] = self._session.run(None, {self._name: given})[0]
        return result


class OnnxLocalizer:
    """`model.localization.MaskNetwork`."""

    def __init__(self, network: FileNetwork) -> None:
        self._network, self.size = network, network.side

    def masks(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See MaskNetwork."""
        return self._network(_channels_last(images))


class OnnxNetworks:
    """`model.base_checkpoint.Networks`, run from the files in a folder."""

    def __init__(
        self,
        folder: Path,
        *,
        localizer: bool,
        runtime: Runtime = "onnx",
        open_network: Callable[[Path], FileNetwork] = OrtNetwork,
    ) -> None:
        """Open each network by `open_network`, which is of `runtime`. Raises what that does."""
        self.runtime = runtime
        self._encoder, self._decoder = open_network(folder / ENCODER_FILE), open_network(folder / DECODER_FILE)
        self._localizer = open_network(folder / LOCALIZER_FILE) if localizer else None
        self.localizer = None if self._localizer is None else OnnxLocalizer(self._localizer)

    @property
    def checkpoints(self) -> set[str]:
        """The digests of the checkpoints that the networks were made of: one, unless files were mixed."""
        return {each.checkpoint for each in (self._encoder, self._decoder, self._localizer) if each is not None}

    def embed(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See Networks."""
        return self._encoder(_channels_last(pixels))

    def decode(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """See Networks."""
        return self._decoder(vectors)


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
            raise QueryError("device", f"device {device!r} is torch's; ONNX files are run on the CPU")
        return self.networks


FileRuntime = Literal["onnx", "openvino", "openvino-f32", "openvino-bf16"]
"""What is to run ONNX files; `openvino` is in the precision that is faster here."""


def load_onnx(folder: Path, *, runtime: FileRuntime = "onnx", threads: int = 1) -> OnnxCheckpoint:
    """Read the ONNX files of the checkpoint in `folder`, and check all of them before any is used.

    Raises:
        ModuleNotFoundError: OpenVINO is to run them, and is not installed.
        ArtifactMissing: there are none that can be read, or no checkpoint.
        ArtifactMismatch: they are of another checkpoint.
        ArtifactCorrupt: one fails its digest, or can't be run here.
    """
    config, files = read_config(folder), folder / FOLDER
    _check_digests(files, [ENCODER_FILE, DECODER_FILE, *([LOCALIZER_FILE] if LOCALIZER in config else [])])
    try:
        networks = _open_networks(files, runtime, localizer=LOCALIZER in config, threads=threads)
        checkpoint = OnnxCheckpoint(read_network(config["network"]), networks, **read_facts(config))
    except ModuleNotFoundError:
        raise
    except Exception as error:  # the runtimes' errors have no ancestor of their own
        raise ArtifactCorrupt(f"the networks in {files} can't be run here ({error})") from error
    # By what is in the files themselves: another export may have replaced them since their digests were read.
    if networks.checkpoints != {checkpoint.digest}:
        raise ArtifactMismatch(f"the networks in {files} were not made of the checkpoint {checkpoint.digest[:16]}")
    return checkpoint


def _open_networks(files: Path, runtime: FileRuntime, *, localizer: bool, threads: int) -> OnnxNetworks:
    if runtime == "onnx":
        return OnnxNetworks(files, localizer=localizer, open_network=partial(OrtNetwork, threads=threads))
    from model.openvino_network import OpenVinoNetwork, pick_precision  # noqa: PLC0415 - an extra

    precision = pick_precision(runtime, files / ENCODER_FILE, threads)
    opened = partial(OpenVinoNetwork, precision=precision, threads=threads)
    name: Runtime = "openvino-f32" if precision == "f32" else "openvino-bf16"
    return OnnxNetworks(files, localizer=localizer, runtime=name, open_network=opened)


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
