"""A reload in several workers: all switch, or none."""

from collections.abc import Sequence

import pytest

from service.server import reload_coordinator
from service.server.ipc import Finish, Finished, Prepare, Prepared, ToWorker
from service.server.reload_coordinator import ReloadCoordinator
from service.serving.generations import GenerationInfo, Outcome, explain_refusal

NEW = GenerationInfo("network", "store", "catalog-7", 12)


class Worker:
    """Remembers what it is told, and says what a test wants."""

    def __init__(self, index: int) -> None:
        self.index, self.pid = index, 100 + index
        self.told: list[ToWorker] = []

    def send(self, message: ToWorker) -> None:
        """Note it."""
        self.told.append(message)

    def report(self, number: int = 1, info: GenerationInfo | None = NEW, reason: str = "") -> Prepared:
        """How preparing went."""
        return Prepared(number, Outcome(self.index, self.pid, info, reason))


class Desk:
    """Reloads of two workers, with what came of them."""

    def __init__(self) -> None:
        self.switched: list[Sequence[Outcome]] = []
        self.answers: list[tuple[Sequence[Outcome], str]] = []
        self.reloads = ReloadCoordinator(self.switched.append)
        self.workers = [Worker(0), Worker(1)]

    def ask(self) -> None:
        """Ask for a reload, and begin it if it can."""
        self.reloads.ask(lambda outcomes, refused: self.answers.append((outcomes, refused)))
        self.begin()

    def begin(self) -> None:
        """Begin what is asked for."""
        self.reloads.begin(self.workers)

    def prepare_all(self, number: int = 1) -> None:
        """Both have prepared."""
        for worker in self.workers:
            self.reloads.receive(worker, worker.report(number))

    def finish_all(self, number: int = 1) -> None:
        """Both have settled."""
        for worker in self.workers:
            self.reloads.receive(worker, Finished(number))


@pytest.fixture
def desk() -> Desk:
    """With nothing asked for."""
    return Desk()


def test_all_switch(desk: Desk) -> None:
    """The workers are told to switch once all have prepared, and the answer comes once all have switched."""
    desk.ask()
    first, second = desk.workers
    desk.reloads.receive(first, first.report())
    assert first.told == second.told == [Prepare(1)]
    desk.reloads.receive(second, second.report())
    assert first.told == second.told == [Prepare(1), Finish(1, commit=True)]
    desk.reloads.receive(first, Finished(1))
    assert not desk.answers
    desk.reloads.receive(second, Finished(1))
    ((outcomes, refused),) = desk.answers
    assert [(outcome.worker, outcome.pid, outcome.info) for outcome in outcomes] == [(0, 100, NEW), (1, 101, NEW)]
    assert refused == ""
    assert desk.switched == [outcomes]
    assert not desk.reloads.busy


def test_one_refuses(desk: Desk) -> None:
    """One worker that can't use what is on disk keeps all from switching, and its reason is told."""
    desk.ask()
    first, second = desk.workers
    desk.reloads.receive(first, first.report())
    desk.reloads.receive(second, second.report(info=None, reason="the weights are torn"))
    assert first.told[-1] == second.told[-1] == Finish(1, commit=False)
    desk.finish_all()
    ((outcomes, refused),) = desk.answers
    assert [outcome.reason for outcome in outcomes] == ["", "the weights are torn"]
    assert "worker 0: could have switched" in refused
    assert "worker 1: the weights are torn" in refused
    assert not desk.switched


def test_they_find_different_artifacts(desk: Desk) -> None:
    """Workers that found different artifacts, as these were exchanged meanwhile, all keep what they had."""
    desk.ask()
    first, second = desk.workers
    desk.reloads.receive(first, first.report())
    desk.reloads.receive(second, second.report(info=GenerationInfo("network", "another", "catalog-1", 12)))
    desk.finish_all()
    assert "changed while" in desk.answers[0][1]
    assert not desk.switched


def test_other_changes_of_one_catalogue_are_no_difference(desk: Desk) -> None:
    """A catalogue that is being written to while the workers open it is the same one to all of them."""
    desk.ask()
    first, second = desk.workers
    desk.reloads.receive(first, first.report())
    desk.reloads.receive(second, second.report(info=GenerationInfo("network", "store", "catalog-8", 13)))
    desk.finish_all()
    assert desk.switched


def test_worker_ends_while_it_prepares(desk: Desk) -> None:
    """A worker that ends before it has reported keeps the others from switching."""
    desk.ask()
    first, second = desk.workers
    desk.reloads.receive(first, first.report())
    desk.reloads.worker_ended(second, "it was ended by SIGKILL")
    assert first.told[-1] == Finish(1, commit=False)
    assert second.told == [Prepare(1)]
    desk.reloads.receive(first, Finished(1))
    assert "worker 1: it ended during the reload: it was ended by SIGKILL" in desk.answers[0][1]


def test_worker_ends_while_it_switches(desk: Desk) -> None:
    """A worker that ends after the decision holds nobody up: what replaces it loads what is on disk."""
    desk.ask()
    desk.prepare_all()
    first, second = desk.workers
    desk.reloads.worker_ended(second, "it was ended by SIGKILL")
    desk.reloads.receive(first, Finished(1))
    assert desk.answers[0][1] == ""
    assert desk.switched


def test_asked_again_meanwhile(desk: Desk) -> None:
    """All that ask while a reload is under way share the next one, which reads the disk anew."""
    desk.ask()
    desk.ask()
    desk.ask()
    assert [worker.told for worker in desk.workers] == [[Prepare(1)], [Prepare(1)]]
    desk.prepare_all()
    desk.finish_all()
    assert len(desk.answers) == 1
    assert desk.reloads.busy
    desk.begin()
    assert desk.workers[0].told[-1] == Prepare(2)
    desk.prepare_all(2)
    desk.finish_all(2)
    assert len(desk.answers) == 3
    assert not desk.reloads.busy


def test_late_and_strange_messages(desk: Desk) -> None:
    """Messages of a round that is over, or from a worker that takes no part, change nothing."""
    desk.reloads.receive(desk.workers[0], desk.workers[0].report())
    desk.reloads.worker_ended(desk.workers[0], "gone")
    desk.ask()
    desk.reloads.receive(desk.workers[0], desk.workers[0].report(number=7))
    desk.reloads.worker_ended(Worker(2), "gone")
    assert desk.workers[0].told == [Prepare(1)]


def test_no_worker_left(desk: Desk) -> None:
    """A reload without any worker is refused rather than waited for."""
    desk.workers = []
    desk.ask()
    assert desk.answers == [([], "no worker is ready at the moment; reload again when one is")]


def test_late_workers_are_named(desk: Desk) -> None:
    """Those that keep a reload waiting are known: first for their reports, then for their switching."""
    assert desk.reloads.overdue(0) == set()
    desk.ask()
    first, second = desk.workers
    assert desk.reloads.overdue(60) == set()
    assert desk.reloads.overdue(-1) == {0, 1}
    desk.reloads.receive(first, first.report())
    assert desk.reloads.overdue(-1) == {1}
    desk.reloads.receive(second, second.report())
    desk.reloads.receive(second, Finished(1))
    assert desk.reloads.overdue(-1) == {0}
    desk.reloads.receive(first, Finished(1))
    assert desk.reloads.overdue(-1) == set()


def test_deciding_starts_the_clock_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that keeps the others waiting until it is killed takes none of the time that they have to finish."""
    now = 0.0
    monkeypatch.setattr(reload_coordinator, "monotonic", lambda: now)
    desk.ask()
    first, second = desk.workers
    desk.reloads.receive(first, first.report())
    now = 61.0
    assert desk.reloads.overdue(60) == {1}
    desk.reloads.worker_ended(second, "it was killed")
    assert desk.reloads.overdue(60) == set()
    now = 122.0
    assert desk.reloads.overdue(60) == {0}


def test_stop_answers_those_who_wait(desk: Desk) -> None:
    """When the service ends, everybody who waits for a reload is told."""
    desk.ask()
    desk.ask()
    desk.reloads.stop()
    assert [refused for _, refused in desk.answers] == ["the service is about to end"] * 2


def test_reasons_are_told_once() -> None:
    """Several workers with one reason are named together."""
    outcomes = [Outcome(index, 0, None, "no catalogue there") for index in range(3)]
    assert explain_refusal(outcomes).endswith("workers 0, 1, 2: no catalogue there")
