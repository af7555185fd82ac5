"""FastAPI dependencies: the engine, its pipeline and editor, and parameters that a schema can't check."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypedDict

from fastapi import Depends, Query, Request

from service.http.problems import refuse_unknown
from service.http.schemas import FILTER_TEXT
from service.http.search_request import Pictures, read_pictures
from service.search.options import parse_filter
from service.serving.bootstrap import Backend
from service.serving.editor import Editor
from service.serving.engine import Engine
from service.serving.generations import Live
from service.serving.pipeline import Pipeline
from service.serving.reload import Reloader
from service.settings import Settings
from service.store.base import Filter

__all__ = [
    "EditorOf",
    "EngineOf",
    "FilterQuery",
    "LiveOf",
    "ManyPictures",
    "OnePicture",
    "PipelineOf",
    "ReloaderOf",
    "SettingsOf",
    "State",
    "get_pipeline",
    "known_query",
]


class State(TypedDict):
    """What the lifespan gives to each request; `LeaseGeneration` adds `backend` and `engine`."""

    settings: Settings
    live: Live
    reloader: Reloader


async def get_engine(request: Request) -> Engine:
    """The engine of the generation that is served, or was when the request began."""
    engine: Engine = request.state.engine
    return engine


async def get_settings(request: Request) -> Settings:
    """The settings that the application was made with."""
    settings: Settings = request.state.settings
    return settings


async def get_pipeline(request: Request) -> Pipeline:
    """What embeds and searches in batches, with that engine."""
    backend: Backend = request.state.backend
    return backend.pipeline


async def get_editor(request: Request) -> Editor:
    """What changes the catalogue, with that engine."""
    backend: Backend = request.state.backend
    return backend.editor


async def get_live(request: Request) -> Live:
    """What is being served, across reloads."""
    live: Live = request.state.live
    return live


async def get_reloader(request: Request) -> Reloader:
    """Where a reload is asked for."""
    reloader: Reloader = request.state.reloader
    return reloader


EditorOf = Annotated[Editor, Depends(get_editor)]
EngineOf = Annotated[Engine, Depends(get_engine)]
LiveOf = Annotated[Live, Depends(get_live)]
PipelineOf = Annotated[Pipeline, Depends(get_pipeline)]
ReloaderOf = Annotated[Reloader, Depends(get_reloader)]
SettingsOf = Annotated[Settings, Depends(get_settings)]


def known_query(*names: str) -> Callable[[Request], Awaitable[None]]:
    """A dependency that refuses query parameters of other names: a misspelt filter must not pass for none."""

    async def check(request: Request) -> None:
        refuse_unknown("query parameter", request.query_params.keys(), names)

    return check


async def get_filter(filter: Annotated[list[str], Query(description=FILTER_TEXT)] = []) -> Filter:  # noqa: B006
    """The filter of a query string."""
    return parse_filter(filter)


FilterQuery = Annotated[Filter, Depends(get_filter)]


async def get_picture(request: Request) -> Pictures:
    """The one picture of a body."""
    return await read_pictures(request, 1)


async def get_pictures(request: Request, settings: SettingsOf) -> Pictures:
    """The pictures of a body, in their order: at least one, and not more than are allowed."""
    return await read_pictures(request, settings.max_images)


OnePicture = Annotated[Pictures, Depends(get_picture)]
ManyPictures = Annotated[Pictures, Depends(get_pictures)]
