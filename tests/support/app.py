"""The service's application for tests in this process, which is prepared once for all tests with the same settings.

FastAPI works out its routes with the first request to an application, which takes longer than most tests.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from fastapi import FastAPI
from pydantic import SecretStr
from starlette.testclient import TestClient

from service.http.app import create_app
from service.serving.bootstrap import Backend
from service.serving.engine import Engine
from service.serving.generations import Live, OneProcess
from service.settings import Settings


def make_app(settings: Settings, engine: Engine) -> FastAPI:
    """An application of its own that serves an engine from the start of its lifespan to the end."""
    live = Live(lambda *, newer: Backend(engine, settings))
    app = create_app(settings, live, OneProcess(live))
    lifespan = app.router.lifespan_context

    @asynccontextmanager
    async def serve(app: FastAPI) -> AsyncIterator[Any]:
        await live.start()
        try:
            async with lifespan(app) as state:
                yield state
        finally:
            await live.close()

    app.router.lifespan_context = serve
    return app


class _App:
    """An application that serves one engine after another. No test may change it."""

    def __init__(self, settings: Settings) -> None:
        self.engine: Engine
        self.live = Live(lambda *, newer: Backend(self.engine, settings))
        self.app = create_app(settings, self.live, OneProcess(self.live))


_idle: dict[str, list[_App]] = {}
"""Settings -> applications that no test uses at the moment."""


@contextmanager
def open_client(settings: Settings, engine: Engine, **options: Any) -> Iterator[TestClient]:
    """A client of an application that serves the engine; it raises no error of the server unless `options` say so."""
    idle = _idle.setdefault(_describe(settings), [])
    served = idle.pop() if idle else _App(settings)
    served.engine, served.live.draining = engine, False
    with TestClient(served.app, **{"raise_server_exceptions": False, **options}) as client:
        assert client.portal is not None
        client.portal.call(served.live.start)
        try:
            yield client
        finally:
            client.portal.call(served.live.close)
    idle.append(served)


def _describe(settings: Settings) -> str:
    """All of them, the keys as well."""
    return repr([each.get_secret_value() if isinstance(each, SecretStr) else each for _, each in settings])
