"""Searching: by a picture, by a vector; and the vectors themselves."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request, Response
from starlette.routing import Route

from service.http.json_limits import JsonRoute
from service.http.middleware.exchange import unless_gone
from service.http.openapi import answers, body_of, request_examples
from service.http.requests import (
    PipelineOf,
    SettingsOf,
    known_query,
    read_batch_search,
    read_example_search,
    read_picture_search,
    read_pictures,
    to_options,
)
from service.http.responses import answer_batch, answer_embeddings, answer_search
from service.http.schemas import (
    BatchSearch,
    BatchSearchAnswer,
    BatchSearchForm,
    EmbeddingsAnswer,
    ImageSearch,
    ImagesInJson,
    PictureSearchFields,
    PicturesForm,
    Recommendation,
    RecommendationForm,
    SearchAnswer,
    SearchFields,
    SearchForm,
    VectorSearch,
    ViewFields,
)
from service.serving.pipeline import Pipeline

router = APIRouter(prefix="/v1", tags=["search"], route_class=JsonRoute)


@router.post(
    "/search",
    response_model=SearchAnswer,
    openapi_extra=body_of("search", SearchForm, ImageSearch, query=PictureSearchFields, alone=True),
    responses=answers("search", 200, 400, 409, 413, 415, 422),
)
async def search_by_image(request: Request) -> Response:
    """Find the shoes of the catalogue that are most like the one in a picture.

    How to search may be said by query parameters or in the body. `subject` of the answer says what of the picture was
    taken for the shoe; `crop`, `rotate` and `subject` of the request say it better where that was wrong.
    """
    image, options, view = await read_picture_search(request)
    pipeline: Pipeline = request.state.backend.pipeline
    work = pipeline.search_image(image, options, view)
    return answer_search(pipeline.engine, await unless_gone(request, work), options)


direct = [Route("/v1/search", search_by_image, methods=["POST"])]
"""Starlette routes for the hottest endpoint; they come before the router's own entries, which describe it, and bypass
FastAPI's dependency resolution. Measured by `python -m benchmarks.serving.shortcuts`: without them the event loop's
thread spends 1.21 times as long on a search (quartiles 1.13 to 1.27; 0.70 against 0.58 ms on a busy machine)."""


@router.post(
    "/search/vector",
    response_model=SearchAnswer,
    dependencies=[Depends(known_query())],
    responses=answers("search_vector", 200, 400, 409, 413, 422),
)
async def search_by_vector(
    request: Request,
    pipeline: PipelineOf,
    settings: SettingsOf,
    body: Annotated[VectorSearch, Body(examples=request_examples("search_vector"))],
) -> Response:
    """Find the shoes whose vectors are nearest to one."""
    options = to_options(body, settings)
    work = pipeline.search(body.vector, options)
    return answer_search(pipeline.engine, await unless_gone(request, work), options)


@router.post(
    "/search:batch",
    response_model=BatchSearchAnswer,
    openapi_extra=body_of("search_batch", BatchSearchForm, BatchSearch, query=PictureSearchFields),
    responses=answers("search_batch", 200, 400, 413, 422),
)
async def search_batch(request: Request, pipeline: PipelineOf) -> Response:
    """Many searches in one request: by several pictures with shared options, or by shoes and vectors with their own.

    They are embedded and searched in one batch. `results` has for each its answer or, where it can't be answered, its
    problem: a broken picture fails alone. `/v1/info` has how many there may be (`max_images`).
    """
    searches = await read_batch_search(request)
    outcomes = await unless_gone(request, pipeline.search_many(searches))
    return answer_batch(pipeline.engine, outcomes, [each.options for each in searches])


@router.post(
    "/recommendations",
    response_model=SearchAnswer,
    openapi_extra=body_of("recommendations", RecommendationForm, Recommendation, query=SearchFields),
    responses=answers("recommendations", 200, 400, 404, 409, 413, 415, 422),
)
async def recommend_items(request: Request, pipeline: PipelineOf) -> Response:
    """Find shoes that are like some, and not like others.

    Examples are shoes of the catalogue, which are left out of the answer, vectors, and pictures, in any mixture: JSON
    has the first two, a form all of them. What is searched for is mean(positive) + (mean(positive) - mean(negative)),
    as in Qdrant's recommendation by average vector; without negative examples, mean(positive). How to search may be
    said in the body or by query parameters.
    """
    examples, options = await read_example_search(request)
    work = pipeline.recommend(examples, options)
    return answer_search(pipeline.engine, await unless_gone(request, work), options)


@router.post(
    "/embeddings",
    response_model=EmbeddingsAnswer,
    openapi_extra=body_of("embeddings", PicturesForm, ImagesInJson, query=ViewFields, alone=True),
    responses=answers("embeddings", 200, 400, 413, 415, 422),
)
async def embed_images(request: Request, pipeline: PipelineOf, settings: SettingsOf) -> Response:
    """The mean vector of each picture: float32, the same that the catalogue's shoes have."""
    images, view = await read_pictures(request, settings.max_images)
    names = [image.filename for image in images]
    work = pipeline.embed([image.content for image in images], names, view=view)
    return answer_embeddings(pipeline.engine, names, await unless_gone(request, work))
