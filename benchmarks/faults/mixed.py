"""Good and bad requests of every kind in one stream, and a book in which each is checked."""

import asyncio
from collections.abc import Iterator

from benchmarks.faults.asks import bad_asks, good_asks, mix
from benchmarks.faults.client import Book, crowd
from benchmarks.faults.ground import Ground
from benchmarks.faults.report import Trial
from benchmarks.faults.scale import Scale
from benchmarks.faults.service import Memory, run_service
from model.checkpoint import load_checkpoint
from model.embedder import Embedder

__all__ = ["try_mixed"]


def try_mixed(ground: Ground, scale: Scale) -> Iterator[Trial]:
    """Half of the requests good, half bad, shuffled, from many clients at once; every answer is compared."""
    embedder = Embedder(load_checkpoint(ground.first.checkpoint))
    pictures = ground.first.pictures
    vectors = embedder.embed(list(pictures)).tolist()
    good = good_asks(ground.first, vectors, embedder.checkpoint.digest[:16])
    bad = bad_asks(pictures)
    asks = mix(good, bad, scale.requests, seed=0)
    book = Book()
    with run_service(ground, "mixed") as service, Memory(service) as memory:
        asyncio.run(crowd(service.port, iter(asks), book, clients=scale.clients, over=lambda: False))
        said = service.said()
    answered = book.statuses[200]
    refused = sum(count for status, count in book.statuses.items() if 400 <= status < 500)
    kinds = {f"{kind}: {status}": count for (kind, status), count in sorted(book.kinds.items())}
    yield Trial(
        "mixed requests",
        f"{len(asks):,} requests of {len({ask.name for ask in good})} good and {len(bad)} bad kinds, shuffled",
        f"{answered:,} good ones answered rightly, {refused:,} bad ones refused as they must be; {book}; {memory}",
        book.clean and answered == (len(asks) + 1) // 2 and refused == len(asks) // 2 and "Traceback" not in said,
        {**book.figures(), "kinds": kinds},
    )
