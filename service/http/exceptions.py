"""What is wrong with a request as such, whatever it asks for.

They are HTTPExceptions, all of them: FastAPI lets those through its own reading of bodies.
"""

from collections.abc import Iterable, Sequence

from starlette.exceptions import HTTPException

from model.errors import QueryError

__all__ = [
    "MAX_ECHO",
    "BodyTooLarge",
    "Forbidden",
    "FormTooLarge",
    "HeadTooLarge",
    "MalformedRequest",
    "NoRoom",
    "PreconditionFailed",
    "SlowSender",
    "TooManyConnections",
    "Unauthorized",
    "WrongHost",
    "refuse_unknown",
]

MAX_ECHO = 80
"""How much of what a client got wrong it is told back: characters of each name or value."""

MAX_NAMES = 5
"""How many unknown names a client is told of."""


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
