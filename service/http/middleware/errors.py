"""ASGI middleware that answers unexpected exceptions with a 500 problem, outermost of what may raise them."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.problems import UNEXPECTED_TITLE, Kind, log_unexpected, render_problem

__all__ = ["AnswerUnexpected"]


class AnswerUnexpected:
    """Turns unexpected exceptions into 500 problems, which only name the number of the log entry."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_on(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, send_on)
        except Exception as error:
            detail = log_unexpected(f"{scope['method']} {scope['path']}", error)
            if started:
                raise  # the answer can't be taken back: the server cuts the connection
            response = render_problem(Kind(500, "", UNEXPECTED_TITLE), detail)
            await response(scope, receive, send)
