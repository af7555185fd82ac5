"""Generations: what is served now, and its replacement while requests are under way.

A generation is an engine with its pipeline and its editor. A request leases the current one for as long as it runs. A
new one is opened and checked beside it, and then takes its place in one step; the old one is closed when its last
request is done. A reload does so in all worker processes or in none. Supervisors load this: it loads no torch.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from model.errors import SolemateError
from service.errors import NotReady
from service.telemetry import metrics

if TYPE_CHECKING:
    from service.serving.bootstrap import Backend
    from service.serving.engine import Engine

logger = logging.getLogger(__name__)

UNEXPECTED = "it failed in a way that nobody foresaw; the log has the cause"


@dataclass(frozen=True)
class GenerationInfo:
    """What a generation serves.

    Attributes:
        checkpoint: the checkpoint's fingerprint.
        uuid: the catalogue's name, the same through all its changes.
        catalog: the catalogue's fingerprint as of now.
        shoes: how many it has now.
    """

    checkpoint: str
    uuid: str
    catalog: str
    shoes: int

    @property
    def artifacts(self) -> tuple[str, str]:
        """The same for all who serve the same, whichever of the catalogue's changes they have seen."""
        return self.checkpoint, self.uuid


@dataclass(frozen=True)
class Outcome:
    """How a reload went in one worker.

    Attributes:
        worker: its number, from 0.
        pid: of its process.
        info: what it found on disk; None where that can't be used.
        reason: why not, for the person who runs the service; "" where it can.
        seconds: how long opening and checking took.
    """

    worker: int
    pid: int
    info: GenerationInfo | None
    reason: str = ""
    seconds: float = 0.0


class ReloadRefused(SolemateError):
    """New artifacts can't be used; every worker goes on with the old ones. For an admin's eyes: it names paths."""


class Reloader(Protocol):
    """Carries out a reload."""

    async def reload(self) -> Sequence[Outcome]:
        """Exchange what all workers serve for what is on disk. Raises ReloadRefused: nothing was exchanged."""
        ...


class Generation:
    """A backend, and how many requests are using it."""

    def __init__(self, backend: "Backend") -> None:
        self.backend = backend
        self.leases = 0
        self.retired = False


class Live:
    """The current generation. For one event loop: nothing in here locks.

    Attributes:
        draining: the process is about to end, and not ready any more.
    """

    def __init__(
        self, open_backend: "Callable[..., Backend]", *, after_change: Callable[[], None] = lambda: None
    ) -> None:
        """Open nothing yet; see `start`.

        Args:
            open_backend: reads and checks what is to be served; is called in a thread of its own, with `newer`: whether
                it is to replace what is served well, and so must be all there.
            after_change: is called in a thread when the first generation has come, and whenever an old one has gone.
        """
        self._open_backend, self._after_change = open_backend, after_change
        self._current: Generation | None = None
        self._prepared: Generation | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self.draining = False

    @property
    def current(self) -> "Backend":
        """What answers now."""
        assert self._current is not None, "not started"
        return self._current.backend

    def info(self) -> GenerationInfo:
        """What is served now."""
        return info_of(self.current.engine)

    def require_open(self) -> None:
        """Raise NotReady if the process is about to end."""
        if self.draining:
            raise NotReady("the service is about to end")

    async def start(self) -> None:
        """Open the first generation.

        Raises:
            ArtifactError: the artifacts can't be used.
            NotReady: they can, but do not answer as they should.
        """
        self._current = await self._open(newer=False)
        await asyncio.to_thread(self._after_change)

    async def prepare(self) -> GenerationInfo:
        """Open and check a new generation beside the current one; `commit` or `discard` follows. Raises as `start`."""
        await self.discard()
        self._prepared = await self._open(newer=True)
        return info_of(self._prepared.backend.engine)

    def commit(self) -> None:
        """Put what was prepared in the current one's place, for every request from now on."""
        assert self._prepared is not None, "nothing was prepared"
        old, self._current, self._prepared = self._current, self._prepared, None
        info = self.info()
        logger.info("serving checkpoint %s, catalogue %s with %d shoes", info.checkpoint, info.catalog, info.shoes)
        if old is not None:
            self._retire(old)

    async def discard(self) -> None:
        """Close what was prepared, if anything was."""
        prepared, self._prepared = self._prepared, None
        if prepared is not None:
            await self._close(prepared)

    def lease(self) -> Generation:
        """The current generation, to be given back to `release`: until then it stays open."""
        assert self._current is not None, "not started"
        self._current.leases += 1
        return self._current

    def release(self, generation: Generation) -> None:
        """Give a lease back."""
        generation.leases -= 1
        if generation.retired and not generation.leases:
            self._close_soon(generation)

    async def close(self) -> None:
        """Close everything, also what is still leased."""
        await self.discard()
        current, self._current = self._current, None
        if current is not None:
            await self._close(current)
        await asyncio.gather(*self._closing)

    def _retire(self, generation: Generation) -> None:
        generation.retired = True
        if not generation.leases:
            self._close_soon(generation)

    def _close_soon(self, generation: Generation) -> None:
        task = asyncio.get_running_loop().create_task(self._close_old(generation))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close_old(self, generation: Generation) -> None:
        await self._close(generation)
        del generation
        await asyncio.to_thread(self._after_change)

    async def _open(self, *, newer: bool) -> Generation:
        generation = Generation(await asyncio.to_thread(self._open_backend, newer=newer))
        try:
            await generation.backend.start()
            await generation.backend.check_ready()
        except BaseException:
            await self._close(generation)
            raise
        return generation

    async def _close(self, generation: Generation) -> None:
        try:
            await generation.backend.close()
        finally:
            await asyncio.to_thread(generation.backend.engine.close)


class OneProcess:
    """A `Reloader` where this process is the only one."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._one_at_a_time = asyncio.Lock()

    async def reload(self) -> Sequence[Outcome]:
        """See Reloader."""
        async with self._one_at_a_time:
            outcome = await prepare(self._live)
            metrics.count_reload("kept" if outcome.info is None else "switched")
            if outcome.info is None:
                raise ReloadRefused(explain_refusal([outcome]))
            self._live.commit()
            return [outcome]


async def prepare(live: Live, worker: int = 0) -> Outcome:
    """Open and check a new generation, and return how that went; nothing is raised."""
    began = perf_counter()
    info, reason = None, ""
    try:
        info = await live.prepare()
    except SolemateError as error:
        reason = str(error)
    except Exception:  # a reload must not take down what serves well
        logger.exception("a reload failed")
        reason = UNEXPECTED
    return Outcome(worker, os.getpid(), info, reason, perf_counter() - began)


def info_of(engine: "Engine") -> GenerationInfo:
    """What an engine serves."""
    store = engine.store.info()
    return GenerationInfo(engine.checkpoint, store.uuid, store.fingerprint, store.count)


def explain_refusal(outcomes: Sequence[Outcome]) -> str:
    """Why a reload was refused: each reason once, with the workers that gave it."""
    if not outcomes:
        return "no worker is ready at the moment; reload again when one is"
    workers: dict[str, list[str]] = {}
    for outcome in outcomes:
        workers.setdefault(outcome.reason or "could have switched", []).append(str(outcome.worker))
    reasons = [
        f"worker{'s' if len(names) > 1 else ''} {', '.join(names)}: {reason}" for reason, names in workers.items()
    ]
    return f"what was served before is served on. {'; '.join(reasons)}"
