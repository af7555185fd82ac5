"""Several worker processes behind one listening socket, and the supervisor that starts, watches and replaces them.

The supervisor loads neither torch nor the artifacts: it takes little memory, and hardly anything in it can fail. Its
workers are started afresh (`spawn`), as a process in which torch runs threads can't be forked.
"""

import logging
import multiprocessing
import signal
import socket
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from time import monotonic
from types import FrameType

from model.errors import SolemateError
from service.server.ipc import (
    Accept,
    Failed,
    Finished,
    FromWorker,
    Ping,
    Pong,
    Prepared,
    Ready,
    ReloadRequest,
    ReloadResult,
    ToWorker,
)
from service.server.listener import BACKLOG, NOT_ACCEPTING
from service.server.reload_coordinator import ReloadCoordinator
from service.serving.generations import GenerationInfo, Outcome
from service.settings import Settings
from service.telemetry import metrics

logger = logging.getLogger(__name__)

SPAWN = multiprocessing.get_context("spawn")

ENDING = {signal.SIGTERM, signal.SIGINT}

PING_SECONDS = 5.0
MISSED_PINGS = 6
"""Unanswered pings after which a worker is taken to hang, and killed."""

LOADING_SECONDS = 600.0
"""Seconds after which a worker that still loads, at its start or in a reload, is taken to hang."""

LONGEST_PAUSE = 30.0
"""Longest backoff between two attempts to replace a worker, in seconds."""

STABLE_SECONDS = 60.0
"""Seconds of serving after which a worker's exit does not count as a repeated failure."""

ATTEMPTS = 3
"""Failed starts in a row after which the service gives up, while no worker serves."""

MARGIN_SECONDS = 5.0
"""Seconds that a worker has to exit after `drain_seconds`."""


WorkerMain = Callable[[Settings, socket.socket, Connection, MutableSequence[int], int], None]
"""What a worker process runs: settings, listening socket, pipe to the supervisor, shared counts, its number."""


class WorkerSlot:
    """A worker, across all its processes.

    Attributes:
        index: its number.
        info: what it serves, or would; None until it has loaded everything.
        banner: what to print at the terminal, once all are ready.
        failure: why it can't start, in its own words.
        serving: whether it takes connections.
        missed: pings that it has not answered yet.
        failures: how often in a row its process ended before it had served for long.
        due: when to start another process, on the monotonic clock.
    """

    def __init__(
        self, index: int, work: WorkerMain, settings: Settings, listener: socket.socket, counts: MutableSequence[int]
    ) -> None:
        """Start nothing yet. See `Supervisor` and `WorkerMain`; the module of `work` is imported in each process."""
        self.index, self._work = index, work
        self._settings, self._listener, self._counts = settings, listener, counts
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._began = 0.0
        self.failures = 0
        self.due = 0.0
        self._forget()

    def _forget(self) -> None:
        self.info: GenerationInfo | None = None
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
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(
            target=self._work,
            args=(self._settings, self._listener, theirs, self._counts, self.index),
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
        self._counts[self.index] = NOT_ACCEPTING
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


class StartFailed(SolemateError):
    """Workers can't start, and none serves."""


class Supervisor:
    """Keeps worker processes serving until a signal stops it."""

    def __init__(
        self, settings: Settings, listener: socket.socket, work: WorkerMain, announce: Callable[[Sequence[str]], None]
    ) -> None:
        """Start nothing yet; see `run`.

        Args:
            settings: for the workers too; says how many they are.
            listener: bound, not yet listening; it does once all workers are ready, and `run` closes it.
            work: what a worker process runs.
            announce: called with the lines to print, once all workers are ready.
        """
        self._listener, self._announce = listener, announce
        self._drain_seconds = settings.drain_seconds
        # Each worker writes only its own number, so that no lock is needed.
        counts = SPAWN.RawArray("i", [NOT_ACCEPTING] * settings.workers)
        self._slots = [WorkerSlot(index, work, settings, listener, counts) for index in range(settings.workers)]
        self._artifacts: tuple[str, str] | None = None  # what is served; None until all are ready
        self._reloads = ReloadCoordinator(self._record_switch)
        self._next_ping = 0.0
        self._signals: list[int] = []

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP reloads.

        Raises:
            StartFailed: the message is the workers' own reason.
        """
        with self._catching_signals() as wake:
            try:
                for slot in self._slots:
                    self._start(slot)
                while not ENDING & set(self._signals):
                    self._step(wake)
            finally:
                self._stop_workers(wake)

    @property
    def pids(self) -> list[int]:
        """The workers' processes; 0 for one that is being replaced."""
        return [slot.pid for slot in self._slots]

    def _step(self, wake: socket.socket) -> None:
        """Wait for something to happen, and deal with it."""
        due = [self._next_ping, *(slot.due for slot in self._slots if not slot.running)]
        handles = [handle for slot in self._slots for handle in slot.handles()]
        wait([wake, *handles], timeout=max(0.0, min(due) - monotonic()))
        self._read_signals(wake)
        for slot in self._slots:
            # Messages first: a worker that has ended may have said why.
            for message in slot.receive():
                self._handle(slot, message)
            if slot.ended:
                self._handle_exit(slot)
        self._open_when_ready()
        for slot in self._slots:
            self._maintain(slot)
        if self._artifacts is not None:
            self._reloads.begin([slot for slot in self._slots if slot.info is not None])
        if monotonic() >= self._next_ping:
            self._next_ping = monotonic() + PING_SECONDS
            self._ping()

    def _handle(self, slot: WorkerSlot, message: FromWorker) -> None:
        match message:
            case Ready(info, banner):
                slot.info, slot.banner = info, banner
            case Failed(reason):
                slot.failure = reason
            case ReloadRequest(number):
                self._reloads.ask(partial(_answer, slot, slot.pid, number))
            case Prepared() | Finished():
                self._reloads.receive(slot, message)
            case Pong():
                slot.missed = 0

    def _open_when_ready(self) -> None:
        """Begin to serve once all workers are ready."""
        first = self._slots[0]
        if self._artifacts is None and first.info is not None and all(slot.info for slot in self._slots):
            self._artifacts = first.info.artifacts
            self._listener.listen(BACKLOG)
            self._announce(first.banner)

    def _start(self, slot: WorkerSlot) -> None:
        try:
            slot.start()
        except OSError as error:
            if self._artifacts is None:
                raise StartFailed(f"worker {slot.index} can't be started: {error}") from error
            logger.error("worker %d can't be started: %s", slot.index, error)  # noqa: TRY400 - the message says it all
            self._plan_start(slot)

    def _plan_start(self, slot: WorkerSlot) -> None:
        """Have another process started: the later, the more often the last ones have failed."""
        slot.failures += 1
        slot.due = monotonic() + min(LONGEST_PAUSE, 2.0 ** (slot.failures - 2) if slot.failures > 1 else 0.0)

    def _maintain(self, slot: WorkerSlot) -> None:
        """Replace a worker that has ended, and let one serve that is ready and would answer as the rest do."""
        if not slot.running:
            if slot.due <= monotonic():
                self._start(slot)
        elif self._artifacts is not None and slot.info is not None and not slot.serving and not self._reloads.busy:
            if slot.info.artifacts == self._artifacts:
                slot.serving = True
                slot.send(Accept())
            elif slot.refused:
                slot.failure = "what is on disk is not what is served, and can't be; see the reload's outcome"
                slot.kill()
            else:
                # What the others serve is no longer on disk: they switch too, or this one can't join them.
                slot.refused = True
                logger.warning("worker %d finds other artifacts than are served: reloading all workers", slot.index)
                self._reloads.ask(_log_reload)

    def _handle_exit(self, slot: WorkerSlot) -> None:
        """Take note of a worker that has ended by itself, and plan its replacement."""
        pid, age, served = slot.pid, slot.age, slot.serving
        end = slot.reap()
        reason = slot.failure or end or "it was told to end"
        metrics.forget_worker(pid)
        self._reloads.worker_ended(slot, reason)
        if self._artifacts is None:
            raise StartFailed(slot.failure or f"worker {slot.index} could not start: {reason}")
        logger.log(logging.ERROR if end else logging.INFO, "worker %d (pid %d): %s", slot.index, pid, reason)
        slot.serving, slot.info = False, None
        metrics.count_worker_restart()
        if served and (age >= STABLE_SECONDS or not end):
            slot.failures = 0
        self._plan_start(slot)
        if slot.failures >= ATTEMPTS and not any(other.serving for other in self._slots):
            raise StartFailed(reason)

    def _record_switch(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            self._slots[outcome.worker].info = outcome.info
            if outcome.info is not None:
                self._artifacts = outcome.info.artifacts

    def _ping(self) -> None:
        for index in self._reloads.overdue(LOADING_SECONDS):
            self._slots[index].failure = f"it has not reloaded after {LOADING_SECONDS:.0f} s, and was killed"
            self._slots[index].kill()
        for slot in self._slots:
            if slot.info is None:
                if slot.running and slot.age > LOADING_SECONDS:
                    slot.failure = f"it was not ready after {LOADING_SECONDS:.0f} s, and was killed"
                    slot.kill()
            else:
                if slot.missed >= MISSED_PINGS:
                    slot.failure = f"it did not answer for {MISSED_PINGS * PING_SECONDS:.0f} s, and was killed"
                    slot.kill()
                if not slot.missed:  # a worker that reads nothing would fill its pipe, and then stop the supervisor
                    slot.send(Ping())
                slot.missed += 1

    def _stop_workers(self, wake: socket.socket) -> None:
        """Let the workers finish what they have taken; kill what is not done in time."""
        logger.info("stopping %d workers", sum(slot.running for slot in self._slots))
        # First, so that the socket closes with the last worker's and no client waits for nobody.
        self._listener.close()
        self._reloads.stop()
        for slot in self._slots:
            slot.terminate()
        self._signals.clear()
        deadline = monotonic() + self._drain_seconds + MARGIN_SECONDS
        while (left := [slot for slot in self._slots if slot.running]) and monotonic() < deadline:
            wait([wake, *(handle for slot in left for handle in slot.handles())], timeout=deadline - monotonic())
            self._read_signals(wake)
            if signal.SIGINT in self._signals:  # a second Ctrl-C
                break
            for slot in left:
                list(slot.receive())
                if slot.ended:
                    slot.reap()
        for slot in left:
            logger.error("worker %d (pid %d) did not end in time: killing it", slot.index, slot.pid)
            slot.kill()
            slot.reap()

    def _read_signals(self, wake: socket.socket) -> None:
        with suppress(BlockingIOError):
            wake.recv(4096)
        while signal.SIGHUP in self._signals:
            self._signals.remove(signal.SIGHUP)
            self._reloads.ask(_log_reload)

    @contextmanager
    def _catching_signals(self) -> Iterator[socket.socket]:
        """Note signals instead of being ended by them; gives what becomes readable with each."""

        def record(number: int, _frame: FrameType | None) -> None:
            self._signals.append(number)

        wake, written = socket.socketpair()
        with wake, written:
            wake.settimeout(0)
            written.settimeout(0)
            before = signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
            handlers = {number: signal.signal(number, record) for number in (*ENDING, signal.SIGHUP)}
            try:
                yield wake
            finally:
                for number, handler in handlers.items():
                    signal.signal(number, handler)
                signal.set_wakeup_fd(before)


def _answer(slot: WorkerSlot, pid: int, number: int, outcomes: Sequence[Outcome], refused: str) -> None:
    if slot.pid == pid:  # else whoever asked has ended
        slot.send(ReloadResult(number, tuple(outcomes), refused))


def _log_reload(outcomes: Sequence[Outcome], refused: str) -> None:
    if refused:
        logger.error("the reload was refused: %s", refused)
    else:
        logger.info("reloaded in %d workers", len(outcomes))
