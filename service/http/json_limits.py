"""Limits on what JSON holds, counted before it is parsed: nothing else runs in the process while Python does that."""

from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from fastapi.routing import APIRoute

from service.http.problems import BODY_TOO_LARGE, Refusal

MAX_JSON_BYTES = 8 * 2**20
"""Largest JSON without pictures, in bytes."""

MAX_COMMAS = 2**18
"""Most commas: 64 vectors of 4,096 numbers. Python parses so many numbers in about 0.1 s."""

MAX_COLONS = 2**16
"""Most colons: names of an object's fields take ten times as long as numbers, and hold up other threads meanwhile."""

MAX_CONTAINERS = 2**14
"""Most brackets and braces that open: lists and objects cost more than numbers, and make Python collect garbage."""


class JsonMeter:
    """Counts commas, colons, and lists and objects, piece by piece; those in texts count as well."""

    def __init__(self) -> None:
        self._commas = self._colons = self._containers = 0

    def feed(self, piece: bytes) -> None:
        """Count the next piece of a body. Raises Refusal."""
        self._commas += piece.count(b",")
        self._colons += piece.count(b":")
        self._containers += piece.count(b"[") + piece.count(b"{")
        if self._commas > MAX_COMMAS:
            raise Refusal(BODY_TOO_LARGE, f"the JSON has more than {MAX_COMMAS:,} commas")
        if self._colons > MAX_COLONS:
            raise Refusal(BODY_TOO_LARGE, f"the JSON has more than {MAX_COLONS:,} colons")
        if self._containers > MAX_CONTAINERS:
            raise Refusal(BODY_TOO_LARGE, f"the JSON has more than {MAX_CONTAINERS:,} lists and objects")


class _MeteredRequest(Request):
    """A request whose body is counted before FastAPI parses it."""

    async def body(self) -> bytes:
        """The body. Raises Refusal."""
        content = await super().body()
        JsonMeter().feed(content)
        return content


class JsonRoute(APIRoute):
    """A route whose JSON is read by FastAPI, within these limits."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """FastAPI's, given a request that counts; see https://fastapi.tiangolo.com/how-to/custom-request-and-route/."""
        handle = super().get_route_handler()

        async def handle_metered(request: Request) -> Response:
            return await handle(_MeteredRequest(request.scope, request.receive))

        return handle_metered
