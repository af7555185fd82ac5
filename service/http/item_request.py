"""Requests that add shoes: forms with pictures, ids and attributes."""

from collections.abc import Awaitable, Sequence

import pydantic
from starlette.requests import Request

from model.errors import QueryError
from model.text import nfc
from service.catalog.writer import Changed
from service.errors import ItemExists
from service.http.multipart import Form, FormLimits, read_form
from service.http.problems import ITEM_KEPT, MAX_ECHO, Refusal, refuse_unknown
from service.http.schemas import NewItem
from service.serving.editor import NewShoe
from service.settings import Settings

__all__ = [
    "MAX_BATCH",
    "Addition",
    "read_addition",
    "read_additions",
    "read_replacement",
    "refuse_to_replace",
    "wants_to_replace",
]

MAX_BATCH = 1000
"""Largest number of shoes in one request."""

FIELD_BYTES = 64 * 1024
"""Largest form field with a shoe's id and attributes, in bytes."""

ATTRIBUTES = pydantic.TypeAdapter(dict[str, list[str]], config=pydantic.ConfigDict(strict=True))


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
    if given is None:
        return True
    if given.strip() != "*":
        raise QueryError("If-None-Match", f"If-None-Match is {given[:MAX_ECHO]!r}; expected *, or no such header")
    return False


async def read_addition(request: Request) -> NewShoe:
    """A new shoe: a form with `image`, `id` and, as JSON, `attributes`. Raises QueryError, and as `read_form` does."""
    form = await _read_shoe(request, "id", "attributes")
    item_id = _one_field(form, "id")
    if item_id is None:
        raise QueryError("id", "expected a form field `id`, as `curl -F id=boot-7 -F image=@shoe.jpg` sends it")
    return _to_shoe(item_id, form)


async def read_replacement(request: Request, item_id: str) -> NewShoe:
    """A shoe whose id is in the path: a form with `image` and, as JSON, `attributes`. Raises as `read_addition`."""
    return _to_shoe(item_id, await _read_shoe(request, "attributes"))


async def _read_shoe(request: Request, *names: str) -> Form:
    refuse_unknown("query parameter", request.query_params.keys(), ())
    settings: Settings = request.state.settings
    limits = FormLimits(images=1, image_bytes=settings.max_upload_bytes, fields=len(names), field_bytes=FIELD_BYTES)
    return await read_form(request, names, limits)


def _to_shoe(item_id: str, form: Form) -> NewShoe:
    attributes = _one_field(form, "attributes")
    return NewShoe(nfc(item_id), {} if not attributes else _parse_attributes(attributes), form.images[0].content)


async def read_additions(request: Request) -> list[Addition]:
    """New shoes: a form with an `item`, which is JSON, and an `image` for each of them, in the same order.

    A picture of too many bytes is let pass here, as long as the body's own limit does: it is to fail alone.
    """
    refuse_unknown("query parameter", request.query_params.keys(), ())
    settings: Settings = request.state.settings
    limits = FormLimits(
        images=MAX_BATCH, image_bytes=settings.max_body_bytes, fields=MAX_BATCH, field_bytes=FIELD_BYTES
    )
    form = await read_form(request, ("item",), limits)
    items = form.fields.get("item", [])
    if len(items) != len(form.images):
        raise QueryError(
            "item", f"{len(items)} `item` fields and {len(form.images)} `image` parts; expected one of each for a shoe"
        )
    return [_read_one(text, upload.content) for text, upload in zip(items, form.images, strict=True)]


def _read_one(text: str, image: bytes) -> Addition:
    try:
        item = NewItem.model_validate_json(text)
    except pydantic.ValidationError as error:
        return _explain("item", error)
    return NewShoe(item.id, item.attributes, image)


def _one_field(form: Form, name: str) -> str | None:
    values: Sequence[str] = form.fields.get(name, [])
    if len(values) > 1:
        raise QueryError(name, f"{len(values)} form fields `{name}`; expected one")
    return values[0] if values else None


def _parse_attributes(text: str) -> dict[str, list[str]]:
    try:
        return ATTRIBUTES.validate_json(text)
    except pydantic.ValidationError as error:
        raise _explain("attributes", error) from None


def _explain(field: str, error: pydantic.ValidationError) -> QueryError:
    first = error.errors()[0]
    position = ".".join(str(part)[:MAX_ECHO] for part in first["loc"])
    expected = '{"Gender": ["Women"]}' if field == "attributes" else '{"id": "boot-7", "attributes": {...}}'
    at = f" at {position!r}" if position else ""
    return QueryError(field, f"{field} is not what was expected{at}: {first['msg']}; expected JSON such as {expected}")
