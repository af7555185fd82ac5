"""The batcher alone: what rides together, what is refused, what happens when something breaks."""

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest

from service.errors import DeadlineExceeded, Interrupted, NotReady, Overloaded
from service.serving import batcher as batcher_module
from service.serving.batcher import Batcher, BatchLimits, Job
from service.telemetry import metrics
from service.telemetry.request_timing import Stages, watch

PATIENCE = 20.0
"""Seconds after which a test has failed; the machine may be busy."""


class Killer(BaseException):
    """What no batch survives."""


@dataclass
class Doubler:
    """Doubles numbers; notes each batch; does as it is told with some numbers.

    Attributes:
        gate: while it is closed, a batch waits in the thread.
        began: set whenever a batch begins.
    """

    gate: threading.Event = field(default_factory=threading.Event)
    began: threading.Event = field(default_factory=threading.Event)
    batches: list[list[int]] = field(default_factory=list)
    poison: set[int] = field(default_factory=set)
    deadly: set[int] = field(default_factory=set)
    wrong: dict[int, Exception] = field(default_factory=dict)
    preparations: dict[int, Callable[[], None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.gate.set()

    def run(self, jobs: Sequence[Job[int, int]]) -> list[int | Exception | None]:
        """One batch."""
        numbers = [job.item for job in jobs]
        self.batches.append(numbers)
        self.began.set()
        assert self.gate.wait(PATIENCE)
        if self.deadly & set(numbers):
            raise Killer
        if self.poison & set(numbers):
            raise RuntimeError("poison")
        return [self._answer(job) for job in jobs]

    def _answer(self, job: Job[int, int]) -> int | Exception | None:
        if job.item in self.preparations:
            job.defer(self.preparations.pop(job.item))
            return None
        return self.wrong.get(job.item, 2 * job.item)


@asynccontextmanager
async def batching(limits: BatchLimits | None = None) -> AsyncIterator[tuple[Batcher[int, int], Doubler]]:
    """A batcher from its start to its close, and what it runs."""
    doubler = Doubler()
    with ThreadPoolExecutor(2) as helpers:
        batcher = Batcher[int, int](doubler.run, limits or BatchLimits(seconds=PATIENCE), helpers=helpers)
        await batcher.start()
        try:
            async with asyncio.timeout(PATIENCE):
                yield batcher, doubler
        finally:
            doubler.gate.set()
            await batcher.close()


async def hold(batcher: Batcher[int, int], doubler: Doubler, number: int = 0) -> "asyncio.Task[int]":
    """Send a job that stays in the thread until the gate opens, so that what comes after it has to wait."""
    doubler.gate.clear()
    doubler.began.clear()
    task = asyncio.create_task(batcher.submit(number))
    await until(doubler.began.is_set)
    return task


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that happens in another thread."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.001)


def count(name: str, **labels: str) -> float:
    """A metric's value."""
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


async def test_each_gets_its_own_result() -> None:
    """A hundred jobs at once are answered each with its own result, in few batches none of which is too large."""
    async with batching() as (batcher, doubler):
        results = await asyncio.gather(*(batcher.submit(number) for number in range(100)))
        assert results == [2 * number for number in range(100)]
    assert [number for batch in doubler.batches for number in batch] == list(range(100))
    assert [len(batch) for batch in doubler.batches] == [32, 32, 32, 4]


async def test_an_idle_batcher_runs_at_once() -> None:
    """A single job is run without waiting for others to come."""
    async with batching() as (batcher, doubler):
        assert [await batcher.submit(number) for number in range(3)] == [0, 2, 4]
    assert doubler.batches == [[0], [1], [2]]


async def test_what_has_queued_rides_together() -> None:
    """All that comes while a batch runs is the next batch."""
    async with batching() as (batcher, doubler):
        held = await hold(batcher, doubler)
        others = [asyncio.create_task(batcher.submit(number)) for number in range(1, 6)]
        await asyncio.sleep(0)
        doubler.gate.set()
        assert list(await asyncio.gather(held, *others)) == [0, 2, 4, 6, 8, 10]
    assert doubler.batches == [[0], [1, 2, 3, 4, 5]]


async def test_a_batch_may_wait_to_be_filled() -> None:
    """With a waiting time, a batch that is not full gives others the chance to come, and a full one does not wait."""
    async with batching(BatchLimits(batch=2, wait=PATIENCE)) as (batcher, doubler):
        first = asyncio.create_task(batcher.submit(1))
        await asyncio.sleep(0.02)
        assert list(await asyncio.gather(first, batcher.submit(2))) == [2, 4]
    assert doubler.batches == [[1, 2]]

    async with batching(BatchLimits(batch=2, wait=0.01)) as (batcher, doubler):
        assert await batcher.submit(1) == 2
    assert doubler.batches == [[1]]


async def test_sizes_count() -> None:
    """A job that counts for several fills a batch sooner; one that is larger than a batch has one to itself."""
    async with batching(BatchLimits(batch=4)) as (batcher, doubler):
        held = await hold(batcher, doubler)
        sizes = {1: 2, 2: 2, 3: 1, 4: 9, 5: 1}
        others = [asyncio.create_task(batcher.submit(number, size=size)) for number, size in sizes.items()]
        await asyncio.sleep(0)
        doubler.gate.set()
        await asyncio.gather(held, *others)
    assert doubler.batches == [[0], [1, 2], [3], [4], [5]]


async def test_one_error_is_one_jobs() -> None:
    """What `run` says is wrong with one job ends that one alone, without another run."""
    mistake = ValueError("a mistake")

    async with batching() as (batcher, doubler):
        doubler.wrong[2] = mistake
        results = await asyncio.gather(*(batcher.submit(number) for number in range(4)), return_exceptions=True)
        assert results == [0, 2, mistake, 6]
    assert doubler.batches == [[0, 1, 2, 3]]


async def test_a_failing_batch_is_run_job_by_job() -> None:
    """A job that breaks its batch fails alone, with its own error; the others get their results."""
    async with batching() as (batcher, doubler):
        before = count("solemate_batch_retries_total", queue="encode")
        doubler.poison.add(2)
        results = await asyncio.gather(*(batcher.submit(number) for number in range(4)), return_exceptions=True)
        assert results[:2] + results[3:] == [0, 2, 6]
        assert isinstance(results[2], RuntimeError)
        assert count("solemate_batch_retries_total", queue="encode") == before + 1
        assert await batcher.submit(5) == 10
    assert doubler.batches == [[0, 1, 2, 3], [0], [1], [2], [3], [5]]


async def test_too_few_results_are_a_failure() -> None:
    """A run that gives fewer results than there were jobs has failed: nobody gets another's result."""
    batcher = Batcher[int, int](lambda jobs: [7], BatchLimits(seconds=PATIENCE))
    await batcher.start()
    assert list(await asyncio.gather(batcher.submit(1), batcher.submit(2))) == [7, 7]
    await batcher.close()


async def test_the_queue_is_bounded() -> None:
    """More than may be inside is refused at once, with a time after which to ask again, and nothing else suffers."""
    async with batching(BatchLimits(inside=3, seconds=PATIENCE)) as (batcher, doubler):
        before = count("solemate_rejections_total", reason="queue-full")
        held = await hold(batcher, doubler)
        others = [asyncio.create_task(batcher.submit(number)) for number in (1, 2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as caught:
            await batcher.submit(3)
        assert not isinstance(caught.value, DeadlineExceeded)
        assert caught.value.retry_after >= 1
        assert count("solemate_rejections_total", reason="queue-full") == before + 1
        urgent = asyncio.create_task(batcher.submit(4, urgent=True))
        await asyncio.sleep(0)
        doubler.gate.set()
        assert list(await asyncio.gather(held, *others, urgent)) == [0, 2, 4, 8]
        assert await batcher.submit(5) == 10


async def test_a_job_larger_than_the_queue_is_let_in_alone() -> None:
    """What is larger than the bound is done where there is nothing else to do, and refused where there is."""
    async with batching(BatchLimits(inside=3, seconds=PATIENCE)) as (batcher, doubler):
        assert await batcher.submit(1, size=9) == 2
        held = await hold(batcher, doubler)
        with pytest.raises(Overloaded):
            await batcher.submit(1, size=9)
        doubler.gate.set()
        await held


async def test_a_deadline_passes_in_the_queue() -> None:
    """A job that waited too long fails on time, not when its turn comes, and is never run."""
    async with batching(BatchLimits(seconds=0.3)) as (batcher, doubler):
        before = count("solemate_rejections_total", reason="deadline")
        held = await hold(batcher, doubler)
        with pytest.raises(DeadlineExceeded):
            await batcher.submit(1)
        with pytest.raises(Interrupted, match="may be carried out still"):
            await held  # in hand for too long
        assert count("solemate_rejections_total", reason="deadline") == before + 2
        doubler.gate.set()
        assert await batcher.submit(2) == 4
    assert doubler.batches == [[0], [2]]


async def test_cancelled_jobs_are_not_run() -> None:
    """Nobody's job is not run; until the thread has come by it, it counts."""
    async with batching(BatchLimits(inside=2, seconds=PATIENCE)) as (batcher, doubler):
        held = await hold(batcher, doubler)
        unwanted = asyncio.create_task(batcher.submit(1))
        await asyncio.sleep(0)
        unwanted.cancel()
        with pytest.raises(asyncio.CancelledError):
            await unwanted
        with pytest.raises(Overloaded):
            await batcher.submit(2)
        doubler.gate.set()
        await held
        await until(lambda: not batcher.load)
        assert await batcher.submit(3) == 6
    assert doubler.batches == [[0], [3]]


async def test_a_job_cancelled_while_it_runs_harms_nobody() -> None:
    """Its result is dropped; the others of its batch get theirs."""
    async with batching() as (batcher, doubler):
        held = await hold(batcher, doubler)
        held.cancel()
        other = asyncio.create_task(batcher.submit(1))
        await asyncio.sleep(0)
        doubler.gate.set()
        assert await other == 2


async def test_a_dead_thread_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    """What the thread had in hand fails as a 503, what waited is done by its successor, and the log tells."""
    async with batching() as (batcher, doubler):
        before = count("solemate_batcher_deaths_total", queue="encode")
        doubler.deadly.add(1)
        held = await hold(batcher, doubler, 1)
        waiting = [asyncio.create_task(batcher.submit(number)) for number in (2, 3)]
        await asyncio.sleep(0)
        doubler.gate.set()
        with pytest.raises(Interrupted) as caught:
            await held
        assert isinstance(caught.value, Overloaded)
        assert list(await asyncio.gather(*waiting)) == [4, 6]
        assert batcher.alive
        assert count("solemate_batcher_deaths_total", queue="encode") == before + 1
    assert "died" in caplog.text
    assert "Killer" in caplog.text


async def test_a_thread_that_dies_again_and_again_is_replaced_less_eagerly() -> None:
    """Between two deaths without a batch that ran there is a pause, in which the batcher is not alive."""
    async with batching() as (batcher, doubler):
        doubler.deadly.update(range(3))
        for number in range(3):
            with pytest.raises(Interrupted):
                await batcher.submit(number)
        assert not batcher.alive
        assert await batcher.submit(5) == 10
        assert batcher.alive


async def test_a_thread_that_vanishes_without_a_word_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ended the thread, the next look finds that out."""

    def fail(*_: object) -> None:
        raise RuntimeError("nobody hears of it")

    async with batching() as (batcher, doubler):
        doubler.deadly.add(1)
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "call_soon_threadsafe", fail)  # it dies, and nobody hears of it
        lost = asyncio.create_task(batcher.submit(1))
        await until(lambda: not batcher.alive)
        monkeypatch.undo()
        with pytest.raises(Interrupted):
            await lost
        assert await batcher.submit(2) == 4


async def test_a_deferred_job_joins_a_later_batch() -> None:
    """A job that is deferred is prepared by a helper thread, and is run then, or fails as its preparation does."""
    ready = threading.Event()

    def succeed() -> None:
        assert ready.wait(PATIENCE)

    def fail() -> None:
        succeed()
        raise ValueError("no")

    async with batching() as (batcher, doubler):
        doubler.preparations.update({1: succeed, 2: fail})
        tasks = [asyncio.create_task(batcher.submit(number)) for number in (1, 2, 3)]
        assert await tasks[2] == 6
        assert not tasks[0].done()
        ready.set()
        assert await tasks[0] == 2
        with pytest.raises(ValueError, match="no"):
            await tasks[1]
    assert doubler.batches == [[1, 2, 3], [1]]


async def test_what_waits_for_a_helper_gives_up_its_place() -> None:
    """A deferred job that waits too long leaves at once, unless a helper thread has it in hand."""
    ready = threading.Event()
    prepared: list[int] = []

    def prepare(number: int) -> None:
        prepared.append(number)
        assert ready.wait(PATIENCE)

    async with batching(BatchLimits(seconds=0.3)) as (batcher, doubler):
        doubler.preparations.update({number: partial(prepare, number) for number in (1, 2, 3, 4)})
        results = await asyncio.gather(*(batcher.submit(number) for number in (1, 2, 3, 4)), return_exceptions=True)
        assert {type(each) for each in results} == {DeadlineExceeded}
        await until(lambda: batcher.load == 2)
        assert await batcher.submit(5) == 10
        ready.set()
        await until(lambda: batcher.load == 0)
    assert prepared == [1, 2]


async def test_close_finishes_what_is_under_way() -> None:
    """What was accepted is done, what comes afterwards is refused, and the thread ends."""
    async with batching() as (batcher, doubler):
        held = await hold(batcher, doubler)
        waiting = asyncio.create_task(batcher.submit(1))
        await asyncio.sleep(0)
        closing = asyncio.create_task(batcher.close())
        await asyncio.sleep(0.01)
        with pytest.raises(NotReady):
            await batcher.submit(2)
        doubler.gate.set()
        await closing
        assert (await held, await waiting) == (0, 2)
        assert not batcher.alive
    threads = threading.active_count()
    assert threading.active_count() <= threads


async def test_time_in_the_queue_is_noted() -> None:
    """A request's own stopwatch is told how long its job waited, in whatever thread it was run."""
    async with batching() as (batcher, doubler):
        held = await hold(batcher, doubler)
        with watch(Stages()) as stages:
            waiting = asyncio.create_task(batcher.submit(1))
        await asyncio.sleep(0.05)
        doubler.gate.set()
        await asyncio.gather(held, waiting)
        assert stages.seconds["queue"] >= 0.04


async def test_retry_after_grows_with_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """The more there is to do, the later it is worth asking again."""
    async with batching(BatchLimits(inside=10, seconds=PATIENCE)) as (batcher, doubler):
        clock = itertools.count(step=5)
        monkeypatch.setattr(batcher_module, "perf_counter", lambda: next(clock))
        await batcher.submit(0)  # takes five seconds of that clock, which makes the average half a second
        monkeypatch.undo()
        held = await hold(batcher, doubler)
        others = [asyncio.create_task(batcher.submit(number)) for number in range(9)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as caught:
            await batcher.submit(10)
        assert caught.value.retry_after == 5
        doubler.gate.set()
        await asyncio.gather(held, *others)
