"""Every call to Milvus: its time is bounded, it is retried, and a circuit breaker keeps the next ones from waiting.

All calls may be made twice: reads change nothing, rows are written and removed by their primary key, and properties are
set to a value. Where one fails nevertheless, the breaker opens: calls are refused at once, and a thread looks for
Milvus until it answers.
"""

import contextlib
import logging
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

import grpc
from pymilvus import MilvusClient, MilvusException
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_before_delay,
    stop_when_event_set,
    wait_random_exponential,
)

from service.errors import StoreUnavailable
from service.milvus_address import Address

__all__ = ["CALL_SECONDS", "Connection"]

logger = logging.getLogger(__name__)

# It logs each error with its trace, and raises it as well; what becomes of it is said here.
logging.getLogger("pymilvus").setLevel(logging.CRITICAL)

CALL_SECONDS = 5.0
"""For all attempts of a call; half of it for each. Milvus may wait some tenths of a second for what it was given."""

PAUSES = wait_random_exponential(multiplier=0.05, max=1.0)
"""Seconds between two attempts."""

LOOK_PAUSES = wait_random_exponential(multiplier=0.5, max=4.0)
"""Seconds between two looks for a Milvus that did not answer."""

RETRY_AFTER = 2
"""Seconds that clients are told to wait: a look or two."""

AT_FAULT = range(1100, 1200)
"""Milvus's codes for a request that is at fault: another attempt would end alike, and others are none the worse."""

T = TypeVar("T")


class Connection:
    """The connection to one server. For any thread."""

    def __init__(self, address: Address, *, token: str = "") -> None:
        """Connect when first asked to. `token` is `user:password` or an API key; "" for none."""
        self.address, self._token = address, token
        self._lock = threading.Lock()
        self._client: MilvusClient | None = None
        self._looking: threading.Thread | None = None
        self._closed = threading.Event()

    def call(self, operation: Callable[[MilvusClient, float], T], *, seconds: float = CALL_SECONDS) -> T:
        """Do something with a client, in the seconds that it is given; again where it failed, within `seconds`.

        Raises:
            StoreUnavailable: it failed each time, or the breaker is open.
        """
        deadline = monotonic() + seconds
        refusal = StoreUnavailable("the catalogue's database does not answer; try again", retry_after=RETRY_AFTER)

        def once() -> T:
            if self._looking is not None:
                raise refusal
            left = max(0.1, min(deadline - monotonic(), seconds / 2))
            return operation(self._connected(left), left)

        retry = retry_if_exception(may_pass)
        try:
            return Retrying(stop=stop_before_delay(seconds), wait=PAUSES, retry=retry, reraise=True)(once)
        except (MilvusException, grpc.RpcError, ValueError) as error:
            logger.warning("%s: %s", self.address, " ".join(str(error).split())[:300])
            if not is_at_fault(error):
                self._look_for()
            raise refusal from error

    def close(self) -> None:
        """End the connection."""
        self._closed.set()
        if (looking := self._looking) is not None:
            looking.join(timeout=CALL_SECONDS)
        self._disconnect()

    def _connected(self, seconds: float) -> MilvusClient:
        with self._lock:
            if self._client is None:
                self._client = self._connect(seconds)
            return self._client

    def _connect(self, seconds: float) -> MilvusClient:
        own: dict[str, Any] = {} if self.address.is_lite else {"dedicated": True}
        name = self.address.database
        return MilvusClient(self.address.uri, token=self._token, db_name=name, timeout=seconds, **own)

    def _disconnect(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _look_for(self) -> None:
        """Open the breaker."""
        with self._lock:
            if self._looking is None and not self._closed.is_set():
                self._looking = threading.Thread(target=self._look_until_found, name="store-probe", daemon=True)
                self._looking.start()

    def _look_until_found(self) -> None:
        logger.error("%s does not answer, so it is not asked until it does", self.address)
        sleep, stop = sleep_using_event(self._closed), stop_when_event_set(self._closed)
        with contextlib.suppress(RetryError):  # closed meanwhile
            Retrying(wait=LOOK_PAUSES, sleep=sleep, stop=stop)(self._look)
            logger.warning("%s answers again", self.address)
            self._looking = None

    def _look(self) -> None:
        """Try to read over a new connection: an old one may take its time to see that the server is back."""
        with contextlib.closing(self._connect(CALL_SECONDS / 2)) as client:
            client.query(self.address.collection, output_fields=["count(*)"], timeout=CALL_SECONDS / 2)
        self._disconnect()


def may_pass(error: BaseException) -> bool:
    """Whether another attempt may succeed. Where nobody is there, pymilvus has tried for all of the time already."""
    if isinstance(error, MilvusException):
        return error.code != grpc.StatusCode.UNAVAILABLE and not is_at_fault(error)
    # A ValueError is what a client says that another thread has closed meanwhile.
    return isinstance(error, grpc.RpcError | ValueError)


def is_at_fault(error: BaseException) -> bool:
    """Whether Milvus says that the request is at fault."""
    return isinstance(error, MilvusException) and error.code in AT_FAULT
