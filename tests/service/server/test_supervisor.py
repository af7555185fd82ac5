"""The supervisor: workers are started, watched, replaced, reloaded and stopped."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from service.server import supervisor
from service.server.listener import bind
from service.server.supervisor import StartFailed, Supervisor, WorkerSlot, describe_end
from service.settings import Settings
from tests.service.server.fake_worker import BROKEN, STUCK, work
from tests.support.waiting import wait_until


class Service:
    """Two fake workers, and a test's hands on them."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.listener = bind("127.0.0.1", 0)
        self.address = self.listener.getsockname()
        self.announced: list[Sequence[str]] = []
        self.failures: list[Exception] = []
        self.write("old")
        options = Settings.model_validate({"checkpoint": folder, "workers": 2, "drain_seconds": 1, **settings})
        self.supervisor = Supervisor(options, self.listener, work, self._announce)
        self._story: threading.Thread | None = None

    def write(self, word: str, worker: int | None = None) -> None:
        """Put it on disk; for one worker only, if one is given."""
        (self.folder / ("artifacts" if worker is None else f"artifacts-{worker}")).write_text(word)

    def run(self, story: Callable[[], None], *, stop: bool = True) -> None:
        """Supervise, while `story` happens; then stop, unless the service is expected to end by itself."""

        def publish() -> None:
            try:
                story()
            except (AssertionError, OSError) as error:  # raised again below
                self.failures.append(error)
            if stop or self.failures:
                os.kill(os.getpid(), signal.SIGTERM)

        self._story = thread = threading.Thread(target=publish)
        try:
            self.supervisor.run()
        finally:
            if thread.is_alive():
                thread.join()
            if self.failures:
                raise self.failures[0]

    def _announce(self, banner: Sequence[str]) -> None:
        self.announced.append(banner)
        if self._story is not None:
            self._story.start()

    def ask(self, word: bytes = b"who") -> str:
        """What a worker answers."""
        with socket.create_connection(self.address, timeout=20) as client:
            client.sendall(word)
            return client.recv(200).decode()

    def ask_all(self) -> dict[str, str]:
        """Worker -> what it serves, of those that answer within a moment."""
        answers: dict[str, str] = {}
        for _ in range(40):
            index, _, served = self.ask().split()
            answers[index] = served
        return answers

    def kill(self, index: int) -> int:
        """Kill a worker, and wait for its replacement; returns the old process."""
        old = self.supervisor.pids[index]
        os.kill(old, signal.SIGKILL)
        self.wait_for_another(index, old)
        return old

    def wait_for_another(self, index: int, old: int) -> None:
        """Wait until another process is in a worker's place."""
        wait_until(lambda: self.supervisor.pids[index] not in {0, old})


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """Not started yet, with `old` on its disk."""
    return Service(tmp_path)


def is_alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_all_serve_until_the_end(service: Service) -> None:
    """What is served is announced once, by the time it is; all workers answer, and SIGTERM ends them."""
    pids: list[int] = []

    def story() -> None:
        wait_until(lambda: service.ask_all() == {"0": "old", "1": "old"})
        pids.extend(service.supervisor.pids)

    service.run(story)
    assert service.announced == [("serving old",)]
    assert len(pids) == 2
    assert not any(is_alive(pid) for pid in pids)
    with pytest.raises(ConnectionRefusedError):
        service.ask()


def test_killed_worker_is_replaced(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """A worker that is killed is replaced; meanwhile the other one answers."""

    def story() -> None:
        old = service.kill(1)
        assert service.ask()
        wait_until(lambda: service.ask_all().keys() == {"0", "1"})
        assert old not in service.supervisor.pids

    service.run(story)
    assert "worker 1" in caplog.text
    assert "SIGKILL" in caplog.text


def test_failed_start_is_told_once(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """Artifacts that can't be used end the start with their own reason, once, and leave no process behind."""
    service.write(BROKEN)
    with pytest.raises(StartFailed, match=r"^the weights are torn$"):
        service.run(lambda: None)
    assert service.announced == []
    assert "torn" not in caplog.text
    assert service.supervisor.pids == [0, 0]


def test_crash_at_the_start(service: Service) -> None:
    """A worker that ends without a word at the start ends the service, with how it ended."""
    (service.folder / "crash").touch()
    with pytest.raises(StartFailed, match="could not start: it ended with the status 7"):
        service.run(lambda: None)


def test_reload_by_signal_and_by_request(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """SIGHUP, and a worker's request, exchange what all workers serve; one that is refused changes nothing."""
    caplog.set_level(logging.INFO)

    def story() -> None:
        service.write("new")
        os.kill(os.getpid(), signal.SIGHUP)
        wait_until(lambda: "reloaded in 2 workers" in caplog.text)
        assert set(service.ask_all().values()) == {"new"}
        service.write("newer")
        assert service.ask(b"reload") == "2 switched"
        assert set(service.ask_all().values()) == {"newer"}
        service.write(BROKEN, worker=1)
        assert BROKEN in service.ask(b"reload")
        os.kill(os.getpid(), signal.SIGHUP)
        wait_until(lambda: "the reload was refused" in caplog.text)
        assert set(service.ask_all().values()) == {"newer"}

    service.run(story)


def test_replacement_serves_what_was_reloaded(service: Service) -> None:
    """A worker that is replaced after a reload serves what the others do."""

    def story() -> None:
        service.write("new")
        assert service.ask(b"reload") == "2 switched"
        service.kill(0)
        wait_until(lambda: service.ask_all() == {"0": "new", "1": "new"})

    service.run(story)


def test_replacement_finds_something_newer(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """A worker that is replaced after the disk has changed does not answer otherwise than the rest: all switch."""

    def story() -> None:
        service.write("new")
        service.kill(0)
        wait_until(lambda: service.ask_all() == {"0": "new", "1": "new"})

    service.run(story)
    assert "reloading all workers" in caplog.text


def test_replacement_finds_what_the_others_refuse(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that could serve only what the others refuse is kept out until it can join them."""
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE", 0.05)

    def story() -> None:
        service.write("new", worker=0)
        service.kill(0)
        wait_until(lambda: "is not what is served" in caplog.text)
        assert service.ask_all() == {"1": "old"}
        service.write("old", worker=0)
        wait_until(lambda: service.ask_all() == {"0": "old", "1": "old"})

    service.run(story)


def test_replacement_finds_broken_artifacts(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With broken artifacts on disk a lost worker stays away and the rest serve on; it returns when they are mended."""
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE", 0.05)

    def story() -> None:
        service.write(BROKEN)
        service.kill(0)
        wait_until(lambda: caplog.text.count("the weights are torn") > supervisor.ATTEMPTS)
        assert service.ask_all() == {"1": "old"}
        service.write("old")
        wait_until(lambda: service.ask_all() == {"0": "old", "1": "old"})

    service.run(story)


def test_no_worker_can_be_replaced(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no worker is left and none can start, the service ends rather than let clients wait for nobody."""
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE", 0.01)

    def story() -> None:
        service.write(BROKEN)
        for pid in service.supervisor.pids:
            os.kill(pid, signal.SIGKILL)

    with pytest.raises(StartFailed, match="the weights are torn"):
        service.run(story, stop=False)


def test_no_room_for_another_process(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A system that has no room for another process at first does not end those that serve; it is tried again."""
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE", 0.05)
    start = WorkerSlot.start
    refusals = iter([OSError("no room")] * 4)

    def start_late(slot: WorkerSlot) -> None:
        if service.announced:
            for refusal in refusals:
                raise refusal
        start(slot)

    monkeypatch.setattr(WorkerSlot, "start", start_late)

    def story() -> None:
        service.kill(0)
        wait_until(lambda: service.ask_all().keys() == {"0", "1"})

    service.run(story)
    assert caplog.text.count("can't be started: no room") == 4


def test_worker_that_is_never_ready(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that hangs while it loads is killed, and replaced."""
    monkeypatch.setattr(supervisor, "PING_SECONDS", 0.05)

    def story() -> None:
        (service.folder / "stuck").touch()
        service.kill(0)
        monkeypatch.setattr(supervisor, "LOADING_SECONDS", 0.2)
        wait_until(lambda: "was not ready" in caplog.text)
        monkeypatch.setattr(supervisor, "LOADING_SECONDS", 60.0)
        (service.folder / "stuck").unlink()
        wait_until(lambda: service.ask_all().keys() == {"0", "1"})

    service.run(story)


def test_worker_that_never_reloads(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that hangs in a reload is killed, and the reload refused; the rest serve on."""
    monkeypatch.setattr(supervisor, "PING_SECONDS", 0.05)
    monkeypatch.setattr(supervisor, "MISSED_PINGS", 10_000)

    def story() -> None:
        service.write(STUCK, worker=1)
        os.kill(os.getpid(), signal.SIGHUP)
        monkeypatch.setattr(supervisor, "LOADING_SECONDS", 3.0)  # less, and a busy machine exceeds it
        wait_until(lambda: "worker 1: it ended during the reload: it has not reloaded" in caplog.text)
        monkeypatch.setattr(supervisor, "LOADING_SECONDS", 60.0)
        assert service.ask_all() == {"0": "old"}
        service.write("old", worker=1)
        wait_until(lambda: service.ask_all().keys() == {"0", "1"})

    service.run(story)


def test_hanging_worker_is_killed(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that does not answer pings any more is killed, and replaced."""
    monkeypatch.setattr(supervisor, "PING_SECONDS", 0.02)
    monkeypatch.setattr(supervisor, "MISSED_PINGS", 50)

    def story() -> None:
        before = service.supervisor.pids
        (service.folder / "deaf").touch()
        wait_until(lambda: "did not answer" in caplog.text)
        (service.folder / "deaf").unlink()
        wait_until(lambda: not set(service.supervisor.pids) & {0, *before})
        wait_until(lambda: service.ask_all().keys() == {"0", "1"})

    service.run(story)


def test_worker_that_does_not_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that does not end in its time is killed."""
    monkeypatch.setattr(supervisor, "MARGIN_SECONDS", 0.2)
    service = Service(tmp_path, drain_seconds=0)
    (tmp_path / "stubborn").touch()
    pids: list[int] = []
    service.run(lambda: pids.extend(service.supervisor.pids))
    assert caplog.text.count("did not end in time") == 2
    assert not any(is_alive(pid) for pid in pids)


def test_single_worker_told_to_end_is_replaced(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """SIGTERM to one worker replaces it, at once and without alarm: so each can be renewed in turn."""
    caplog.set_level(logging.INFO)

    def story() -> None:
        for index in (0, 1):
            old = service.supervisor.pids[index]
            os.kill(old, signal.SIGTERM)
            service.wait_for_another(index, old)
            wait_until(lambda: service.ask_all().keys() == {"0", "1"})

    service.run(story)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("code", "words"), [(0, ""), (3, "status 3"), (-11, "SIGSEGV"), (-9, "lack of memory"), (-99, "signal 99")]
)
def test_ends_are_described(code: int, words: str) -> None:
    """How a process ended is said in words."""
    assert words in describe_end(code)
    assert bool(describe_end(code)) == bool(code)
