"""Clients that search as fast as they are answered, and a record of every answer."""

import http.client
import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Query:
    """A picture to search by.

    Attributes:
        picture: the file's bytes.
        distances: fingerprint of a checkpoint -> id of each shoe -> its distance, by that checkpoint.
    """

    picture: bytes
    distances: Mapping[str, Mapping[str, float]]

    def find_mistake(self, answer: Mapping[str, Any]) -> str:
        """What is wrong with an answer by the checkpoint that it names; empty if nothing is."""
        expected = self.distances.get(answer["checkpoint"])
        if expected is None:
            return f"an unknown checkpoint: {answer}"
        nearest = sorted(expected.values())[: len(answer["hits"])]
        for hit, distance in zip(answer["hits"], nearest, strict=True):
            # By distances and not by places: two shoes may be so equally far that rounding decides.
            if abs(hit["distance"] - distance) > TOLERANCE or abs(expected[hit["id"]] - distance) > TOLERANCE:
                return f"{hit['id']} at {hit['distance']}, expected {distance}"
        return "" if answer["hits"] else "no hits"


@dataclass(frozen=True)
class Result:
    """What came of one request.

    Attributes:
        began: when it was sent, on the monotonic clock.
        status: of the answer; 0 where there was none.
        checkpoint: that the answer names.
        catalog: likewise.
        retry_after: that a refusal names.
        failure: why there was no answer, or what is wrong with it.
    """

    began: float
    status: int = 0
    checkpoint: str = ""
    catalog: str = ""
    retry_after: str = ""
    failure: str = ""


@dataclass
class Load:
    """So many clients, each with a connection that it keeps; a context that they work within.

    Attributes:
        url: of the service.
        queries: what they search by, in turn.
        headers: of each request.
        clients: how many.
        until_closed: a client ends when the service says that it closes its connection; else it opens another.
        keep: whether connections are kept; else there is a new one for each request.
        results: what came of each request, in the order of their ends.
    """

    url: str
    queries: Sequence[Query]
    headers: dict[str, str] = field(default_factory=dict)
    clients: int = 8
    until_closed: bool = False
    keep: bool = True
    results: list[Result] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(self.clients)]
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
            thread.join(timeout=120)
            assert not thread.is_alive()

    def wait_for(self, count: int, status: int = 200) -> None:
        """Wait until so many more requests have got this status."""
        goal = len(self.with_status(status)) + count
        deadline = time.monotonic() + 120
        while len(self.with_status(status)) < goal:
            assert time.monotonic() < deadline, self.failed[:3]
            time.sleep(0.01)

    def with_status(self, status: int) -> list[Result]:
        """Those with this status."""
        return [result for result in self.results if result.status == status]

    @property
    def answered(self) -> list[Result]:
        """Those with an answer."""
        return [result for result in self.results if result.status]

    @property
    def failed(self) -> list[Result]:
        """Those without an answer, and those with a wrong one."""
        return [result for result in self.results if result.failure]

    @property
    def statuses(self) -> set[int]:
        """Of all answers."""
        return {result.status for result in self.answered}

    def _work(self, number: int) -> None:
        connection = self._connect()
        while not self._over.is_set():
            query = self.queries[number % len(self.queries)]
            number += 1
            began = time.monotonic()
            try:
                connection.request(
                    "POST", "/v1/search?k=5", query.picture, {"content-type": "image/jpeg", **self.headers}
                )
                response = connection.getresponse()
                told = json.loads(response.read())
            except ConnectionRefusedError as error:
                if self.until_closed and not self.keep:  # the service listens no more, and has promised nothing
                    break
                self.results.append(Result(began, failure=repr(error)))
                time.sleep(0.05)
                continue
            except (OSError, http.client.HTTPException) as error:
                self.results.append(Result(began, failure=repr(error)))
                connection.close()
                connection = self._connect()
                continue
            fingerprints = {name: str(told.get(name, "")) for name in ("checkpoint", "catalog")}
            mistake = query.find_mistake(told) if response.status == 200 else ""
            after = response.headers.get("retry-after", "")
            self.results.append(Result(began, response.status, **fingerprints, retry_after=after, failure=mistake))
            if not self.keep:
                connection.close()
            elif response.will_close and self.until_closed:
                break
        connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        host = urlsplit(self.url)
        assert host.hostname is not None
        return http.client.HTTPConnection(host.hostname, host.port, timeout=60)
