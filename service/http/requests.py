"""Requests: what routes are given, and query strings, forms and JSON as options, pictures, examples and shoes."""

import json
from base64 import b64decode
from binascii import Error
from collections.abc import Awaitable, Callable, Mapping, Sequence
from math import isfinite
from operator import attrgetter
from string import whitespace
from typing import Annotated, Any, TypedDict, TypeVar

import pydantic
from fastapi import Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool

from model.errors import QueryError
from model.framing import Box, View
from model.text import MAX_ECHO, nfc
from service.catalog.writer import Changed
from service.errors import ItemExists
from service.http.json_limits import MAX_JSON_BYTES, JsonMeter
from service.http.middleware.limits import body_too_large
from service.http.multipart import IMAGE, Form, FormLimits, Upload, image_too_large, read_form, refuse_unknown
from service.http.problems import ITEM_KEPT, Refusal
from service.http.schemas import (
    FILTER_TEXT,
    IGNORE_CASE_TEXT,
    MAX_DIMENSION,
    MAX_ROTATION,
    Attributes,
    BatchQuery,
    BatchSearch,
    FacetsQuery,
    ImageSearch,
    ImagesInJson,
    NewItem,
    Numbers,
    PictureSearchFields,
    Recommendation,
    SearchFields,
    ViewFields,
)
from service.search.options import DEFAULT_K, MAX_EXCLUDED, SearchOptions, parse_weights
from service.search.pagination import decode_cursor
from service.serving.editor import Editor, NewShoe
from service.serving.engine import Engine
from service.serving.generations import Live, Reloader
from service.serving.pipeline import Pipeline, SearchRequest
from service.serving.recommendation import MAX_EXAMPLES, ExamplePicture, Examples
from service.settings import Settings
from service.store.filters import Filter, canonical, parse_filter

SEARCH_FIELDS = tuple(SearchFields.model_fields)
VIEW_FIELDS = tuple(ViewFields.model_fields)

Fields = TypeVar("Fields", SearchFields, ViewFields, PictureSearchFields)
Body = TypeVar("Body", bound=pydantic.BaseModel)

REPEATED = frozenset(
    name
    for name, schema in PictureSearchFields.model_json_schema()["properties"].items()
    if any(choice.get("type") == "array" for choice in schema.get("anyOf", ()))
)
"""Options with several values; of any other that is repeated, the last value counts."""

OTHER_FIELDS = 100
"""Largest number of a form's fields beside examples and excluded ids."""

MAX_BATCH = 1000
"""Largest number of shoes in one request."""

FIELD_BYTES = 64 * 1024
"""Largest form field with a vector, or with a shoe's id and attributes, in bytes."""

CROP_SLACK = 1e-6
"""Tolerance for crops that reach out of their picture by floating-point errors, as a share of it."""

MAX_DIGITS = 20
"""Digits of an integer in JSON: of more it is read as a float, as their conversion takes quadratic time."""

WHITE_SPACE = whitespace.encode()

EXAMPLE_FIELDS = ("positive", "negative", "positive_vector", "negative_vector")
EXAMPLE_PICTURES = ("positive_image", "negative_image")

VECTORS: pydantic.TypeAdapter[list[float]] = pydantic.TypeAdapter(Numbers)
ATTRIBUTES: pydantic.TypeAdapter[dict[str, list[str]]] = pydantic.TypeAdapter(
    Attributes, config=pydantic.ConfigDict(strict=True)
)

EXPECTED_EXAMPLES = (
    "expected a multipart/form-data body, or a JSON object with the header `Content-Type: application/json`"
)
EXPECTED_BASE64 = (
    "image is no picture in base64; expected a data: URL such as data:image/jpeg;base64,/9j/4AAQ..., or what follows "
    "the comma alone; pictures are not fetched from elsewhere"
)

# What routes are given, beside their parameters.


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


def read_filter(engine: Engine, body: FacetsQuery) -> Filter | None:
    """The filter of a body. Raises QueryError."""
    return engine.resolve(parse_filter(body.filter or ()), ignore_case=body.ignore_case)


# Searches. All of these raise QueryError, and RequestValidationError for what a schema finds wrong; those that read
# forms raise what `read_form` does, too.


def to_options(fields: SearchFields, settings: Settings) -> SearchOptions:
    """The options that a request gives, read; those that it leaves out have their defaults."""
    given = fields.model_fields_set
    k = min(DEFAULT_K, settings.max_k)
    # Most searches have no options.
    if given.isdisjoint(SEARCH_FIELDS):
        return SearchOptions(k)
    options: dict[str, Any] = {}
    for name in SEARCH_FIELDS:
        if name in given and (value := getattr(fields, name)) is not None:
            options[name] = READERS.get(name, _as_given)(value)
    limit = options.pop("limit", None)
    # Clients generated from the description send the default of `k`.
    if limit is not None and options.get("k", limit) not in {limit, k}:
        raise QueryError("limit", f"limit is {limit} and k is {options['k']}; expected one of them: they are the same")
    options["k"] = options.get("k", k) if limit is None else limit
    if "condition" in options:
        options["weights"] = parse_weights(options["condition"])
    return SearchOptions(**options)


def _as_given(value: object) -> object:
    """What can't be changed any more."""
    return tuple(value) if isinstance(value, list) else value


READERS: Mapping[str, Callable[[Any], object]] = {
    "filter": parse_filter,
    "cursor": decode_cursor,
    "group": bool,
}
"""Option -> how it is parsed from its field, where it is not the field's value itself."""


async def get_search_query(request: Request, fields: Annotated[SearchFields, Query()]) -> SearchOptions:
    """How to search, from a query string."""
    return to_options(fields, request.state.settings)


SearchQuery = Annotated[SearchOptions, Depends(get_search_query)]


async def read_picture_search(request: Request) -> tuple[bytes, SearchOptions, View | None]:
    """A picture, how to search by it, and where in it the shoe is: from a query string, and a form or JSON."""
    settings: Settings = request.state.settings
    limits = FormLimits(1, settings.max_upload_bytes, fields=MAX_EXCLUDED + OTHER_FIELDS)
    fields, body = await _read(request, PictureSearchFields, ImageSearch, limits)
    if isinstance(body, Form):
        image = body.images[0].content
    else:
        image = await run_in_threadpool(decode_picture, body.image, limits.image_bytes)
    return image, to_options(fields, settings), _to_view(fields)


async def read_batch_search(request: Request) -> list[SearchRequest]:
    """Several searches: a form with a picture for each of them and options of all, or JSON."""
    settings: Settings = request.state.settings
    limits = FormLimits(settings.max_images, settings.max_upload_bytes, fields=MAX_EXCLUDED + OTHER_FIELDS)
    if _is_json(request):
        refuse_unknown("query parameter", request.query_params.keys(), ())
    fields, body = await _read(request, PictureSearchFields, BatchSearch, limits)
    if isinstance(body, BatchSearch):
        if not 1 <= len(body.queries) <= settings.max_images:
            raise QueryError("queries", f"{len(body.queries)} queries; expected 1 to {settings.max_images}")
        return [_to_search_request(place, query, settings) for place, query in enumerate(body.queries)]
    options, view = to_options(fields, settings), _to_view(fields)
    return [SearchRequest(options, image=image.content, view=view) for image in body.images]


def _to_search_request(place: int, query: BatchQuery, settings: Settings) -> SearchRequest:
    if (query.item is None) == (query.vector is None):
        raise QueryError("queries", f"query {place} has to have either an item or a vector")
    return SearchRequest(to_options(query, settings), item_id=query.item, vector=query.vector)


async def read_pictures(request: Request, most: int = 1) -> tuple[list[Upload], View | None]:
    """The pictures of a body, in their order: at least one, and at most `most`; and where the shoe is in each."""
    settings: Settings = request.state.settings
    limits = FormLimits(most, settings.max_upload_bytes)
    fields, body = await _read(request, ViewFields, ImagesInJson, limits)
    if isinstance(body, Form):
        return body.images, _to_view(fields)
    texts = [body.image] if isinstance(body.image, str) else body.image
    if not 1 <= len(texts) <= most:
        raise QueryError(IMAGE, f"{len(texts)} images; expected 1 to {most}")
    images = [Upload("", await run_in_threadpool(decode_picture, text, limits.image_bytes)) for text in texts]
    return images, _to_view(fields)


async def read_example_search(request: Request) -> tuple[Examples, SearchOptions]:
    """Several examples, and how to search by them: from JSON or a form, and the options also from a query string."""
    settings: Settings = request.state.settings
    if not (_is_json(request) or _content_type(request) == "multipart/form-data"):
        raise QueryError("positive", EXPECTED_EXAMPLES)
    count = MAX_EXAMPLES + MAX_EXCLUDED + OTHER_FIELDS
    limits = FormLimits(settings.max_images, settings.max_upload_bytes, count, FIELD_BYTES)
    fields, body = await _read(
        request, SearchFields, Recommendation, limits, others=EXAMPLE_FIELDS, pictures=EXAMPLE_PICTURES
    )
    return _to_examples(body), to_options(fields, settings)


def _to_examples(body: Recommendation | Form) -> Examples:
    if isinstance(body, Form):
        return Examples(
            liked_ids=[nfc(text) for text in body.fields.get("positive", ()) if text],
            disliked_ids=[nfc(text) for text in body.fields.get("negative", ()) if text],
            liked_vectors=_read_vectors("positive_vector", body),
            disliked_vectors=_read_vectors("negative_vector", body),
            images=[
                ExamplePicture(each.content, each.filename, each.name == EXAMPLE_PICTURES[0]) for each in body.images
            ],
        )
    return Examples(
        liked_ids=[each for each in body.positive if isinstance(each, str)],
        disliked_ids=[each for each in body.negative if isinstance(each, str)],
        liked_vectors=[each for each in body.positive if not isinstance(each, str)],
        disliked_vectors=[each for each in body.negative if not isinstance(each, str)],
    )


def _read_vectors(name: str, form: Form) -> Sequence[Sequence[float]]:
    try:
        return [VECTORS.validate_json(text) for text in form.fields.get(name, ()) if text]
    except pydantic.ValidationError:
        raise QueryError(
            name, f"a {name} is no JSON array of at most {MAX_DIMENSION:,} finite numbers, such as [0.5, -1.25]"
        ) from None


# Options, which may be in the query string and in the body, where they agree.


async def _read(
    request: Request,
    model: type[Fields],
    in_json: type[Body],
    limits: FormLimits,
    *,
    others: tuple[str, ...] = (),
    pictures: Sequence[str] = (IMAGE,),
) -> tuple[Fields, Body | Form]:
    """The options of a request, and its body: JSON or a form.

    Args:
        request: its body has not been read yet.
        model: the options.
        in_json: those, and whatever else is in JSON.
        limits: of a form.
        others: names of a form's fields beside the options.
        pictures: names of a form's pictures; of others than `image` there need be none.
    """
    query = _read_query(request, model)
    if _is_json(request):
        body = await _read_json(request, in_json)
        return _agree(query, body, request), body
    names = others + tuple(model.model_fields)
    form = await read_form(request, names, limits, pictures=pictures)
    fields = _read_fields({name: texts for name, texts in form.fields.items() if name not in others}, model)
    return _agree(query, fields, request), form


def _read_query(request: Request, model: type[Fields]) -> Fields:
    query = request.query_params
    if not query:
        return NOTHING
    refuse_unknown("query parameter", query.keys(), tuple(model.model_fields))
    return _read_fields({name: query.getlist(name) for name in query}, model, empty=True)


NOTHING = PictureSearchFields()


def _read_fields(texts: Mapping[str, list[str]], model: type[Fields], *, empty: bool = False) -> Fields:
    """Options as texts; an option that a form leaves empty is none, and so it is unless `empty`."""
    given: dict[str, Any] = {}
    for name, values in texts.items():
        if name in REPEATED:
            kept = values if empty else [value for value in values if value]
            if kept:
                given[name] = kept
        elif empty or values[-1]:
            given[name] = values[-1]
    return validate(model, given) if given else NOTHING


def _to_view(fields: ViewFields) -> View | None:
    """Where the shoe is in a picture, as a request says it; None where it does not. Raises QueryError."""
    # Most requests have no view.
    if fields.model_fields_set.isdisjoint(VIEW_FIELDS):
        return None
    degrees = 0.0 if fields.rotate is None else fields.rotate
    if not -MAX_ROTATION <= degrees <= MAX_ROTATION:
        raise QueryError("rotate", f"rotate is {degrees:g}; expected {-MAX_ROTATION} to {MAX_ROTATION} degrees")
    return View(None if fields.crop is None else _parse_crop(fields.crop), degrees, fields.subject == "whole")


def _parse_crop(given: str | Sequence[float]) -> Box:
    """A part of a picture, in fractions of its width and height: `left,top,width,height`, or four numbers."""
    try:
        left, top, width, height = (float(part) for part in (given.split(",") if isinstance(given, str) else given))
    except (ValueError, OverflowError):
        left = float("nan")
    if not isfinite(left) or "_" in given or not all(map(isfinite, (top, width, height))):
        raise QueryError(
            "crop",
            f"crop is {str(given)[:MAX_ECHO]!r}; expected four numbers, left,top,width,height, in fractions of the "
            "picture, such as 0.1,0.2,0.5,0.4",
        )
    for name, start, extent in (("width", left, width), ("height", top, height)):
        if not (start >= 0 and extent > 0 and start + extent <= 1 + CROP_SLACK):
            raise QueryError(
                "crop",
                f"crop begins at {start:g} of the picture's {name} and has {extent:g} of it; expected a part of the "
                "picture: a beginning of at least 0, a size of more than 0, and together at most 1",
            )
    return Box(left, top, width, height)


def _agree(query: Fields, body: Any, request: Request) -> Fields:  # noqa: ANN401 - also what has these fields and more
    """The options of both places. Raises QueryError where they disagree.

    Clients generated from the description send the default of `k` in both: another value counts.
    """
    if body is NOTHING:
        return query
    if query is NOTHING:
        return body  # type: ignore[no-any-return]
    given = {name: getattr(query, name) for name in query.model_fields_set}
    for name in body.model_fields_set & type(query).model_fields.keys():
        first, second = given.get(name), getattr(body, name)
        default = name == "k" and min(DEFAULT_K, request.state.settings.max_k)
        if name not in given or (default and first == default):
            given[name] = second
        elif not _is_same(name, first, second) and not (default and second == default):
            raise QueryError(
                name, f"{name} is one thing in the query string and another in the body; expected one of them"
            )
    return query.model_construct(**given)


def _is_same(name: str, first: Any, second: Any) -> bool:  # noqa: ANN401 - an option of any kind
    if name == "filter" and first and second:
        return canonical(parse_filter(first)) == canonical(parse_filter(second))
    if name in REPEATED and first and second:
        return set(first) == set(second)
    if name == "crop" and first and second:
        return _parse_crop(first) == _parse_crop(second)
    return bool(first == second)


# JSON.


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_json(request: Request) -> bool:
    return _content_type(request) == "application/json"


async def _read_json(request: Request, model: type[Body]) -> Body:
    """A request's body. Raises RequestValidationError where it is no such JSON, and Refusal where it is too large."""
    most = None if IMAGE in model.model_fields else MAX_JSON_BYTES
    body, meter = bytearray(), JsonMeter()
    async for chunk in request.stream():
        body += chunk
        meter.feed(chunk)
        if most is not None and len(body) > most:
            raise body_too_large(most)
    return await run_in_threadpool(lambda: validate(model, _parse(body)))


def _parse(body: bytearray) -> object:
    try:
        content: object = json.loads(body, parse_int=_read_int, parse_float=_read_float)
    except ValueError as error:  # also UnicodeDecodeError; json.JSONDecodeError says where
        position, reason = getattr(error, "pos", 0), getattr(error, "msg", "no text")
    except RecursionError:
        position, reason = 0, "nested too deeply"
    else:
        return content
    raise RequestValidationError([{"type": "json_invalid", "loc": ("body", position), "ctx": {"error": reason}}])


# Functions in Python, between whose calls other threads have their turns: without them, none has until all is parsed.


def _read_int(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


def _read_float(text: str) -> float:
    return float(text)


def validate(model: type[Body], content: object) -> Body:
    """Content as a model. Raises RequestValidationError, as FastAPI does for what it reads itself."""
    try:
        return model.model_validate(content)
    except pydantic.ValidationError as error:
        problems = [{**problem, "loc": ("body", *problem["loc"])} for problem in error.errors(include_url=False)]
        raise RequestValidationError(problems) from None


def decode_picture(text: str, limit: int) -> bytes:
    """The bytes of a picture in base64, with or without the head of a data: URL.

    Args:
        text: with padding or without, and with line ends or without.
        limit: bytes of the picture.
    """
    head, comma, rest = text.partition(",")
    if comma and not (head[:5].lower() == "data:" and head.lower().endswith(";base64")):
        raise QueryError(IMAGE, EXPECTED_BASE64)
    try:
        digits = (rest if comma else text).encode("ascii").translate(None, WHITE_SPACE).rstrip(b"=")
        if len(digits) * 3 // 4 > limit:
            raise image_too_large(limit)
        return b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
    except (Error, ValueError):  # the latter where there are letters beyond ASCII
        raise QueryError(IMAGE, EXPECTED_BASE64) from None


# Shoes.

Addition = NewShoe | QueryError
"""A shoe of a batch, or what is wrong with how it was sent."""


async def refuse_to_replace(change: Awaitable[Changed]) -> Changed:
    """What comes of a change that must not replace a shoe. Raises Refusal where it would have."""
    try:
        return await change
    except ItemExists as error:
        raise Refusal(ITEM_KEPT, str(error)) from None


def wants_to_replace(request: Request) -> bool:
    """Whether a shoe may take another's place: not with `If-None-Match: *` (RFC 9110, 13.1.2)."""
    given = request.headers.get("if-none-match")
    if given is not None and given.strip() != "*":
        raise QueryError("If-None-Match", f"If-None-Match is {given[:MAX_ECHO]!r}; expected *, or no such header")
    return given is None


async def read_shoe(request: Request, item_id: str | None = None) -> NewShoe:
    """A shoe: a form with `image` and, as JSON, `attributes`, and with `id` where the path has none."""
    refuse_unknown("query parameter", request.query_params.keys(), ())
    settings: Settings = request.state.settings
    names = ("id", "attributes") if item_id is None else ("attributes",)
    form = await read_form(request, names, FormLimits(1, settings.max_upload_bytes, len(names), FIELD_BYTES))
    if item_id is None:
        item_id = _one_field(form, "id")
        if item_id is None:
            raise QueryError("id", "expected a form field `id`, as `curl -F id=boot-7 -F image=@shoe.jpg` sends it")
    text = _one_field(form, "attributes")
    try:
        attributes = ATTRIBUTES.validate_json(text) if text else {}
    except pydantic.ValidationError as error:
        raise _explain("attributes", error, '{"Gender": ["Women"]}') from None
    return NewShoe(nfc(item_id), attributes, form.images[0].content)


def _one_field(form: Form, name: str) -> str | None:
    values = form.fields.get(name, [])
    if len(values) > 1:
        raise QueryError(name, f"{len(values)} form fields `{name}`; expected one")
    return values[0] if values else None


async def read_additions(request: Request) -> list[Addition]:
    """New shoes: a form with an `item`, which is JSON, and an `image` for each of them, in the same order.

    A picture of too many bytes is let pass here, as long as the body's own limit does: it is to fail alone.
    """
    refuse_unknown("query parameter", request.query_params.keys(), ())
    settings: Settings = request.state.settings
    form = await read_form(request, ("item",), FormLimits(MAX_BATCH, settings.max_body_bytes, MAX_BATCH, FIELD_BYTES))
    items = form.fields.get("item", [])
    if len(items) != len(form.images):
        raise QueryError(
            "item", f"{len(items)} `item` fields and {len(form.images)} `image` parts; expected one of each for a shoe"
        )
    pairs = zip(items, form.images, strict=True)
    # They may be 64 MiB of JSON; in a thread other requests have their turns between two items.
    return await run_in_threadpool(lambda: [_read_one(text, upload.content) for text, upload in pairs])


def _read_one(text: str, image: bytes) -> Addition:
    try:
        item = NewItem.model_validate_json(text)
    except pydantic.ValidationError as error:
        return _explain("item", error, '{"id": "boot-7", "attributes": {...}}')
    except QueryError as error:
        return error
    return NewShoe(item.id, item.attributes, image)


def _explain(field: str, error: pydantic.ValidationError, expected: str) -> QueryError:
    first = error.errors()[0]
    position = ".".join(str(part)[:MAX_ECHO] for part in first["loc"])
    at = f" at {position!r}" if position else ""
    return QueryError(field, f"{field} is not what was expected{at}: {first['msg']}; expected JSON such as {expected}")
