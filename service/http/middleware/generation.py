"""ASGI middleware that leases the current generation for the time of a request."""

from starlette.types import ASGIApp, Receive, Scope, Send

from service.serving.generations import Live

__all__ = ["LeaseGeneration"]


class LeaseGeneration:
    """ASGI middleware: gives each request the backend of the current generation, and its engine.

    They are `backend` and `engine` of the request's state, beside what the lifespan put there.
    """

    def __init__(self, app: ASGIApp, live: Live) -> None:
        self.app, self._live = app, live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        generation = self._live.lease()
        try:
            state = scope.setdefault("state", {})
            state["backend"], state["engine"] = generation.backend, generation.backend.engine
            await self.app(scope, receive, send)
        finally:
            self._live.release(generation)
