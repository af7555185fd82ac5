"""Replicas of the service over one catalogue, each a process, and how they are asked."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.milvus.shoes import WHOLE
from benchmarks.serving.processes import stop
from model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from model.preprocess import PreprocessConfig
from model.tvae import TVAE, Slice, TVAEConfig

START_SECONDS = 300.0
ASK_SECONDS = 30.0


def make_checkpoint(folder: Path) -> Checkpoint:
    """A small network of random weights, whose vectors are as those of `shoes`."""
    torch.manual_seed(0)
    slices = tuple(Slice(name, stop - start) for name, (start, stop) in WHOLE.items())
    tvae = TVAE(TVAEConfig(image_size=32, widths=(8, 16), slices=slices)).eval()
    save_checkpoint(folder, Checkpoint(tvae, preprocess=PreprocessConfig(size=32), training={"note": "random weights"}))
    return load_checkpoint(folder)


class Answer(NamedTuple):
    """What came of one request: its status (0 for no answer), its body, Retry-After, and its seconds."""

    status: int
    body: Any
    retry_after: str
    seconds: float


class Replica:
    """One process of `python -m service serve`."""

    def __init__(self, store: str, checkpoint: Path, log: Path) -> None:
        """Start it; `wait` until it is ready."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        settings = {
            "SOLEMATE_STORE": store,
            "SOLEMATE_CHECKPOINT": str(checkpoint),
            "SOLEMATE_WORKERS": "1",
            "SOLEMATE_PORT": str(self.port),
            "OMP_NUM_THREADS": "1",
        }
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service", "serve"], env=os.environ | settings, stdout=file, stderr=file
            )

    def wait(self) -> None:
        """Until it is ready. Raises RuntimeError if it never is."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.get("/readyz").status == 200:
                return
            if self._process.poll() is not None:
                raise RuntimeError("a replica ended by itself; see its log")
            time.sleep(0.2)
        raise RuntimeError("a replica is not ready; see its log")

    def get(self, path: str) -> Answer:
        """Ask for something."""
        return self._ask("GET", path, None)

    def search(self, vector: list[float], *, k: int = 10, filter: tuple[str, ...] = ()) -> Answer:
        """Search by a vector."""
        return self._ask("POST", "/v1/search/vector", {"vector": vector, "k": k, "filter": list(filter)})

    def stop(self) -> None:
        """End it."""
        stop(self._process)

    def _ask(self, method: str, path: str, body: object) -> Answer:
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ASK_SECONDS)
        try:
            headers = {"content-type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            told: Any = None
            text = response.read()
            with suppress(ValueError):
                told = json.loads(text)
            seconds = time.monotonic() - began
            return Answer(response.status, told, response.getheader("retry-after") or "", seconds)
        except (OSError, http.client.HTTPException):
            return Answer(0, None, "", time.monotonic() - began)
        finally:
            connection.close()
