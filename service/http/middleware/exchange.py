"""Exchanges: what every request and its answer have, whatever the route, and what ends with the client.

A request gets the root path that a proxy serves it under, an id, a clock, its line in the log, and the lease of a
generation. An answer gets its headers, and is a 500 problem where nobody foresaw what was raised.
"""

import asyncio
import logging
import re
import secrets
from collections.abc import Awaitable, Iterable, Sequence
from contextvars import ContextVar
from http import HTTPStatus
from time import perf_counter
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from service.http.problems import CLIENT_GONE, UNEXPECTED, log_unexpected, render_problem
from service.serving.generations import Live
from service.settings import ROOT_PATH, Settings
from service.telemetry import logging as logs
from service.telemetry import metrics
from service.telemetry.request_timing import STAGES, Stages, watch

logger = logging.getLogger("service.requests")

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
"""Request ids that are taken over from a proxy, as they go into logs and headers."""

QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""Routes of health checks and scrapers; logged at DEBUG unless they fail."""

PATIENCE = 0.05
"""Seconds before a connection is watched: most answers are ready by then, and watching has a cost."""

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
)
"""Content-Security-Policy: the page loads its own files, and nothing else from anywhere."""

Headers = Sequence[tuple[bytes, bytes]]


_root_path: ContextVar[str] = ContextVar("root_path", default="")


def current_root_path() -> str:
    """What links in the answer to the current request begin with, such as `/shoes`; empty at the root of a host."""
    return _root_path.get()


def route_path(scope: Scope) -> str:
    """The path of a request as the routes have it, without the root path (ASGI has both in `path`)."""
    path: str = scope["path"]
    return path[len(scope.get("root_path", "")) :]


class BehindProxy(ProxyHeadersMiddleware):
    """Puts the root path into a request's scope, as ASGI wants it, whether or not the proxy has cut it off the path.

    From the proxies that the settings trust, X-Forwarded-For and -Proto are the client's address and scheme, and
    X-Forwarded-Prefix is the root path.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        proxies = list(settings.trusted_proxies)
        super().__init__(app, trusted_hosts="*" if "*" in proxies else proxies)  # type: ignore[arg-type]
        self._root_path = settings.root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # type: ignore[override]
        """Serve one request."""
        if scope["type"] != "http" or not (root_path := self._find_root_path(scope)):
            await super().__call__(scope, receive, send)  # type: ignore[arg-type]
            return
        if scope["path"] != root_path and not scope["path"].startswith(f"{root_path}/"):
            scope["path"] = root_path + scope["path"]
            if scope.get("raw_path"):
                scope["raw_path"] = root_path.encode() + scope["raw_path"]
        scope["root_path"] = root_path
        token = _root_path.set(root_path)
        try:
            await super().__call__(scope, receive, send)  # type: ignore[arg-type]
        finally:
            _root_path.reset(token)

    def _find_root_path(self, scope: Scope) -> str:
        client: Any = scope.get("client")
        if client and client[0] in self.trusted_hosts:
            for name, value in scope["headers"]:
                if name == b"x-forwarded-prefix":
                    prefix: str = value.decode("latin-1").strip().rstrip("/")
                    if re.fullmatch(ROOT_PATH, prefix):
                        return prefix
        return self._root_path


def security_headers(settings: Settings) -> Headers:
    """What every answer carries, as the settings have it."""
    headers = {
        "content-security-policy": PAGE_POLICY.format(ancestors=" ".join(settings.frame_ancestors) or "'none'"),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        # Pages of other origins that may ask by script may show the pictures too.
        "cross-origin-resource-policy": "cross-origin" if settings.cors_origins else "same-origin",
    }
    return [(name.encode(), value.encode()) for name, value in headers.items()]


class ServeExchange:
    """The outermost middleware: sees every request and every answer.

    HEAD is passed on as GET, and the answer's body kept back (RFC 9110, 9.3.2). The work is done all the same: only so
    are the length, the tag and the status those that GET would have.
    """

    def __init__(self, app: ASGIApp, settings: Settings, paths: Iterable[str] = ()) -> None:
        """Wrap `app`.

        Args:
            app: what answers.
            settings: say what browsers may do with the answers.
            paths: the templates of its routes, and its folders, which end in "/". A route with parameters names itself
                once a request has reached it; the others are known from here, also if a request is refused before.
        """
        self.app = app
        self._headers = security_headers(settings)
        self._fixed = frozenset(path for path in paths if "{" not in path)
        self._folders = tuple(path for path in self._fixed if path.endswith("/") and path != "/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method, path = scope["method"], route_path(scope)  # now, as a folder's route moves the root path
        exchange = _Exchange(scope, receive, send, self._headers)
        # A copy: the server looks at its own scope to see whether a body is due.
        passed_on = {**scope, "method": "GET"} if method == "HEAD" else scope
        metrics.request_began()
        try:
            with watch(exchange.stages):
                try:
                    await self.app(passed_on, exchange.receive, exchange.send)
                except Exception as error:
                    detail = log_unexpected(f"{method} {scope['path']}", error)
                    if exchange.status:
                        raise  # the answer can't be taken back: the server cuts the connection
                    await render_problem(UNEXPECTED, detail)(passed_on, receive, exchange.send)
                finally:
                    if passed_on is not scope:
                        scope.update(passed_on, method=method)  # what the router has found out
                    exchange.record(method, self._template(scope, path))
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

    __slots__ = (
        *("_began", "_complete", "_head", "_headers", "_receive", "_received", "_send", "_sent"),
        *("stages", "status"),
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        self.stages = Stages(find_id(scope))
        self.status = 0
        self._head = scope["method"] == "HEAD"
        self._headers, self._receive, self._send = headers, receive, send
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
        """Pass a piece of the answer on; an answer that brings a header of its own keeps it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._respond()
            given = list(message.get("headers", ()))
            names = {name for name, _ in given}
            given += [header for header in self._headers if header[0] not in names]
            given += (b"x-request-id", self.stages.request.encode()), (b"server-timing", self._timing())
            await self._send({**message, "headers": given})
            return
        if self._head:
            message = {**message, "body": b""}
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
        if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
            return str(value, "ascii")
    return secrets.token_hex(8)


def milliseconds(seconds: float) -> float:
    """Milliseconds, rounded to a hundredth."""
    return round(seconds * 1000, 2)


class LeaseGeneration:
    """Gives each request the backend of the current generation, and its engine.

    They are `backend` and `engine` of the request's state, beside what the lifespan put there.
    """

    def __init__(self, app: ASGIApp, live: Live) -> None:
        self.app, self._live = app, live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        generation = self._live.lease()
        try:
            state = scope.setdefault("state", {})
            state["backend"], state["engine"] = generation.backend, generation.backend.engine
            await self.app(scope, receive, send)
        finally:
            self._live.release(generation)


T = TypeVar("T")


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Await `work`; cancel it if the client goes away meanwhile.

    Args:
        request: its body has been read to the end, if it has one.
        work: what to wait for.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    looking: asyncio.Task[None] | None = None
    gone = False

    async def look() -> None:
        nonlocal gone
        while (await request.receive())["type"] != "http.disconnect":
            pass  # the empty body of a request without one
        gone = True
        task.cancel()

    def start() -> None:
        nonlocal looking
        looking = loop.create_task(look())

    timer = loop.call_later(PATIENCE, start)
    try:
        return await work
    except asyncio.CancelledError:
        if not gone:
            raise
        task.uncancel()
        metrics.count_rejection("disconnected")
        raise ClientDisconnect from None
    finally:
        timer.cancel()
        if looking is not None:
            looking.cancel()
