"""What routes are called with: the engine, and parameters that are checked beyond what a schema can say."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypedDict, TypeVar

from fastapi import Depends, File, Form, Query, Request, UploadFile
from starlette.datastructures import UploadFile as ReceivedFile

from model.errors import ImageTooLarge, QueryError
from service.engine import Engine
from service.settings import Settings
from service.store.base import OVERALL, Filter

__all__ = [
    "EXPECTED_IMAGE",
    "MAX_ECHO",
    "EngineOf",
    "FilterQuery",
    "OneImage",
    "SearchForm",
    "SearchOptions",
    "SearchQuery",
    "SettingsOf",
    "State",
    "known_fields",
    "known_query",
    "parse_filter",
    "read_upload",
]

T = TypeVar("T")

DEFAULT_K = 10

MAX_NAMES = 5
MAX_ECHO = 80
"""How much of what a client got wrong it is told back: names, and characters of each."""

EXPECTED_IMAGE = (
    "expected a file part named `image` in a multipart/form-data body, as `curl -F image=@shoe.jpg` sends it"
)

FILTER_TEXT = (
    "`Attribute:Value`, repeated: values of one attribute are alternatives, attributes are all required. "
    "`/v1/facets` lists both."
)
K_TEXT = "How many shoes, at least 1; `/v1/info` has the maximum. Default: 10."
CONDITION_TEXT = "What to compare by; `/v1/info` lists the conditions. Default: overall."


class State(TypedDict):
    """What the lifespan gives to each request."""

    engine: Engine
    settings: Settings


async def get_engine(request: Request) -> Engine:
    """The engine that the lifespan opened."""
    engine: Engine = request.state.engine
    return engine


async def get_settings(request: Request) -> Settings:
    """The settings that the application was made with."""
    settings: Settings = request.state.settings
    return settings


EngineOf = Annotated[Engine, Depends(get_engine)]
SettingsOf = Annotated[Settings, Depends(get_settings)]


@dataclass(frozen=True)
class SearchOptions:
    """How to search."""

    k: int
    condition: str
    filter: Filter


def known_query(*names: str) -> Callable[[Request], Awaitable[None]]:
    """A dependency that refuses query parameters of other names: a misspelt filter must not pass for none."""

    async def check(request: Request) -> None:
        _refuse_unknown("query parameter", request.query_params.keys(), names)

    return check


def known_fields(*names: str, images: int | None = 1) -> Callable[[Request], Awaitable[None]]:
    """A dependency that refuses form fields of other names, more `image` parts than `images`, and other files."""

    async def check(request: Request) -> None:
        # curl's --data-binary says urlencoded: a picture would be taken for a field with a very strange name.
        if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            raise QueryError("image", EXPECTED_IMAGE)
        form = await request.form()  # what FastAPI has parsed, not again
        _refuse_unknown("form field", form.keys(), ("image", *names))
        counts = Counter(name for name, _ in form.multi_items())
        if images is not None and counts["image"] > images:
            raise QueryError("image", f"{counts['image']} images; expected {images}")
        for name, value in form.multi_items():
            if name != "image" and isinstance(value, ReceivedFile):
                raise QueryError(name, f"{name} is a file; expected text")

    return check


def _refuse_unknown(kind: str, given: Iterable[str], known: Sequence[str]) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        expected = f"known are: {', '.join(known)}" if known else "none is known here"
        shown = [name[:MAX_ECHO] for name in unknown[:MAX_NAMES]]
        raise QueryError(shown[0], f"unknown {kind} {', '.join(map(repr, shown))}; {expected}")


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


async def get_search_form(
    *,
    k: Annotated[int | None, Query(description=K_TEXT)] = None,
    condition: Annotated[str | None, Query(description=CONDITION_TEXT)] = None,
    filter: Annotated[list[str] | None, Query(description=FILTER_TEXT)] = None,
    form_k: Annotated[int | None, Form(alias="k", description=K_TEXT)] = None,
    form_condition: Annotated[str | None, Form(alias="condition", description=CONDITION_TEXT)] = None,
    form_filter: Annotated[list[str] | None, Form(alias="filter", description=FILTER_TEXT)] = None,
) -> SearchOptions:
    """How to search, from a query string or a form, or from both where they agree."""
    one = _agree("k", k, form_k)
    other = _agree("condition", condition, form_condition)
    filters = _agree(
        "filter",
        None if filter is None else parse_filter(filter),
        None if form_filter is None else parse_filter(form_filter),
    )
    return SearchOptions(
        DEFAULT_K if one is None else one, OVERALL if other is None else other, {} if filters is None else filters
    )


def _agree(field: str, query: T | None, form: T | None) -> T | None:
    if query is not None and form is not None and query != form:
        raise QueryError(
            field, f"{field} is one thing in the query string and another in the form; expected one of them"
        )
    return form if query is None else query


def read_upload(upload: UploadFile, settings: Settings) -> bytes:
    """A picture's bytes. Blocks: not for the event loop. Raises ImageTooLarge, before it reads."""
    size = upload.size or 0
    if size > settings.max_upload_bytes:
        raise ImageTooLarge(f"the image has {size:,} bytes; at most {settings.max_upload_bytes:,} are allowed")
    return upload.file.read()


def get_image(
    image: Annotated[UploadFile, File(description="A picture of a shoe: JPEG, PNG, WebP, GIF, BMP or TIFF.")],
    settings: SettingsOf,
) -> bytes:
    """The bytes of the one picture of a form. A plain function: FastAPI calls it off the event loop."""
    return read_upload(image, settings)


OneImage = Annotated[bytes, Depends(get_image)]
SearchForm = Annotated[SearchOptions, Depends(get_search_form)]
