"""The catalogue: its shoes, how they divide, and changing it, which takes an API key of the scope admin."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator

from model.errors import QueryError
from model.text import nfc
from service.http.json_limits import JsonRoute
from service.http.middleware.exchange import unless_gone
from service.http.openapi import answers, body_of, ndjson, request_examples
from service.http.requests import (
    SEARCH_FIELDS,
    EditorOf,
    EngineOf,
    FilterQuery,
    PipelineOf,
    SearchQuery,
    known_query,
    read_additions,
    read_filter,
    read_shoe,
    refuse_to_replace,
    wants_to_replace,
)
from service.http.responses import (
    NDJSON,
    answer_changed,
    answer_explanation,
    answer_facets,
    answer_item,
    answer_page,
    answer_search,
    stream_results,
)
from service.http.schemas import (
    CURSOR_OF_PAGE_TEXT,
    LIMIT_OF_PAGE_TEXT,
    PAGE_SIZE,
    BatchForm,
    ExplainAnswer,
    FacetsAnswer,
    FacetsQuery,
    ItemAnswer,
    ItemForm,
    ItemPatch,
    ItemsAnswer,
    ItemsQuery,
    NewItemForm,
    SearchAnswer,
    Text,
)
from service.serving.engine import MAX_PAGE
from service.store.base import Page

router = APIRouter(prefix="/v1", tags=["catalogue"], route_class=JsonRoute)

IDS_TEXT = (
    "The id of a shoe, repeated: these shoes alone, in this order, on one page. Ids that no shoe has are in `missing`. "
    "Goes with no other parameter."
)

ItemId = Annotated[str, AfterValidator(nfc), Path(description="A shoe's id, as the catalogue has it.")]


@router.get(
    "/items",
    response_model=ItemsAnswer,
    dependencies=[Depends(known_query("ids", "limit", "cursor", "filter", "ignore_case"))],
    responses=answers("items", 200, 422),
)
def list_items(
    request: Request,
    engine: EngineOf,
    *,
    filter: FilterQuery,
    ids: Annotated[list[Text], Query(description=IDS_TEXT, json_schema_extra={"maxItems": MAX_PAGE})] = [],  # noqa: B006
    limit: Annotated[int, PAGE_SIZE, Query(description=LIMIT_OF_PAGE_TEXT)] = 50,
    cursor: Annotated[str | None, Query(description=CURSOR_OF_PAGE_TEXT)] = None,
) -> Response:
    """The catalogue's shoes, a page at a time, in the catalogue's own order; or, with `ids`, these shoes."""
    if ids:
        others = sorted(set(request.query_params) - {"ids"})
        if others:
            raise QueryError("ids", f"ids goes with no other parameter; found {', '.join(others)} beside it")
        items, missing = engine.items(ids)
        return answer_page(engine, Page(tuple(items), None, len(items)), missing=missing)
    return answer_page(engine, engine.page(limit, cursor=cursor, filter=filter))


@router.post(
    "/items:query",
    response_model=ItemsAnswer,
    dependencies=[Depends(known_query())],
    responses=answers("query_items", 200, 400, 413, 422),
)
def query_items(
    engine: EngineOf, body: Annotated[ItemsQuery, Body(examples=request_examples("query_items"))]
) -> Response:
    """The same as `GET /v1/items`, with the filter in the body: for one that is too long for an address."""
    return answer_page(engine, engine.page(body.limit, cursor=body.cursor, filter=read_filter(engine, body)))


@router.get(
    "/items/{id}",
    response_model=ItemAnswer,
    dependencies=[Depends(known_query())],
    responses=answers("item", 200, 404, 422),
)
def get_item(engine: EngineOf, id: ItemId) -> Response:
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
    work = pipeline.similar(id, options)
    return answer_search(pipeline.engine, await unless_gone(request, work), options)


@router.get(
    "/items/{id}/explain",
    response_model=ExplainAnswer,
    dependencies=[Depends(known_query("with"))],
    responses=answers("explain", 200, 404, 422),
)
def explain_likeness(
    engine: EngineOf, id: ItemId, other: Annotated[Text, Query(alias="with", description="The other shoe.")]
) -> Response:
    """Why two shoes are alike: what each slice of the vector adds to their distance, and the attributes they share."""
    return answer_explanation(engine, engine.explain(id, other))


@router.get(
    "/facets",
    response_model=FacetsAnswer,
    dependencies=[Depends(known_query("filter", "ignore_case"))],
    responses=answers("facets", 200, 422),
)
def count_facets(engine: EngineOf, filter: FilterQuery) -> Response:
    """Each attribute's values and how many shoes have them, among those that pass the filter.

    An attribute of which nearly every shoe has a value of its own, such as a title, is not among them.
    """
    return answer_facets(engine, engine.facets(filter))


@router.post(
    "/facets:query",
    response_model=FacetsAnswer,
    dependencies=[Depends(known_query())],
    responses=answers("query_facets", 200, 400, 413, 422),
)
def query_facets(
    engine: EngineOf, body: Annotated[FacetsQuery, Body(examples=request_examples("query_facets"))]
) -> Response:
    """The same as `GET /v1/facets`, with the filter in the body: for one that is too long for an address."""
    return answer_facets(engine, engine.facets(read_filter(engine, body)))


changes = APIRouter(prefix="/v1", tags=["changes"], route_class=JsonRoute)
"""Routes that change the catalogue; they take an API key of the scope admin."""


@changes.post(
    "/items",
    response_model=ItemAnswer,
    status_code=201,
    openapi_extra=body_of("create_item", NewItemForm),
    responses=answers("create_item", 201, 400, 401, 403, 409, 413, 415, 422, 507),
)
async def create_item(request: Request, engine: EngineOf, editor: EditorOf) -> Response:
    """Add a shoe to the catalogue; if there is one of its id, that is a 409, and it stays as it is.

    Once it is answered, the shoe is on disk, and in the next answer of every process. Its picture is kept as it was
    decoded: upright, at most 1600 pixels a side, without camera data. Indexing the catalogue again leaves a shoe that
    was added here alone, unless the catalogue has one of the same id.
    """
    shoe = await read_shoe(request)
    return answer_changed(engine, await unless_gone(request, editor.add(shoe, overwrite=False)))


@changes.put(
    "/items/{id}",
    response_model=ItemAnswer,
    openapi_extra=body_of("replace_item", ItemForm, conditional=True),
    responses={
        **answers("replace_item", 200, 400, 401, 403, 412, 413, 415, 422, 507),
        201: {**answers("replace_item", 201)[201], "model": ItemAnswer},
    },
)
async def replace_item(request: Request, engine: EngineOf, editor: EditorOf, id: ItemId) -> Response:
    """Put a shoe in the place of the one of this id, with nothing of it; or add it, if there is none.

    Attributes that are not sent are gone. Sent again, the same request changes nothing but the answer's status: 201 for
    a new shoe, 200 for one that took another's place. Pictures and durability are as with `POST /v1/items`.
    """
    overwrite, shoe = wants_to_replace(request), await read_shoe(request, id)
    change = editor.add(shoe, overwrite=overwrite)
    changed = await unless_gone(request, change if overwrite else refuse_to_replace(change))
    return answer_changed(engine, changed)


@changes.post(
    "/items:batch",
    response_class=StreamingResponse,
    openapi_extra=body_of("add_items", BatchForm, conditional=True),
    responses={**ndjson("add_items"), **answers("add_items", 400, 401, 403, 413, 422)},
)
async def add_items(request: Request, editor: EditorOf) -> Response:
    """Put many shoes into the catalogue, at most 1000 in one request.

    Each is added, or takes the place of the shoe of its id, as `PUT /v1/items/{id}` does. With `If-None-Match: *` each
    is only added, as `POST /v1/items` does: the line of a shoe whose id is taken says 409.

    The answer has a line of JSON for each shoe, in their order, sent as soon as it is written or has failed: a bad
    picture, or an id that is taken, fails alone. A shoe whose line says 200 or 201 is on disk, even if the answer is
    cut off after it.
    """
    overwrite, additions = wants_to_replace(request), await read_additions(request)
    return StreamingResponse(stream_results(editor, additions, overwrite=overwrite), media_type=NDJSON)


@changes.patch(
    "/items/{id}",
    response_model=ItemAnswer,
    dependencies=[Depends(known_query())],
    responses=answers("patch_item", 200, 400, 401, 403, 404, 413, 422),
)
async def patch_item(
    request: Request,
    engine: EngineOf,
    editor: EditorOf,
    id: ItemId,
    body: Annotated[ItemPatch, Body(examples=request_examples("patch_item"))],
) -> Response:
    """Replace some attributes of a shoe: null removes one, those not named stay as they are.

    The body is a JSON merge patch (RFC 7396), and may say so: `application/merge-patch+json`. For a shoe that was
    indexed, this lasts until the catalogue that it came from is indexed again.
    """
    attributes = {name: values or () for name, values in body.attributes.items()}
    return answer_changed(engine, await unless_gone(request, editor.patch(id, attributes)))


@changes.delete(
    "/items/{id}",
    status_code=204,
    response_class=Response,
    dependencies=[Depends(known_query())],
    responses=answers("delete_item", 401, 403, 404, 422),
)
async def delete_item(request: Request, editor: EditorOf, id: ItemId) -> Response:
    """Take a shoe out of the catalogue, with its picture if that was uploaded.

    A shoe that was indexed comes back when the catalogue that it came from is indexed again.
    """
    await unless_gone(request, editor.remove(id))
    return Response(status_code=204)
