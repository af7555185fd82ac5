"""Pictures as answers, with what a browser needs to ask for each only once."""

import hashlib
import io
from base64 import b64encode
from collections.abc import Awaitable, Callable
from email.utils import formatdate

from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from model.cutout import Cutout
from service.answers import spell_subject
from service.disconnect import unless_gone
from service.engine import Engine
from service.pictures import Picture

__all__ = ["PNG", "answer_cutout", "answer_drawing", "answer_picture", "answer_png"]

PNG = "image/png"

PICTURE_CACHING = "public, max-age=3600"
UPLOAD_CACHING = "public, no-cache"
"""An upload may be replaced at any time: it is asked for each time, and mostly answered by 304."""
DRAWING_CACHING = "public, no-cache"
"""A drawing changes with the checkpoint: it is asked for each time, and mostly answered by 304."""


def answer_picture(request: Request, picture: Picture) -> Response:
    """A picture file of the catalogue, or 304 where the client has it."""
    headers = {
        "etag": f'"{picture.digest[:32]}"',
        "last-modified": formatdate(picture.modified, usegmt=True),
        "cache-control": UPLOAD_CACHING if picture.uploaded else PICTURE_CACHING,
    }
    if _has(request, headers["etag"]):
        return Response(status_code=304, headers=headers)
    return Response(picture.content, media_type=picture.media_type, headers=headers)


async def answer_drawing(request: Request, engine: Engine, draw: Callable[[], Awaitable[bytes]]) -> Response:
    """What the network draws of the catalogue's vectors, or 304 without drawing where the client has it."""
    fingerprint = await run_in_threadpool(lambda: engine.fingerprint)  # which may have to catch up with a change
    facts = f"{engine.network.digest}:{fingerprint}:{request.url.path}?{request.url.query}"
    headers = {"etag": f'"{hashlib.sha256(facts.encode()).hexdigest()[:32]}"', "cache-control": DRAWING_CACHING}
    if _has(request, headers["etag"]):
        return Response(status_code=304, headers=headers)
    return Response(await unless_gone(request, draw()), media_type=PNG, headers=headers)


def answer_png(content: bytes) -> Response:
    """A drawing of something that only this client has."""
    return Response(content, media_type=PNG, headers={"cache-control": "no-store"})


async def answer_cutout(request: Request, engine: Engine, cutout: Cutout) -> Response:
    """A subject and its cut-out, as `schemas.SubjectAnswer` describes them; or the cut-out alone, if that is asked."""
    headers = {"cache-control": "no-store", "vary": "accept"}
    subject = spell_subject(cutout.subject)
    if _prefers_png(request.headers.get("accept", "")):
        headers["x-subject"] = to_json(subject).decode()
        return Response(await run_in_threadpool(_write_png, cutout), media_type=PNG, headers=headers)
    content = await run_in_threadpool(
        lambda: to_json(
            {
                "subject": subject,
                "cutout": f"data:{PNG};base64,{b64encode(_write_png(cutout)).decode()}",
                "checkpoint": engine.checkpoint,
            }
        )
    )
    return Response(content, media_type="application/json", headers=headers)


def _write_png(cutout: Cutout) -> bytes:
    buffer = io.BytesIO()
    cutout.image.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def _prefers_png(accept: str) -> bool:
    """Whether a header `Accept` (RFC 9110, 12.5.1) gives a PNG more weight than JSON."""
    weights: dict[str, float] = {}
    for entry in accept.lower().split(","):
        kind, _, parameters = entry.partition(";")
        _, asked, weight = parameters.rpartition("q=")
        try:
            weights[kind.strip()] = float(weight) if asked else 1.0
        except ValueError:
            weights[kind.strip()] = 0.0
    anything = weights.get("*/*", 0.0)
    as_png = weights.get(PNG, weights.get("image/*", anything))
    return as_png > weights.get("application/json", weights.get("application/*", anything))


def _has(request: Request, etag: str) -> bool:
    """Whether If-None-Match names the tag (RFC 9110, 13.1.2: compared weakly)."""
    given = request.headers.get("if-none-match", "")
    return given.strip() == "*" or etag in {tag.strip().removeprefix("W/") for tag in given.split(",")}
