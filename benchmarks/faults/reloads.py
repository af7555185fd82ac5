"""Reloads under load: to and fro between two checkpoints with their catalogues."""

import asyncio
import time
from collections.abc import Iterator

from benchmarks.faults.client import Book
from benchmarks.faults.ground import Ground
from benchmarks.faults.kills import under_load
from benchmarks.faults.report import Trial
from benchmarks.faults.scale import Scale
from benchmarks.faults.service import Service, run_service

__all__ = ["try_reloads"]


def try_reloads(ground: Ground, scale: Scale) -> Iterator[Trial]:
    """Exchange what is served, again and again; each answer must be right for the checkpoint that it names."""
    ground.reset()
    try:
        with run_service(ground, "reloads") as service:
            yield asyncio.run(_reload(ground, service, scale))
    finally:
        ground.reset()


async def _reload(ground: Ground, service: Service, scale: Scale) -> Trial:
    seconds: list[float] = []
    refused: list[str] = []

    async def story(book: Book) -> None:
        for number in range(scale.reloads):
            target = (ground.second, ground.first)[number % 2]
            ground.link(target.checkpoint, target.catalog)
            began, before = time.monotonic(), book.statuses[200]
            status, told = await asyncio.to_thread(service.reload)
            seconds.append(time.monotonic() - began)
            if status != 200:
                refused.append(str(told))
            while book.statuses[200] < before + 50:
                await asyncio.sleep(0.01)

    book = await under_load(ground, service, scale.clients, story)
    return Trial(
        "reload under load",
        f"{scale.reloads} exchanges of checkpoint and catalogue, {scale.clients} clients searching",
        f"{book} (each answer must be right by the checkpoint that it names); {len(refused)} reloads refused; "
        f"{max(seconds):.2f} s each at most",
        book.clean and set(book.statuses) == {200} and not refused,
        {**book.figures(), "refused": refused[:3], "seconds": seconds},
    )
