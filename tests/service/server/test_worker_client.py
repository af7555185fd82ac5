"""A worker's end of the pipe to its supervisor."""

import asyncio
import multiprocessing
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from model.errors import ArtifactMissing
from service.server.ipc import (
    Accept,
    Finish,
    Finished,
    Ping,
    Pong,
    Prepare,
    Prepared,
    Ready,
    ReloadRequest,
    ReloadResult,
)
from service.server.worker_client import SupervisorLink
from service.serving.generations import Live, ReloadRefused
from tests.service.serving.test_generations import Disk


class Server:
    """What a link needs of one."""

    should_exit = False


class Stage:
    """A link to a supervisor whose part the test plays."""

    def __init__(self, disk: Disk, link: SupervisorLink, live: Live, pipe: Connection) -> None:
        self.disk, self.link, self.live, self.pipe = disk, link, live, pipe
        self.server = Server()

    async def receive(self) -> object:
        """What the worker says next."""
        async with asyncio.timeout(20):
            while not self.pipe.poll():
                await asyncio.sleep(0.001)
        return self.pipe.recv()

    async def begin(self) -> None:
        """Let it be ready and accept."""
        waiting = asyncio.create_task(self.link.wait_to_accept(["solemate serves"], self.server))
        assert await self.receive() == Ready(self.live.info(), ("solemate serves",))
        await asyncio.sleep(0.03)
        assert not waiting.done()
        self.pipe.send(Accept())
        await waiting


@asynccontextmanager
async def linked(tmp_path: Path) -> AsyncIterator[Stage]:
    """A worker and its supervisor's end of the pipe."""
    disk = Disk(tmp_path)
    live = Live(disk)
    await live.start()
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        yield Stage(disk, SupervisorLink(theirs, 3, live), live, ours)
        asyncio.get_running_loop().remove_reader(theirs.fileno())
        await live.close()


async def test_reload_by_word_of_the_supervisor(tmp_path: Path) -> None:
    """The worker prepares when it is told to, says how that went, and switches or drops it as it is told."""
    async with linked(tmp_path) as stage:
        await stage.begin()
        stage.pipe.send(Prepare(1))
        prepared = await stage.receive()
        assert isinstance(prepared, Prepared)
        assert (prepared.round, prepared.outcome.worker, prepared.outcome.pid) == (1, 3, os.getpid())
        assert prepared.outcome.info is not None
        assert stage.live.info() != prepared.outcome.info
        stage.pipe.send(Finish(1, commit=True))
        assert await stage.receive() == Finished(1)
        assert stage.live.info() == prepared.outcome.info

        stage.pipe.send(Prepare(2))
        await stage.receive()
        stage.pipe.send(Finish(2, commit=False))
        assert await stage.receive() == Finished(2)
        assert stage.live.info() == prepared.outcome.info
        assert stage.disk.closed()[2]

        stage.disk.broken = ArtifactMissing("nothing there")
        stage.pipe.send(Prepare(3))
        prepared = await stage.receive()
        assert isinstance(prepared, Prepared)
        assert (prepared.outcome.info, prepared.outcome.reason) == (None, "nothing there")
        stage.pipe.send(Finish(3, commit=False))
        assert await stage.receive() == Finished(3)


async def test_reload_is_asked_of_the_supervisor(tmp_path: Path) -> None:
    """A reload that a client asks this worker for is the supervisor's to do; its answer finds who asked."""
    async with linked(tmp_path) as stage:
        await stage.begin()
        asked = [asyncio.create_task(stage.link.reload()) for _ in range(2)]
        assert [await stage.receive(), await stage.receive()] == [ReloadRequest(0), ReloadRequest(1)]
        stage.pipe.send(ReloadResult(1, (), "the weights are torn"))
        stage.pipe.send(ReloadResult(0, ()))
        stage.pipe.send(ReloadResult(9, ()))
        assert await asked[0] == ()
        with pytest.raises(ReloadRefused, match="torn"):
            await asked[1]


async def test_pings_are_answered(tmp_path: Path) -> None:
    """A worker whose event loop runs says so."""
    async with linked(tmp_path) as stage:
        await stage.begin()
        stage.pipe.send(Ping())
        assert await stage.receive() == Pong()


async def test_supervisor_is_gone(tmp_path: Path) -> None:
    """Without its supervisor a worker stops: nobody would replace it, or tell it to."""
    async with linked(tmp_path) as stage:
        waiting = asyncio.create_task(stage.link.wait_to_accept([], stage.server))
        await stage.receive()
        stage.pipe.close()
        await asyncio.wait_for(waiting, timeout=60)
        assert stage.server.should_exit


async def test_supervisor_goes_in_the_middle_of_a_reload(tmp_path: Path) -> None:
    """A client that waits for a reload is answered though there is no supervisor any more."""
    async with linked(tmp_path) as stage:
        await stage.begin()
        asked = asyncio.create_task(stage.link.reload())
        await stage.receive()
        stage.pipe.close()
        with pytest.raises(ReloadRefused, match="gone"):
            await asyncio.wait_for(asked, timeout=60)
