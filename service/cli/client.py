"""Searches from the command line, by a service that runs or by the index on this machine, as a table or a sheet."""

import asyncio
import json
import mimetypes
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode, urljoin, urlsplit

from model.errors import SolemateError
from model.files import explain_failure
from model.text import nfc
from service.cli.contact_sheet import Tile, draw_sheet
from service.errors import PictureMissing
from service.search.options import SearchOptions, parse_weights
from service.settings import Settings
from service.store.filters import parse_filter

if TYPE_CHECKING:
    from service.serving.engine import Engine

SECONDS = 60.0
"""Timeout of a request, in seconds."""


class AnswerWithPictures(NamedTuple):
    """An answer to a search, and its pictures.

    Attributes:
        answer: of `POST /v1/search`; see `service.http.schemas.SearchAnswer`.
        pictures: the file of each hit's picture, None where it is missing; empty where nobody asked for them.
    """

    answer: Mapping[str, Any]
    pictures: Sequence[bytes | None]


class SearchFailed(SolemateError):
    """A service did not answer, or refused."""


def ask_service(
    url: str,
    picture: Path,
    *,
    k: int,
    condition: str,
    filters: Sequence[str],
    key: str = "",
    with_pictures: bool = False,
) -> AnswerWithPictures:
    """What `POST /v1/search` of the service at `url` answers."""
    if urlsplit(url).scheme not in {"http", "https"}:
        raise SearchFailed(f"{url!r} is no address of a service; expected such as http://127.0.0.1:8000")
    query = urlencode([("k", k), ("condition", condition), *(("filter", text) for text in filters)])
    kind = mimetypes.guess_type(picture.name)[0] or ""
    headers = {"Content-Type": kind if kind.startswith("image/") else "image/jpeg"}
    allowed = {"Authorization": f"Bearer {key}"} if key else {}
    content = _fetch(url, f"{url.rstrip('/')}/v1/search?{query}", headers | allowed, _read(picture))
    try:
        answer: Mapping[str, Any] = json.loads(content or b"")
    except ValueError as error:
        raise SearchFailed(f"{url} answers what is no JSON; is it a service of solemate?") from error
    hits = answer["hits"] if with_pictures else ()
    return AnswerWithPictures(answer, [_fetch(url, urljoin(url, hit["image"]), allowed) for hit in hits])


def _fetch(url: str, address: str, headers: Mapping[str, str], data: bytes | None = None) -> bytes | None:
    """What the service at `url` has at an address of its own; None where nothing is there."""
    request = urllib.request.Request(address, data=data, headers=dict(headers))  # noqa: S310 - the scheme is checked
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310 - the scheme is checked
            content: bytes = response.read()
    except urllib.error.HTTPError as error:
        with error:
            if error.code == HTTPStatus.NOT_FOUND and data is None:
                return None
            raise SearchFailed(f"{url} answers {error.code}: {_find_detail(error)}") from None
    except OSError as error:  # also urllib.error.URLError
        raise SearchFailed(f"{url} does not answer: {getattr(error, 'reason', error)}") from error
    return content


def ask_index(
    settings: Settings,
    picture: Path,
    *,
    k: int,
    condition: str,
    filters: Sequence[str],
    with_pictures: bool = False,
) -> AnswerWithPictures:
    """The same answer from the index that the settings name, without a service.

    Raises: what `service.serving.bootstrap.open_engine` and `Pipeline.search_image` do.
    """
    # These load torch, which asking a service does without.
    from service.http.responses import answer_search  # noqa: PLC0415
    from service.serving.bootstrap import open_backend  # noqa: PLC0415

    options = SearchOptions(k, nfc(condition), parse_weights(condition), parse_filter(filters))
    content = _read(picture)
    backend = open_backend(settings)

    async def search() -> bytes:
        await backend.start()
        try:
            found = await backend.pipeline.search_image(content, options)
            return bytes(answer_search(backend.engine, found, options).body)
        finally:
            await backend.close()

    try:
        answer: Mapping[str, Any] = json.loads(asyncio.run(search()))
        hits = answer["hits"] if with_pictures else ()
        return AnswerWithPictures(answer, [_find_picture(backend.engine, hit["id"]) for hit in hits])
    finally:
        backend.engine.close()


def _find_picture(engine: "Engine", item_id: str) -> bytes | None:
    try:
        return engine.picture(item_id).content
    except PictureMissing:
        return None


def to_table(answer: Mapping[str, Any]) -> str:
    """The shoes of an answer, a line each, nearest first."""
    rows = [("", "score", "distance", "id", "attributes")]
    for number, hit in enumerate(answer["hits"], start=1):
        attributes = "; ".join(f"{name}: {', '.join(values)}" for name, values in hit["attributes"].items())
        distance, score = f"{hit['distance']:.4f}", f"{hit['score']:.2f}"
        rows.append((str(number), score, distance, _printable(hit["id"]), _printable(attributes)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for rank, score, distance, item_id, attributes in rows:
        figures = f"{rank:>{widths[0]}}  {score:>{widths[1]}}  {distance:>{widths[2]}}"
        lines.append(f"{figures}  {item_id:<{widths[3]}}  {attributes}".rstrip())
    return "\n".join(lines)


def to_sheet(picture: Path, found: AnswerWithPictures) -> bytes:
    """The picture that was asked with, and the shoes of an answer, as a PNG."""
    asked = Tile(_read(picture), picture.name, f"by {found.answer['condition']}")
    hits = zip(found.answer["hits"], found.pictures, strict=True)
    return draw_sheet(
        asked,
        [
            Tile(content, f"{number}.  score {hit['score']:.2f}", _printable(hit["id"]))
            for number, (hit, content) in enumerate(hits, start=1)
        ],
    )


def _printable(text: str) -> str:
    """Without what would steer the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _read(picture: Path) -> bytes:
    try:
        return picture.read_bytes()
    except OSError as error:
        raise explain_failure(picture, error) from error


def _find_detail(error: urllib.error.HTTPError) -> str:
    """The problem's own words (RFC 9457), where the answer is a problem."""
    try:
        return _printable(str(json.load(error)["detail"]))
    except (ValueError, LookupError, TypeError, OSError):
        return error.reason
