"""The servers that are compared: how each is started, asked and read."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.serving import processes
from benchmarks.serving.load import BOUNDARY, BenchmarkError, form
from benchmarks.serving.workload import Workload

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 180.0
CHECKED = 16
"""Pictures whose answers are compared with the right ones."""


@dataclass(frozen=True)
class Server:
    """A server and its ways.

    Attributes:
        name: on the command line, and of its virtual environment.
        title: in the table.
        path: where it takes pictures.
        field: the form's field for them.
        command: arguments of Python; {port}, {workers}, {checkpoint} and {index} are filled in.
        packages: distributions whose versions are told.
    """

    name: str
    title: str
    path: str
    field: str
    command: tuple[str, ...]
    packages: tuple[str, ...]

    @property
    def is_peer(self) -> bool:
        """Whether it is another's, with a virtual environment of its own."""
        return self.name != "solemate"


_PEERS = "benchmarks.serving.peers"

SERVERS = (
    Server(
        name="solemate",
        title="solemate",
        path="/v1/search",
        field="image",
        command=(
            "-m",
            "service",
            "serve",
            "--port",
            "{port}",
            "--checkpoint",
            "{checkpoint}",
            "--index",
            "{index}",
        ),
        packages=("fastapi", "uvicorn"),
    ),
    Server(
        name="fastapi",
        title="FastAPI + torch",
        path="/search",
        field="image",
        command=(
            *("-m", "uvicorn", f"{_PEERS}.plain:app", "--port", "{port}", "--workers", "{workers}"),
            *("--log-level", "warning", "--no-access-log"),
        ),
        packages=("fastapi", "uvicorn"),
    ),
    Server(
        name="litserve",
        title="LitServe",
        path="/predict",
        field="image",
        command=("-m", f"{_PEERS}.lit", "{port}"),
        packages=("litserve", "uvicorn"),
    ),
    Server(
        name="bentoml",
        title="BentoML",
        path="/search",
        field="images",
        command=("-m", "bentoml", "serve", f"{_PEERS}.bento:Search", "--host", "127.0.0.1", "--port", "{port}"),
        packages=("bentoml", "uvicorn"),
    ),
)


@dataclass(frozen=True)
class Running:
    """A server that answers.

    Attributes:
        port: of 127.0.0.1.
        members: its processes.
    """

    port: int
    members: frozenset[int]


def find_python(server: Server, environments: Path) -> Path | None:
    """The interpreter that has the server's packages; None if it was not installed."""
    python = environments / server.name / "bin" / "python" if server.is_peer else Path(sys.executable)
    return python if python.exists() else None


def versions(server: Server, python: Path) -> dict[str, str]:
    """Version of each of its packages, and of torch."""
    script = "import importlib.metadata as m, json, sys; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    done = subprocess.run([python, "-c", script, *server.packages, "torch"], check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


@contextmanager
def serve(server: Server, python: Path, workload: Workload, *, port: int, workers: int) -> Iterator[Running]:
    """Run a server until the block ends.

    Args:
        server: which.
        python: an interpreter that has its packages.
        workload: what it serves.
        port: where it shall listen.
        workers: processes, of one thread each.

    Raises:
        BenchmarkError: it does not come up, or its answers are wrong.
    """
    fill = {"port": port, "workers": workers, "checkpoint": workload.checkpoint, "index": workload.catalog}
    command = [str(python), *(argument.format_map(fill) for argument in server.command)]
    log = workload.folder / f"{server.name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=_environment(workload, workers), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _wait_for_answer(server, process, workload, port, log)
        check_answers(server, workload, port)
        yield Running(port, frozenset(processes.family(process.pid)))
    finally:
        processes.stop(process)


def _environment(workload: Workload, workers: int) -> Mapping[str, str]:
    """One thread for each process. SOLEMATE_<NAME> of the caller's environment reaches the service as always."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "SOLEMATE_WORKERS": str(workers),
        "SERVING_WORKERS": str(workers),
        "SERVING_WORKLOAD": str(workload.folder),
        "BENTOML_HOME": str(workload.folder / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "true",
    }


def _wait_for_answer(
    server: Server, process: "subprocess.Popen[bytes]", workload: Workload, port: int, log: Path
) -> None:
    end = time.monotonic() + START_SECONDS
    last = "no connection"
    while time.monotonic() < end and process.poll() is None:
        try:
            ask(server, port, workload.pictures[0])
        except (OSError, http.client.HTTPException, BenchmarkError) as error:
            last = str(error)
            time.sleep(0.2)
        else:
            return
    tail = log.read_text("utf-8", "replace")[-2000:]
    raise BenchmarkError(f"{server.title} did not start ({last}); the end of {log}:\n{tail}")


def ask(server: Server, port: int, picture: bytes) -> list[str]:
    """Send one picture; returns the ids that are nearest, nearest first.

    Raises:
        BenchmarkError: another status than 200.
        OSError: no answer.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        connection.request("POST", server.path, form(server.field, picture), headers)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise BenchmarkError(f"status {response.status}: {body[:200]!r}")
    return read_ids(json.loads(body))


def read_ids(answer: dict[str, Any] | list[dict[str, Any]]) -> list[str]:
    """The ids of an answer: ours, {"hits": [{"id": ..}]}; the peers', {"ids": [..]} or a list of one such."""
    first: dict[str, Any] = answer[0] if isinstance(answer, list) else answer
    return [hit["id"] for hit in first["hits"]] if "hits" in first else list(first["ids"])


def check_answers(server: Server, workload: Workload, port: int) -> None:
    """Compare some answers with the right ones. Raises BenchmarkError where one is wrong."""
    for picture, nearest in list(zip(workload.pictures, workload.nearest, strict=True))[:: _step(workload.pictures)]:
        ids = ask(server, port, picture)
        if not is_right(ids, nearest):
            raise BenchmarkError(f"{server.title} found {ids}; expected {list(nearest)}")


def is_right(ids: Sequence[str], nearest: Sequence[str]) -> bool:
    """Whether an answer is the right one: the same nearest shoe, and all but one of the others at least.

    Two shoes at nearly the same distance may change places at the last by rounding.
    """
    same = len(set(ids) & set(nearest))
    return bool(nearest) and len(ids) == len(nearest) and ids[0] == nearest[0] and same >= len(nearest) - 1


def _step(pictures: Sequence[bytes]) -> int:
    return max(1, len(pictures) // CHECKED)
