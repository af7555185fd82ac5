"""Serialization of results as HTTP answers: JSON, pictures with caching headers, and JSON lines for a batch."""

import hashlib
import io
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from email.utils import formatdate
from gzip import decompress as gunzip
from typing import Any, Literal
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from model.base_checkpoint import read_record
from model.cutout import Cutout
from model.framing import Subject
from model.nearness import Nearness
from model.version import find_version
from service.catalog.images import PictureFile
from service.catalog.map_files import MapFacts
from service.catalog.writer import Changed
from service.http import schemas
from service.http.middleware.exchange import current_root_path, unless_gone
from service.http.page_files import takes_gzip
from service.http.problems import describe_error
from service.http.requests import Addition
from service.search.options import SearchOptions
from service.serving.editor import Editor, NewShoe
from service.serving.engine import Embedded, Engine, Explanation, Facets
from service.serving.generations import Outcome
from service.serving.pipeline import Illustration, SearchResult
from service.settings import Settings
from service.store.base import OVERALL, Hit, Item, Page


def answer_search(engine: Engine, result: SearchResult, options: SearchOptions) -> Response:
    """A search's answer, as `schemas.SearchAnswer` describes it."""
    return _answer_json(_serialize_result(engine, result, options))


def answer_batch(
    engine: Engine, outcomes: Sequence[SearchResult | Exception], options: Sequence[SearchOptions]
) -> Response:
    """What came of several searches, as `schemas.BatchSearchAnswer` describes it."""
    results = [
        describe_error(outcome).model_dump(exclude_none=True)
        if isinstance(outcome, Exception)
        else _serialize_result(engine, outcome, each)
        for outcome, each in zip(outcomes, options, strict=True)
    ]
    return _answer_json({"results": results})


def _serialize_result(engine: Engine, result: SearchResult, options: SearchOptions) -> dict[str, Any]:
    """As `schemas.SearchAnswer` describes it.

    Searches are what the service does most: their answers are written as JSON once, and not validated before.
    """
    hits = [serialize_hit(hit, result.nearness) for hit in result.hits]
    if options.fields is not None:
        wanted = frozenset(options.fields)
        for hit in hits:
            hit["attributes"] = {name: values for name, values in hit["attributes"].items() if name in wanted}
    if result.folded is not None:
        for hit in hits:
            hit["duplicates"] = result.folded.get(hit["id"], ())
    content: dict[str, Any] = {
        "hits": hits,
        "next": result.next,
        "condition": options.condition,
        "k": options.k,
        "checkpoint": engine.checkpoint,
        "catalog": result.fingerprint,
    }
    if result.facets is not None:
        content |= {"facets": _serialize_facets(result.facets), "total": result.facets.total}
    if result.subjects:
        content["subject"] = serialize_subject(result.subjects[0])
        content["confidence"] = _round_confidence(result.confidence)
    return content


def answer_embeddings(engine: Engine, names: Sequence[str], embedded: Embedded) -> Response:
    """The vectors of pictures, as `schemas.EmbeddingsAnswer` describes them."""
    confidences: Sequence[float | None] = embedded.confidences or [None] * len(names)
    parts = zip(names, embedded.vectors.tolist(), embedded.subjects, confidences, strict=True)
    embeddings = [
        {
            "filename": name,
            "vector": vector,
            "subject": serialize_subject(subject),
            "confidence": _round_confidence(confidence),
        }
        for name, vector, subject, confidence in parts
    ]
    content = {"embeddings": embeddings, "dimension": engine.embedder.dimension}
    return _answer_made_from(engine, embedded.fingerprint, content)


def answer_item(engine: Engine, item: Item, vector: NDArray[np.float32]) -> Response:
    """One shoe, as `schemas.ItemAnswer` describes it."""
    return _answer_made_from(engine, engine.fingerprint, {**serialize_item(item), "vector": vector.tolist()})


def answer_changed(engine: Engine, changed: Changed) -> Response:
    """A shoe after a change, likewise: 201, with its `Location`, where there was none."""
    item = serialize_item(changed.item)
    response = _answer_made_from(engine, changed.fingerprint, {**item, "vector": changed.vector.tolist()})
    if changed.created:
        response.status_code = 201
        response.headers["location"] = item["image"].removesuffix("/image")
    return response


def answer_page(engine: Engine, page: Page, *, missing: Sequence[str] = ()) -> Response:
    """Some shoes, as `schemas.ItemsAnswer` describes them; `missing`: the ids asked for that the catalogue lacks."""
    items = [serialize_item(item) for item in page.items]
    content = {"items": items, "next": page.next, "total": page.total, "missing": missing}
    return _answer_made_from(engine, engine.fingerprint, content)


def answer_explanation(engine: Engine, explanation: Explanation) -> Response:
    """Why two shoes are alike, as `schemas.ExplainAnswer` describes it."""
    content = {
        "item": serialize_item(explanation.item),
        "with": serialize_item(explanation.other),
        "distance": explanation.distance,
        "score": round(engine.nearness.of(OVERALL).score(explanation.distance), 4),
        "conditions": explanation.slices,
        "attributes": [
            {"name": each.name, "values": each.values, "with_values": each.other_values, "agree": each.agree}
            for each in explanation.attributes
        ],
    }
    return _answer_made_from(engine, engine.fingerprint, content)


def answer_facets(engine: Engine, facets: Facets) -> Response:
    """How the shoes divide, as `schemas.FacetsAnswer` describes it."""
    ranges = {name: {"min": low, "max": high} for name, (low, high) in facets.ranges.items()}
    content = {"facets": _serialize_facets(facets), "total": facets.total, "ranges": ranges}
    return _answer_made_from(engine, engine.fingerprint, content)


def answer_info(engine: Engine, settings: Settings) -> schemas.Info:
    """What is being served."""
    catalogue = engine.catalogue()
    preprocessor = engine.embedder.preprocessor
    return schemas.Info(
        name="solemate",
        version=find_version(),
        checkpoint=schemas.CheckpointFacts(
            digest=engine.network.digest,
            image_size=preprocessor.config.size,
            channels=preprocessor.config.channels,
            latent_size=engine.embedder.dimension,
            subjects=preprocessor.finds_subjects,
            runtime=engine.network.runtime,
        ),
        catalog=schemas.CatalogFacts(
            fingerprint=catalogue.info.fingerprint,
            count=catalogue.info.count,
            index=catalogue.info.index,
            recall=catalogue.info.recall,
        ),
        conditions=list(engine.conditions),
        slices=dict(catalogue.info.slices),
        attributes=list(catalogue.types),
        attribute_types=dict(catalogue.types),
        duplicate_distance=engine.duplicate_distance,
        limits=schemas.Limits(
            max_k=settings.max_k,
            max_depth=settings.depth,
            max_upload_bytes=settings.max_upload_bytes,
            max_body_bytes=settings.max_body_bytes,
            max_pixels=settings.max_pixels,
            max_images=settings.max_images,
            formats=list(preprocessor.limits.formats),
        ),
    )


def answer_record(engine: Engine, settings: Settings) -> schemas.CheckpointRecord:
    """What the folder of the checkpoint tells of its training. Reads files: not for the event loop."""
    digest = engine.network.digest
    card, metrics = read_record(settings.checkpoint, digest)
    try:
        return schemas.CheckpointRecord.model_validate({**metrics, "checkpoint": digest, "card": card})
    except ValidationError:  # metrics of other software, or of another release
        return schemas.CheckpointRecord(checkpoint=digest, card=card)


def answer_reload(outcomes: Sequence[Outcome]) -> schemas.ReloadAnswer:
    """How a reload went that was not refused."""
    return schemas.ReloadAnswer(
        workers=[
            schemas.WorkerReload(
                worker=outcome.worker,
                pid=outcome.pid,
                seconds=round(outcome.seconds, 3),
                **asdict(outcome.info),
            )
            for outcome in outcomes
            if outcome.info is not None
        ]
    )


def serialize_item(item: Item) -> dict[str, Any]:
    """As `schemas.Item` describes it."""
    name = item.id if item.id.isascii() and item.id.isalnum() else quote(item.id, safe="")  # quoting takes longer
    path = f"{current_root_path()}/v1/items/{name}"
    return {
        "id": item.id,
        "attributes": dict(item.attributes),
        "image": f"{path}/image",
        "reconstruction": f"{path}/reconstruction",
        "similar": f"{path}/similar",
    }


def serialize_hit(hit: Hit, nearness: Nearness) -> dict[str, Any]:
    """As `schemas.Hit` describes it."""
    return {**serialize_item(hit.item), "distance": hit.distance, "score": round(nearness.score(hit.distance), 4)}


def _round_confidence(confidence: float | None) -> float | None:
    return None if confidence is None else round(confidence, 4)


def serialize_subject(subject: Subject | None) -> dict[str, Any] | None:
    """As `schemas.Subject` describes it."""
    if subject is None:
        return None
    left, top, width, height = subject.box
    first, last = (round(left, 4), round(top, 4)), (round(left + width, 4), round(top + height, 4))
    return {
        # Its sides are rounded so that it stays within the picture, and can be sent back as `crop`.
        "box": [*first, round(last[0] - first[0], 4), round(last[1] - first[1], 4)],
        "coverage": round(subject.coverage, 4),
        "confidence": round(subject.confidence, 4),
        "others": subject.others,
    }


def _serialize_facets(facets: Facets) -> dict[str, list[dict[str, Any]]]:
    """As `schemas.FacetsAnswer` describes them."""
    return {
        attribute: [{"value": value, "count": count} for value, count in values.items()]
        for attribute, values in facets.counts.items()
    }


def _answer_made_from(
    engine: Engine, fingerprint: str, content: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Response:
    """JSON with the fingerprints of the checkpoint and the catalogue that it was made from."""
    return _answer_json({**content, "checkpoint": engine.checkpoint, "catalog": fingerprint}, headers)


def _answer_json(content: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(to_json(content), media_type="application/json", headers=headers)


PNG = "image/png"
JPEG = "image/jpeg"

PICTURE_CACHING = "public, max-age=3600"
CHANGING = "public, no-cache"
"""Cache-Control of uploads, which may be replaced at any time, and of drawings, which change with the checkpoint:
revalidated, mostly answered by 304."""


def answer_picture(request: Request, picture: PictureFile) -> Response:
    """A picture file of the catalogue, or 304 where the client has it."""
    headers = {
        "etag": f'"{picture.digest[:32]}"',
        "last-modified": formatdate(picture.modified, usegmt=True),
        "cache-control": CHANGING if picture.uploaded else PICTURE_CACHING,
    }
    if _has(request, headers["etag"]):
        return Response(status_code=304, headers=headers)
    return Response(picture.content, media_type=picture.media_type, headers=headers)


def answer_map(engine: Engine, facts: MapFacts) -> schemas.MapAnswer:
    """Facts of the map."""
    fingerprint = engine.fingerprint
    stale = facts.fingerprint != fingerprint
    return schemas.MapAnswer(**asdict(facts), stale=stale, checkpoint=engine.checkpoint, catalog=fingerprint)


def answer_map_file(request: Request, engine: Engine, kind: Literal["tile", "atlas"], number: int) -> Response:
    """A tile of the map, in gzip where the client takes it, or an atlas; or 304 where the client has it."""
    facts = engine.map()
    in_gzip = kind == "tile" and takes_gzip(request.headers)
    etag = f'"{facts.token}-{kind}-{number}{"-gzip" if in_gzip else ""}"'
    headers = {"etag": etag, "cache-control": CHANGING, "vary": "accept-encoding"}
    content = engine.map_file(facts, kind, number)
    if _has(request, etag):
        return Response(status_code=304, headers=headers)
    if kind == "atlas":
        return Response(content, media_type=JPEG, headers=headers)
    if in_gzip:
        headers["content-encoding"] = "gzip"
    return Response(content if in_gzip else gunzip(content), media_type="application/json", headers=headers)


async def answer_drawing(
    request: Request,
    engine: Engine,
    draw: Callable[[], Awaitable[bytes]],
    illustrate: Callable[[], Awaitable[Sequence[Illustration]]] | None = None,
    serialize: Callable[[list[dict[str, Any]]], Mapping[str, Any]] | None = None,
) -> Response:
    """What the network draws of the catalogue's vectors, or 304 without drawing where the client has it.

    Args:
        request: what was asked; whether for JSON, if there is a choice.
        engine: whose network draws.
        draw: makes a PNG.
        illustrate: draws the same one by one, for JSON, where there is a choice.
        serialize: what JSON has of these.
    """
    fingerprint = await run_in_threadpool(lambda: engine.fingerprint)  # which may have to catch up with a change
    in_json = illustrate is not None and _compare_accepted(request) < 0
    # Another release may draw otherwise.
    facts = f"{find_version()}:{engine.network.digest}:{fingerprint}:{request.url.path}?{request.url.query}:{in_json}"
    headers = {"etag": f'"{hashlib.sha256(facts.encode()).hexdigest()[:32]}"', "cache-control": CHANGING}
    if illustrate is not None:
        headers["vary"] = "accept"
    if _has(request, headers["etag"]):
        return Response(status_code=304, headers=headers)
    if illustrate is None or serialize is None or not in_json:
        return Response(await unless_gone(request, draw()), media_type=PNG, headers=headers)
    drawn = [_serialize_illustration(each) for each in await unless_gone(request, illustrate())]
    return _answer_made_from(engine, fingerprint, serialize(drawn), headers)


def _serialize_illustration(illustration: Illustration) -> dict[str, Any]:
    nearest = illustration.nearest
    return {
        "image": _to_data_url(illustration.image),
        "nearest": None if nearest is None else serialize_hit(nearest, illustration.nearness),
    }


def _to_data_url(png: bytes) -> str:
    return f"data:{PNG};base64,{b64encode(png).decode()}"


def answer_png(content: bytes) -> Response:
    """A drawing of something that only this client has."""
    return Response(content, media_type=PNG, headers={"cache-control": "no-store"})


async def answer_cutout(request: Request, engine: Engine, cutout: Cutout) -> Response:
    """A subject and its cut-out, as `schemas.SubjectAnswer` describes them; or the cut-out alone, if that is asked."""
    headers = {"cache-control": "no-store", "vary": "accept"}
    subject = serialize_subject(cutout.subject)
    if _compare_accepted(request) > 0:
        headers["x-subject"] = to_json(subject).decode()
        return Response(await run_in_threadpool(_write_png, cutout), media_type=PNG, headers=headers)

    def answer() -> Response:
        picture = _to_data_url(_write_png(cutout))
        return _answer_json({"subject": subject, "cutout": picture, "checkpoint": engine.checkpoint}, headers)

    return await run_in_threadpool(answer)


def _write_png(cutout: Cutout) -> bytes:
    buffer = io.BytesIO()
    cutout.image.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def _compare_accepted(request: Request) -> float:
    """How much more weight than JSON the header `Accept` (RFC 9110, 12.5.1) gives to a PNG; below 0: less."""
    weights: dict[str, float] = {}
    for entry in request.headers.get("accept", "").lower().split(","):
        kind, _, parameters = entry.partition(";")
        _, asked, weight = parameters.rpartition("q=")
        try:
            weights[kind.strip()] = float(weight) if asked else 1.0
        except ValueError:
            weights[kind.strip()] = 0.0
    anything = weights.get("*/*", 0.0)
    as_png = weights.get(PNG, weights.get("image/*", anything))
    return as_png - weights.get("application/json", weights.get("application/*", anything))


def _has(request: Request, etag: str) -> bool:
    """Whether If-None-Match names the tag (RFC 9110, 13.1.2: compared weakly)."""
    given = request.headers.get("if-none-match", "")
    return given.strip() == "*" or etag in {tag.strip().removeprefix("W/") for tag in given.split(",")}


NDJSON = "application/x-ndjson"


async def stream_results(editor: Editor, additions: Sequence[Addition], *, overwrite: bool) -> AsyncIterator[bytes]:
    """Add shoes, a part of them at a time, and report on each; see `service.http.schemas.BatchLine`."""
    first = 0
    for part in _divide(additions, editor.batch):
        shoes = [addition for addition in part if isinstance(addition, NewShoe)]
        added = iter(await editor.add_all(shoes, overwrite=overwrite))
        outcomes = [next(added) if isinstance(addition, NewShoe) else addition for addition in part]
        yield b"".join(
            _serialize_outcome(index, _id_of(addition), outcome)
            for index, (addition, outcome) in enumerate(zip(part, outcomes, strict=True), start=first)
        )
        first += len(part)


def _id_of(addition: Addition) -> str | None:
    return addition.item_id if isinstance(addition, NewShoe) else None


def _divide(additions: Sequence[Addition], size: int) -> Iterator[list[Addition]]:
    """Parts of at most `size` shoes in which no id comes twice: of several, the last one is to stay."""
    part: list[Addition] = []
    ids: set[str] = set()
    for addition in additions:
        item_id = _id_of(addition)
        if len(part) == size or item_id in ids:
            yield part
            part, ids = [], set()
        part.append(addition)
        if item_id is not None:
            ids.add(item_id)
    if part:
        yield part


def _serialize_outcome(index: int, item_id: str | None, outcome: Changed | Exception) -> bytes:
    line: dict[str, Any] = {"index": index}
    if item_id is not None:
        line["id"] = item_id
    if isinstance(outcome, Changed):
        line |= {"status": 201 if outcome.created else 200, "item": serialize_item(outcome.item)}
    else:
        problem = describe_error(outcome)
        line |= {"status": problem.status, "problem": problem.model_dump(exclude_none=True)}
    # In ASCII: some readers of lines take other characters than a line feed for a line's end too.
    return json.dumps(line).encode() + b"\n"
