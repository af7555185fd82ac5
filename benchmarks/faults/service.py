"""The service in processes of its own, started as a user starts it, and looked at from outside."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self

from benchmarks.faults.client import HEADERS, KEY
from benchmarks.faults.ground import Ground
from benchmarks.serving import processes
from benchmarks.serving.load import BenchmarkError

__all__ = ["Memory", "NotStarted", "Service", "run_service", "start_service"]

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 300.0
STOP_SECONDS = 60.0


class NotStarted(BenchmarkError):
    """The service ended before it served, with a status, or did not come to serve at all: None."""

    def __init__(self, log: Path, status: int | None) -> None:
        super().__init__(f"the service did not start; the end of {log}:\n{log.read_text('utf-8', 'replace')[-2000:]}")
        self.status = status


@dataclass
class Service:
    """A service that answers.

    Attributes:
        process: its first one; the supervisor, where there are several workers.
        port: of 127.0.0.1.
        log: the file with all that it says.
    """

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def said(self) -> str:
        """Its log."""
        return self.log.read_text("utf-8", "replace")

    def members(self) -> set[int]:
        """Its processes."""
        return processes.family(self.process.pid)

    def workers(self) -> list[int]:
        """The processes that serve, by their own word; there are none for a moment while all are replaced."""
        found = self.reload()[1].get("workers", ())
        return [worker["pid"] for worker in found]

    def memory_mib(self) -> float:
        """What its processes hold in memory now; pages that they share count for each."""
        return processes.resident_mib(self.members())

    def get(self, path: str, method: str = "GET") -> tuple[int, dict[str, Any]]:
        """The status and the JSON of an answer. Raises OSError where there is none."""
        request = urllib.request.Request(self.url + path, method=method, headers=HEADERS)
        try:
            with urllib.request.urlopen(request, timeout=STOP_SECONDS) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def get_text(self, path: str) -> str:
        """The body of an answer that is no JSON. Raises OSError where it is none of success."""
        request = urllib.request.Request(self.url + path, headers=HEADERS)
        with urllib.request.urlopen(request, timeout=STOP_SECONDS) as answer:
            return str(answer.read().decode())

    def reload(self) -> tuple[int, dict[str, Any]]:
        """Ask for a reload."""
        return self.get("/v1/admin/reload", "POST")

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)


def start_service(
    ground: Ground,
    name: str,
    *,
    workers: int = 2,
    module: str = "service",
    settings: Mapping[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a service without waiting for it; its log is logs/NAME.log, its first lines logs/NAME.out.

    Args:
        ground: what it serves.
        name: of the log.
        workers: its processes.
        module: what Python runs.
        settings: SOLEMATE_<NAME>, in lower case, and of other variables in upper case.
    """
    variables = {
        (key if key.isupper() else f"SOLEMATE_{key.upper()}"): value
        for key, value in {"api_keys": f"faults:admin:{KEY}", **(settings or {})}.items()
    }
    clean = {key: value for key, value in os.environ.items() if not key.startswith("SOLEMATE_")}
    command = [sys.executable, "-m", module, "serve", "--port", "0", "--workers", str(workers)]
    command += ["--checkpoint", str(ground.checkpoint), "--index", str(ground.catalog)]
    with (ground.folder / "logs" / f"{name}.log").open("wb") as log, _output(ground, name).open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env={**clean, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables},
            stdout=output,
            stderr=log,
        )


def _output(ground: Ground, name: str) -> Path:
    return ground.folder / "logs" / f"{name}.out"


@contextmanager
def run_service(
    ground: Ground,
    name: str,
    *,
    workers: int = 2,
    module: str = "service",
    settings: Mapping[str, str] | None = None,
) -> Iterator[Service]:
    """A service from its first answer on, until the block ends; arguments as for `start_service`.

    Raises:
        NotStarted: it ends, or takes too long.
    """
    process = start_service(ground, name, workers=workers, module=module, settings=settings)
    log = ground.folder / "logs" / f"{name}.log"
    try:
        yield Service(process, _wait_for_port(process, _output(ground, name), log), log)
    finally:
        with suppress(ProcessLookupError):
            processes.stop(process)


def _wait_for_port(process: "subprocess.Popen[bytes]", output: Path, log: Path) -> int:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        first, newline, _ = output.read_text("utf-8").partition("\n")
        if newline:
            return int(first.rpartition(":")[2])
        time.sleep(0.02)
    raise NotStarted(log, process.poll())


class Memory:
    """Watches a service's memory while a block runs.

    Attributes:
        before: MiB at its beginning.
        most: MiB at most, meanwhile.
    """

    def __init__(self, service: Service, *, seconds: float = 0.25) -> None:
        self._service, self._seconds = service, seconds
        self.before = self.most = service.memory_mib()

    def __enter__(self) -> Self:
        self._over = Event()
        self._thread = Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(self._seconds):
            self.most = max(self.most, self._service.memory_mib())

    def __str__(self) -> str:
        return f"{self.before:,.0f} MiB before, {self.most:,.0f} at most"
