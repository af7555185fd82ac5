"""From what the engine returns to what the schemas say."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from pydantic_core import to_json
from starlette.responses import Response

from model.framing import Subject
from model.version import find_version
from service import schemas
from service.changes import Changed
from service.engine import Embedded, Engine, Facets
from service.options import SearchOptions
from service.pipeline import Found
from service.proxied import current_root_path
from service.reloading import Outcome
from service.settings import Settings
from service.store.base import Item, Page

__all__ = [
    "answer_changed",
    "answer_embeddings",
    "answer_facets",
    "answer_found",
    "answer_info",
    "answer_item",
    "answer_page",
    "answer_reload",
    "spell_item",
    "spell_subject",
]


def answer_found(engine: Engine, found: Found, options: SearchOptions) -> Response:
    """A search's answer, as `schemas.SearchAnswer` describes it.

    Searches are what the service does most: their answers are written as JSON once, and not validated before.
    """
    hits = [{**spell_item(hit.item), "distance": hit.distance} for hit in found.hits]
    if found.folded is not None:
        for hit in hits:
            hit["duplicates"] = found.folded.get(hit["id"], ())
    content: dict[str, Any] = {
        "hits": hits,
        "next": found.next,
        "condition": options.condition,
        "k": options.k,
        "checkpoint": engine.checkpoint,
        "catalog": found.fingerprint,
    }
    if found.facets is not None:
        content |= {"facets": _spell_facets(found.facets), "total": found.facets.total}
    if found.subjects:
        content["subject"] = spell_subject(found.subjects[0])
        content["confidence"] = _spell_confidence(found.confidence)
    return _answer_json(content)


def answer_embeddings(engine: Engine, names: Sequence[str], embedded: Embedded) -> Response:
    """The vectors of pictures, as `schemas.EmbeddingsAnswer` describes them."""
    confidences: Sequence[float | None] = embedded.confidences or [None] * len(names)
    parts = zip(names, embedded.vectors.tolist(), embedded.subjects, confidences, strict=True)
    return _answer_json(
        {
            "embeddings": [
                {
                    "filename": name,
                    "vector": vector,
                    "subject": spell_subject(subject),
                    "confidence": _spell_confidence(confidence),
                }
                for name, vector, subject, confidence in parts
            ],
            "dimension": engine.embedder.dimension,
            "checkpoint": engine.checkpoint,
            "catalog": embedded.fingerprint,
        }
    )


def answer_item(engine: Engine, item: Item, vector: NDArray[np.float32]) -> schemas.ItemAnswer:
    """One shoe."""
    return schemas.ItemAnswer(
        **_item(item).model_dump(),
        vector=vector.tolist(),
        checkpoint=engine.checkpoint,
        catalog=engine.fingerprint,
    )


def answer_changed(engine: Engine, changed: Changed) -> Response:
    """A shoe after a change, as `schemas.ItemAnswer` describes it: 201 where there was none, with its place."""
    spelt = spell_item(changed.item)
    content = {
        **spelt,
        "vector": changed.vector.tolist(),
        "checkpoint": engine.checkpoint,
        "catalog": changed.fingerprint,
    }
    if not changed.created:
        return _answer_json(content)
    place = spelt["image"].removesuffix("/image")
    return Response(to_json(content), status_code=201, media_type="application/json", headers={"location": place})


def answer_page(engine: Engine, page: Page) -> schemas.ItemsAnswer:
    """Some shoes."""
    return schemas.ItemsAnswer(
        items=[_item(item) for item in page.items],
        next=page.next,
        total=page.total,
        checkpoint=engine.checkpoint,
        catalog=engine.fingerprint,
    )


def answer_facets(engine: Engine, facets: Facets) -> schemas.FacetsAnswer:
    """How the shoes divide."""
    return schemas.FacetsAnswer(
        facets={
            attribute: [schemas.FacetValue.model_validate(value) for value in values]
            for attribute, values in _spell_facets(facets).items()
        },
        total=facets.total,
        checkpoint=engine.checkpoint,
        catalog=engine.fingerprint,
    )


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
        ),
        catalog=schemas.CatalogFacts(
            fingerprint=catalogue.info.fingerprint,
            count=catalogue.info.count,
            index=catalogue.info.index,
            recall=catalogue.info.recall,
        ),
        conditions=list(engine.conditions),
        slices=dict(catalogue.info.slices),
        attributes=list(catalogue.attributes),
        duplicate_distance=engine.duplicate_distance,
        limits=schemas.Limits(
            max_k=engine.limits.max_k,
            max_depth=engine.limits.max_depth,
            max_upload_bytes=settings.max_upload_bytes,
            max_body_bytes=settings.max_body_bytes,
            max_pixels=settings.max_pixels,
            max_images=engine.limits.max_images,
            formats=list(preprocessor.limits.formats),
        ),
    )


def answer_reload(outcomes: Sequence[Outcome]) -> schemas.ReloadAnswer:
    """How a reload went that was not refused."""
    return schemas.ReloadAnswer(
        workers=[
            schemas.WorkerReload(
                worker=outcome.worker,
                pid=outcome.pid,
                checkpoint=outcome.facts.checkpoint,
                catalog=outcome.facts.catalog,
                shoes=outcome.facts.shoes,
                seconds=round(outcome.seconds, 3),
            )
            for outcome in outcomes
            if outcome.facts is not None
        ]
    )


def _item(item: Item) -> schemas.Item:
    return schemas.Item.model_validate(spell_item(item))


def spell_item(item: Item) -> dict[str, Any]:
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


def _spell_confidence(confidence: float | None) -> float | None:
    return None if confidence is None else round(confidence, 4)


def spell_subject(subject: Subject | None) -> dict[str, Any] | None:
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


def _spell_facets(facets: Facets) -> dict[str, list[dict[str, Any]]]:
    """As `schemas.FacetsAnswer` describes them."""
    return {
        attribute: [{"value": value, "count": count} for value, count in values.items()]
        for attribute, values in facets.counts.items()
    }


def _answer_json(content: Mapping[str, Any]) -> Response:
    return Response(to_json(content), media_type="application/json")
