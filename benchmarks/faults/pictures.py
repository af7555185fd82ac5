"""Nasty pictures over HTTP, one by one and many at once, with good ones among them."""

import asyncio
from collections.abc import Callable, Iterator

from benchmarks.faults.asks import MULTIPART, endless, judge_refusal, picture_asks
from benchmarks.faults.client import Answer, Ask, Book, build, crowd
from benchmarks.faults.ground import Ground
from benchmarks.faults.nasty import Nasty, collect, truncate
from benchmarks.faults.report import Trial
from benchmarks.faults.scale import Scale
from benchmarks.faults.service import Memory, Service, run_service
from benchmarks.serving.load import form

__all__ = ["judge_nasty", "nasty_asks", "try_pictures"]

MOST_MIB = 2 * (2 * 400.0 + 150.0)
"""More than at the start: two workers, each with two large pictures of up to 400 MB, the bodies, and some room."""


def try_pictures(ground: Ground, scale: Scale) -> Iterator[Trial]:
    """Post the corpus as forms and as bare bodies, to the paths that take pictures, beside searches by good ones."""
    asks = list(nasty_asks({**collect(), **dict(truncate(scale.cut_every))}))
    with run_service(ground, "pictures") as service, Memory(service, seconds=0.05) as memory:
        nasty, good = asyncio.run(_post(ground, service, asks, scale))
    grown = memory.most - memory.before
    yield Trial(
        "nasty pictures",
        f"{len(asks):,} posts of broken, huge, odd and disguised pictures, and good searches beside them",
        f"{nasty}; the good searches: {good}; {memory}",
        nasty.clean and good.clean and len(good.seconds) > 0 and grown < MOST_MIB,
        {**nasty.figures(), "good": good.figures(), "grown_mib": grown},
    )


async def _post(ground: Ground, service: Service, asks: list[Ask], scale: Scale) -> tuple[Book, Book]:
    nasty, good = Book(), Book()
    over = asyncio.Event()
    searches = endless(picture_asks(ground.first.pictures, ground.nearest()))
    beside = asyncio.create_task(crowd(service.port, searches, good, clients=2, over=over.is_set))
    await crowd(service.port, iter(asks), nasty, clients=scale.clients, over=lambda: False)
    over.set()
    await beside
    return nasty, good


def nasty_asks(corpus: dict[str, Nasty]) -> Iterator[Ask]:
    """Each picture as a form to search by, and as a bare body to be drawn."""
    for name, nasty in corpus.items():
        judge = judge_nasty(nasty)
        yield Ask(name, build("POST", "/v1/search", form("image", nasty.data), MULTIPART), judge)
        yield Ask(name, build("POST", "/v1/reconstructions", nasty.data, nasty.content_type), judge)


def judge_nasty(nasty: Nasty) -> Callable[[Answer], str]:
    """What is wrong with an answer to a nasty picture."""
    refuse = judge_refusal(*(nasty.statuses - {200}))

    def judge(answer: Answer) -> str:
        if answer.status == 200:
            return "" if 200 in nasty.statuses and answer.body else "it was taken"
        return refuse(answer)

    return judge
