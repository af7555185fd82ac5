"""The pictures and fields of a request's body, read while it arrives: into memory, within limits, never onto a disk."""

import re
from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request

from model.errors import QueryError
from service.multipart import EXPECTED_IMAGE, IMAGE, Form, FormLimits, FormReader, Upload, image_too_large

__all__ = ["read_form"]

BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]+)"|([^\s;",]+))', re.IGNORECASE)
MAX_BOUNDARY = 200
"""Bytes; RFC 2046 has 70."""


async def read_form(
    request: Request,
    names: Sequence[str],
    limits: FormLimits,
    *,
    pictures: Sequence[str] = (IMAGE,),
    optional: bool = False,
) -> Form:
    """Read a request's body: a multipart form, or a picture alone.

    Args:
        request: its body has not been read yet.
        names: the fields that are known, beside the pictures.
        limits: each is checked as the bytes arrive, and what is beyond is not read.
        pictures: the names of the parts that hold pictures; a picture alone goes by the first.
        optional: whether there may be none.

    Raises:
        QueryError: there is no picture, or more than are allowed; a field is unknown, or is a file.
        ImageTooLarge: a picture has too many bytes.
        FormTooLarge: there are too many other parts, or one has too many bytes.
        HTTPException: 400, the body is no form, or ends before the form does.
        ClientDisconnect: so does the connection.
    """
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _read_parts(
            request, FormReader(_find_boundary(content_type), names, limits, pictures=pictures, optional=optional)
        )
    # Of a picture's bytes only those that decode it judge what they are, whatever the content type says.
    if kind.startswith("image/") or kind == "application/octet-stream":
        return Form([Upload("", await _read_picture(request, limits.image_bytes), pictures[0])], {})
    # curl's --data-binary says urlencoded: a picture would be taken for a field with a very strange name.
    raise QueryError(IMAGE, EXPECTED_IMAGE)


async def _read_parts(request: Request, reader: FormReader) -> Form:
    async for chunk in request.stream():
        reader.feed(chunk)
    return reader.finish()


async def _read_picture(request: Request, limit: int) -> bytes:
    content = bytearray()
    async for chunk in request.stream():
        if len(content) + len(chunk) > limit:
            raise image_too_large(limit)
        content += chunk
    return bytes(content)


def _find_boundary(content_type: str) -> bytes:
    found = BOUNDARY.search(content_type)
    if found is None:
        raise HTTPException(400, "the content type names no boundary")
    boundary = (found[1] or found[2]).encode("latin-1")
    if len(boundary) > MAX_BOUNDARY:
        raise HTTPException(400, f"the content type's boundary has more than {MAX_BOUNDARY} bytes")
    return boundary
