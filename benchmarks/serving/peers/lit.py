"""Peer: LitServe with its batching, several workers on the CPU: `python -m benchmarks.serving.peers.lit PORT`."""

import os
import sys
from typing import Any

import litserve
import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request

from benchmarks.serving.peers.work import MAX_BATCH, WORKERS, Work


class Search(litserve.LitAPI):
    """Pictures to nearest shoes, a batch at a time."""

    def setup(self, _device: str) -> None:
        """The network and the index, once in each worker; `device` is the CPU."""
        self.work = Work()

    def decode_request(self, request: Request) -> NDArray[np.uint8]:
        """The picture of a form."""
        return self.work.decode(request["image"].file)

    def batch(self, inputs: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """B pictures as one array."""
        return np.stack(inputs)

    def predict(self, x: NDArray[np.uint8]) -> list[dict[str, Any]]:
        """The ten nearest shoes of each."""
        return self.work.search(self.work.encode(x))

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """One answer each."""
        return output

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """The answer as it is."""
        return output


if __name__ == "__main__":
    # A batch is whatever comes within a millisecond: without a wait the workers spin, a longer one slows one client.
    api = Search(max_batch_size=MAX_BATCH, batch_timeout=0.001)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=int(os.environ[WORKERS]))
    server.run(
        port=int(sys.argv[1]), host="127.0.0.1", generate_client_file=False, log_level="warning", access_log=False
    )
