"""Reverse proxies: the root path, and X-Forwarded headers."""

import re
from contextvars import ContextVar
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from service.settings import ROOT_PATH, Settings

__all__ = ["BehindProxy", "current_root_path", "route_path"]

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
        """Wrap `app`."""
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
