"""Dynamic batching: one thread takes all jobs that wait and runs them as one batch.

    event loop                          the batcher's thread                              helper threads
    submit: admitted, or refused  --->  takes all that waits, up to a batch;
                                        drops jobs that nobody waits for any more
                                        runs the batch; a job may be deferred      --->   prepare it
                                        the prepared job joins a later batch       <---
    waits for its future          <---  hands all results over at once

A batch begins as soon as the one before has ended: an idle service answers a single request at once, and the more come,
the larger the batches are. Nothing here knows what the work is.
"""

import asyncio
import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic, perf_counter
from typing import Generic, TypeVar

from service.errors import DeadlineExceeded, Interrupted, NotReady, Overloaded
from service.telemetry import metrics
from service.telemetry.request_timing import Stages, current_stages

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class BatchLimits:
    """Limits of a batcher.

    Attributes:
        batch: units of work in a batch.
        inside: units of work under way; more are refused. A job that nobody waits for any more counts until the thread
            has dropped it, so that what it holds in memory is bounded too.
        wait: seconds that a batch waits to be filled.
        seconds: that a job may take in all; then it fails, and unless it is running is never run.
    """

    batch: int = 32
    inside: int = 256
    wait: float = 0.0
    seconds: float = 10.0


class Job(Generic[ItemT, ResultT]):
    """One request's entry in the batcher.

    Attributes:
        item: the work; `run` may change it.
        size: how many units of work it counts for.
        future: its result. Once it is done, by whatever cause, nobody waits for the job any more.
        since: when it began to wait, on the clock of `time.perf_counter`.
        deadline: on the clock of `time.monotonic`.
        begun: it is in a batch that is being run.
        deferred: a helper thread is preparing it.
    """

    __slots__ = (
        "_hand_over", "_preparing", "_spent", "_stages", "begun", "deadline", "deferred", "future", "item", "since",
        "size",
    )  # fmt: skip

    def __init__(
        self,
        item: ItemT,
        size: int,
        future: asyncio.Future[ResultT],
        deadline: float,
        hand_over: Callable[["Job[ItemT, ResultT]", Callable[[], None]], Future[None]],
    ) -> None:
        self.item, self.size, self.future, self.deadline, self._hand_over = item, size, future, deadline, hand_over
        self.since = perf_counter()
        self.begun = self.deferred = False
        self._preparing: Future[None] | None = None
        self._stages: Stages | None = current_stages()
        self._spent: list[tuple[str, float]] = []

    def defer(self, prepare: Callable[[], None]) -> None:
        """Have a helper thread prepare the job, at once; it then joins a later batch, or fails as `prepare` does.

        For `run`, which then returns None for the job.
        """
        self.begun, self.deferred = False, True
        self._preparing = self._hand_over(self, prepare)

    def withdraw(self) -> None:
        """Nobody waits for it any more: it is not prepared, unless a helper thread has begun to."""
        if self._preparing is not None:
            self._preparing.cancel()

    def record(self, stage: str, seconds: float) -> None:
        """Record what it spent in a stage. For the thread that has it in hand."""
        self._spent.append((stage, seconds))

    def report_stages(self) -> None:
        """Add that to its request's stages. For the event loop: the request may have ended while the job ran."""
        if self._stages is not None:
            for stage, seconds in self._spent:
                self._stages.add(stage, seconds)


logger = logging.getLogger(__name__)

SWEEP_SECONDS = 0.1
"""Interval at which deadlines and the thread are checked while there is work."""

PACE_SHARE = 0.1
"""Weight of the latest batch in the running average of the seconds that a unit of work takes."""

LONGEST_PAUSE = 5.0
"""Longest backoff, in seconds, before a thread that dies again and again is replaced once more."""

LONGEST_RETRY = 60
"""Largest `Retry-After`, in seconds."""


class Batcher(Generic[ItemT, ResultT]):
    """A bounded queue and the thread that runs batches of it. All methods are for the event loop."""

    def __init__(
        self,
        run: Callable[[Sequence[Job[ItemT, ResultT]]], Sequence[ResultT | Exception | None]],
        limits: BatchLimits,
        *,
        name: metrics.QueueName = "encode",
        helpers: Executor | None = None,
    ) -> None:
        """Start nothing yet.

        Args:
            run: called in the thread with one batch; returns for each job its result, its own error, or None if it was
                deferred. If it raises instead, or returns too few, it is called again with each job alone.
            limits: see there.
            name: in logs and metrics.
            helpers: threads that prepare deferred jobs; whoever made them ends them, after `close`.
        """
        self._run, self._limits, self._name, self._helpers = run, limits, name, helpers
        self._queue: SimpleQueue[list[Job[ItemT, ResultT]] | None] = SimpleQueue()
        self._outbox: list[Job[ItemT, ResultT]] = []
        self._inside: dict[Job[ItemT, ResultT], None] = {}
        self._load = 0
        self._sweeper: asyncio.TimerHandle | None = None
        # So that a job is never begun and failed as one that was not.
        self._beginning = threading.Lock()
        self._closed = False
        # The thread's own, which its successor takes over.
        self._backlog: deque[Job[ItemT, ResultT]] = deque()
        self._hand: Sequence[Job[ItemT, ResultT]] = ()
        self._last_call = False
        self._pace = 0.0
        self._deaths = 0
        self._thread: threading.Thread | None = None

    @property
    def load(self) -> int:
        """Units of work under way."""
        return self._load

    @property
    def alive(self) -> bool:
        """Whether there is a thread that runs batches."""
        return self._thread is not None and self._thread.is_alive()

    async def start(self) -> None:
        """Start the thread."""
        self._loop = asyncio.get_running_loop()
        self._spawn()

    async def submit(self, item: ItemT, *, size: int = 1, urgent: bool = False) -> ResultT:
        """Have `item` run in a batch. If this is cancelled, it is not run, or its result is dropped.

        Args:
            item: what `run` is called with.
            size: how many pieces of work it counts for, at least 1.
            urgent: admit it however much is under way.

        Raises:
            Overloaded: there is too much to do.
            DeadlineExceeded: it was not begun in time.
            Interrupted: it was not done in time, and may be carried out still; or the thread died with it in hand.
            NotReady: the batcher is closed.
            Exception: whatever `run` raised or returned for it.
        """
        return await self._admit(item, size, urgent=urgent).future

    async def close(self) -> None:
        """Take no more work, let what is under way finish, and end the thread."""
        self._closed = True
        if waiting := [job.future for job in self._inside if not job.future.done()]:
            await asyncio.wait(waiting)
        if self._sweeper is not None:
            self._sweeper.cancel()
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(thread.join, self._limits.seconds)

    # On the event loop.

    def _admit(self, item: ItemT, size: int, *, urgent: bool) -> Job[ItemT, ResultT]:
        if self._closed:
            raise NotReady(f"the batcher {self._name} is closed")
        # A job that is larger than the limit passes where it has all to itself.
        if self._load and self._load + size > self._limits.inside and not urgent:
            metrics.count_rejection("queue-full")
            raise Overloaded("the service has more to do than it can take on now", retry_after=self._guess_wait())
        deadline = monotonic() + self._limits.seconds
        job = Job[ItemT, ResultT](item, size, self._loop.create_future(), deadline, self._prepare)
        job.future.add_done_callback(lambda _: job.withdraw())
        self._inside[job] = None
        self._load += size
        # Requests that came in the same round of the event loop reach the thread together.
        if not self._outbox:
            self._loop.call_soon(self._hand_over)
        self._outbox.append(job)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
        return job

    def _hand_over(self) -> None:
        jobs, self._outbox = self._outbox, []
        self._queue.put(jobs)

    def _guess_wait(self) -> int:
        """Estimated seconds until what is under way is done."""
        return min(LONGEST_RETRY, max(1, math.ceil(self._load * self._pace)))

    def _deliver(self, outcomes: Sequence[tuple[Job[ItemT, ResultT], ResultT | Exception]]) -> None:
        for job, outcome in outcomes:
            self._leave(job)
            if job.future.done():
                continue
            job.report_stages()
            if isinstance(outcome, Exception):
                job.future.set_exception(outcome)
            else:
                job.future.set_result(outcome)

    def _drop(self, jobs: Sequence[Job[ItemT, ResultT]]) -> None:
        """End jobs that were not begun: nobody waits for them, or their deadline has passed."""
        for job in jobs:
            self._leave(job)
            self._expire(job)

    def _leave(self, job: Job[ItemT, ResultT]) -> None:
        if job in self._inside:
            del self._inside[job]
            self._load -= job.size

    def _expire(self, job: Job[ItemT, ResultT]) -> None:
        with self._beginning:
            if job.future.done():
                return
            error: Overloaded = Interrupted("the request took too long; what it asks for may be carried out still")
            if not job.begun:
                wait = self._guess_wait()
                error = DeadlineExceeded("the request waited too long for its turn", retry_after=wait)
            job.future.set_exception(error)
        metrics.count_rejection("deadline")

    def _sweep(self) -> None:
        """Fail jobs past their deadline; replace a thread that died without reporting it."""
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep) if self._inside else None
        now = monotonic()
        for job in self._inside:  # in the order of their deadlines
            if job.deadline > now:
                break
            self._expire(job)
        if self._thread is not None and not self._thread.is_alive():
            self._replace(self._thread)

    def _replace(self, dead: threading.Thread) -> None:
        """Fail what the dead thread had in hand, which may be what killed it, and have another go on."""
        if dead is not self._thread:
            return
        self._thread = None
        hand, self._hand = self._hand, ()
        metrics.count_batcher_death(self._name)
        for job in hand:
            self._leave(job)
            if not job.future.done():
                metrics.count_rejection("batcher-failed")
                job.future.set_exception(Interrupted("what was at work on the request broke down; send it again"))
        pause = 0.0 if self._deaths == 0 else min(LONGEST_PAUSE, 0.05 * 2**self._deaths)
        self._deaths += 1
        logger.error("%d jobs were lost with the thread of the batcher %s", len(hand), self._name)
        self._loop.call_later(pause, self._spawn)

    def _spawn(self) -> None:
        if self._closed and all(job.future.done() for job in self._inside):
            return
        self._thread = threading.Thread(target=self._work, name=f"batcher-{self._name}", daemon=True)
        self._thread.start()

    # In the thread.

    def _work(self) -> None:
        try:
            while (batch := self._take()) is not None:
                outcomes = self._run_all(batch) if batch else ()
                self._hand = ()  # before they are delivered: they must leave once only
                done = [(job, result) for job, result in zip(batch, outcomes, strict=True) if result is not None]
                self._call_on_loop(self._deliver, done)
        except BaseException:  # another thread replaces this one
            logger.exception("the thread of the batcher %s died", self._name)
            self._call_on_loop(self._replace, threading.current_thread())

    def _take(self) -> list[Job[ItemT, ResultT]] | None:
        """The next batch, once there is something to do; None at the end."""
        self._fetch(block=True)
        if self._limits.wait:
            self._wait_for_more()
        batch: list[Job[ItemT, ResultT]] = []
        self._hand = batch
        dropped: list[Job[ItemT, ResultT]] = []
        size, now = 0, monotonic()
        while self._backlog:
            job = self._backlog[0]
            if batch and size + job.size > self._limits.batch:
                break
            self._backlog.popleft()
            with self._beginning:
                job.begun = not job.future.done() and job.deadline > now
            if job.begun:
                batch.append(job)
                size += job.size
            else:
                dropped.append(job)
        if dropped:
            self._call_on_loop(self._drop, dropped)
        if batch:
            metrics.observe_batch(size, self._name)
            metrics.set_queue_depth(len(self._backlog), self._name)
            return batch
        return None if self._last_call and not self._backlog else []

    def _fetch(self, *, block: bool) -> None:
        """Move all that has come into the backlog. `block`: wait until there is something in it, or it is the end."""
        while not self._queue.empty() or (block and not self._backlog and not self._last_call):
            self._keep(self._queue.get())

    def _keep(self, jobs: list[Job[ItemT, ResultT]] | None) -> None:
        if jobs is None:
            self._last_call = True
        else:
            self._backlog += jobs

    def _wait_for_more(self) -> None:
        """Give a batch that is not full the time that it may wait."""
        while self._backlog and sum(job.size for job in self._backlog) < self._limits.batch and not self._last_call:
            left = self._backlog[0].since + self._limits.wait - perf_counter()
            if left <= 0:
                break
            try:
                self._keep(self._queue.get(timeout=left))
            except Empty:
                break

    def _run_all(self, batch: Sequence[Job[ItemT, ResultT]]) -> Sequence[ResultT | Exception | None]:
        """Run a batch; if it fails, each of its jobs alone, so that only the one at fault does."""
        began = perf_counter()
        for job in batch:
            job.record("queue", began - job.since)
            job.since = began
        try:
            outcomes = self._run(batch)
            if len(outcomes) != len(batch):
                raise RuntimeError(f"{len(outcomes)} results for a batch of {len(batch)}")  # noqa: TRY301 - as any other
        except Exception as error:
            if len(batch) == 1:
                return [error]
            logger.exception("a batch of %d failed; running its jobs one by one", len(batch))
            metrics.count_batch_retry(self._name)
            outcomes = [self._run_all([job])[0] for job in batch]
        self._deaths = 0
        spent = (perf_counter() - began) / sum(job.size for job in batch)
        self._pace += PACE_SHARE * (spent - self._pace)
        return outcomes

    def _prepare(self, job: Job[ItemT, ResultT], prepare: Callable[[], None]) -> Future[None]:
        assert self._helpers is not None, "no helper threads"
        preparing = self._helpers.submit(prepare)
        preparing.add_done_callback(partial(self._rejoin, job))
        return preparing

    # In the helper threads.

    def _rejoin(self, job: Job[ItemT, ResultT], prepared: Future[None]) -> None:
        """Queue a prepared job again, or fail it."""
        closed = NotReady(f"the batcher {self._name} is closed")
        error = closed if prepared.cancelled() else prepared.exception()
        if isinstance(error, Exception):
            self._call_on_loop(self._deliver, [(job, error)])
            return
        job.deferred = False
        job.since = perf_counter()
        self._queue.put([job])

    # In any thread.

    def _call_on_loop(self, callback: Callable[..., None], *arguments: object) -> None:
        """Have `callback` called on the event loop, unless that has ended."""
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            logger.warning("the event loop ended before the batcher %s", self._name)
