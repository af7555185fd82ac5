"""The catalogue: its shoes, and how they divide."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from service.answers import answer_facets, answer_found, answer_item, answer_page
from service.disconnect import unless_gone
from service.openapi import answers
from service.parameters import EngineOf, FilterQuery, PipelineOf, known_query
from service.queries import SEARCH_FIELDS, SearchQuery
from service.schemas import FacetsAnswer, ItemAnswer, ItemsAnswer, SearchAnswer, Text

__all__ = ["ItemId", "router"]

router = APIRouter(prefix="/v1", tags=["catalogue"])

ItemId = Annotated[Text, Path(description="A shoe's id, as the catalogue has it.")]


@router.get(
    "/items", dependencies=[Depends(known_query("limit", "cursor", "filter"))], responses=answers("items", 200, 422)
)
def list_items(
    engine: EngineOf,
    filter: FilterQuery,
    limit: Annotated[int, Query(description="Shoes on a page.", json_schema_extra={"minimum": 1, "maximum": 500})] = 50,
    cursor: Annotated[str | None, Query(description="`next` of the page before; left out for the first.")] = None,
) -> ItemsAnswer:
    """The catalogue's shoes, a page at a time, in the catalogue's own order."""
    return answer_page(engine, engine.page(limit, cursor=cursor, filter=filter))


@router.get("/items/{id}", dependencies=[Depends(known_query())], responses=answers("item", 200, 404, 422))
def get_item(engine: EngineOf, id: ItemId) -> ItemAnswer:
    """One shoe, with its vector."""
    return answer_item(engine, *engine.item(id))


@router.get(
    "/items/{id}/similar",
    response_model=SearchAnswer,
    dependencies=[Depends(known_query(*SEARCH_FIELDS))],
    responses=answers("similar", 200, 404, 409, 422),
)
async def find_similar_items(request: Request, pipeline: PipelineOf, id: ItemId, options: SearchQuery) -> Response:
    """The shoes most like one of the catalogue, without itself."""
    work = pipeline.similar(id, options.k, condition=options.compare_by, filter=options.filter, refine=options.refine)
    return answer_found(pipeline.engine, await unless_gone(request, work), options)


@router.get("/facets", dependencies=[Depends(known_query("filter"))], responses=answers("facets", 200, 422))
def count_facets(engine: EngineOf, filter: FilterQuery) -> FacetsAnswer:
    """Each attribute's values and how many shoes have them, among those that pass the filter.

    An attribute of which nearly every shoe has a value of its own, such as a title, is not among them.
    """
    return answer_facets(engine, engine.facets(filter))
