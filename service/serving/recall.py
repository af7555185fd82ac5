"""Live recall: a share of the searches is compared with an exact one, off the requests' path."""

import logging
import threading
from collections.abc import Callable
from random import Random
from time import perf_counter

from service.store.base import Recall
from service.telemetry import metrics

__all__ = ["RecallSampler"]

logger = logging.getLogger(__name__)

REST = 50
"""How many times as long as a comparison took none is begun: they take at most a fiftieth of one processor."""


class RecallSampler:
    """Draws searches and has them compared, at most one at a time: those drawn meanwhile are passed over."""

    def __init__(
        self, share: float, *, note: Callable[[int, int], None] = metrics.observe_recall, random: Random | None = None
    ) -> None:
        """Compare a `share`, 0 to 1, of the searches; `note(found, expected)` is told of each."""
        self._share = share
        self._note = note
        self._random = random or Random()  # noqa: S311 - draws a sample, no secret
        self._busy = threading.Lock()
        self._rest_until = 0.0

    def note_index(self, condition: str, recall: float) -> None:
        """See `SearchWatch`."""
        metrics.set_index_recall(condition, recall)

    def offer(self, count: int, compare: Callable[[int], Recall]) -> None:
        """See `SearchWatch`; `count` is at least 1."""
        # Of a batch at most one is compared; the chance of each is the same as if it were alone.
        if self._random.random() >= self._share * count or perf_counter() < self._rest_until:
            return
        if self._busy.acquire(blocking=False):
            index = self._random.randrange(count)
            threading.Thread(target=self._compare, args=(compare, index), name="recall").start()

    def _compare(self, compare: Callable[[int], Recall], index: int) -> None:
        began = perf_counter()
        try:
            self._note(*compare(index))
        except Exception:
            logger.exception("a search could not be compared with an exact one")
        finally:
            ended = perf_counter()
            self._rest_until = ended + REST * (ended - began)
            self._busy.release()
