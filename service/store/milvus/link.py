"""Every call to Milvus goes through here: its time is bounded, it is made again after a blip, and stopped after more.

All calls that the store makes may be made twice: reads change nothing, rows are written and removed by their primary
key, and properties are set to a value. So each of them may be retried.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from random import Random
from time import monotonic, sleep
from typing import Any, TypeVar

import grpc
from pymilvus import MilvusClient, MilvusException

from service.errors import StoreUnavailable
from service.milvus_address import Address
from service.store.milvus.breaker import AWAY, RETRY_AFTER, Breaker

__all__ = ["Link", "Operation"]

logger = logging.getLogger(__name__)

# It logs each error with its trace, and raises it as well; what becomes of it is said here.
logging.getLogger("pymilvus").setLevel(logging.CRITICAL)

ATTEMPT_SECONDS = 2.5
"""For one attempt. Milvus may wait a fifth of a second, and under load some more, for what was just written."""

CALL_SECONDS = 5.0
"""For all attempts of one call, unless it says otherwise."""

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two attempts; they double, and each is drawn from the upper half of its length."""

ERRORS_IN_A_ROW = 5
"""So many answers that are errors, one after another, count as no answer."""

LITE_WRITES = threading.Lock()
"""Of two writes at once, Milvus Lite can lose one: its collections have no lock of their own."""

T = TypeVar("T")

Operation = Callable[[MilvusClient, float], T]
"""Is given a client, and the seconds that it may take."""


class Link:
    """The connection to one server. For any thread.

    Attributes:
        writing: is held while rows are written or removed.
    """

    def __init__(self, address: Address, *, token: str = "", probe: Operation[object] | None = None) -> None:
        """Connect when first asked to.

        Args:
            address: of the server.
            token: `user:password` or an API key; "" for none.
            probe: fails as long as the store can't be used; left out, the server's answer is enough.
        """
        self.address = address
        self.writing: AbstractContextManager[object] = LITE_WRITES if address.is_lite else nullcontext()
        self._token = token
        self._connecting = threading.Lock()
        self._client: MilvusClient | None = None
        self._errors = 0
        self._random = Random()  # noqa: S311 - spreads out retries, no secret
        self.probe: Operation[object] = probe or (lambda client, seconds: client.get_server_version(timeout=seconds))
        self._breaker = Breaker(str(address), self._look)

    @property
    def endpoint(self) -> str:
        """The server's `host:port`, as pymilvus calls it in its notes."""
        return self.address.uri.partition("://")[2] or self.address.uri

    def call(self, operation: Operation[T], *, seconds: float = CALL_SECONDS, attempt: float = ATTEMPT_SECONDS) -> T:
        """Do something, again where it failed, within `seconds`.

        Raises:
            StoreUnavailable: it failed each time, or the breaker is open.
        """
        deadline = monotonic() + seconds
        pause = FIRST_PAUSE
        while True:
            self._breaker.require_closed()
            left = deadline - monotonic()
            try:
                result = operation(self._connected(left), min(left, attempt))
            except (MilvusException, grpc.RpcError, ValueError) as error:
                # A ValueError is what a client says that another thread has closed meanwhile.
                pause = self._pause_after(error, pause, deadline)
            else:
                self._errors = 0
                return result

    def close(self) -> None:
        """End the connection."""
        self._breaker.close()
        with self._connecting:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _pause_after(self, error: Exception, pause: float, deadline: float) -> float:
        """Wait before the next attempt; returns how long to wait after it. Raises StoreUnavailable."""
        self._errors += 1
        length = pause * self._random.uniform(0.5, 1.0)
        if monotonic() + length >= deadline or self._errors >= ERRORS_IN_A_ROW or is_refusal(error):
            if is_silence(error) or self._errors >= ERRORS_IN_A_ROW:
                self._breaker.trip(brief(error))
            else:
                logger.error("%s answers with an error: %s", self.address, brief(error))
            raise StoreUnavailable(AWAY, retry_after=RETRY_AFTER) from error
        logger.info("%s: %s; trying again", self.address, brief(error))
        sleep(length)
        return min(2 * pause, LONGEST_PAUSE)

    def _connected(self, seconds: float) -> MilvusClient:
        with self._connecting:
            if self._client is None:
                self._client = self._connect(seconds)
            return self._client

    def _connect(self, seconds: float) -> MilvusClient:
        options: dict[str, Any] = {} if self.address.is_lite else {"dedicated": True}
        return MilvusClient(
            self.address.uri, token=self._token, db_name=self.address.database, timeout=max(seconds, 0.1), **options
        )

    def _look(self) -> None:
        """Connect anew, as an old channel may take its time to see that the server is back, and see if it answers."""
        client = self._connect(ATTEMPT_SECONDS)
        try:
            self.probe(client, ATTEMPT_SECONDS)
        except BaseException:
            client.close()
            raise
        with self._connecting:
            old, self._client = self._client, client
        self._errors = 0
        if old is not None:
            old.close()


def is_refusal(error: Exception) -> bool:
    """Whether nobody is there: pymilvus has tried that for all of the attempt's time already."""
    return isinstance(error, MilvusException) and error.code == grpc.StatusCode.UNAVAILABLE


def is_silence(error: Exception) -> bool:
    """Whether there was no answer, rather than one that is an error."""
    code = error.code() if isinstance(error, grpc.RpcError) else getattr(error, "code", None)
    return code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED) or (
        isinstance(error, MilvusException) and "connect" in str(error).lower()
    )


def brief(error: Exception) -> str:
    """An error in one line."""
    return " ".join(str(error).split())[:300]
