"""The ASGI application: routes, middleware and error handlers around what is served."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from model.version import find_version
from service.http import openapi, problems
from service.http.middleware.auth import RequireKey, ShareWithOrigins, TrustHosts, read_keys
from service.http.middleware.exchange import BehindProxy, LeaseGeneration, ServeExchange
from service.http.middleware.limits import LimitRequest
from service.http.page_files import PageFiles
from service.http.requests import State
from service.http.routes import images, items, operations, search
from service.serving.generations import Live, Reloader
from service.settings import Settings

PAGE = PageFiles(directory=Path(__file__).parents[1] / "web")

OTHER_PATHS = ("/", "/web/", "/docs", "/openapi.json")
"""Paths that are served beside those of the routers."""


def create_app(settings: Settings, live: Live, reloader: Reloader) -> FastAPI:
    """The service as an ASGI application.

    Args:
        settings: what the environment says.
        live: what answers; whoever made it starts and closes it.
        reloader: where a reload is asked for.

    Raises:
        KeysUnusable: the API keys that the settings name can't be used.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
        yield State(settings=settings, live=live, reloader=reloader)

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
    routers = [
        search.router,
        items.router,
        images.router,
        images.catalog_map,
        items.changes,
        operations.router,
        operations.admin,
    ]
    if settings.metrics_access != "off":
        routers.append(operations.prometheus)
    for router in routers:
        app.include_router(router)
    app.add_api_route("/", get_page, include_in_schema=False)
    app.mount("/web", PAGE, name="web")
    app.add_api_route("/docs", get_docs, include_in_schema=False)
    openapi.install(app, settings)
    problems.install(app)
    templates = [route.path for router in routers for route in router.routes if isinstance(route, Route)]
    for each in reversed(list_middleware(settings, live, app.router.routes, (*templates, *OTHER_PATHS))):
        app.add_middleware(each.cls, *each.args, **each.kwargs)  # the last one added is the outermost
    return app


def list_middleware(
    settings: Settings, live: Live, routes: Sequence[BaseRoute], templates: Sequence[str]
) -> Sequence[Middleware]:
    """What each request passes on its way to a route, the outermost first.

    Args:
        settings: what the environment says.
        live: what is leased to each request.
        routes: what is answered, for the keys that it takes.
        templates: the paths that the access log and the metrics distinguish.
    """
    some_hosts = settings.trusted_hosts and "*" not in settings.trusted_hosts
    return [
        *([Middleware(BehindProxy, settings=settings)] if settings.root_path or settings.trusted_proxies else ()),
        Middleware(ServeExchange, settings=settings, paths=templates),
        *([Middleware(TrustHosts, hosts=settings.trusted_hosts)] if some_hosts else ()),
        *([Middleware(ShareWithOrigins, origins=settings.cors_origins)] if settings.cors_origins else ()),
        Middleware(RequireKey, keys=read_keys(settings), settings=settings, routes=routes),
        Middleware(LimitRequest, settings=settings),
        Middleware(LeaseGeneration, live=live),
    ]


async def get_page(request: Request) -> Response:
    """The page."""
    return await PAGE.get_response("index.html", request.scope)


async def get_docs(request: Request) -> Response:
    """Swagger UI, from files of our own under the page's strict content policy."""
    return await PAGE.get_response("docs.html", request.scope)
