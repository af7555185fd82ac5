"""The stopwatch of a request."""

import asyncio

import pytest

from service.telemetry.request_timing import Stages, current_stages, watch


def test_seconds_add_up() -> None:
    """A stage that a request passes several times has the sum; one that it does not pass is not there."""
    stages = Stages()
    stages.add("decode", 0.5)
    stages.add("encode", 2.0)
    stages.add("decode", 0.25)
    assert stages.seconds == {"decode": 0.75, "encode": 2.0}


def test_last_is_when_a_stage_ended() -> None:
    """The clock of the last stage moves with every one that is noted."""
    stages = Stages()
    began = stages.last
    stages.add("search", 0.0)
    assert stages.last > began


def test_outside_of_a_request() -> None:
    """Code that runs for no request finds no stages."""
    assert current_stages() is None


def test_current_stages_are_restored() -> None:
    """Stages are current within `watch`, and whatever happens there no longer."""

    def fail() -> None:
        with watch(Stages("a")) as stages:
            assert current_stages() is stages
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert current_stages() is None


def test_each_task_has_its_own() -> None:
    """Requests that run at the same time, and the threads that work for them, do not see one another's stages."""

    async def serve(name: str) -> str:
        with watch(Stages(name)):
            await asyncio.sleep(0)
            stages = await asyncio.to_thread(current_stages)
            assert stages is not None
            return stages.request

    async def serve_all() -> list[str]:
        return await asyncio.gather(*(serve(name) for name in "abc"))

    assert asyncio.run(serve_all()) == ["a", "b", "c"]
