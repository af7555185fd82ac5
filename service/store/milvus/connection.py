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
import tenacity
from pymilvus import MilvusClient, MilvusException

from service.errors import StoreUnavailable
from service.milvus_address import Address

logger = logging.getLogger(__name__)

# It logs each error with its trace, and raises it as well; what becomes of it is said here.
logging.getLogger("pymilvus").setLevel(logging.CRITICAL)

CALL_SECONDS = 5.0
"""For all attempts of a call; half of it for each."""

PAUSES = tenacity.wait_random_exponential(multiplier=0.05, max=1.0)
LOOK_PAUSES = tenacity.wait_random_exponential(multiplier=0.5, max=4.0)
"""Between two attempts of a call, and between two looks for a Milvus that did not answer, in seconds."""

RETRY_AFTER = 2
"""Seconds that clients are told to wait: a look or two."""

ERRORS = (MilvusException, grpc.RpcError, ValueError)
"""Of calls. A ValueError is what a client says that another thread has closed meanwhile."""

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

        Raises StoreUnavailable where it failed each time, or the breaker is open.
        """
        deadline = monotonic() + seconds
        refusal = StoreUnavailable("the catalogue's database does not answer; try again", retry_after=RETRY_AFTER)

        def once() -> T:
            if self._looking is not None:
                raise refusal
            left = max(0.1, min(deadline - monotonic(), seconds / 2))
            with self._lock:
                self._client = client = self._client or self._connect(left)
            return operation(client, left)

        retry, stop = tenacity.retry_if_exception(may_pass), tenacity.stop_before_delay(seconds)
        try:
            return tenacity.Retrying(stop=stop, wait=PAUSES, retry=retry, reraise=True)(once)
        except ERRORS as error:
            logger.warning("%s: %s", self.address, " ".join(str(error).split())[:300])
            with self._lock:  # opens the breaker
                if self._looking is None and not self._closed.is_set():
                    self._looking = threading.Thread(target=self._look_until_found, name="store-probe", daemon=True)
                    self._looking.start()
            raise refusal from error

    def ask(self, method: str, *, seconds: float = CALL_SECONDS, **options: Any) -> Any:  # noqa: ANN401 - by method
        """What a method of the client answers about the collection. Raises StoreUnavailable."""
        name = self.address.collection
        return self.call(lambda client, left: getattr(client, method)(name, timeout=left, **options), seconds=seconds)

    def close(self) -> None:
        """End the connection."""
        self._closed.set()
        if (looking := self._looking) is not None:
            looking.join(timeout=CALL_SECONDS)
        self._disconnect()

    def _connect(self, seconds: float) -> MilvusClient:
        options: dict[str, Any] = {"token": self._token, "db_name": self.address.database, "timeout": seconds}
        return MilvusClient(self.address.uri, **options, **({} if self.address.is_lite else {"dedicated": True}))

    def _disconnect(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _look_until_found(self) -> None:
        logger.error("%s does not answer, so it is not asked until it does", self.address)
        sleep, stop = tenacity.sleep_using_event(self._closed), tenacity.stop_when_event_set(self._closed)
        with contextlib.suppress(tenacity.RetryError):  # closed meanwhile
            tenacity.Retrying(wait=LOOK_PAUSES, sleep=sleep, stop=stop)(self._look)
            logger.warning("%s answers again", self.address)
            self._looking = None

    def _look(self) -> None:
        """Try to read over a new connection: an old one may take its time to see that the server is back."""
        with contextlib.closing(self._connect(CALL_SECONDS / 2)) as client:
            client.query(self.address.collection, output_fields=["count(*)"], timeout=CALL_SECONDS / 2)
        self._disconnect()


def may_pass(error: BaseException) -> bool:
    """Whether another attempt may succeed. Where nobody is there, pymilvus has tried for all of the time already."""
    return isinstance(error, ERRORS) and getattr(error, "code", None) != grpc.StatusCode.UNAVAILABLE
