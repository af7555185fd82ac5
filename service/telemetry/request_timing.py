"""Request timing: id and stages of the current request, found through a context variable."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter

STAGES = ("receive", "decode", "queue", "encode", "search", "write", "respond")
"""The stages, in the order in which a search by a picture passes them:

receive: waiting for the body's bytes. decode: the picture's bytes become pixels, and the shoe in them is found. queue:
waiting for a batch. encode: the network, for the whole batch that the picture was in. search: the store,
likewise. write: a change of the catalogue, which no search passes, with all that is written in one step with it.
respond: the answer is built, written as JSON and handed to the server. What a request takes beyond them is routing,
validation and, in a batch, waiting for the others' pictures to be decoded.
"""


class Stages:
    """Seconds of one request by stage. One thread at a time adds to it: a request is in one stage at a time.

    Attributes:
        request: the request's id, as it is in the log and the answer's header.
        seconds: stage -> seconds, of those that the request has been through.
        last: when the latest stage ended, on the clock of `time.perf_counter`; at first, when the request began.
    """

    __slots__ = ("last", "request", "seconds")

    def __init__(self, request: str = "") -> None:
        self.request = request
        self.seconds: dict[str, float] = {}
        self.last = perf_counter()

    def add(self, stage: str, seconds: float) -> None:
        """Record that the request has just spent so many seconds in one of `STAGES`; several times add up."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        self.last = perf_counter()


_current: ContextVar[Stages | None] = ContextVar("stages", default=None)


def current_stages() -> Stages | None:
    """The stages of the request that this code runs for; None outside of one.

    Threads of `anyio` and `asyncio.to_thread` inherit them. Other threads, such as that of a batch, don't: whoever
    hands work to one hands the stages over with it.
    """
    return _current.get()


@contextmanager
def watch(stages: Stages) -> Iterator[Stages]:
    """Make `stages` the current ones."""
    token = _current.set(stages)
    try:
        yield stages
    finally:
        _current.reset(token)
