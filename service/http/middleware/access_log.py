"""Access log: id, timing headers, one log line and the metrics of each request."""

import logging
import re
import secrets
from collections.abc import Iterable
from http import HTTPStatus
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.middleware.proxy import route_path
from service.http.problems import CLIENT_GONE
from service.telemetry import logging as logs
from service.telemetry import metrics
from service.telemetry.request_timing import STAGES, Stages, watch

__all__ = ["AccessLog"]

logger = logging.getLogger("service.requests")

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
"""Request ids that are taken over from a proxy, as they go into logs and headers."""

QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""Routes of health checks and scrapers; logged at DEBUG unless they fail."""


class AccessLog:
    """The outermost middleware: sees every request and every answer."""

    def __init__(self, app: ASGIApp, paths: Iterable[str] = ()) -> None:
        """Wrap `app`.

        Args:
            app: what answers.
            paths: the templates of its routes, and its folders, which end in "/". A route with parameters names itself
                once a request has reached it; the others are known from here, also if a request is refused before.
        """
        self.app = app
        self._fixed = frozenset(path for path in paths if "{" not in path)
        self._folders = tuple(path for path in self._fixed if path.endswith("/") and path != "/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = route_path(scope)  # now, as a folder's route moves the root path
        exchange = _Exchange(find_id(scope), receive, send)
        metrics.request_began()
        try:
            with watch(exchange.stages):
                try:
                    await self.app(scope, exchange.receive, exchange.send)
                except Exception:
                    exchange.status = exchange.status or HTTPStatus.INTERNAL_SERVER_ERROR
                    raise
                finally:
                    exchange.record(scope["method"], self._template(scope, path))
        finally:
            metrics.request_ended()

    def _template(self, scope: Scope, path: str) -> str:
        """The template of the request's path. What a client wrote is none: ids of shoes are not logged or counted."""
        if path in self._fixed:
            return path
        template = getattr(scope.get("route"), "path", None)
        if isinstance(template, str):
            return template
        return next((folder for folder in self._folders if path.startswith(folder)), metrics.OTHER)


class _Exchange:
    """One request and its answer, timed as they pass."""

    __slots__ = ("_began", "_complete", "_receive", "_received", "_send", "_sent", "stages", "status")

    def __init__(self, request_id: str, receive: Receive, send: Send) -> None:
        self.stages = Stages(request_id)
        self.status = 0
        self._receive, self._send = receive, send
        self._began = self.stages.last
        self._received = False
        self._complete = False
        self._sent = 0

    async def receive(self) -> Message:
        """The next piece of the body; afterwards, word that the client has gone."""
        if self._received:
            return await self._receive()
        began = perf_counter()
        message = await self._receive()
        self.stages.add("receive", perf_counter() - began)
        self._received = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Pass a piece of the answer on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._respond()
            headers = ((b"x-request-id", self.stages.request.encode()), (b"server-timing", self._timing()))
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
            await self._send(message)
            return
        self._sent += len(message.get("body", b""))
        await self._send(message)
        self._complete = not message.get("more_body", False)
        self._respond()

    def record(self, method: str, route: str) -> None:
        """The request has ended: count it, and write its line."""
        status = self.status or CLIENT_GONE
        seconds = perf_counter() - self._began
        metrics.observe_request(method, route, status, seconds, self.stages.seconds)
        quiet = route in QUIET and status < HTTPStatus.BAD_REQUEST
        level = logging.DEBUG if quiet else logging.INFO
        if logger.isEnabledFor(level):
            entry = {
                "method": method,
                "route": route,
                "status": status,
                "bytes": self._sent,
                "ms": milliseconds(seconds),
                "stages": {stage: milliseconds(spent) for stage, spent in self.stages.seconds.items()},
            }
            if not self._complete:
                entry["cut"] = True  # the answer's end was not sent
            # As logger.log does, without a walk up the stack to find who calls.
            extra = logs.fields(**entry)
            logger.handle(logger.makeRecord(logger.name, level, __file__, 0, "request", (), None, extra=extra))

    def _respond(self) -> None:
        self.stages.add("respond", perf_counter() - self.stages.last)

    def _timing(self) -> bytes:
        """The value of the header Server-Timing (W3C), in milliseconds. `respond` and `total` go on after it."""
        spent = self.stages.seconds
        parts = [f"{stage};dur={spent[stage] * 1000:.2f}" for stage in STAGES if stage in spent]
        return f"{', '.join(parts)}, total;dur={(perf_counter() - self._began) * 1000:.2f}".encode()


def find_id(scope: Scope) -> str:
    """The request's id: what the header X-Request-ID says, if it is fit to be an id, or else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value.decode() if REQUEST_ID.fullmatch(value) else secrets.token_hex(8)
    return secrets.token_hex(8)


def milliseconds(seconds: float) -> float:
    """Milliseconds, rounded to a hundredth."""
    return round(seconds * 1000, 2)
