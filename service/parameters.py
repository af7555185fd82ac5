"""What routes are called with: the engine, and parameters that are checked beyond what a schema can say."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypedDict

from fastapi import Depends, Query, Request

from service.engine import Engine
from service.forms import read_form
from service.json_bodies import is_json, read_pictures
from service.live import Live
from service.multipart import FormLimits, Upload
from service.options import parse_filter
from service.pipeline import Pipeline
from service.refusals import refuse_unknown
from service.reloading import Reloader
from service.schemas import FILTER_TEXT
from service.settings import Settings
from service.store.base import Filter

__all__ = [
    "EngineOf",
    "FilterQuery",
    "LiveOf",
    "ManyImages",
    "OneImage",
    "PipelineOf",
    "ReloaderOf",
    "SettingsOf",
    "State",
    "known_query",
]


class State(TypedDict):
    """What the lifespan gives to each request; `LeaseGeneration` adds `engine` and `pipeline`."""

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
    pipeline: Pipeline = request.state.pipeline
    return pipeline


async def get_live(request: Request) -> Live:
    """What is being served, across reloads."""
    live: Live = request.state.live
    return live


async def get_reloader(request: Request) -> Reloader:
    """Where a reload is asked for."""
    reloader: Reloader = request.state.reloader
    return reloader


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


async def _read_images(request: Request, most: int) -> list[Upload]:
    settings: Settings = request.state.settings
    limits = FormLimits(images=most, image_bytes=settings.max_upload_bytes)
    if is_json(request):
        return await read_pictures(request, limits)
    return (await read_form(request, (), limits)).images


async def get_image(request: Request) -> bytes:
    """The one picture of a body."""
    (image,) = await _read_images(request, 1)
    return image.content


async def get_images(request: Request, settings: SettingsOf) -> list[Upload]:
    """The pictures of a body, in their order: at least one, and not more than are allowed."""
    return await _read_images(request, settings.max_images)


OneImage = Annotated[bytes, Depends(get_image)]
ManyImages = Annotated[list[Upload], Depends(get_images)]
