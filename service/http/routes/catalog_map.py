"""The map of the catalogue, tile by tile."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import JSONResponse

from service.http.dependencies import EngineOf, known_query
from service.http.openapi import answers, pictures
from service.http.responses import JPEG, answer_map, answer_map_file
from service.http.schemas import MapAnswer, MapTile

__all__ = ["router"]

router = APIRouter(prefix="/v1/map", tags=["map"], dependencies=[Depends(known_query())])

TileNumber = Annotated[int, Path(description="Which tile, from 0.", json_schema_extra={"minimum": 0})]


@router.get("", responses=answers("map", 200, 404, 422))
def get_map(engine: EngineOf) -> MapAnswer:
    """Facts of the map: every shoe as a point on a plane, near those that are like it.

    `solemate index` draws it, and `solemate map` draws it anew. `stale` says that the catalogue has changed since.
    """
    return answer_map(engine, engine.map())


@router.get(
    "/tiles/{n}", response_model=MapTile, response_class=JSONResponse, responses=answers("map_tile", 200, 404, 422)
)
def get_map_tile(request: Request, engine: EngineOf, n: TileNumber) -> Response:
    """A part of the map's shoes: where they are, and the values that they can be coloured by."""
    return answer_map_file(request, engine, "tile", n)


@router.get(
    "/atlas/{n}",
    response_class=Response,
    responses={**pictures("The shoes of the tile, 64 a row, in its order.", JPEG), **answers("map_atlas", 404, 422)},
)
def get_map_atlas(request: Request, engine: EngineOf, n: TileNumber) -> Response:
    """Small pictures of a tile's shoes, of `thumbnail` pixels a side, in one JPEG."""
    return answer_map_file(request, engine, "atlas", n)
