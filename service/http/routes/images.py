"""Pictures: the catalogue's own, those that the network draws, and the map of all shoes."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from service.http.json_limits import JsonRoute
from service.http.middleware.exchange import unless_gone
from service.http.openapi import answers, body_of, cutouts, drawings, pictures
from service.http.requests import EngineOf, PipelineOf, known_query, read_pictures
from service.http.responses import (
    JPEG,
    PNG,
    answer_cutout,
    answer_drawing,
    answer_map,
    answer_map_file,
    answer_picture,
    answer_png,
)
from service.http.routes.items import ItemId
from service.http.schemas import (
    GivenVector,
    ImagesInJson,
    InterpolationAnswer,
    MapAnswer,
    MapTile,
    PictureForm,
    SamplesAnswer,
    SubjectAnswer,
    SwapAnswer,
    Text,
    ViewFields,
)
from service.serving.engine import MAX_STEPS
from service.serving.sampling import MAX_SAMPLES, MAX_SEED

router = APIRouter(prefix="/v1", tags=["pictures"], default_response_class=Response, route_class=JsonRoute)

DEFAULT_SPREAD = 0.5
"""Of samples around a shoe: alike enough to be its variations, different enough to be seen."""

From = Annotated[Text, Query(alias="from", description="The shoe it starts at.")]
To = Annotated[Text, Query(description="The shoe it ends at.")]


@router.get(
    "/items/{id}/image",
    dependencies=[Depends(known_query())],
    responses={**pictures("The shoe's own picture.", "image/*"), **answers("item_image", 404, 422)},
)
def get_item_image(request: Request, engine: EngineOf, id: ItemId) -> Response:
    """A shoe's picture, as it lies in the catalogue."""
    return answer_picture(request, engine.picture(id))


@router.get(
    "/items/{id}/reconstruction",
    dependencies=[Depends(known_query())],
    responses={**pictures("What the shoe's vector decodes to.", PNG), **answers("reconstruction", 404, 422)},
)
async def get_item_reconstruction(request: Request, pipeline: PipelineOf, id: ItemId) -> Response:
    """What the network knows of a shoe: the picture that its vector decodes to."""
    return await answer_drawing(request, pipeline.engine, lambda: pipeline.reconstruct(id))


@router.post(
    "/reconstructions",
    openapi_extra=body_of("reconstructions", PictureForm, ImagesInJson, query=ViewFields, alone=True),
    responses={
        **pictures("The picture as the network sees it.", PNG),
        **answers("reconstructions", 400, 413, 415, 422),
    },
)
async def reconstruct_image(request: Request, pipeline: PipelineOf) -> Response:
    """A picture after a pass through the network."""
    (image,), view = await read_pictures(request)
    return answer_png(await unless_gone(request, pipeline.reconstruct_image(image.content, view)))


@router.post(
    "/subjects",
    response_model=SubjectAnswer,
    response_class=JSONResponse,
    openapi_extra=body_of("subjects", PictureForm, ImagesInJson, query=ViewFields, alone=True),
    responses={**answers("subjects", 400, 413, 415, 422), **cutouts("subjects")},
)
async def cut_out_subject(request: Request, pipeline: PipelineOf) -> Response:
    """What of a picture is taken for the shoe: where it is, and a cut-out of it that is transparent beside the shoe.

    Ask with `Accept: image/png` for the cut-out alone, as a PNG; where it is in the picture is then in `X-Subject`.
    """
    (image,), view = await read_pictures(request)
    cutout = await unless_gone(request, pipeline.cut_out(image.content, view))
    return await answer_cutout(request, pipeline.engine, cutout)


@router.post(
    "/reconstructions/vector",
    dependencies=[Depends(known_query())],
    responses={**pictures("What the vector decodes to.", PNG), **answers("search_vector", 400, 413, 422)},
)
async def reconstruct_vector(request: Request, pipeline: PipelineOf, body: GivenVector) -> Response:
    """The picture that a vector decodes to."""
    return answer_png(await unless_gone(request, pipeline.reconstruct_vector(body.vector)))


@router.get(
    "/interpolations",
    response_model=InterpolationAnswer,
    response_class=JSONResponse,
    dependencies=[Depends(known_query("from", "to", "steps"))],
    responses={**drawings("The pictures side by side.", "interpolations"), **answers("interpolations", 404, 422)},
)
async def interpolate_items(
    request: Request,
    pipeline: PipelineOf,
    start: From,
    to: To,
    steps: Annotated[
        int, Query(description="Pictures, both ends included.", json_schema_extra={"minimum": 2, "maximum": MAX_STEPS})
    ] = 8,
) -> Response:
    """The way from one shoe to another through the space of vectors.

    A PNG, unless `Accept: application/json` asks for the pictures one by one, each with the shoe nearest to it.
    """
    return await answer_drawing(
        request,
        pipeline.engine,
        lambda: pipeline.interpolate(start, to, steps),
        lambda: pipeline.illustrate_interpolation(start, to, steps),
        lambda drawn: {"steps": [{"position": n / (steps - 1), **each} for n, each in enumerate(drawn)]},
    )


@router.get(
    "/swaps",
    response_model=SwapAnswer,
    response_class=JSONResponse,
    dependencies=[Depends(known_query("item", "condition", "of"))],
    responses={**drawings("The shoe with the other's slice.", "swaps"), **answers("swaps", 404, 422)},
)
async def swap_slice(
    request: Request,
    pipeline: PipelineOf,
    item: Annotated[Text, Query(description="The shoe to draw.")],
    condition: Annotated[Text, Query(description="The slice to exchange; `/v1/info` lists them.")],
    of: Annotated[Text, Query(description="The shoe to take that slice from.")],
) -> Response:
    """One shoe with another's slice, such as its closure, in place of its own.

    A PNG, unless `Accept: application/json` asks for the shoe before and after, each with the shoe nearest to it.
    """
    return await answer_drawing(
        request,
        pipeline.engine,
        lambda: pipeline.swap(item, condition, of),
        lambda: pipeline.illustrate_swap(item, condition, of),
        lambda drawn: dict(zip(("before", "after"), drawn, strict=True)),
    )


@router.get(
    "/samples",
    response_model=SamplesAnswer,
    response_class=JSONResponse,
    dependencies=[Depends(known_query("count", "seed", "around", "spread"))],
    responses={**drawings("The pictures side by side.", "samples"), **answers("samples", 404, 422)},
)
async def sample_shoes(
    request: Request,
    pipeline: PipelineOf,
    *,
    count: Annotated[int, Query(description="How many.", json_schema_extra={"minimum": 1, "maximum": MAX_SAMPLES})] = 8,
    seed: Annotated[
        int | None,
        Query(
            description="Gives the same samples again; left out: others each time.",
            json_schema_extra={"minimum": 0, "maximum": MAX_SEED},
        ),
    ] = None,
    around: Annotated[Text | None, Query(description="The id of a shoe that they are variations of.")] = None,
    spread: Annotated[
        float,
        Query(
            description="With `around`: how far from it, 0 (the shoe itself) to 1 (anything).",
            json_schema_extra={"minimum": 0, "maximum": 1},
        ),
    ] = DEFAULT_SPREAD,
) -> Response:
    """Shoes that could be: samples of how the catalogue's vectors lie, or variations of one shoe.

    A PNG, unless `Accept: application/json` asks for the pictures one by one, each with the shoe nearest to it, and for
    the seed.
    """
    chosen = secrets.randbelow(MAX_SEED + 1) if seed is None else seed
    response = await answer_drawing(
        request,
        pipeline.engine,
        lambda: pipeline.sample(count, chosen, around, spread),
        lambda: pipeline.illustrate_samples(count, chosen, around, spread),
        lambda drawn: {"samples": drawn, "seed": chosen},
    )
    if seed is None:
        response.headers["cache-control"] = "no-store"
        del response.headers["etag"]
    return response


catalog_map = APIRouter(prefix="/v1/map", tags=["map"], dependencies=[Depends(known_query())])

TileNumber = Annotated[int, Path(description="Which tile, from 0.", json_schema_extra={"minimum": 0})]


@catalog_map.get("", responses=answers("map", 200, 404, 422))
def get_map(engine: EngineOf) -> MapAnswer:
    """Facts of the map: every shoe as a point on a plane, near those that are like it.

    `solemate index` draws it, and `solemate map` draws it anew. `stale` says that the catalogue has changed since.
    """
    return answer_map(engine, engine.map())


@catalog_map.get(
    "/tiles/{n}", response_model=MapTile, response_class=JSONResponse, responses=answers("map_tile", 200, 404, 422)
)
def get_map_tile(request: Request, engine: EngineOf, n: TileNumber) -> Response:
    """A part of the map's shoes: where they are, and the values that they can be coloured by."""
    return answer_map_file(request, engine, "tile", n)


@catalog_map.get(
    "/atlas/{n}",
    response_class=Response,
    responses={**pictures("The shoes of the tile, 64 a row, in its order.", JPEG), **answers("map_atlas", 404, 422)},
)
def get_map_atlas(request: Request, engine: EngineOf, n: TileNumber) -> Response:
    """Small pictures of a tile's shoes, of `thumbnail` pixels a side, in one JPEG."""
    return answer_map_file(request, engine, "atlas", n)
