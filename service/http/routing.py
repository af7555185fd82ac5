"""Route lookup: whether a path and method have a route, the methods of a path, and redirects of trailing slashes."""

from collections.abc import Sequence
from urllib.parse import quote

from fastapi import FastAPI
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

__all__ = ["find_methods", "install", "is_routed"]

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""All methods that routes have; HEAD is answered as GET."""


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
