"""Worker slots: a worker's current process, and the pipe to it."""

import signal
import socket
from collections.abc import Callable, Iterator, MutableSequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
from time import monotonic

from service.server.ipc import FromWorker, ToWorker
from service.server.listener import NOT_ACCEPTING
from service.serving.generations import Facts
from service.settings import Settings

__all__ = ["Work", "WorkerConfig", "WorkerSlot"]

Work = Callable[[Settings, socket.socket, Connection, MutableSequence[int], int], None]
"""What a worker process runs: settings, listening socket, pipe to the supervisor, shared counts, its number."""


class WorkerConfig:
    """Arguments that all workers share.

    Args:
        settings: the service's.
        listener: the socket that they take connections from.
        work: what their processes run; its module is imported there.
    """

    def __init__(self, context: SpawnContext, settings: Settings, listener: socket.socket, work: Work) -> None:
        self.context, self.settings, self.listener, self.work = context, settings, listener, work
        # Each worker writes only its own number, so that no lock is needed.
        self.counts: MutableSequence[int] = context.RawArray("i", [NOT_ACCEPTING] * settings.workers)


class WorkerSlot:
    """A worker, across all its processes.

    Attributes:
        index: its number.
        facts: what it serves, or would; None until it has loaded everything.
        banner: what to print at the terminal, once all are ready.
        failure: why it can't start, in its own words.
        serving: whether it takes connections.
        missed: pings that it has not answered yet.
        failures: how often in a row its process ended before it had served for long.
        due: when to start another process, on the monotonic clock.
    """

    def __init__(self, index: int, config: WorkerConfig) -> None:
        self.index, self._config = index, config
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._began = 0.0
        self.failures = 0
        self.due = 0.0
        self._forget()

    def _forget(self) -> None:
        self.facts: Facts | None = None
        self.banner: tuple[str, ...] = ()
        self.failure = ""
        self.serving = False
        self.refused = False
        self.missed = 0

    @property
    def pid(self) -> int:
        """Of its process; 0 where there is none."""
        return (self._process.pid or 0) if self._process is not None else 0

    @property
    def running(self) -> bool:
        """Whether there is a process, alive or just exited."""
        return self._process is not None

    @property
    def ended(self) -> bool:
        """Whether its process has ended."""
        return self._process is not None and not self._process.is_alive()

    @property
    def age(self) -> float:
        """Seconds since its process was started."""
        return monotonic() - self._began

    def handles(self) -> Iterator[Connection | int]:
        """Handles that become ready with a message of the worker, or with its exit."""
        if self._pipe is not None:
            yield self._pipe
        if self._process is not None:
            yield self._process.sentinel

    def start(self) -> None:
        """Start a process. Raises OSError where the system has no room for another."""
        self._forget()
        self._began = monotonic()
        ours, theirs = self._config.context.Pipe()
        process = self._config.context.Process(
            target=self._config.work,
            args=(self._config.settings, self._config.listener, theirs, self._config.counts, self.index),
            name=f"solemate-worker-{self.index}",
        )
        try:
            process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()  # so that the end of the worker is the end of the pipe
        self._pipe, self._process = ours, process

    def send(self, message: ToWorker) -> None:
        """Send a message; that it has ended will be noticed elsewhere."""
        if self._pipe is not None:
            with suppress(OSError):
                self._pipe.send(message)

    def receive(self) -> Iterator[FromWorker]:
        """What it has sent."""
        while self._pipe is not None:
            try:
                if not self._pipe.poll():
                    return
                yield self._pipe.recv()
            except (EOFError, OSError):
                self._pipe.close()
                self._pipe = None

    def terminate(self) -> None:
        """SIGTERM: it finishes what it has taken, if it has got as far as taking anything."""
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()

    def reap(self) -> str:
        """Take away a process that has ended; returns how it did."""
        assert self._process is not None
        self._process.join()
        end = describe_end(self._process.exitcode or 0)
        self._process.close()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None
        self._config.counts[self.index] = NOT_ACCEPTING
        return end


def describe_end(code: int) -> str:
    """How a process ended, from its exit code as `multiprocessing` has it; "" for one that ended well."""
    if code >= 0:
        return f"it ended with the status {code}" if code else ""
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"it was ended by {name}" + (", which may mean a lack of memory" if -code == signal.SIGKILL else "")
