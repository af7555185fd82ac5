"""The service over a small catalogue that the real commands indexed: in a process of its own, or in a thread."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, Queue
from typing import IO
from unittest import mock

import pytest
import uvicorn

from service.http.app import create_app
from service.server.protocol import ConnectionConfig
from service.serving.bootstrap import open_backend
from service.serving.generations import Live, OneProcess
from service.settings import Settings

ROOT = Path(__file__).parents[2]
START_SECONDS = 240
"""The machine may be busy."""


@dataclass(frozen=True)
class Artifacts:
    """A catalogue on disk, and what was made of it."""

    demo: Path
    checkpoint: Path
    catalog: Path


def environment(**settings: str) -> dict[str, str]:
    """This process's environment without settings of the developer's own, and with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SOLEMATE_")}
    # Processes run in the tree that is tested, wherever the tests were started from.
    return {**kept, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "SOLEMATE_WORKERS": "1", **settings}


def heed_interrupts() -> None:
    """In a new process: Ctrl-C as in a terminal, also where the tests run in the background and one is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def index_arguments(artifacts: Artifacts, *options: str) -> list[str]:
    """What to give `python -m service` to index them."""
    return [
        *("index", "--catalog", str(artifacts.demo)),
        *("--checkpoint", str(artifacts.checkpoint)),
        *("--out", str(artifacts.catalog)),
        *("--device", "cpu"),
        *options,
    ]


class Server:
    """`python -m service serve` in a process of its own, with one worker unless the settings say otherwise.

    Attributes:
        lines: what it said on stdout, up to the example.
        url: where it is.
    """

    def __init__(
        self, artifacts: Artifacts, *options: str, cwd: Path | None = None, module: str = "service", **settings: str
    ) -> None:
        command = [sys.executable, "-m", module, "serve", "--port", "0", *options]
        command += ["--checkpoint", str(artifacts.checkpoint), "--index", str(artifacts.catalog)]
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment(**settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[str] = []
        self._output: Queue[str] = Queue()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        # Both pipes are drained for as long as the process runs: a full one would stop it.
        self._readers = [
            threading.Thread(target=self._follow, args=(self.process.stdout, self._output.put), daemon=True),
            threading.Thread(target=self._follow, args=(self.process.stderr, self.log.append), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        self.lines = [self._next_line()]
        self.url = self.lines[0].rpartition(" ")[2]
        self.lines.append(self._next_line())

    def stop(self) -> int:
        """Ask it to stop; returns its exit status."""
        self.process.terminate()
        return self._join()

    def kill(self) -> int:
        """End it at once; returns its exit status."""
        self.process.kill()
        return self._join()

    def _join(self) -> int:
        status = self.process.wait(timeout=120)
        for reader in self._readers:
            reader.join(timeout=5)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        return status

    def _next_line(self) -> str:
        try:
            return self._output.get(timeout=START_SECONDS).rstrip("\n")
        except Empty:
            self.kill()
            pytest.fail("the server did not start:\n" + "".join(self.log))

    @staticmethod
    def _follow(pipe: IO[str], take: Callable[[str], None]) -> None:
        for line in pipe:
            take(line)


@contextmanager
def serve_in_thread(artifacts: Artifacts, **changes: str) -> Iterator[str]:
    """The service in a thread of this process, for tests of what its clients do; yields its address.

    A process of its own takes seconds to load torch, again and again.
    """
    with mock.patch.dict(os.environ, environment(**changes), clear=True):
        settings = Settings(checkpoint=artifacts.checkpoint, index=artifacts.catalog)
    live = Live(partial(open_backend, settings))
    server = uvicorn.Server(
        ConnectionConfig(create_app(settings, live, OneProcess(live)), settings, log_config=None, access_log=False)
    )

    async def serve(listener: socket.socket) -> None:
        await live.start()
        try:
            await server.serve([listener])
        finally:
            await live.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: asyncio.run(serve(listener)), daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        assert server.started
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(120)
    assert not thread.is_alive()
