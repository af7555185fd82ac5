"""What routes are called with: the engine, and parameters that are checked beyond what a schema can say."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypedDict, TypeVar

import pydantic
from fastapi import Depends, Query, Request
from fastapi.exceptions import RequestValidationError

from model.errors import QueryError
from service.engine import Engine
from service.forms import read_form
from service.live import Live
from service.multipart import Form, FormLimits, Upload
from service.pipeline import Pipeline
from service.refusals import refuse_unknown
from service.reloading import Reloader
from service.schemas import CONDITION_TEXT, FILTER_TEXT, K_TEXT
from service.settings import Settings
from service.store.base import OVERALL, Filter

__all__ = [
    "EngineOf",
    "FilterQuery",
    "LiveOf",
    "ManyImages",
    "OneImage",
    "PictureSearch",
    "PipelineOf",
    "ReloaderOf",
    "SearchOptions",
    "SearchQuery",
    "SettingsOf",
    "State",
    "known_query",
    "parse_filter",
    "read_picture_search",
]

T = TypeVar("T")

DEFAULT_K = 10

SEARCH_FIELDS = ("k", "condition", "filter")

WHOLE_NUMBER = pydantic.TypeAdapter(int)


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


@dataclass(frozen=True)
class SearchOptions:
    """How to search."""

    k: int
    condition: str
    filter: Filter


@dataclass(frozen=True)
class PictureSearch:
    """A search by a picture: its bytes, and how to search."""

    image: bytes
    options: SearchOptions


def known_query(*names: str) -> Callable[[Request], Awaitable[None]]:
    """A dependency that refuses query parameters of other names: a misspelt filter must not pass for none."""

    async def check(request: Request) -> None:
        refuse_unknown("query parameter", request.query_params.keys(), names)

    return check


def parse_filter(texts: Sequence[str]) -> Filter:
    """Several `Attribute:Value` as a filter; a value may hold colons itself. Raises QueryError."""
    allowed: dict[str, set[str]] = {}
    for text in texts:
        attribute, colon, value = text.partition(":")
        if not (attribute and colon and value):
            raise QueryError("filter", f"filter {text!r} is not Attribute:Value, such as Gender:Women")
        allowed.setdefault(attribute, set()).add(value)
    return {attribute: frozenset(values) for attribute, values in allowed.items()}


async def get_filter(filter: Annotated[list[str], Query(description=FILTER_TEXT)] = []) -> Filter:  # noqa: B006
    """The filter of a query string."""
    return parse_filter(filter)


FilterQuery = Annotated[Filter, Depends(get_filter)]


async def get_search_query(
    filter: FilterQuery,
    k: Annotated[int, Query(description=K_TEXT)] = DEFAULT_K,
    condition: Annotated[str, Query(description=CONDITION_TEXT)] = OVERALL,
) -> SearchOptions:
    """How to search, from a query string."""
    return SearchOptions(k, condition, filter)


SearchQuery = Annotated[SearchOptions, Depends(get_search_query)]


async def read_picture_search(request: Request) -> PictureSearch:
    """A picture, and how to search by it: from a query string or a form, or from both where they agree.

    Raises:
        RequestValidationError: k is no number.
        QueryError: a name is unknown, or the two places disagree; and all that `read_form` raises.
    """
    query = request.query_params
    refuse_unknown("query parameter", query.keys(), SEARCH_FIELDS)
    k, filters = _parse_k(query.get("k"), "query"), query.getlist("filter")
    form = await _read_form(request, SEARCH_FIELDS)
    one = _agree("k", k, _parse_k(_last(form, "k"), "body"))
    other = _agree("condition", query.get("condition"), _last(form, "condition"))
    passing = _agree(
        "filter",
        parse_filter(filters) if filters else None,
        parse_filter(form.fields["filter"]) if "filter" in form.fields else None,
    )
    options = SearchOptions(
        DEFAULT_K if one is None else one, OVERALL if other is None else other, {} if passing is None else passing
    )
    return PictureSearch(form.images[0].content, options)


def _last(form: Form, name: str) -> str | None:
    """A field's text, as in a query string the last of several; None where there is none, or it was left empty."""
    return form.fields.get(name, [""])[-1] or None


def _parse_k(text: str | None, place: str) -> int | None:
    """Raises RequestValidationError, as FastAPI does for a number that it reads itself."""
    try:
        return None if text is None else WHOLE_NUMBER.validate_python(text)
    except pydantic.ValidationError as error:
        raise RequestValidationError([{**problem, "loc": (place, "k")} for problem in error.errors()]) from None


def _agree(field: str, query: T | None, form: T | None) -> T | None:
    if query is not None and form is not None and query != form:
        raise QueryError(
            field, f"{field} is one thing in the query string and another in the form; expected one of them"
        )
    return form if query is None else query


async def _read_form(request: Request, names: Sequence[str] = (), *, images: int = 1) -> Form:
    settings: Settings = request.state.settings
    return await read_form(request, names, FormLimits(images=images, image_bytes=settings.max_upload_bytes))


async def get_image(request: Request) -> bytes:
    """The one picture of a body."""
    form = await _read_form(request)
    return form.images[0].content


async def get_images(request: Request, settings: SettingsOf) -> list[Upload]:
    """The pictures of a body, in their order: at least one, and not more than are allowed."""
    form = await _read_form(request, images=settings.max_images)
    return form.images


OneImage = Annotated[bytes, Depends(get_image)]
ManyImages = Annotated[list[Upload], Depends(get_images)]
