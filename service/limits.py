"""How large a request may be: bytes are counted as they arrive, whatever the headers promise."""

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import PROBLEMS, BodyTooLarge, render_problem
from service.settings import Settings

__all__ = ["LimitBody", "body_limits"]

ENVELOPE = 64 * 1024
"""Bytes of a form beside its pictures: boundaries, headers, filters."""

OTHER_BODY = 2**20
"""Bytes of any other body, such as a vector in JSON."""


def body_limits(settings: Settings) -> dict[str, int]:
    """Path -> the largest body it takes, in bytes."""
    one = min(settings.max_upload_bytes, settings.max_body_bytes) + ENVELOPE
    many = min(settings.max_images * settings.max_upload_bytes, settings.max_body_bytes) + ENVELOPE
    return {"/v1/search": one, "/v1/reconstructions": one, "/v1/embeddings": many}


class LimitBody:
    """Refuses a body that is too large: by its Content-Length at once, else when the bytes have come.

    Nothing beyond the limit is kept, in memory or on disk.
    """

    def __init__(self, app: ASGIApp, limits: Mapping[str, int], default: int = OTHER_BODY) -> None:
        self.app = app
        self.limits = dict(limits)
        self.default = default

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.limits.get(scope["path"], self.default)
        length = Headers(scope=scope).get("content-length", "")
        if length.isdecimal() and int(length[:20]) > limit:
            response = render_problem(PROBLEMS[BodyTooLarge], BodyTooLarge(limit).detail)
            await response(scope, receive, send)
            return
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise BodyTooLarge(limit)
            return message

        await self.app(scope, receive_counted, send)
