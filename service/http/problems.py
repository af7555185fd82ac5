"""Errors as answers: HTTP exceptions, one table from exceptions to statuses, and RFC 9457 problems."""

import logging
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from model.errors import CorruptImage, ImageTooLarge, QueryError, StorageFull, StorageReadOnly, UnsupportedImage
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
from service.http.middleware.proxy import current_root_path
from service.http.routing import find_methods
from service.http.schemas import Problem
from service.serving.generations import ReloadRefused
from service.telemetry import metrics

__all__ = [
    "MAX_ECHO",
    "PROBLEMS",
    "PROBLEM_TYPE",
    "UNEXPECTED_TITLE",
    "BodyTooLarge",
    "Forbidden",
    "FormTooLarge",
    "HeadTooLarge",
    "Kind",
    "MalformedRequest",
    "NoRoom",
    "PreconditionFailed",
    "SlowSender",
    "TooManyConnections",
    "Unauthorized",
    "WrongHost",
    "describe_error",
    "install",
    "log_unexpected",
    "refuse_unknown",
    "render_error",
    "render_problem",
]

MAX_ECHO = 80
"""Characters of a wrong name or value that an error message repeats."""

MAX_NAMES = 5
"""Unknown names that an error message repeats."""


class BodyTooLarge(HTTPException):
    """The body of a request has more bytes than its path takes."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"the request's body is larger than the {limit:,} bytes that this path takes")


class HeadTooLarge(HTTPException):
    """The request line and the headers have more bytes, or are more, than are taken."""

    def __init__(self, limit: int, count: int) -> None:
        super().__init__(431, f"the request line and headers have more than {limit:,} bytes, or are more than {count}")


class FormTooLarge(HTTPException):
    """A form has too many parts, or one that is too large."""

    def __init__(self, detail: str) -> None:
        super().__init__(413, detail)


class SlowSender(HTTPException):
    """The request's headers or body did not arrive in time; the connection is closed."""

    def __init__(self, part: str, received: int, seconds: float) -> None:
        detail = f"only {received:,} bytes of the request's {part} arrived in {seconds:.0f} s; send it faster"
        super().__init__(408, detail, {"connection": "close"})


class NoRoom(HTTPException):
    """The bodies of all requests under way have more bytes than the process may hold."""

    def __init__(self) -> None:
        super().__init__(503, "too many large requests are under way; try again in a moment", {"retry-after": "1"})


class PreconditionFailed(HTTPException):
    """The request has the header `If-None-Match: *`, and what it would replace is there."""

    def __init__(self, detail: str) -> None:
        super().__init__(412, detail)


class TooManyConnections(HTTPException):
    """The process has as many connections as it may."""

    def __init__(self) -> None:
        super().__init__(503, "too many connections are open; try again in a moment", {"retry-after": "1"})


class MalformedRequest(HTTPException):
    """What came is not HTTP."""

    def __init__(self) -> None:
        super().__init__(400, "what was sent is not an HTTP/1.1 request")


class Unauthorized(HTTPException):
    """The request has no API key, or one that is not known."""

    def __init__(self, detail: str) -> None:
        super().__init__(401, detail, {"www-authenticate": 'Bearer realm="solemate"'})


class Forbidden(HTTPException):
    """What the request asks for is more than its API key allows."""

    def __init__(self, detail: str) -> None:
        super().__init__(403, detail)


class WrongHost(HTTPException):
    """The request is addressed to a host that this service is not."""

    def __init__(self) -> None:
        super().__init__(421, "the request's Host header is not one that this service answers to")


def refuse_unknown(kind: str, given: Iterable[str], known: Sequence[str]) -> None:
    """Raise QueryError if there is a name that is not known: a misspelt filter must not pass for none."""
    unknown = sorted(set(given).difference(known))
    if unknown:
        expected = f"known are: {', '.join(known)}" if known else "none is known here"
        shown = [name[:MAX_ECHO] for name in unknown[:MAX_NAMES]]
        raise QueryError(shown[0], f"unknown {kind} {', '.join(map(repr, shown))}; {expected}")


logger = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"

MAX_DETAILS = 3


CLIENT_GONE = 499
"""Status in logs of a request whose client disconnected before its answer; nginx's, as HTTP has none."""


@dataclass(frozen=True)
class Kind:
    """A kind of problem.

    Attributes:
        status: of the answer.
        slug: the last part of `type`, for programs.
        title: for people.
        detail: sent in place of the exception's message, where that names what is not a client's business.
    """

    status: int
    slug: str
    title: str
    detail: str | None = None


PROBLEMS: dict[type[Exception], Kind] = {
    UnsupportedImage: Kind(415, "unsupported-image", "Not an image of an allowed format"),
    CorruptImage: Kind(422, "corrupt-image", "The image is empty, truncated or broken"),
    ImageTooLarge: Kind(413, "image-too-large", "The image is too large"),
    BodyTooLarge: Kind(413, "body-too-large", "The request is too large"),
    FormTooLarge: Kind(413, "form-too-large", "The form has too many or too large parts"),
    HeadTooLarge: Kind(431, "head-too-large", "The request's headers are too large"),
    SlowSender: Kind(408, "slow-sender", "The request took too long to arrive"),
    NoRoom: Kind(503, "overloaded", "The service is busy"),
    TooManyConnections: Kind(503, "overloaded", "The service is busy"),
    MalformedRequest: Kind(400, "malformed-request", "The request can't be read"),
    Unauthorized: Kind(401, "unauthorized", "An API key is needed"),
    Forbidden: Kind(403, "forbidden", "The API key does not allow this"),
    WrongHost: Kind(421, "wrong-host", "The request is meant for another host"),
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
    PreconditionFailed: Kind(412, "item-exists", "There is a shoe of this id"),
    MapMissing: Kind(404, "map-missing", "There is no map"),
    PictureMissing: Kind(404, "picture-missing", "The shoe's picture is gone"),
    ReloadRefused: Kind(409, "reload-refused", "What is on disk can't be served"),
    NotReady: Kind(
        503, "not-ready", "The service is not ready", "the service does not answer as it should; see its log"
    ),
}
"""Exception -> kind of problem. Any other exception is a 500 with the number of its log entry."""

UNEXPECTED_TITLE = "Internal Server Error"

MALFORMED = Kind(400, "malformed-body", "The body can't be read")

EXPECTED_JSON = "expected a JSON object, sent with the header `Content-Type: application/json`"


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem."""
    for exception in PROBLEMS:
        app.add_exception_handler(exception, _answer_known)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(ClientDisconnect, _answer_nobody)


def render_problem(
    kind: Kind, detail: str, *, field: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """A problem as an answer, and counted."""
    content = _describe_problem(kind, detail, field).model_dump_json(exclude_none=True)
    return Response(content, status_code=kind.status, media_type=PROBLEM_TYPE, headers=headers)


def _describe_problem(kind: Kind, detail: str, field: str | None) -> Problem:
    metrics.count_problem(kind.slug)
    about = "about:blank" if not kind.slug else f"urn:solemate:{kind.slug}"
    return Problem(type=about, title=kind.title, status=kind.status, detail=_tidy(detail), field=field)


def render_error(error: Exception) -> Response:
    """The answer to an error that is in the table, for those who are no handlers of the application."""
    kind = next(PROBLEMS[base] for base in type(error).__mro__ if base in PROBLEMS)
    return render_problem(kind, _find_detail(kind, error), field=_field_of(error), headers=_headers_of(error))


def describe_error(error: Exception) -> Problem:
    """Any error as a problem within an answer, counted; one that nobody foresaw is only a number in the log."""
    kind = next((PROBLEMS[base] for base in type(error).__mro__ if base in PROBLEMS), None)
    if kind is None:
        kind = Kind(500, "", UNEXPECTED_TITLE)
        return _describe_problem(kind, log_unexpected("a part of a request", error), None)
    return _describe_problem(kind, _find_detail(kind, error), _field_of(error))


def _find_detail(kind: Kind, error: Exception) -> str:
    if kind.detail is not None:  # the message is not the client's: only the log has it
        logger.error("%s: %s", type(error).__name__, error)
        return kind.detail
    return str(error.detail if isinstance(error, HTTPException) else error)


def _field_of(error: Exception) -> str | None:
    return error.field if isinstance(error, QueryError) else None


def log_unexpected(where: str, error: Exception) -> str:
    """Log an unexpected error; returns the detail for the client."""
    number = secrets.token_hex(4)
    logger.error("error %s in %s", number, where, exc_info=error)
    return f"the service failed; its log has the cause under the number {number}"


def _headers_of(error: Exception) -> Mapping[str, str] | None:
    if isinstance(error, Overloaded):
        return {"retry-after": str(error.retry_after)}
    if isinstance(error, NotReady):
        return {"retry-after": "1"}
    return error.headers if isinstance(error, HTTPException) else None


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
        detail = f"nothing is at {path}; {current_root_path()}/docs lists the paths"
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        methods = find_methods(request.app.router.routes, request.scope) or ["GET"]  # a folder's files are no routes
        if "GET" in methods:
            methods.append("HEAD")  # see `service.http.middleware.headers`
        allowed = ", ".join(methods)
        detail, headers = f"{request.method} is not a method of {path}; expected {allowed}", {"allow": allowed}
    elif error.status_code == HTTPStatus.BAD_REQUEST:
        return render_problem(MALFORMED, f"the body is not what its content type says: {detail}", headers=headers)
    return render_problem(Kind(error.status_code, "", HTTPStatus(error.status_code).phrase), detail, headers=headers)


async def _answer_validation(_request: Request, error: Exception) -> Response:
    """What FastAPI found wrong with parameters and bodies."""
    assert isinstance(error, RequestValidationError)
    problems = error.errors()
    if problems[0]["type"] == "json_invalid":
        position, reason = problems[0]["loc"][-1], problems[0].get("ctx", {}).get("error", "")
        return render_problem(MALFORMED, f"the body is not JSON: {reason} at position {position}")
    details = [_describe(problem) for problem in problems[:MAX_DETAILS]]
    if len(problems) > MAX_DETAILS:
        details.append(f"and {len(problems) - MAX_DETAILS} more")
    return render_problem(PROBLEMS[RequestValidationError], "; ".join(details), field=_field(problems[0]))


def _field(problem: dict[str, Any]) -> str | None:
    """The parameter's own name: the second part of ("body", "vector", 3)."""
    location: Sequence[Any] = problem["loc"]
    return str(location[1]) if len(location) > 1 else None


def _describe(problem: dict[str, Any]) -> str:
    location = problem["loc"]
    if len(location) < 2:
        return EXPECTED_JSON
    name = ".".join(str(part) for part in location[1:])
    given = problem.get("input")
    shown = isinstance(given, str | int | float) and problem["type"] != "missing"
    return f"{name}: {problem['msg']}" + (f", not {str(given)[:MAX_ECHO]!r}" if shown else "")


def _tidy(text: str) -> str:
    """As UTF-8 can carry it: a client's own text may hold lone surrogates."""
    return text.encode("utf-8", "replace").decode("utf-8")
