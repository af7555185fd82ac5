"""A network in an ONNX file, run by OpenVINO in float32 or bfloat16.

Where the processor multiplies matrices of bfloat16 (AMX), that is several times as fast; its vectors are rounded to
`model.base_checkpoint.VECTOR_TOLERANCE`.
"""

import logging
import threading
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np
import openvino
from numpy.typing import NDArray

Precision = Literal["f32", "bf16"]

ROUNDS = 10
"""Timed runs of each precision, of which the fastest counts: other work on the machine only adds to a time."""

WORTH_RATIO = 0.8
"""bfloat16 is chosen where it takes at most this share of float32's time: its rounding is not for nothing."""

logger = logging.getLogger(__name__)


class OpenVinoNetwork:
    """`model.onnx_checkpoint.FileNetwork`, run by OpenVINO."""

    def __init__(self, file: Path, *, precision: Precision, threads: int = 1) -> None:
        core = openvino.Core()
        network = core.read_model(file)
        options = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
        self._compiled = core.compile_model(network, "CPU", options)
        self._own = threading.local()
        self.input_shape = network.input().get_partial_shape()
        self.side = int(self.input_shape[1].get_length())
        facts = ["framework", "checkpoint"]
        self.checkpoint = network.get_rt_info(facts).astype(str) if network.has_rt_info(facts) else ""

    def __call__(self, given: NDArray[Any]) -> NDArray[np.float32]:
        """See FileNetwork."""
        request = getattr(self._own, "request", None)
        if request is None:
            request = self._own.request = self._compiled.create_infer_request()
        # A copy: the request writes its next result into the same memory.
        return np.array(request.infer([given])[0], dtype=np.float32)


def pick_precision(
    runtime: Literal["openvino", "openvino-f32", "openvino-bf16"], encoder: Path, threads: int
) -> Precision:
    """What a runtime's name says; of `openvino` alone the faster one for one picture, by timing the encoder."""
    if runtime != "openvino":
        return "f32" if runtime == "openvino-f32" else "bf16"
    spent = {precision: _time(encoder, precision, threads) for precision in ("f32", "bf16")}
    precision: Precision = "bf16" if spent["bf16"] <= WORTH_RATIO * spent["f32"] else "f32"
    times = ", ".join(f"{1000 * seconds:.2f} ms in {name}" for name, seconds in spent.items())
    logger.info("OpenVINO runs the networks in %s; the encoder takes %s", precision, times)
    return precision


def _time(encoder: Path, precision: Precision, threads: int) -> float:
    """Seconds that the encoder takes for one picture."""
    network = OpenVinoNetwork(encoder, precision=precision, threads=threads)
    shape = [each.get_length() if each.is_static else 1 for each in network.input_shape]
    picture = np.zeros(shape, dtype=np.uint8)
    spent = []
    for _ in range(1 + ROUNDS):
        began = perf_counter()
        network(picture)
        spent.append(perf_counter() - began)
    return min(spent)
