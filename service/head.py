"""HEAD requests: whatever answers GET answers HEAD too, with the same headers and no body (RFC 9110, 9.3.2)."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["AnswerHead"]


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
