"""Clients that ask as fast as they are answered, and keep book of every answer."""

import http.client
import json
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

__all__ = ["Load", "Result"]


@dataclass(frozen=True)
class Result:
    """What came of one request.

    Attributes:
        began: when it was sent, on the monotonic clock.
        ended: when its answer, or its failure, had come.
        status: of the answer; 0 where there was none.
        checkpoint: that the answer names.
        catalog: likewise.
        failure: why there was no answer.
    """

    began: float
    ended: float
    status: int
    checkpoint: str = ""
    catalog: str = ""
    failure: str = ""


@dataclass
class Load:
    """So many clients, each with a connection that it keeps; a context that they work within.

    Attributes:
        url: of the service.
        picture: what they search by.
        headers: of each request.
        clients: how many.
        until_closed: a client ends when the service says that it closes its connection; else it opens another.
        results: what came of each request, in the order of their ends.
    """

    url: str
    picture: bytes
    headers: dict[str, str] = field(default_factory=dict)
    clients: int = 8
    until_closed: bool = False
    results: list[Result] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Let each client get its last answer."""
        self._over.set()
        self.join()

    def join(self) -> None:
        """Wait until the clients have ended, of themselves or because they were stopped."""
        for thread in self._threads:
            thread.join(timeout=60)
            assert not thread.is_alive()

    def wait_for(self, count: int) -> None:
        """Wait until so many more requests have been answered."""
        goal = len(self.answered) + count
        deadline = time.monotonic() + 120
        while len(self.answered) < goal:
            assert time.monotonic() < deadline, self.failed[:3]
            time.sleep(0.01)

    @property
    def answered(self) -> list[Result]:
        """Those with an answer."""
        return [result for result in self.results if result.status]

    @property
    def failed(self) -> list[Result]:
        """Those without."""
        return [result for result in self.results if not result.status]

    def _work(self) -> None:
        connection = self._connect()
        while not self._over.is_set():
            began = time.monotonic()
            try:
                connection.request(
                    "POST", "/v1/search?k=1", self.picture, {"content-type": "image/jpeg", **self.headers}
                )
                response = connection.getresponse()
                told = json.loads(response.read())
            except (OSError, http.client.HTTPException) as error:
                self.results.append(Result(began, time.monotonic(), 0, failure=repr(error)))
                connection.close()
                connection = self._connect()
                continue
            prints = {name: str(told.get(name, "")) for name in ("checkpoint", "catalog")}
            self.results.append(Result(began, time.monotonic(), response.status, **prints))
            if response.will_close and self.until_closed:
                break
        connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        host = urlsplit(self.url)
        assert host.hostname is not None
        return http.client.HTTPConnection(host.hostname, host.port, timeout=60)
