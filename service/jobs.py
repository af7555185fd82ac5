"""Jobs: what a batcher takes and gives back."""

import asyncio
from dataclasses import dataclass
from enum import Enum
from time import perf_counter
from typing import Generic, TypeVar

from service.stages import Stages, current_stages

__all__ = ["BatchLimits", "Item", "Job", "Later", "Result"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Later(Enum):
    """What `run` says of a job that it has handed to somebody else, who will `resume` or `settle` it."""

    LATER = "later"


@dataclass(frozen=True)
class BatchLimits:
    """How much, and how long.

    Attributes:
        batch: pieces of work in a batch.
        inside: pieces of work under way; more are refused. One that nobody waits for any more counts until the thread
            has come by it, so that what it holds in memory is bounded too.
        wait: seconds that a batch waits to be filled.
        seconds: that a job may take in all; then it fails, and unless it is running is never run.
    """

    batch: int = 32
    inside: int = 256
    wait: float = 0.0
    seconds: float = 10.0


class Job(Generic[Item, Result]):
    """One request's work.

    Attributes:
        item: what it is; `run` may change it.
        size: how many pieces of work it counts for.
        future: its result. Once it is done, by whatever cause, nobody waits for the job any more.
        since: when it began to wait, on the clock of `time.perf_counter`.
        deadline: on the clock of `time.monotonic`.
    """

    __slots__ = ("_spent", "_stages", "deadline", "future", "item", "since", "size")

    def __init__(self, item: Item, size: int, future: asyncio.Future[Result], deadline: float) -> None:
        self.item, self.size, self.future, self.deadline = item, size, future, deadline
        self.since = perf_counter()
        self._stages: Stages | None = current_stages()
        self._spent: list[tuple[str, float]] = []

    def note(self, stage: str, seconds: float) -> None:
        """Note what it spent in a stage. For the thread that has it in hand."""
        self._spent.append((stage, seconds))

    def tell(self) -> None:
        """Tell its request of that. For the event loop: the request may have ended while the job was in hand."""
        if self._stages is not None:
            for stage, seconds in self._spent:
                self._stages.add(stage, seconds)
