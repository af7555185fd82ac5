"""Bodies in JSON that are read beside forms, and the pictures in them, which are base64."""

import json
from base64 import b64decode
from binascii import Error
from typing import TypeVar

import pydantic
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from model.errors import QueryError
from service.http.multipart import IMAGE, FormLimits, Upload, image_too_large

__all__ = ["decode_picture", "decode_pictures", "is_json", "read_json", "validate"]

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
    """The pictures of a body as `ImagesInJson` describes it.

    Raises:
        QueryError: a picture is no base64, or there are too many or none.
        ImageTooLarge: a picture has too many bytes.
    """
    texts = [image] if isinstance(image, str) else image
    if not 1 <= len(texts) <= limits.images:
        raise QueryError(IMAGE, f"{len(texts)} images; expected 1 to {limits.images}")
    return [Upload("", await run_in_threadpool(decode_picture, text, limits.image_bytes)) for text in texts]


def decode_picture(text: str, limit: int) -> bytes:
    """The bytes of a picture in base64, with or without the head of a data: URL.

    Args:
        text: with padding or without, and with line ends or without.
        limit: bytes of the picture.

    Raises:
        QueryError: it is no base64.
        ImageTooLarge: there are more bytes.
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


def validate(model: type[Body], content: object, place: str) -> Body:
    """Content as a model. Raises RequestValidationError, as FastAPI does for what it reads itself."""
    try:
        return model.model_validate(content)
    except pydantic.ValidationError as error:
        problems = [{**problem, "loc": (place, *problem["loc"])} for problem in error.errors(include_url=False)]
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
