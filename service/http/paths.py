"""Paths: the root path behind a reverse proxy, the methods of a path, and redirects of trailing slashes."""

import re
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from service.settings import ROOT_PATH, Settings

__all__ = ["BehindProxy", "current_root_path", "find_methods", "install", "is_routed", "route_path"]

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""All methods that routes have; HEAD is answered as GET."""

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


def is_routed(routes: Sequence[BaseRoute], scope: Scope) -> bool:
    """Whether one of the routes takes the path with the method."""
    return any(route.matches(scope)[0] is Match.FULL for route in routes)


def find_methods(routes: Sequence[BaseRoute], scope: Scope) -> list[str]:
    """The methods that the routes take at the path: none where nothing is."""
    return [method for method in METHODS if is_routed(routes, {**scope, "method": method})]


def install(app: FastAPI) -> None:
    """Redirect to a path with or without a slash at its end, if only that one is there.

    Starlette does so too, but with an absolute URL, whose scheme, host and prefix are wrong behind many a proxy.
    """
    app.router.redirect_slashes = False
    not_found = app.router.default

    async def redirect_or_refuse(scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        other = path.removesuffix("/") if path.endswith("/") else f"{path}/"
        if path == "/" or not find_methods(app.router.routes, {**scope, "path": other}):
            await not_found(scope, receive, send)
            return
        response = RedirectResponse(_locate_other(scope))
        await response(scope, receive, send)

    app.router.default = redirect_or_refuse


def _locate_other(scope: Scope) -> str:
    """The same path with or without the slash at its end, and the query, relative to the path."""
    path = (scope.get("raw_path") or quote(scope["path"]).encode()).decode("ascii")
    name = path.removesuffix("/").rpartition("/")[2]
    location = f"../{name}" if path.endswith("/") else f"./{name}/"
    query = scope["query_string"].decode("latin-1")
    return f"{location}?{query}" if query else location
