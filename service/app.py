"""The application: routes, errors, limits and headers around one engine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from model.version import find_version
from service import docs, errors, openapi, routed
from service.access import RequireKey, ShareWithOrigins, TrustHosts
from service.engine import Engine
from service.head import AnswerHead
from service.headers import SecurityHeaders
from service.keys import read_keys
from service.limits import LimitRequest
from service.live import LeaseGeneration, Live, OneProcess
from service.observe import Observe
from service.parameters import State
from service.pipeline import Pipeline
from service.proxied import BehindProxy
from service.reloading import Reloader
from service.routes import admin, changes, items, metrics, operations, pictures, search
from service.settings import Settings
from service.startup import open_pipeline

__all__ = ["create_app"]

WEB = Path(__file__).with_name("web")

REVALIDATE = {"cache-control": "no-cache"}
"""The page's files change with a release, under the same names."""

OTHER_PATHS = ("/", "/web/", "/docs", "/openapi.json")
"""What is answered beside the routers' paths."""


def create_app(
    settings: Settings, engine: Engine | None = None, *, live: Live | None = None, reloader: Reloader | None = None
) -> FastAPI:
    """The service as an ASGI application.

    Args:
        settings: what the environment says.
        engine: what answers; whoever made it closes it. Left out: opened at the start and closed at the end.
        live: instead of an engine, what answers now; whoever made it starts and closes it.
        reloader: where a reload is asked for; left out: this application is the only one that reloads.

    Raises:
        KeysUnusable: the API keys that the settings name can't be used.
        ArtifactError: at the start, where neither is given: the artifacts that the settings name can't be used.
    """
    served = live or Live(partial(_open, settings, engine), close_engines=engine is None)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
        state = State(settings=settings, live=served, reloader=reloader or OneProcess(served))
        if live is not None:
            yield state
            return
        await served.start()
        try:
            yield state
        finally:
            await served.close()

    app = FastAPI(
        title="solemate",
        version=find_version(),
        description=openapi.DESCRIPTION,
        lifespan=lifespan,
        routes=[*search.direct],
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=openapi.name_operation,
    )
    routers = [module.router for module in (search, items, pictures, changes, operations, admin)]
    if settings.metrics_access != "off":
        routers.append(metrics.router)
    for router in routers:
        app.include_router(router)
    app.add_api_route("/", get_page, include_in_schema=False)
    app.mount("/web", _PageFiles(directory=WEB), name="web")
    docs.install(app)
    openapi.install(app, settings)
    errors.install(app)
    routed.install(app)
    # The last one added is the outermost.
    app.add_middleware(LeaseGeneration, live=served)
    app.add_middleware(LimitRequest, settings=settings)
    app.add_middleware(RequireKey, keys=read_keys(settings), settings=settings, routes=app.router.routes)
    if settings.cors_origins:
        app.add_middleware(ShareWithOrigins, origins=settings.cors_origins)
    if settings.trusted_hosts and "*" not in settings.trusted_hosts:
        app.add_middleware(TrustHosts, hosts=settings.trusted_hosts)
    app.add_middleware(errors.CatchUnexpected)
    app.add_middleware(SecurityHeaders, settings=settings)
    app.add_middleware(AnswerHead)
    paths = [route.path for router in routers for route in router.routes if isinstance(route, Route)]
    app.add_middleware(Observe, paths=(*paths, *OTHER_PATHS))
    if settings.root_path or settings.trusted_proxies:
        app.add_middleware(BehindProxy, settings=settings)
    return app


def _open(settings: Settings, engine: Engine | None, *, newer: bool) -> Pipeline:
    return open_pipeline(settings, newer=newer) if engine is None else Pipeline(engine, settings)


async def get_page() -> FileResponse:
    """The page."""
    return FileResponse(WEB / "index.html", headers=REVALIDATE)


class _PageFiles(StaticFiles):
    """The page's scripts, styles and icons."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(REVALIDATE)
        return response
