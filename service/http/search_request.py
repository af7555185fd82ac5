"""Requests for searches, read from query string, form or JSON: pictures, examples and options."""

import json
from base64 import b64decode
from binascii import Error
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import pydantic
from fastapi import Depends, Request
from fastapi import Query as QueryParameter
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool

from model.errors import QueryError
from model.framing import View
from model.text import nfc
from service.http.multipart import IMAGE, Form, FormLimits, Upload, image_too_large, read_form
from service.http.problems import refuse_unknown
from service.http.schemas import (
    BatchQuery,
    BatchSearch,
    ImageSearch,
    ImagesInJson,
    PictureSearchFields,
    Recommendation,
    SearchFields,
    ViewFields,
)
from service.search.filters import parse_filter
from service.search.options import (
    DEFAULT_K,
    MAX_EXCLUDED,
    SearchOptions,
    parse_crop,
    parse_weights,
    read_cursor,
    to_view,
)
from service.serving.pipeline import Query
from service.serving.recommendation import MAX_EXAMPLES, Examples, Picture
from service.settings import Settings

__all__ = [
    "SEARCH_FIELDS",
    "VIEW_FIELDS",
    "ExampleSearch",
    "PictureSearch",
    "Pictures",
    "SearchQuery",
    "decode_picture",
    "decode_pictures",
    "find_default_k",
    "is_json",
    "read_batch_search",
    "read_example_search",
    "read_json",
    "read_picture_search",
    "read_pictures",
    "to_options",
    "validate",
]

SEARCH_FIELDS = tuple(SearchFields.model_fields)
VIEW_FIELDS = tuple(ViewFields.model_fields)
PICTURE_SEARCH_FIELDS = (*SEARCH_FIELDS, *VIEW_FIELDS)

Fields = TypeVar("Fields", SearchFields, ViewFields, PictureSearchFields)
Searched = TypeVar("Searched", SearchFields, PictureSearchFields)

REPEATED = frozenset(
    name
    for name, schema in PictureSearchFields.model_json_schema()["properties"].items()
    if any(choice.get("type") == "array" for choice in schema.get("anyOf", ()))
)
"""Options with several values; of any other that is repeated, the last value counts."""

OTHER_FIELDS = 100
"""Largest number of a form's fields beside examples and excluded ids."""

EXAMPLE_FIELDS = ("positive", "negative", "positive_vector", "negative_vector")
EXAMPLE_PICTURES = ("positive_image", "negative_image")

VECTORS = pydantic.TypeAdapter(list[Annotated[float, pydantic.Field(strict=True, allow_inf_nan=False)]])

EXPECTED_EXAMPLES = (
    "expected a multipart/form-data body, or a JSON object with the header `Content-Type: application/json`"
)


@dataclass(frozen=True)
class PictureSearch:
    """A search by a picture: its bytes, how to search, and where in it the shoe is, if that is said."""

    image: bytes
    options: SearchOptions
    view: View | None = None


@dataclass(frozen=True)
class Pictures:
    """The pictures of a body, in their order, and where the shoe is in each of them, if that is said."""

    images: list[Upload]
    view: View | None = None


@dataclass(frozen=True)
class ExampleSearch:
    """A search by several examples, and how to search."""

    examples: Examples
    options: SearchOptions


def find_default_k(settings: Settings) -> int:
    """How many shoes a search gives that does not say it."""
    return min(DEFAULT_K, settings.max_k)


def to_options(fields: SearchFields, settings: Settings) -> SearchOptions:
    """The options that a request gives, read; those that it leaves out have their defaults. Raises QueryError."""
    given = fields.model_fields_set
    k = find_default_k(settings)
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
    "cursor": read_cursor,
    "group": bool,
}
"""Option -> how it is parsed from its field, where it is not the field's value itself."""


async def get_search_query(request: Request, fields: Annotated[SearchFields, QueryParameter()]) -> SearchOptions:
    """How to search, from a query string."""
    return to_options(fields, request.state.settings)


SearchQuery = Annotated[SearchOptions, Depends(get_search_query)]


async def read_picture_search(request: Request) -> PictureSearch:
    """A picture, and how to search by it: from a query string, a form or JSON, or from both where they agree."""
    fields = _read_query(request, PictureSearchFields)
    settings: Settings = request.state.settings
    if is_json(request):
        body = validate(ImageSearch, await read_json(request), "body")
        image = await run_in_threadpool(decode_picture, body.image, settings.max_upload_bytes)
        agreed = _agree_on_search(fields, body, find_default_k(settings))
        return PictureSearch(image, to_options(agreed, settings), _view_in(agreed))
    limits = FormLimits(images=1, image_bytes=settings.max_upload_bytes, fields=MAX_EXCLUDED + OTHER_FIELDS)
    form = await read_form(request, PICTURE_SEARCH_FIELDS, limits)
    agreed = _agree_on_search(fields, _read_fields(form.fields, "body", PictureSearchFields), find_default_k(settings))
    return PictureSearch(form.images[0].content, to_options(agreed, settings), _view_in(agreed))


async def read_batch_search(request: Request) -> list[Query]:
    """Several searches: a form with a picture for each of them and options of all, or JSON. Raises likewise."""
    settings: Settings = request.state.settings
    if is_json(request):
        refuse_unknown("query parameter", request.query_params.keys(), ())
        body = validate(BatchSearch, await read_json(request), "body")
        if not 1 <= len(body.queries) <= settings.max_images:
            raise QueryError("queries", f"{len(body.queries)} queries; expected 1 to {settings.max_images}")
        return [_to_query(place, query, settings) for place, query in enumerate(body.queries)]
    fields = _read_query(request, PictureSearchFields)
    limits = FormLimits(
        images=settings.max_images, image_bytes=settings.max_upload_bytes, fields=MAX_EXCLUDED + OTHER_FIELDS
    )
    form = await read_form(request, PICTURE_SEARCH_FIELDS, limits)
    agreed = _agree_on_search(fields, _read_fields(form.fields, "body", PictureSearchFields), find_default_k(settings))
    options, view = to_options(agreed, settings), _view_in(agreed)
    return [Query(options, image=image.content, view=view) for image in form.images]


def _to_query(place: int, query: BatchQuery, settings: Settings) -> Query:
    if (query.item is None) == (query.vector is None):
        raise QueryError("queries", f"query {place} has to have either an item or a vector")
    return Query(to_options(query, settings), item_id=query.item, vector=query.vector)


async def read_pictures(request: Request, most: int) -> Pictures:
    """At least one picture and at most `most`, and where the shoe is in them. Raises as `read_picture_search`."""
    fields = _read_query(request, ViewFields)
    settings: Settings = request.state.settings
    limits = FormLimits(images=most, image_bytes=settings.max_upload_bytes)
    if is_json(request):
        body = validate(ImagesInJson, await read_json(request), "body")
        images = await decode_pictures(body.image, limits)
        return Pictures(images, _view_in(_agree(fields, body)))
    form = await read_form(request, VIEW_FIELDS, limits)
    return Pictures(form.images, _view_in(_agree(fields, _read_fields(form.fields, "body", ViewFields))))


async def read_example_search(request: Request) -> ExampleSearch:
    """Several examples, and how to search by them: from JSON or a form, and the options also from a query string.

    Raises: as `read_picture_search`; HTTPException for a body that is no form, RequestValidationError for one that is
        no JSON.
    """
    fields = _read_query(request, SearchFields)
    settings: Settings = request.state.settings
    if is_json(request):
        body = validate(Recommendation, await read_json(request), "body")
        agreed = _agree_on_search(fields, body, find_default_k(settings))
        return ExampleSearch(_to_examples(body), to_options(agreed, settings))
    if not request.headers.get("content-type", "")[:20].lower().startswith("multipart/form-data"):
        raise QueryError("positive", EXPECTED_EXAMPLES)
    limits = FormLimits(
        settings.max_images,
        settings.max_upload_bytes,
        fields=MAX_EXAMPLES + MAX_EXCLUDED + OTHER_FIELDS,
        field_bytes=64 * 1024,
    )
    names = (*EXAMPLE_FIELDS, *SEARCH_FIELDS)
    form = await read_form(request, names, limits, pictures=EXAMPLE_PICTURES, optional=True)
    options = {name: values for name, values in form.fields.items() if name in SEARCH_FIELDS}
    agreed = _agree_on_search(fields, _read_fields(options, "body", SearchFields), find_default_k(settings))
    return ExampleSearch(_examples_of(form), to_options(agreed, settings))


def _read_query(request: Request, model: type[Fields]) -> Fields:
    query = request.query_params
    if not query:
        return NOTHING
    refuse_unknown("query parameter", query.keys(), tuple(model.model_fields))
    return _read_fields({name: query.getlist(name) for name in query}, "query", model, empty=True)


NOTHING = PictureSearchFields()


def _read_fields(texts: Mapping[str, list[str]], source: str, model: type[Fields], *, empty: bool = False) -> Fields:
    """Options as texts; an option that a form leaves empty is none, and so it is unless `empty`."""
    given: dict[str, Any] = {}
    for name, values in texts.items():
        if name in REPEATED:
            kept = values if empty else [value for value in values if value]
            if kept:
                given[name] = kept
        elif empty or values[-1]:
            given[name] = values[-1]
    return validate(model, given, source) if given else NOTHING


def _view_in(fields: ViewFields) -> View | None:
    # Most requests have no view.
    if fields.model_fields_set.isdisjoint(VIEW_FIELDS):
        return None
    return to_view(fields.crop, fields.rotate, fields.subject)


def _agree_on_search(one: Searched, other: Searched, default_k: int) -> Searched:
    """`_agree`; clients generated from the description send the default of `k` in both: another value counts."""
    if one.k == default_k and other.k is not None:
        one = _without_k(one)
    elif other.k == default_k and one.k is not None:
        other = _without_k(other)
    return _agree(one, other)


def _agree(one: Fields, other: Fields) -> Fields:
    """The options of both places. Raises QueryError where they disagree."""
    if other is NOTHING:
        return one
    if one is NOTHING:
        return other
    for name in one.model_fields_set & other.model_fields_set:
        if not _is_same(name, getattr(one, name), getattr(other, name)):
            raise QueryError(
                name, f"{name} is one thing in the query string and another in the body; expected one of them"
            )
    return one.model_construct(
        one.model_fields_set | other.model_fields_set,
        **{name: getattr(one if name in one.model_fields_set else other, name) for name in type(one).model_fields},
    )


def _is_same(name: str, first: Any, second: Any) -> bool:  # noqa: ANN401 - an option of any kind
    if name in REPEATED and first and second:
        return {repr(each) for each in first} == {repr(each) for each in second}  # parts of a filter may be objects
    if name == "crop" and first and second:
        return parse_crop(first) == parse_crop(second)
    return bool(first == second)


def _without_k(fields: Searched) -> Searched:
    return fields.model_construct(fields.model_fields_set - {"k"}, **{**dict(fields), "k": None})


def _to_examples(body: Recommendation) -> Examples:
    return Examples(
        liked_ids=[each for each in body.positive if isinstance(each, str)],
        disliked_ids=[each for each in body.negative if isinstance(each, str)],
        liked_vectors=[each for each in body.positive if not isinstance(each, str)],
        disliked_vectors=[each for each in body.negative if not isinstance(each, str)],
    )


def _examples_of(form: Form) -> Examples:
    return Examples(
        liked_ids=[nfc(text) for text in form.fields.get("positive", ()) if text],
        disliked_ids=[nfc(text) for text in form.fields.get("negative", ()) if text],
        liked_vectors=_read_vectors("positive_vector", form),
        disliked_vectors=_read_vectors("negative_vector", form),
        images=[Picture(each.content, each.filename, each.name == EXAMPLE_PICTURES[0]) for each in form.images],
    )


def _read_vectors(name: str, form: Form) -> Sequence[Sequence[float]]:
    try:
        return [VECTORS.validate_json(text) for text in form.fields.get(name, ()) if text]
    except pydantic.ValidationError:
        raise QueryError(name, f"a {name} is no JSON array of finite numbers, such as [0.5, -1.25]") from None


Body = TypeVar("Body", bound=pydantic.BaseModel)

EXPECTED_BASE64 = (
    "image is no picture in base64; expected a data: URL such as data:image/jpeg;base64,/9j/4AAQ..., or what follows "
    "the comma alone; pictures are not fetched from elsewhere"
)


def is_json(request: Request) -> bool:
    """Whether a request says that its body is JSON."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


async def read_json(request: Request) -> object:
    """A request's body. Raises RequestValidationError where it is no JSON."""
    return await run_in_threadpool(_parse, await request.body())


async def decode_pictures(image: str | list[str], limits: FormLimits) -> list[Upload]:
    """The pictures of a body as `ImagesInJson` describes it."""
    texts = [image] if isinstance(image, str) else image
    if not 1 <= len(texts) <= limits.images:
        raise QueryError(IMAGE, f"{len(texts)} images; expected 1 to {limits.images}")
    return [Upload("", await run_in_threadpool(decode_picture, text, limits.image_bytes)) for text in texts]


def decode_picture(text: str, limit: int) -> bytes:
    """The bytes of a picture in base64, with or without the head of a data: URL.

    Args:
        text: with padding or without, and with line ends or without.
        limit: bytes of the picture.
    """
    head, comma, rest = text.partition(",")
    if comma and not (head[:5].lower() == "data:" and head.lower().endswith(";base64")):
        raise QueryError(IMAGE, EXPECTED_BASE64)
    digits = "".join((rest if comma else text).split()).rstrip("=")
    try:
        content = b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except (Error, ValueError):  # the latter where there are letters beyond ASCII
        raise QueryError(IMAGE, EXPECTED_BASE64) from None
    if len(content) > limit:
        raise image_too_large(limit)
    return content


def validate(model: type[Body], content: object, source: str) -> Body:
    """Content as a model. Raises RequestValidationError, as FastAPI does for what it reads itself."""
    try:
        return model.model_validate(content)
    except pydantic.ValidationError as error:
        problems = [{**problem, "loc": (source, *problem["loc"])} for problem in error.errors(include_url=False)]
        raise RequestValidationError(problems) from None


def _parse(body: bytes) -> object:
    try:
        content: object = json.loads(body)
    except ValueError as error:  # also UnicodeDecodeError; json.JSONDecodeError says where
        position, reason = getattr(error, "pos", 0), getattr(error, "msg", "no text")
    except RecursionError:
        position, reason = 0, "nested too deeply"
    else:
        return content
    problem = {"type": "json_invalid", "loc": ("body", position), "ctx": {"error": reason}}
    raise RequestValidationError([problem])
