"""Two-phase reload: every worker opens and checks what is on disk; then all of them switch, or none does."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import monotonic
from typing import Protocol

from service.server.ipc import Finish, Finished, Prepare, Prepared, ToWorker
from service.serving.generations import Outcome, explain_refusal

logger = logging.getLogger(__name__)

Answer = Callable[[Sequence[Outcome], str], None]
"""Called with each worker's outcome, and the reason why nothing was switched; "" where all have."""

CHANGED = "it found other artifacts than the rest: they changed while they were read; reload again"


class Worker(Protocol):
    """What the coordinator needs of a worker."""

    @property
    def index(self) -> int:
        """Its number."""
        ...

    @property
    def pid(self) -> int:
        """Of its process."""
        ...

    def send(self, message: ToWorker) -> None:
        """Send it a message."""
        ...


class ReloadCoordinator:
    """One reload after another. What is asked for while one is under way is answered by the next, all at once."""

    def __init__(self, switched: Callable[[Sequence[Outcome]], None]) -> None:
        """`switched` is called with what all workers serve, each time that they have switched."""
        self._switched = switched
        self._asked: list[Answer] = []
        self._round: _Reload | None = None
        self._count = 0

    @property
    def busy(self) -> bool:
        """Whether one is under way, or waits to be."""
        return self._round is not None or bool(self._asked)

    def ask(self, answer: Answer) -> None:
        """Ask for a reload; the answer comes when it is over."""
        self._asked.append(answer)

    def begin(self, workers: Sequence[Worker]) -> None:
        """Begin the next one with these workers, if one was asked for and none is under way."""
        if self._asked and self._round is None:
            self._count += 1
            self._round = _Reload(self._count, workers, self._asked)
            self._asked = []
            for worker in workers:
                worker.send(Prepare(self._count))
            self._go_on()

    def receive(self, worker: Worker, message: Prepared | Finished) -> None:
        """Process a worker's report."""
        if self._round is not None and message.round == self._round.number:
            if isinstance(message, Prepared):
                self._round.outcomes[worker.index] = message.outcome
            else:
                self._round.finished.add(worker.index)
            self._go_on()

    def worker_ended(self, worker: Worker, reason: str) -> None:
        """Process a worker's exit: an undecided reload fails, a decided one goes on without it."""
        round_ = self._round
        if round_ is not None and worker.index in round_.workers:
            round_.finished.add(worker.index)
            if round_.commit is None:
                lost = Outcome(worker.index, worker.pid, None, f"it ended during the reload: {reason}")
                round_.outcomes[worker.index] = lost
            self._go_on()

    def overdue(self, seconds: float) -> set[int]:
        """The workers that one waits for, if it has been under way for longer than that."""
        round_ = self._round
        if round_ is None or monotonic() - round_.began <= seconds:
            return set()
        return round_.workers.keys() - (round_.outcomes.keys() if round_.commit is None else round_.finished)

    def stop(self) -> None:
        """Answer those who wait: nothing will come of it any more."""
        answers = self._asked + (self._round.answers if self._round is not None else [])
        self._asked, self._round = [], None
        for answer in answers:
            answer((), "the service is about to end")

    def _go_on(self) -> None:
        round_ = self._round
        if round_ is None:
            return
        if round_.commit is None and round_.outcomes.keys() >= round_.workers.keys():
            round_.decide()
            for index, worker in round_.workers.items():
                if index not in round_.finished:
                    worker.send(Finish(round_.number, commit=bool(round_.commit)))
        if round_.commit is not None and round_.finished >= round_.workers.keys():
            self._round = None
            self._finish(round_)

    def _finish(self, round_: "_Reload") -> None:
        outcomes = [round_.outcomes[index] for index in sorted(round_.outcomes)]
        refused = "" if round_.commit else explain_refusal(outcomes)
        if round_.commit:
            self._switched(outcomes)
        for answer in round_.answers:
            answer(outcomes, refused)


class _Reload:
    """One reload that is under way.

    Attributes:
        began: when the workers were told what is waited for now, on the monotonic clock.
        outcomes: worker -> what it reported.
        commit: what was decided; None as long as reports are missing.
        finished: workers that have done what was decided, or have ended.
    """

    def __init__(self, number: int, workers: Sequence[Worker], answers: list[Answer]) -> None:
        self.number = number
        self.began = monotonic()
        self.workers = {worker.index: worker for worker in workers}
        self.answers = answers
        self.outcomes: dict[int, Outcome] = {}
        self.commit: bool | None = None
        self.finished: set[int] = set()

    def decide(self) -> None:
        self.began = monotonic()
        found = {outcome.info.artifacts for outcome in self.outcomes.values() if outcome.info is not None}
        if len(found) > 1:
            self.outcomes = {
                index: replace(outcome, info=None, reason=outcome.reason or CHANGED)
                for index, outcome in self.outcomes.items()
            }
        self.commit = bool(found) and all(outcome.info is not None for outcome in self.outcomes.values())
