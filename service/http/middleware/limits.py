"""Limits on the size and slowness of requests; bytes are counted as they arrive, whatever the headers promise."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.middleware.exchange import route_path
from service.http.problems import BODY_TOO_LARGE, HEAD_TOO_LARGE, NO_MEMORY, SLOW_SENDER, Refusal, render_error
from service.settings import ENVELOPE, Settings, in_base64

OTHER_BODY = 2**20
"""Largest body of any other path, in bytes."""

PICTURES_IN_JSON = frozenset({"/v1/search", "/v1/reconstructions", "/v1/embeddings", "/v1/subjects"})
"""Paths that take pictures in base64."""

MAX_HEADERS = 100

SEPARATORS = 4
"""Bytes counted for the separators of each header."""


def body_limits(settings: Settings) -> dict[str, int]:
    """Path -> the largest body it takes, in bytes."""
    one = min(settings.max_upload_bytes, settings.max_body_bytes) + ENVELOPE
    many = min(settings.max_images * settings.max_upload_bytes, settings.max_body_bytes) + ENVELOPE
    return {
        "/v1/search": one,
        "/v1/reconstructions": one,
        "/v1/subjects": one,
        "/v1/search:batch": many,
        "/v1/embeddings": many,
        "/v1/recommendations": many,
        "/v1/items": one,
        "/v1/items:batch": settings.max_body_bytes + ENVELOPE,
    }


def body_too_large(limit: int) -> Refusal:
    """What is wrong with a body of more bytes than `limit`."""
    return Refusal(BODY_TOO_LARGE, f"the request's body is larger than the {limit:,} bytes that this path takes")


def head_too_large(settings: Settings) -> Refusal:
    """What is wrong with a request line and headers that are too long, or too many."""
    most = f"more than {settings.max_head_bytes:,} bytes, or are more than {MAX_HEADERS}"
    return Refusal(HEAD_TOO_LARGE, f"the request line and headers have {most}")


def slow_sender(part: str, received: int, seconds: float) -> Refusal:
    """What is wrong with a request whose headers or body did not arrive in time; the connection is closed."""
    detail = f"only {received:,} bytes of the request's {part} arrived in {seconds:.0f} s; send it faster"
    return Refusal(SLOW_SENDER, detail, connection="close")


class LimitRequest:
    """Refuses a request whose head or body is too large, or whose body comes too slowly or when there is no room.

    A body is refused by its Content-Length at once, else when the bytes have come; nothing beyond the limit is kept, in
    memory or on disk. What bodies hold together, until their requests are answered, is bounded for the process.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self._bodies = body_limits(settings)
        self._held = 0  # bytes of all bodies under way; used on the event loop only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        size, length, kind = _measure_head(scope)
        if size > self.settings.max_head_bytes or len(scope["headers"]) > MAX_HEADERS:
            await render_error(head_too_large(self.settings))(scope, receive, send)
            return
        # What is PUT is a shoe, as what is posted to /v1/items; the path has its id in it.
        path = route_path(scope)
        limit = self._bodies.get("/v1/items" if scope["method"] == "PUT" else path, OTHER_BODY)
        if kind.startswith(b"application/json") and path in PICTURES_IN_JSON:
            limit = in_base64(limit)
        if length.isdigit() and int(length[:20]) > limit:
            await render_error(body_too_large(limit))(scope, receive, send)
            return
        body = _Body(receive, limit, self)
        try:
            await self.app(scope, body.receive, send)
        finally:
            self._held -= body.received

    def hold(self, size: int) -> None:
        """Hold so many more bytes. Raises Refusal if that is more than the process may."""
        if self._held + size > self.settings.max_body_memory:
            raise Refusal(NO_MEMORY, "too many large requests are under way; try again in a moment", retry_after="1")
        self._held += size


def _measure_head(scope: Scope) -> tuple[int, bytes, bytes]:
    """The bytes of a request's line and headers; its Content-Length and Content-Type, empty where there is none."""
    size = len(scope.get("raw_path") or b"") + len(scope.get("query_string", b""))
    length = kind = b""
    for name, value in scope["headers"]:
        size += len(name) + len(value) + SEPARATORS
        if name == b"content-length":
            length = value
        elif name == b"content-type":
            kind = value.lower()
    return size, length, kind


class _Body:
    """A request's body, on its way in."""

    __slots__ = ("_began", "_complete", "_limit", "_limits", "_loop", "_receive", "received")

    def __init__(self, receive: Receive, limit: int, limits: LimitRequest) -> None:
        self._receive, self._limit, self._limits = receive, limit, limits
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._complete = False
        self.received = 0

    async def receive(self) -> Message:
        """The next piece. Raises Refusal."""
        if self._complete:  # whoever asks now waits for the client to go away, and may do so for long
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._find_deadline()):
                message = await self._receive()
        except TimeoutError:
            raise slow_sender("body", self.received, self._loop.time() - self._began) from None
        self._complete = not message.get("more_body", False)
        self._count(len(message.get("body", b"")))
        return message

    def _find_deadline(self) -> float:
        """When more must have come, on the loop's clock."""
        settings = self._limits.settings
        patience = settings.grace_seconds + self.received / settings.min_rate
        return self._began + min(patience, settings.body_seconds)

    def _count(self, size: int) -> None:
        if self.received + size > self._limit:
            raise body_too_large(self._limit)
        self._limits.hold(size)
        self.received += size
