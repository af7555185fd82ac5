"""The application: routes, errors, limits and headers around one engine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from service import docs, errors, openapi
from service.answers import find_version
from service.engine import Engine
from service.headers import SecurityHeaders
from service.limits import LimitBody, body_limits
from service.parameters import State
from service.routes import items, operations, pictures, search
from service.settings import Settings
from service.startup import open_engine

__all__ = ["create_app"]

WEB = Path(__file__).with_name("web")

REVALIDATE = {"cache-control": "no-cache"}
"""The page's files change with a release, under the same names."""


def create_app(settings: Settings, engine: Engine | None = None) -> FastAPI:
    """The service as an ASGI application.

    Args:
        settings: what the environment says.
        engine: what answers; whoever made it closes it. Left out: opened at the start and closed at the end.

    Raises:
        ArtifactError: at the start, where there is no engine: the artifacts that the settings name can't be used.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
        if engine is not None:
            yield State(engine=engine, settings=settings)
            return
        opened = await run_in_threadpool(open_engine, settings)
        try:
            yield State(engine=opened, settings=settings)
        finally:
            await run_in_threadpool(opened.close)

    app = FastAPI(
        title="solemate",
        version=find_version(),
        description=openapi.DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    for module in (search, items, pictures, operations):
        app.include_router(module.router)
    app.add_api_route("/", get_page, methods=["GET", "HEAD"], include_in_schema=False)
    app.mount("/web", _PageFiles(directory=WEB), name="web")
    docs.install(app)
    openapi.install(app)
    errors.install(app)
    # The last one added is the outermost.
    app.add_middleware(LimitBody, limits=body_limits(settings))
    app.add_middleware(errors.CatchUnexpected)
    app.add_middleware(SecurityHeaders)
    return app


async def get_page() -> FileResponse:
    """The page."""
    return FileResponse(WEB / "index.html", headers=REVALIDATE)


class _PageFiles(StaticFiles):
    """The page's scripts, styles and icons."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(REVALIDATE)
        return response
