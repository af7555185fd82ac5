"""What is served is exchanged while requests are under way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.types import Message, Receive, Scope, Send

from model.errors import ArtifactCorrupt
from service.errors import NotReady
from service.http.middleware.exchange import LeaseGeneration
from service.serving.bootstrap import Backend
from service.serving.engine import Engine, Network
from service.serving.generations import Live, OneProcess, ReloadRefused
from service.settings import Settings
from tests.support.fakes import FakeEmbedder, MemoryStore


class FakeBackend(Backend):
    """Notes what is done to it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.started = self.closed = False
        self.sick = False

    async def start(self) -> None:
        """See Backend."""
        self.started = True

    async def check_ready(self) -> None:
        """See Backend."""
        assert self.started
        if self.sick:
            raise NotReady("the canary is dead")

    async def close(self) -> None:
        """See Backend."""
        assert not self.closed
        self.closed = True


class Disk:
    """What is on disk: opening it makes a backend, unless it is broken."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.opened: list[FakeBackend] = []
        self.asked: list[bool] = []
        self.broken: Exception | None = None
        self.sick = False

    def __call__(self, *, newer: bool) -> FakeBackend:
        """Open it."""
        self.asked.append(newer)
        if self.broken is not None:
            raise self.broken
        number = len(self.opened)
        engine = Engine(FakeEmbedder(), MemoryStore(self.root), Network(f"network-{number}"), self.root, Settings())
        backend = FakeBackend(engine)
        backend.sick = self.sick
        self.opened.append(backend)
        return backend

    def closed(self) -> list[bool]:
        """Which of the generations are closed: backend and store together."""
        for backend in self.opened:
            store = backend.engine.store
            assert isinstance(store, MemoryStore)
            assert store.closed == backend.closed
        return [backend.closed for backend in self.opened]


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """With something sound on it."""
    return Disk(tmp_path)


@asynccontextmanager
async def running(disk: Disk) -> AsyncIterator[Live]:
    """What is served, from its start to its close."""
    live = Live(disk)
    await live.start()
    try:
        yield live
    finally:
        await live.close()
    assert all(disk.closed())


async def settle() -> None:
    """Let what was begun in the background end."""
    for _ in range(50):
        await asyncio.sleep(0.001)


async def test_switch_in_one_step(disk: Disk) -> None:
    """A new generation is opened beside the old one, takes its place at once, and the old one is closed."""
    async with running(disk) as live:
        assert live.info().checkpoint == "network-0"
        info = await live.prepare()
        assert info.checkpoint == "network-1"
        assert live.info().checkpoint == "network-0"
        live.commit()
        assert live.info().checkpoint == "network-1"
        await settle()
        assert disk.closed() == [True, False]
    assert disk.asked == [False, True]


async def test_requests_finish_on_the_old(disk: Disk) -> None:
    """What a request has leased stays open until the last such request is done."""
    async with running(disk) as live:
        first, second = live.lease(), live.lease()
        await live.prepare()
        live.commit()
        await settle()
        assert first.backend is second.backend is disk.opened[0]
        assert live.current is disk.opened[1]
        live.release(first)
        await settle()
        assert disk.closed() == [False, False]
        live.release(second)
        await settle()
        assert disk.closed() == [True, False]


@pytest.mark.parametrize("sick", [False, True])
async def test_failure_keeps_the_old(disk: Disk, sick: bool) -> None:
    """What can't be opened, or fails its canary, is closed and forgotten; the old goes on, and says why."""
    async with running(disk) as live:
        disk.sick = sick
        disk.broken = None if sick else ArtifactCorrupt("the weights are torn")
        with pytest.raises(ReloadRefused, match="canary is dead" if sick else "weights are torn"):
            await OneProcess(live).reload()
        assert live.current is disk.opened[0]
        assert disk.closed() == [False, True][: len(disk.opened)]
        disk.sick, disk.broken = False, None
        (outcome,) = await OneProcess(live).reload()
        assert outcome.info == live.info()
        assert outcome.reason == ""


async def test_unforeseen_failure_is_told_without_its_text(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    """A failure that nobody foresaw keeps the old as well; the log has what it was."""
    async with running(disk) as live:
        disk.broken = RuntimeError("inner secret")
        with pytest.raises(ReloadRefused, match="the log has the cause") as caught:
            await OneProcess(live).reload()
        assert "secret" not in str(caught.value)
        assert "inner secret" in caplog.text


async def test_prepared_twice(disk: Disk) -> None:
    """What was prepared and neither switched to nor discarded is closed when another is prepared."""
    async with running(disk) as live:
        await live.prepare()
        await live.prepare()
        assert disk.closed() == [False, True, False]
        await live.discard()
        assert disk.closed() == [False, True, True]


async def test_reloads_wait_for_each_other(disk: Disk) -> None:
    """Reloads that are asked for at once happen one after the other."""
    async with running(disk) as live:
        reloader = OneProcess(live)
        outcomes = await asyncio.gather(*(reloader.reload() for _ in range(3)))
        assert [outcome.info.checkpoint for (outcome,) in outcomes if outcome.info] == [
            f"network-{number}" for number in (1, 2, 3)
        ]
        await settle()
        assert disk.closed() == [True, True, True, False]


async def test_failed_start_closes_what_it_opened(disk: Disk) -> None:
    """A start whose canary fails is an error, and leaves nothing open."""
    disk.sick = True

    live = Live(disk)
    with pytest.raises(NotReady):
        await live.start()
    await live.close()
    assert disk.closed() == [True]


async def test_each_request_has_one_generation(disk: Disk) -> None:
    """A request finds engine and backend of one generation in its state, whatever is switched to meanwhile."""
    async with running(disk) as live:
        seen: list[object] = []

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope["state"]["backend"])
            await OneProcess(live).reload()
            await settle()
            assert not disk.closed()[0]
            seen.append(scope["state"]["backend"])
            assert scope["state"]["engine"] is scope["state"]["backend"].engine
            assert scope["state"]["settings"] == "kept"
            raise LookupError

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            return None

        application = LeaseGeneration(answer, live)
        with pytest.raises(LookupError):
            await application({"type": "http", "state": {"settings": "kept"}}, receive, send)
        assert seen == [disk.opened[0]] * 2
        await settle()
        assert disk.closed() == [True, False]


async def test_memory_is_tidied_when_something_large_has_come_or_gone(disk: Disk) -> None:
    """After the first generation has come, and after each old one has been closed; not while both are there."""
    settled: list[list[bool]] = []
    live = Live(disk, after_change=lambda: settled.append([each.closed for each in disk.opened]))
    await live.start()
    assert settled == [[False]]
    await live.prepare()
    assert len(settled) == 1
    live.commit()
    await live.close()
    assert len(settled) == 2
    assert settled[1][0]
