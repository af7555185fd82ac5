"""Searching: by a picture, by a vector; and the vectors themselves."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, File, UploadFile

from service.answers import answer_embeddings, answer_hits
from service.openapi import answers, request_examples
from service.parameters import (
    EngineOf,
    OneImage,
    SearchForm,
    SearchOptions,
    SettingsOf,
    known_fields,
    known_query,
    parse_filter,
    read_upload,
)
from service.schemas import EmbeddingsAnswer, SearchAnswer, VectorSearch

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["search"])


@router.post(
    "/search",
    dependencies=[
        Depends(known_query("k", "condition", "filter")),
        Depends(known_fields("k", "condition", "filter")),
    ],
    responses=answers("search", 200, 400, 413, 415, 422),
)
def search_by_picture(engine: EngineOf, image: OneImage, options: SearchForm) -> SearchAnswer:
    """Find the shoes of the catalogue that are most like the one in a picture.

    `k`, `condition` and `filter` may be query parameters or form fields.
    """
    hits = engine.search_image(image, options.k, condition=options.condition, filter=options.filter)
    return answer_hits(engine, hits, options)


@router.post(
    "/search/vector", dependencies=[Depends(known_query())], responses=answers("search_vector", 200, 400, 413, 422)
)
def search_by_vector(
    engine: EngineOf, body: Annotated[VectorSearch, Body(examples=request_examples("search_vector"))]
) -> SearchAnswer:
    """Find the shoes whose vectors are nearest to one."""
    options = SearchOptions(body.k, body.condition, parse_filter(body.filter))
    hits = engine.search(body.vector, options.k, condition=options.condition, filter=options.filter)
    return answer_hits(engine, hits, options)


@router.post(
    "/embeddings",
    dependencies=[Depends(known_query()), Depends(known_fields(images=None))],
    responses=answers("embeddings", 200, 400, 413, 415, 422),
)
def embed_pictures(
    engine: EngineOf,
    settings: SettingsOf,
    image: Annotated[list[UploadFile], File(description="One picture, or several parts of this name.")],
) -> EmbeddingsAnswer:
    """The mean vector of each picture: float32, the same that the catalogue's shoes have."""
    engine.check_count(len(image))
    names = [upload.filename or "" for upload in image]
    vectors = engine.embed([read_upload(upload, settings) for upload in image], names)
    return answer_embeddings(engine, names, vectors)
