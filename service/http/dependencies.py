"""FastAPI dependencies: the engine, its pipeline and editor, and parameters that a schema can't check."""

from collections.abc import Awaitable, Callable
from operator import attrgetter
from typing import Annotated, TypedDict

from fastapi import Depends, Query, Request

from service.http.multipart import refuse_unknown
from service.http.schemas import FILTER_TEXT, IGNORE_CASE_TEXT
from service.serving.editor import Editor
from service.serving.engine import Engine
from service.serving.generations import Live, Reloader
from service.serving.pipeline import Pipeline
from service.settings import Settings
from service.store.filters import Filter, parse_filter

__all__ = [
    "EditorOf",
    "EngineOf",
    "FilterQuery",
    "LiveOf",
    "PipelineOf",
    "ReloaderOf",
    "SettingsOf",
    "State",
    "known_query",
]


class State(TypedDict):
    """What the lifespan gives to each request; `LeaseGeneration` adds `backend` and `engine`."""

    settings: Settings
    live: Live
    reloader: Reloader


def from_state(path: str) -> Callable[[Request], Awaitable[object]]:
    """A dependency that is something in the request's state, where the lifespan or `LeaseGeneration` put it."""
    read = attrgetter(path)

    async def get(request: Request) -> object:
        return read(request.state)

    return get


EditorOf = Annotated[Editor, Depends(from_state("backend.editor"))]
EngineOf = Annotated[Engine, Depends(from_state("engine"))]
LiveOf = Annotated[Live, Depends(from_state("live"))]
PipelineOf = Annotated[Pipeline, Depends(from_state("backend.pipeline"))]
ReloaderOf = Annotated[Reloader, Depends(from_state("reloader"))]
SettingsOf = Annotated[Settings, Depends(from_state("settings"))]


def known_query(*names: str) -> Callable[[Request], Awaitable[None]]:
    """A dependency that refuses query parameters of other names: a misspelt filter must not pass for none."""

    async def check(request: Request) -> None:
        refuse_unknown("query parameter", request.query_params.keys(), names)

    return check


def get_filter(
    engine: EngineOf,
    filter: Annotated[list[str], Query(description=FILTER_TEXT)] = [],  # noqa: B006
    ignore_case: Annotated[bool, Query(description=IGNORE_CASE_TEXT)] = False,  # noqa: FBT002 - a query parameter
) -> Filter | None:
    """The filter of a query string."""
    return engine.resolve(parse_filter(filter), ignore_case=ignore_case)


FilterQuery = Annotated[Filter | None, Depends(get_filter)]
