"""What a client raises.

ClientError
├── Unreachable         no answer: no connection, or it was cut off, or took too long
├── UnexpectedAnswer    an answer that is not the service's: another program, or another version
└── ApiError            a refusal, with the problem document (RFC 9457)
    ├── InvalidRequest  400, 413, 415, 422 and other 4xx: `problem.field` names the parameter
    ├── NotAllowed      401, 403
    ├── NotFound        404
    ├── Conflict        409, 412
    └── Busy            503, after the retries
"""

from http import HTTPStatus

import httpx2
import pydantic

from solemate.client.models import Problem

MAX_SHOWN = 200
"""Characters of an answer that is no problem document, in the error's message."""


class ClientError(Exception):
    """Any error of this client."""


class Unreachable(ClientError):
    """There was no answer, or no whole one."""


class UnexpectedAnswer(ClientError):
    """The answer is not what the service's own description says."""


class ApiError(ClientError):
    """The service refused.

    Attributes:
        problem: what it says of that; made up from the status where a proxy answered in its place.
        request_id: of the service's log; "" where there is none.
    """

    def __init__(self, problem: Problem, request_id: str = "") -> None:
        super().__init__(f"{problem.status} {problem.title}: {problem.detail}")
        self.problem = problem
        self.request_id = request_id

    @property
    def status(self) -> int:
        """The answer's HTTP status."""
        return self.problem.status


class InvalidRequest(ApiError):
    """Something of the request is wrong: a parameter, a picture, its size."""


class NotAllowed(ApiError):
    """There is no API key, or it does not allow this."""


class NotFound(ApiError):
    """There is no such shoe, picture or path."""


class Conflict(ApiError):
    """The id is taken, the catalogue changed between two pages, or a reload was refused."""


class Busy(ApiError):
    """The service has too much to do, or can't answer now."""


KINDS: dict[int, type[ApiError]] = {
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    503: Busy,
}


def raise_for_problem(response: httpx2.Response) -> None:
    """Raise the `ApiError` that a response is, if it is one."""
    if response.is_success:
        return
    kind = KINDS.get(response.status_code, InvalidRequest if response.is_client_error else ApiError)
    raise kind(read_problem(response), response.headers.get("x-request-id", ""))


def read_problem(response: httpx2.Response) -> Problem:
    """The problem document of a refusal, or one made of its status and text."""
    try:
        return Problem.model_validate_json(response.content)
    except pydantic.ValidationError:
        known = {status.value: status.phrase for status in HTTPStatus}
        title = response.reason_phrase or known.get(response.status_code, "a status without a name")
        detail = " ".join(response.text.split())[:MAX_SHOWN] or "an answer without a body"
        return Problem(title=title, status=response.status_code, detail=detail)
