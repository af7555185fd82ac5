"""Security headers of every answer, and HEAD requests, which are answered as GET without a body (RFC 9110, 9.3.2)."""

from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.settings import Settings

__all__ = ["PAGE_POLICY", "AnswerHead", "SecurityHeaders", "security_headers"]

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy: the page loads its own files, and nothing else from anywhere."""

Headers = Sequence[tuple[bytes, bytes]]


def security_headers(settings: Settings) -> Headers:
    """What every answer carries, as the settings have it."""
    policy = PAGE_POLICY
    if settings.frame_ancestors:
        policy = policy.replace("frame-ancestors 'none'", f"frame-ancestors {' '.join(settings.frame_ancestors)}")
    headers = {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        # Pages of other origins that may ask by script may show the pictures too.
        "cross-origin-resource-policy": "cross-origin" if settings.cors_origins else "same-origin",
    }
    return [(name.encode(), value.encode()) for name, value in headers.items()]


class SecurityHeaders:
    """Adds the headers; an answer that brings its own policy keeps it."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._headers = security_headers(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                names = {name for name, _ in given}
                message["headers"] = given + [header for header in self._headers if header[0] not in names]
            await send(message)

        await self.app(scope, receive, send_secured)


class AnswerHead:
    """Passes a HEAD request on as GET, and keeps the body of the answer back.

    The work is done all the same: only so are the length, the tag and the status those that GET would have.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        # A copy: the server looks at its own scope to see whether a body is due.
        passed_on = {**scope, "method": "GET"}
        try:
            await self.app(passed_on, receive, send_head)
        finally:
            # What the router has found out, for those who look at the request from outside.
            scope.update(passed_on, method="HEAD")
