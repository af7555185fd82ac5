"""A circuit breaker: who does not answer is not asked again by requests, but by a thread that looks after it."""

import logging
import threading
from collections.abc import Callable
from random import Random

from service.errors import StoreUnavailable

__all__ = ["Breaker"]

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 4.0
"""Seconds between two looks; they double, and each is drawn from the upper half of its length."""

RETRY_AFTER = 2
"""Seconds that clients are told to wait: a look or two."""

AWAY = "the catalogue's database does not answer; try again"


class Breaker:
    """Closed, calls pass. Opened by `trip`, it refuses them at once, until `probe` has succeeded. For any thread."""

    def __init__(self, name: str, probe: Callable[[], None], *, random: Random | None = None) -> None:
        """Begin closed. `probe`, called in a thread of its own, raises as long as calls would fail."""
        self._name, self._probe = name, probe
        self._random = random or Random()  # noqa: S311 - spreads out retries, no secret
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None

    @property
    def is_open(self) -> bool:
        """Whether calls are refused."""
        return self._watcher is not None

    def require_closed(self) -> None:
        """Raise StoreUnavailable if calls are refused."""
        if self.is_open:
            raise StoreUnavailable(AWAY, retry_after=RETRY_AFTER)

    def trip(self, reason: object) -> None:
        """Refuse calls from now on, and begin to look after whom they are for."""
        with self._lock:
            if self._watcher is not None or self._stop.is_set():
                return
            logger.error("%s does not answer as it should, so it is not asked until it does: %s", self._name, reason)
            self._watcher = threading.Thread(target=self._watch, name="store-probe", daemon=True)
            self._watcher.start()

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        watcher = self._watcher
        if watcher is not None:
            watcher.join(timeout=LONGEST_PAUSE)

    def _watch(self) -> None:
        pause = FIRST_PAUSE
        while not self._stop.wait(pause * self._random.uniform(0.5, 1.0)):
            try:
                self._probe()
            except Exception as error:  # noqa: BLE001 - whatever it is, it does not answer yet
                logger.info("%s does not answer yet: %s", self._name, error)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                logger.warning("%s answers again", self._name)
                with self._lock:
                    self._watcher = None
                return
