"""A real Milvus, of the PyPI package `milvus`, that can be started, killed and started again.

It listens on all interfaces, so it is started only within a network namespace that has no other than the loopback.
"""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.serving.processes import family

PORT = 19530
URI = f"http://127.0.0.1:{PORT}"
HEALTH = "http://127.0.0.1:9091/healthz"
START_SECONDS = 300.0

LAY_OUT = """
import sys
import milvus
server = milvus.MilvusServer(data_dir=sys.argv[1])
server.config.resolve()
milvus._initialize_data_files(server.config.base_data_dir)
"""


def require_isolation() -> None:
    """Raise RuntimeError if this process has an interface beside the loopback: others would reach the server there."""
    lines = Path("/proc/net/dev").read_text(encoding="ascii").splitlines()[2:]
    others = {line.partition(":")[0].strip() for line in lines} - {"lo"}
    if others:
        raise RuntimeError(
            f"Milvus would listen on {', '.join(sorted(others))} too; run this in a network namespace: "
            "ip netns add milvus; ip netns exec milvus ip link set lo up; ip netns exec milvus python -m ..."
        )


class MilvusProcess:
    """The server, as a context: started, and in the end killed."""

    def __init__(self, command: Path, folder: Path) -> None:
        """Start nothing yet.

        Args:
            command: `milvus-server` of the package's environment.
            folder: where it keeps everything; about 280 MB for the server itself.
        """
        require_isolation()
        self._command, self._folder = command, folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _lay_out(self) -> None:
        """Have the package write the program and its configuration, once.

        Not its own command, which takes other ports where those of a server that was killed are still to expire.
        """
        if not (self._folder / "configs" / "milvus.yaml").exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            python = self._command.with_name("python")
            subprocess.run([str(python), "-c", LAY_OUT, str(self._folder)], check=True, cwd=self._folder)

    @property
    def pids(self) -> set[int]:
        """Of the server and of what started it."""
        return family(self._process.pid) if self._process is not None else set()

    def start(self) -> float:
        """Start it and wait until it says that it is well. Returns the seconds of that."""
        self._lay_out()
        environment = {
            "DEPLOY_MODE": "STANDALONE",
            "METRICS_PORT": "9091",
            "MILVUS_RUN_DIR": str(self._folder / "run"),
            "LD_LIBRARY_PATH": str(self._folder / "bin"),
        }
        began = time.monotonic()
        with (self._folder / "output.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._folder / "bin" / "milvus"), "run", "standalone"],
                env=os.environ | environment,
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )
        while time.monotonic() - began < START_SECONDS:
            if is_well():
                return time.monotonic() - began
            if self._process.poll() is not None:
                raise RuntimeError(f"Milvus ended by itself; see {self._folder}/output.log")
            time.sleep(0.1)
        raise RuntimeError(f"Milvus is not well after {START_SECONDS:.0f} s; see {self._folder}/logs")

    def kill(self) -> None:
        """Kill it at once, with SIGKILL, and all that it has started."""
        process, self._process = self._process, None
        if process is not None:
            for pid in family(process.pid):
                os.kill(pid, signal.SIGKILL)
            process.wait()


def is_well() -> bool:
    """Whether the server says so, and takes connections."""
    try:
        socket.create_connection(("127.0.0.1", PORT), timeout=1).close()
        with urllib.request.urlopen(HEALTH, timeout=1) as answer:
            return bool(answer.read() == b"OK")
    except OSError:
        return False
