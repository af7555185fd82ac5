"""What is answered where a request fails: problems (RFC 9457) by one table, refusals, redirects of trailing slashes."""

import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from model.errors import CorruptImage, ImageTooLarge, QueryError, StorageFull, StorageReadOnly, UnsupportedImage
from model.text import MAX_ECHO
from service.errors import (
    CatalogueChanged,
    DeadlineExceeded,
    Interrupted,
    ItemExists,
    MapMissing,
    NotReady,
    Overloaded,
    PictureMissing,
    StoreBusy,
    StoreUnavailable,
    UnknownItem,
)
from service.serving.generations import ReloadRefused
from service.telemetry import metrics

logger = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"

MAX_DETAILS = 3
"""Faults of one request that an error message tells; further ones are counted."""

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""All methods that routes have; HEAD is answered as GET."""

CLIENT_GONE = 499
"""Status in logs of a request whose client disconnected before its answer; nginx's, as HTTP has none."""

EXPECTED_JSON = "expected a JSON object, sent with the header `Content-Type: application/json`"


class Problem(BaseModel):
    """What went wrong, after RFC 9457."""

    type: str = Field(description="Which kind of problem; `about:blank` where the status says it all.")
    title: str = Field(description="The kind of problem in words; the same for all problems of one type.")
    status: int = Field(description="The answer's status.")
    detail: str = Field(description="What was wrong with this request, and what is expected.")
    field: str | None = Field(default=None, description="The parameter at fault, where it is one.")


@dataclass(frozen=True)
class Kind:
    """A kind of problem.

    Attributes:
        status: of the answer.
        slug: the last part of `type`, for programs.
        title: for people.
        detail: sent in place of the exception's message, where that names what is not a client's business.
        reason: under which the metrics count the rejection; "" where it is none, or is counted elsewhere.
    """

    status: int
    slug: str
    title: str
    detail: str | None = None
    reason: str = ""


class Refusal(HTTPException):
    """A request that is refused for what it is, before it is known whether what it asks for could be had."""

    def __init__(self, kind: Kind, detail: str, **headers: str) -> None:
        """`headers`: of the answer, with underscores for hyphens."""
        super().__init__(kind.status, detail, {name.replace("_", "-"): value for name, value in headers.items()})
        self.kind = kind


BODY_TOO_LARGE = Kind(413, "body-too-large", "The request is too large", reason="body-too-large")
FORM_TOO_LARGE = Kind(413, "form-too-large", "The form has too many or too large parts", reason="too-many-parts")
HEAD_TOO_LARGE = Kind(431, "head-too-large", "The request's headers are too large", reason="head-too-large")
SLOW_SENDER = Kind(408, "slow-sender", "The request took too long to arrive", reason="slow-sender")
NO_MEMORY = Kind(503, "overloaded", "The service is busy", reason="memory")
TOO_MANY_CONNECTIONS = Kind(503, "overloaded", "The service is busy", reason="connections")
MALFORMED_REQUEST = Kind(400, "malformed-request", "The request can't be read")
UNAUTHORIZED = Kind(401, "unauthorized", "An API key is needed", reason="unauthorized")
FORBIDDEN = Kind(403, "forbidden", "The API key does not allow this", reason="forbidden")
WRONG_HOST = Kind(421, "wrong-host", "The request is meant for another host", reason="wrong-host")
ITEM_KEPT = Kind(412, "item-exists", "There is a shoe of this id")
"""The request has the header `If-None-Match: *`, and what it would replace is there."""

MALFORMED = Kind(400, "malformed-body", "The body can't be read")
UNEXPECTED = Kind(500, "", "Internal Server Error")

PROBLEMS: dict[type[Exception], Kind] = {
    UnsupportedImage: Kind(415, "unsupported-image", "Not an image of an allowed format"),
    CorruptImage: Kind(422, "corrupt-image", "The image is empty, truncated or broken"),
    ImageTooLarge: Kind(413, "image-too-large", "The image is too large"),
    Overloaded: Kind(503, "overloaded", "The service is busy"),
    DeadlineExceeded: Kind(503, "deadline-exceeded", "The request waited too long"),
    Interrupted: Kind(503, "interrupted", "The request was interrupted"),
    StoreBusy: Kind(503, "store-busy", "The catalogue is being changed"),
    StorageFull: Kind(
        507,
        "storage-full",
        "There is no room for the change",
        "the disk of the service is full; nothing of this change was stored",
    ),
    StorageReadOnly: Kind(
        503,
        "storage-read-only",
        "The catalogue can't be changed",
        "the service may not write its catalogue; nothing of this change was stored",
    ),
    StoreUnavailable: Kind(503, "store-unavailable", "The catalogue can't be reached"),
    QueryError: Kind(422, "invalid-parameter", "A parameter is out of range"),
    RequestValidationError: Kind(422, "invalid-parameter", "A parameter is out of range"),
    CatalogueChanged: Kind(409, "catalog-changed", "The catalogue has changed between two pages"),
    UnknownItem: Kind(404, "unknown-item", "No such shoe"),
    ItemExists: Kind(409, "item-exists", "There is a shoe of this id"),
    MapMissing: Kind(404, "map-missing", "There is no map"),
    PictureMissing: Kind(404, "picture-missing", "The shoe's picture is gone"),
    ReloadRefused: Kind(409, "reload-refused", "What is on disk can't be served"),
    NotReady: Kind(
        503, "not-ready", "The service is not ready", "the service does not answer as it should; see its log"
    ),
}
"""Exception -> kind of problem; a `Refusal` brings its own, any other is a 500 with the number of its log entry."""


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem, but redirect to a path with or without a slash at its end if that is there.

    Starlette redirects, too, but to an absolute URL, whose scheme, host and prefix are wrong behind many a proxy.
    """
    for exception in (*PROBLEMS, Refusal):
        app.add_exception_handler(exception, _answer_known)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(ClientDisconnect, _answer_nobody)
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


def is_routed(routes: Sequence[BaseRoute], scope: Scope) -> bool:
    """Whether one of the routes takes the path with the method."""
    return any(route.matches(scope)[0] is Match.FULL for route in routes)


def find_methods(routes: Sequence[BaseRoute], scope: Scope) -> list[str]:
    """The methods that the routes take at the path: none where nothing is."""
    return [method for method in METHODS if is_routed(routes, {**scope, "method": method})]


def _locate_other(scope: Scope) -> str:
    """The same path with or without the slash at its end, and the query, relative to the path."""
    path = (scope.get("raw_path") or quote(scope["path"]).encode()).decode("ascii")
    name = path.removesuffix("/").rpartition("/")[2]
    location = f"../{name}" if path.endswith("/") else f"./{name}/"
    query = scope["query_string"].decode("latin-1")
    return f"{location}?{query}" if query else location


def render_error(error: Exception) -> Response:
    """The answer to an error, for those who are no handlers of the application."""
    headers = error.headers if isinstance(error, Refusal) else None
    if isinstance(error, Overloaded | NotReady):
        headers = {"retry-after": str(getattr(error, "retry_after", 1))}
    return _to_response(describe_error(error), headers)


def describe_error(error: Exception) -> Problem:
    """Any error as a problem within an answer, counted; one that nobody foresaw is only a number in the log."""
    if isinstance(error, Refusal):
        if error.kind.reason:
            metrics.count_rejection(error.kind.reason)
        return _describe_problem(error.kind, error.detail)
    kind = next((PROBLEMS[base] for base in type(error).__mro__ if base in PROBLEMS), UNEXPECTED)
    if kind is UNEXPECTED:
        return _describe_problem(kind, log_unexpected("a part of a request", error))
    if kind.detail is not None:  # the message is not the client's: only the log has it
        logger.error("%s: %s", type(error).__name__, error)
    return _describe_problem(kind, kind.detail or str(error), error.field if isinstance(error, QueryError) else None)


def render_problem(
    kind: Kind, detail: str, *, field: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """A problem as an answer, and counted."""
    return _to_response(_describe_problem(kind, detail, field), headers)


def log_unexpected(where: str, error: Exception) -> str:
    """Log an unexpected error; returns the detail for the client."""
    number = secrets.token_hex(4)
    logger.error("error %s in %s", number, where, exc_info=error)
    return f"the service failed; its log has the cause under the number {number}"


def _describe_problem(kind: Kind, detail: str, field: str | None = None) -> Problem:
    metrics.count_problem(kind.slug)
    about = f"urn:solemate:{kind.slug}" if kind.slug else "about:blank"
    detail = detail.encode("utf-8", "replace").decode()  # a client's own text may hold lone surrogates
    return Problem(type=about, title=kind.title, status=kind.status, detail=detail, field=field)


def _to_response(problem: Problem, headers: Mapping[str, str] | None) -> Response:
    content = problem.model_dump_json(exclude_none=True)
    return Response(content, problem.status, headers, PROBLEM_TYPE)


async def _answer_known(_request: Request, error: Exception) -> Response:
    return render_error(error)


async def _answer_nobody(_request: Request, _error: Exception) -> Response:
    """The client is gone: nobody reads it, and there is nothing to be alarmed about."""
    return Response(status_code=CLIENT_GONE)


async def _answer_http(request: Request, error: Exception) -> Response:
    """What Starlette and FastAPI raise of themselves."""
    assert isinstance(error, HTTPException)
    detail, headers = str(error.detail), error.headers
    path = request.url.path
    if error.status_code == HTTPStatus.NOT_FOUND:
        root_path = request.scope.get("app_root_path", request.scope.get("root_path", ""))  # not that of a folder
        detail = f"nothing is at {path}; {root_path}/docs lists the paths"
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        methods = find_methods(request.app.router.routes, request.scope) or ["GET"]  # a folder's files are no routes
        if "GET" in methods:
            methods.append("HEAD")  # see `service.http.middleware.exchange`
        allowed = ", ".join(methods)
        detail, headers = f"{request.method} is not a method of {path}; expected {allowed}", {"allow": allowed}
    elif error.status_code == HTTPStatus.BAD_REQUEST:
        return render_problem(MALFORMED, f"the body is not what its content type says: {detail}", headers=headers)
    return render_problem(Kind(error.status_code, "", HTTPStatus(error.status_code).phrase), detail, headers=headers)


async def _answer_validation(_request: Request, error: Exception) -> Response:
    """What FastAPI found wrong with parameters and bodies."""
    assert isinstance(error, RequestValidationError)
    problems = error.errors()
    location: Sequence[Any] = problems[0]["loc"]
    if problems[0]["type"] == "json_invalid":
        reason = problems[0].get("ctx", {}).get("error", "")
        return render_problem(MALFORMED, f"the body is not JSON: {reason} at position {location[-1]}")
    details = [_describe_fault(problem) for problem in problems[:MAX_DETAILS]]
    if len(problems) > MAX_DETAILS:
        details.append(f"and {len(problems) - MAX_DETAILS} more")
    field = str(location[1])[:MAX_ECHO] if len(location) > 1 else None  # the second part of ("body", "vector", 3)
    return render_problem(PROBLEMS[RequestValidationError], "; ".join(details), field=field)


def _describe_fault(problem: dict[str, Any]) -> str:
    location = problem["loc"]
    if len(location) < 2:
        return EXPECTED_JSON
    name = ".".join(str(part)[:MAX_ECHO] for part in location[1:])
    given = problem.get("input")
    shown = isinstance(given, str | int | float) and problem["type"] != "missing"
    return f"{name}: {problem['msg']}" + (f", not {str(given)[:MAX_ECHO]!r}" if shown else "")
