"""Several worker processes behind one listening socket, and the supervisor that starts, watches and replaces them.

The supervisor loads neither torch nor the artifacts: it takes little memory, and hardly anything in it can fail. Its
workers are started afresh (`spawn`), as a process in which torch runs threads can't be forked.
"""

import logging
import multiprocessing
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import wait
from time import monotonic
from types import FrameType

from model.errors import SolemateError
from service.server.ipc import Accept, Ask, Failed, FromWorker, Ping, Pong, Prepared, Ready, Reloaded, Settled
from service.server.listener import BACKLOG
from service.server.reload_coordinator import Reloads
from service.server.worker_process import Place, Post, Work
from service.serving.reload import Outcome
from service.settings import Settings
from service.telemetry import metrics

__all__ = ["StartFailed", "Supervisor"]

logger = logging.getLogger(__name__)

ENDING = {signal.SIGTERM, signal.SIGINT}

PING_SECONDS = 5.0
MISSED_PINGS = 6
"""A worker that leaves so many pings unanswered hangs, and is killed."""

LOADING_SECONDS = 600.0
"""A worker that has not loaded by then hangs, too, at its start or in a reload."""

LONGEST_PAUSE = 30.0
"""Between two attempts to replace a worker, in seconds."""

STABLE_SECONDS = 60.0
"""A worker that has served for so long ended by accident; one that ends sooner may do so again."""

ATTEMPTS = 3
"""How often a start may fail while no worker serves, before the service gives up."""

MARGIN_SECONDS = 5.0
"""How long a worker may take to end after the time for its requests is over."""


class StartFailed(SolemateError):
    """Workers can't start, and none serves."""


class Supervisor:
    """Keeps worker processes serving until it is told to stop."""

    def __init__(
        self, settings: Settings, listener: socket.socket, work: Work, announce: Callable[[Sequence[str]], None]
    ) -> None:
        """Start nothing yet; see `run`.

        Args:
            settings: for the workers too; says how many they are.
            listener: bound, not yet listening; it does once all workers are ready, and `run` closes it.
            work: what a worker process runs.
            announce: is given the lines that tell what is served, once all workers are ready.
        """
        self._listener, self._announce = listener, announce
        self._drain_seconds = settings.drain_seconds
        post = Post(multiprocessing.get_context("spawn"), settings, listener, work)
        self._places = [Place(index, post) for index in range(settings.workers)]
        self._artifacts: tuple[str, str] | None = None  # what is served; None until all are ready
        self._reloads = Reloads(self._note_switch)
        self._next_ping = monotonic() + PING_SECONDS
        self._signals: list[int] = []

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP reloads.

        Raises:
            StartFailed: the message is the workers' own reason.
        """
        with self._catching_signals() as wake:
            try:
                for place in self._places:
                    self._start(place)
                while not ENDING & set(self._signals):
                    self._step(wake)
            finally:
                self._end(wake)

    @property
    def pids(self) -> list[int]:
        """The workers' processes; 0 for one that is being replaced."""
        return [place.pid for place in self._places]

    def _step(self, wake: socket.socket) -> None:
        """Wait for something to happen, and deal with it."""
        due = [self._next_ping, *(place.due for place in self._places if not place.occupied)]
        signs = [sign for place in self._places for sign in place.signs()]
        wait([wake, *signs], timeout=max(0.0, min(due) - monotonic()))
        self._read_signals(wake)
        for place in self._places:
            # Messages first: a worker that has ended may have said why.
            for message in place.receive():
                self._handle(place, message)
            if place.ended:
                self._clear(place)
        self._open_at_first()
        for place in self._places:
            self._look_after(place)
        if self._artifacts is not None:
            self._reloads.begin([place for place in self._places if place.facts is not None])
        if monotonic() >= self._next_ping:
            self._next_ping = monotonic() + PING_SECONDS
            self._ping()

    def _handle(self, place: Place, message: FromWorker) -> None:
        match message:
            case Ready(facts, lines):
                place.facts, place.lines = facts, lines
            case Failed(reason):
                place.failure = reason
            case Ask(number):
                self._reloads.ask(partial(_answer, place, place.pid, number))
            case Prepared() | Settled():
                self._reloads.hear(place, message)
            case Pong():
                place.missed = 0

    def _open_at_first(self) -> None:
        """Begin to serve once all workers are ready."""
        first = self._places[0]
        if self._artifacts is None and first.facts is not None and all(place.facts for place in self._places):
            self._artifacts = first.facts.artifacts
            self._listener.listen(BACKLOG)
            self._announce(first.lines)

    def _start(self, place: Place) -> None:
        try:
            place.start()
        except OSError as error:
            if self._artifacts is None:
                raise StartFailed(f"worker {place.index} can't be started: {error}") from error
            logger.error("worker %d can't be started: %s", place.index, error)  # noqa: TRY400 - the message says it all
            self._plan_start(place)

    def _plan_start(self, place: Place) -> None:
        """Have another process started: the later, the more often the last ones have failed."""
        place.failures += 1
        place.due = monotonic() + min(LONGEST_PAUSE, 2.0 ** (place.failures - 2) if place.failures > 1 else 0.0)

    def _look_after(self, place: Place) -> None:
        """Replace a worker that has ended, and let one serve that is ready and would answer as the rest do."""
        if not place.occupied:
            if place.due <= monotonic():
                self._start(place)
        elif self._artifacts is not None and place.facts is not None and not place.serving and not self._reloads.busy:
            if place.facts.artifacts == self._artifacts:
                place.serving = True
                place.send(Accept())
            elif place.refused:
                place.failure = "what is on disk is not what is served, and can't be; see the reload's outcome"
                place.kill()
            else:
                # What the others serve is no longer on disk: they switch too, or this one can't join them.
                place.refused = True
                logger.warning("worker %d finds other artifacts than are served: reloading all workers", place.index)
                self._reloads.ask(_log_reload)

    def _clear(self, place: Place) -> None:
        """Take note of a worker that has ended by itself, and plan its replacement."""
        pid, age, served = place.pid, place.age, place.serving
        end = place.clear()
        reason = place.failure or end or "it was told to end"
        metrics.forget_worker(pid)
        self._reloads.lose(place, reason)
        if self._artifacts is None:
            raise StartFailed(place.failure or f"worker {place.index} could not start: {reason}")
        logger.log(logging.ERROR if end else logging.INFO, "worker %d (pid %d): %s", place.index, pid, reason)
        place.serving, place.facts = False, None
        metrics.count_worker_restart()
        if served and (age >= STABLE_SECONDS or not end):
            place.failures = 0
        self._plan_start(place)
        if place.failures >= ATTEMPTS and not any(other.serving for other in self._places):
            raise StartFailed(reason)

    def _note_switch(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            self._places[outcome.worker].facts = outcome.facts
            if outcome.facts is not None:
                self._artifacts = outcome.facts.artifacts

    def _ping(self) -> None:
        for index in self._reloads.late(LOADING_SECONDS):
            self._places[index].failure = f"it has not reloaded after {LOADING_SECONDS:.0f} s, and was killed"
            self._places[index].kill()
        for place in self._places:
            if place.facts is None:
                if place.occupied and place.age > LOADING_SECONDS:
                    place.failure = f"it was not ready after {LOADING_SECONDS:.0f} s, and was killed"
                    place.kill()
            else:
                if place.missed >= MISSED_PINGS:
                    place.failure = f"it did not answer for {MISSED_PINGS * PING_SECONDS:.0f} s, and was killed"
                    place.kill()
                place.missed += 1
                place.send(Ping())

    def _end(self, wake: socket.socket) -> None:
        """Let the workers finish what they have taken; kill what is not done in time."""
        logger.info("stopping %d workers", sum(place.occupied for place in self._places))
        # First, so that the socket closes with the last worker's and no client waits for nobody.
        self._listener.close()
        self._reloads.stop()
        for place in self._places:
            place.ask_to_end()
        self._signals.clear()
        deadline = monotonic() + self._drain_seconds + MARGIN_SECONDS
        while (left := [place for place in self._places if place.occupied]) and monotonic() < deadline:
            wait([wake, *(sign for place in left for sign in place.signs())], timeout=deadline - monotonic())
            self._read_signals(wake)
            if signal.SIGINT in self._signals:  # a second Ctrl-C
                break
            for place in left:
                list(place.receive())
                if place.ended:
                    place.clear()
        for place in left:
            logger.error("worker %d (pid %d) did not end in time: killing it", place.index, place.pid)
            place.kill()
            place.clear()

    def _read_signals(self, wake: socket.socket) -> None:
        with suppress(BlockingIOError):
            wake.recv(4096)
        while signal.SIGHUP in self._signals:
            self._signals.remove(signal.SIGHUP)
            self._reloads.ask(_log_reload)

    @contextmanager
    def _catching_signals(self) -> Iterator[socket.socket]:
        """Note signals instead of being ended by them; gives what becomes readable with each."""

        def note(number: int, _frame: FrameType | None) -> None:
            self._signals.append(number)

        wake, written = socket.socketpair()
        with wake, written:
            wake.settimeout(0)
            written.settimeout(0)
            before = signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
            handlers = {number: signal.signal(number, note) for number in (*ENDING, signal.SIGHUP)}
            try:
                yield wake
            finally:
                for number, handler in handlers.items():
                    signal.signal(number, handler)
                signal.set_wakeup_fd(before)


def _answer(place: Place, pid: int, number: int, outcomes: Sequence[Outcome], refused: str) -> None:
    if place.pid == pid:  # else whoever asked has ended
        place.send(Reloaded(number, tuple(outcomes), refused))


def _log_reload(outcomes: Sequence[Outcome], refused: str) -> None:
    if refused:
        logger.error("the reload was refused: %s", refused)
    else:
        logger.info("reloaded in %d workers", len(outcomes))
