"""The two clients: the same operations, waited for or awaited."""

import asyncio
import time
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2

from solemate.client.calls import Call
from solemate.client.errors import Unreachable, raise_for_problem, read_problem
from solemate.client.operations import Operations

A = TypeVar("A")

TIMEOUT = 30.0
"""Seconds that connecting, sending a part, or waiting for one may take."""

RETRIES = 3
"""How often a request is repeated that was answered 503 with `Retry-After`."""

MAX_WAIT = 30.0
"""Seconds: the longest `Retry-After` that is waited for."""

INTERRUPTED = "urn:solemate:interrupted"
"""The problem of a request that may have been carried out in part."""


class _Base(Operations):
    """What both clients have in common."""

    def __init__(self, url: str, *, retries: int = RETRIES, max_wait: float = MAX_WAIT) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{url!r} is no address of a service; expected such as http://127.0.0.1:8000")
        self.url = url.rstrip("/")
        self._retries = retries
        self._max_wait = max_wait

    def _seconds_to_wait(self, call: Call[Any], response: httpx2.Response, tried: int) -> float | None:
        """How long to wait before the request is repeated; None if it is not."""
        text = response.headers.get("retry-after", "")
        if response.status_code != httpx2.codes.SERVICE_UNAVAILABLE or not text.isdecimal() or tried >= self._retries:
            return None
        if not call.request.repeatable and read_problem(response).type == INTERRUPTED:
            return None
        return float(text) if float(text) <= self._max_wait else None

    def _explain(self, error: httpx2.HTTPError) -> Unreachable:
        return Unreachable(f"{self.url} does not answer: {error or type(error).__name__}")


def _options(url: str, api_key: str | None, timeout: float) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    return {"base_url": url, "headers": headers, "timeout": timeout}


class Client(_Base):
    """A client that waits for each answer. May be used by several threads.

    Args:
        url: where the service is, such as `http://127.0.0.1:8000`, with the path that a proxy shows it under.
        api_key: sent with every request.
        timeout: seconds that connecting, sending a part, or waiting for one may take.
        retries: how often a request is repeated that was answered 503 with `Retry-After`.
        max_wait: seconds; where the service asks for more, its refusal is raised at once.
        transport: of httpx2, in place of the network's.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        max_wait: float = MAX_WAIT,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        super().__init__(url, retries=retries, max_wait=max_wait)
        self._http = httpx2.Client(**_options(self.url, api_key, timeout), transport=transport)

    def send(self, call: Call[A]) -> A:
        """Carry out a call; what its operation returns."""
        for tried in range(self._retries + 1):
            try:
                response = self._http.request(**call.arguments)
            except httpx2.HTTPError as error:
                raise self._explain(error) from error
            wait = self._seconds_to_wait(call, response, tried)
            if wait is None:
                break
            time.sleep(wait)
        raise_for_problem(response)
        return call.read(response)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_Base):
    """A client whose methods are awaited; those that iterate are used with `async for`. Otherwise as `Client`."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        max_wait: float = MAX_WAIT,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(url, retries=retries, max_wait=max_wait)
        self._http = httpx2.AsyncClient(**_options(self.url, api_key, timeout), transport=transport)

    async def send_async(self, call: Call[A]) -> A:
        """Carry out a call; what its operation returns."""
        for tried in range(self._retries + 1):
            try:
                response = await self._http.request(**call.arguments)
            except httpx2.HTTPError as error:
                raise self._explain(error) from error
            wait = self._seconds_to_wait(call, response, tried)
            if wait is None:
                break
            await asyncio.sleep(wait)
        raise_for_problem(response)
        return call.read(response)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
