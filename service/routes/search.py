"""Searching: by a picture, by a vector; and the vectors themselves."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request, Response
from starlette.routing import Route

from service.answers import answer_embeddings, answer_found
from service.disconnect import unless_gone
from service.openapi import answers, form_body, request_examples
from service.parameters import (
    ManyImages,
    PipelineOf,
    SearchOptions,
    known_query,
    parse_filter,
    read_picture_search,
)
from service.pipeline import Pipeline
from service.schemas import EmbeddingsAnswer, PicturesForm, SearchAnswer, SearchForm, VectorSearch

__all__ = ["direct", "router"]

router = APIRouter(prefix="/v1", tags=["search"])


@router.post(
    "/search",
    response_model=SearchAnswer,
    openapi_extra=form_body(SearchForm),
    responses=answers("search", 200, 400, 413, 415, 422),
)
async def search_by_picture(request: Request) -> Response:
    """Find the shoes of the catalogue that are most like the one in a picture.

    `k`, `condition` and `filter` may be query parameters or form fields.
    """
    search = await read_picture_search(request)
    pipeline: Pipeline = request.state.pipeline
    options = search.options
    work = pipeline.search_image(search.image, options.k, condition=options.condition, filter=options.filter)
    return answer_found(pipeline.engine, await unless_gone(request, work), options)


direct = [Route("/v1/search", search_by_picture, methods=["POST"])]
"""What is asked most, again: these are looked at first, and spare a request what FastAPI does, which is more than all
else that the event loop does for it. The router's own entries describe them."""


@router.post(
    "/search/vector",
    response_model=SearchAnswer,
    dependencies=[Depends(known_query())],
    responses=answers("search_vector", 200, 400, 413, 422),
)
async def search_by_vector(
    request: Request,
    pipeline: PipelineOf,
    body: Annotated[VectorSearch, Body(examples=request_examples("search_vector"))],
) -> Response:
    """Find the shoes whose vectors are nearest to one."""
    options = SearchOptions(body.k, body.condition, parse_filter(body.filter))
    work = pipeline.search(body.vector, options.k, condition=options.condition, filter=options.filter)
    return answer_found(pipeline.engine, await unless_gone(request, work), options)


@router.post(
    "/embeddings",
    response_model=EmbeddingsAnswer,
    dependencies=[Depends(known_query())],
    openapi_extra=form_body(PicturesForm),
    responses=answers("embeddings", 200, 400, 413, 415, 422),
)
async def embed_pictures(request: Request, pipeline: PipelineOf, images: ManyImages) -> Response:
    """The mean vector of each picture: float32, the same that the catalogue's shoes have."""
    names = [upload.filename for upload in images]
    work = pipeline.embed([upload.content for upload in images], names)
    return answer_embeddings(pipeline.engine, names, await unless_gone(request, work))
