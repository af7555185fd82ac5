"""All operations of the service: each is a method of both clients, and of its description at `/docs`.

Names of options are those of the HTTP interface; what one leaves out has the service's default.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias, TypedDict, Unpack

from solemate.client import models
from solemate.client.calls import Request, as_bytes, as_json, as_lines, as_nothing, as_text, operation, pages
from solemate.client.pictures import Picture, to_bytes

Filter: TypeAlias = str | Sequence[str] | Mapping[str, Any]
"""`Attribute:Value` (or `price:20..80`, `-Brand:Ana`), several of them, or nested: `{"any": [..., {"not": [...]}]}`.

`{"ids": [...]}`, alone or nested, names shoes: in a search by a vector, examples or a batch, up to 10,000 of them.
"""

Example: TypeAlias = str | Iterable[float]
"""The id of a shoe, or a vector."""

JSON = {"Accept": "application/json"}

Attributes: TypeAlias = Mapping[str, Sequence[str]]


class Options(TypedDict, total=False):
    """How to search; `POST /v1/search` at `/docs` says what each of them is."""

    k: int
    limit: int
    condition: str
    filter: Filter
    ignore_case: bool
    exclude: Sequence[str]
    cursor: str
    max_distance: float
    group: Literal["duplicates"]
    duplicate_distance: float
    diversity: float
    facets: bool
    fields: Sequence[str]


class View(TypedDict, total=False):
    """Where the shoe is in a picture."""

    crop: Sequence[float]
    rotate: float
    subject: Literal["auto", "whole"]


class PictureOptions(Options, View, total=False):
    """How to search by a picture, and where in it the shoe is."""


class Query(Options, total=False):
    """A search of `search_batch`: by `item`, the id of a shoe, or by `vector`."""

    item: str
    vector: Iterable[float]


class NewItem(NamedTuple):
    """A shoe to be added, or to replace the one of its id."""

    id: str
    image: Picture
    attributes: Attributes = MappingProxyType({})


class Operations:
    """The methods of `Client`, and of `AsyncClient`, whose methods are awaited. All raise `ClientError`."""

    # --- Searching --------------------------------------------------------------------------------------------------

    @operation("POST", "/v1/search", as_json(models.SearchAnswer))
    def search(self, image: Picture, /, **options: Unpack[PictureOptions]) -> Request:
        """The shoes most like the one in a picture."""
        return _by_picture(image, options)

    @operation("POST", "/v1/search/vector", as_json(models.SearchAnswer))
    def search_vector(self, vector: Iterable[float], /, **options: Unpack[Options]) -> Request:
        """The shoes nearest to a vector."""
        return Request(json={"vector": _numbers(vector), **_in_json(options)})

    @operation("POST", "/v1/recommendations", as_json(models.SearchAnswer))
    def recommend(
        self, positive: Sequence[Example], negative: Sequence[Example] = (), /, **options: Unpack[Options]
    ) -> Request:
        """Shoes like some and unlike others, each the id of a shoe or a vector."""
        return Request(json={"positive": _examples(positive), "negative": _examples(negative), **_in_json(options)})

    @operation("POST", "/v1/recommendations", as_json(models.SearchAnswer))
    def recommend_pictures(
        self,
        positive: Sequence[Picture],
        negative: Sequence[Picture] = (),
        /,
        *,
        like: Sequence[str] = (),
        unlike: Sequence[str] = (),
        **options: Unpack[Options],
    ) -> Request:
        """The same for pictures, beside shoes of the catalogue by id."""
        files = [_file("positive_image", each) for each in positive]
        files += [_file("negative_image", each) for each in negative]
        return Request(form={"positive": like, "negative": unlike, **_in_form(options)}, files=files)

    @operation("GET", "/v1/items/{id}/similar", as_json(models.SearchAnswer))
    def similar(self, id: str, /, **options: Unpack[Options]) -> Request:
        """The shoes most like one of the catalogue, without itself."""
        return Request(path={"id": id}, query=_in_query(options))

    @operation("POST", "/v1/search:batch", as_json(models.BatchSearchAnswer))
    def search_pictures(self, images: Sequence[Picture], /, **options: Unpack[PictureOptions]) -> Request:
        """A search by each of several pictures, with the same options, in one batch."""
        return Request(query=_in_query(options), form={}, files=[_file("image", each) for each in images])

    @operation("POST", "/v1/search:batch", as_json(models.BatchSearchAnswer))
    def search_batch(self, queries: Sequence[Query], /) -> Request:
        """Several searches by shoes of the catalogue or vectors, each with options of its own, in one batch."""
        return Request(json={"queries": [_query_in_json(each) for each in queries]})

    @operation("POST", "/v1/embeddings", as_json(models.EmbeddingsAnswer))
    def embed(self, *images: Picture, **view: Unpack[View]) -> Request:
        """The mean vector of each picture."""
        return Request(query=_in_query(view), form={}, files=[_file("image", each) for each in images])

    # --- The catalogue ----------------------------------------------------------------------------------------------

    @operation("GET", "/v1/items", as_json(models.ItemsAnswer))
    def items(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        filter: Filter | None = None,
        ignore_case: bool | None = None,
    ) -> Request:
        """A page of the catalogue."""
        query = {"limit": limit, "cursor": cursor, "filter": _filter_in_text(filter), "ignore_case": ignore_case}
        return Request(query=query)

    @operation("GET", "/v1/items", as_json(models.ItemsAnswer))
    def items_by_id(self, ids: Sequence[str], /) -> Request:
        """These shoes, in this order; those that are not there are `missing`."""
        return Request(query={"ids": ids})

    @operation("POST", "/v1/items:query", as_json(models.ItemsAnswer))
    def query_items(
        self,
        filter: Filter | None = None,
        /,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        ignore_case: bool | None = None,
    ) -> Request:
        """A page of the catalogue, also by a filter of thousands of ids."""
        return Request(json=_in_json({"filter": filter, "limit": limit, "cursor": cursor, "ignore_case": ignore_case}))

    @operation("GET", "/v1/items/{id}", as_json(models.ItemAnswer))
    def item(self, id: str, /) -> Request:
        """One shoe, with its vector."""
        return Request(path={"id": id})

    @operation("GET", "/v1/items/{id}/explain", as_json(models.ExplainAnswer))
    def explain(self, id: str, other: str, /) -> Request:
        """Why two shoes are alike: the distance by each condition, and the attributes that agree."""
        return Request(path={"id": id}, query={"with": other})

    @operation("GET", "/v1/facets", as_json(models.FacetsAnswer))
    def facets(self, *, filter: Filter | None = None, ignore_case: bool | None = None) -> Request:
        """How many shoes have each value of each attribute."""
        return Request(query={"filter": _filter_in_text(filter), "ignore_case": ignore_case})

    @operation("POST", "/v1/facets:query", as_json(models.FacetsAnswer))
    def query_facets(self, filter: Filter | None = None, /, *, ignore_case: bool | None = None) -> Request:
        """How many shoes have each value of each attribute, also by a filter of thousands of ids."""
        return Request(json=_in_json({"filter": filter, "ignore_case": ignore_case}))

    @operation("POST", "/v1/items", as_json(models.ItemAnswer))
    def create_item(self, id: str, image: Picture, /, attributes: Attributes | None = None) -> Request:
        """Add a shoe; `Conflict` if there is one of its id. Takes an admin key, as all changes do."""
        form = {"id": id, "attributes": json.dumps(attributes or {})}
        return Request(form=form, files=[_file("image", image)], repeatable=False)

    @operation("PUT", "/v1/items/{id}", as_json(models.ItemAnswer))
    def replace_item(self, id: str, image: Picture, /, attributes: Attributes | None = None) -> Request:
        """Add a shoe, or put it in the place of the one of its id."""
        form = {"attributes": json.dumps(attributes or {})}
        return Request(path={"id": id}, form=form, files=[_file("image", image)])

    @operation("PATCH", "/v1/items/{id}", as_json(models.ItemAnswer))
    def patch_item(self, id: str, attributes: Mapping[str, Sequence[str] | None], /) -> Request:
        """Replace some attributes of a shoe; None removes one."""
        return Request(path={"id": id}, json={"attributes": attributes})

    @operation("DELETE", "/v1/items/{id}", as_nothing)
    def delete_item(self, id: str, /) -> Request:
        """Take a shoe out of the catalogue."""
        return Request(path={"id": id})

    @operation("POST", "/v1/items:batch", as_lines(models.BatchLine))
    def add_items(self, shoes: Iterable[NewItem], /, *, replace: bool = True) -> Request:
        """Add or replace many shoes, at most 1000; a line for each says what came of it, also where it failed."""
        given = list(shoes)
        texts = [json.dumps({"id": shoe.id, "attributes": dict(shoe.attributes)}) for shoe in given]
        return Request(
            headers={} if replace else {"If-None-Match": "*"},
            form={"item": texts},
            files=[_file("image", shoe.image) for shoe in given],
            repeatable=replace,
        )

    # --- Pictures ---------------------------------------------------------------------------------------------------

    @operation("GET", "/v1/items/{id}/image", as_bytes)
    def image(self, id: str, /) -> Request:
        """A shoe's picture, as it lies in the catalogue."""
        return Request(path={"id": id})

    @operation("GET", "/v1/items/{id}/reconstruction", as_bytes)
    def reconstruction(self, id: str, /) -> Request:
        """What a shoe's vector decodes to, a PNG."""
        return Request(path={"id": id})

    @operation("POST", "/v1/reconstructions", as_bytes)
    def reconstruct(self, image: Picture, /, **view: Unpack[View]) -> Request:
        """A picture as the network sees it, a PNG."""
        return _by_picture(image, view)

    @operation("POST", "/v1/reconstructions/vector", as_bytes)
    def reconstruct_vector(self, vector: Iterable[float], /) -> Request:
        """What a vector decodes to, a PNG."""
        return Request(json={"vector": _numbers(vector)})

    @operation("POST", "/v1/subjects", as_json(models.SubjectAnswer))
    def subject(self, image: Picture, /, **view: Unpack[View]) -> Request:
        """Where in a picture the shoe is, with a cut-out of it."""
        return _by_picture(image, view)

    @operation("POST", "/v1/subjects", as_bytes)
    def cut_out(self, image: Picture, /, **view: Unpack[View]) -> Request:
        """The cut-out alone, a PNG that is transparent beside the shoe."""
        return _by_picture(image, view, {"Accept": "image/png"})

    @operation("GET", "/v1/interpolations", as_bytes)
    def interpolate(self, start: str, to: str, /, *, steps: int | None = None) -> Request:
        """The way from one shoe to another, a PNG."""
        return Request(query={"from": start, "to": to, "steps": steps})

    @operation("GET", "/v1/swaps", as_bytes)
    def swap(self, item: str, condition: str, of: str, /) -> Request:
        """A shoe with one slice of another, a PNG."""
        return Request(query={"item": item, "condition": condition, "of": of})

    @operation("GET", "/v1/interpolations", as_json(models.InterpolationAnswer))
    def interpolation(self, start: str, to: str, /, *, steps: int | None = None) -> Request:
        """The same way step by step, each with the shoe that is nearest to it."""
        return Request(query={"from": start, "to": to, "steps": steps}, headers=JSON)

    @operation("GET", "/v1/swaps", as_json(models.SwapAnswer))
    def swapped(self, item: str, condition: str, of: str, /) -> Request:
        """The shoe before and after the same swap, each with the shoe that is nearest to it."""
        return Request(query={"item": item, "condition": condition, "of": of}, headers=JSON)

    @operation("GET", "/v1/samples", as_json(models.SamplesAnswer))
    def samples(
        self,
        *,
        count: int | None = None,
        seed: int | None = None,
        around: str | None = None,
        spread: float | None = None,
    ) -> Request:
        """Shoes that could be, or variations of one of the catalogue, each with the shoe that is nearest to it."""
        return Request(query={"count": count, "seed": seed, "around": around, "spread": spread}, headers=JSON)

    @operation("GET", "/v1/map", as_json(models.MapAnswer))
    def map(self) -> Request:
        """The map of the catalogue in two dimensions: how many tiles it has; `NotFound` if none was computed."""
        return Request()

    @operation("GET", "/v1/map/tiles/{n}", as_json(models.MapTile))
    def map_tile(self, number: int, /) -> Request:
        """The shoes of a tile, where they are, and their values."""
        return Request(path={"n": str(number)})

    @operation("GET", "/v1/map/atlas/{n}", as_bytes)
    def map_atlas(self, number: int, /) -> Request:
        """The thumbnails of a tile's shoes, row by row, a JPEG."""
        return Request(path={"n": str(number)})

    # --- The service ------------------------------------------------------------------------------------------------

    @operation("GET", "/v1/info", as_json(models.Info))
    def info(self) -> Request:
        """What is served, and what a request may ask for."""
        return Request()

    @operation("GET", "/v1/checkpoint", as_json(models.CheckpointRecord))
    def checkpoint(self) -> Request:
        """How the network was trained: model card, figures of each epoch, evaluation."""
        return Request()

    @operation("GET", "/healthz", as_json(models.Status))
    def health(self) -> Request:
        """Whether the process answers at all."""
        return Request()

    @operation("GET", "/readyz", as_json(models.Status))
    def readiness(self) -> Request:
        """Whether it answers rightly; `Busy` if it does not."""
        return Request()

    @operation("GET", "/metrics", as_text)
    def metrics(self) -> Request:
        """The metrics, in Prometheus' text format."""
        return Request()

    @operation("POST", "/v1/admin/reload", as_json(models.ReloadAnswer))
    def reload(self) -> Request:
        """Serve what is on disk now; `Conflict` if that can't be served."""
        return Request()

    # --- Page after page --------------------------------------------------------------------------------------------

    iterate_search = pages(search, lambda page: page.hits)
    iterate_search_vector = pages(search_vector, lambda page: page.hits)
    iterate_similar = pages(similar, lambda page: page.hits)
    iterate_items = pages(items, lambda page: page.items)
    iterate_query_items = pages(query_items, lambda page: page.items)


def _by_picture(image: Picture, options: PictureOptions | View, headers: Mapping[str, str] | None = None) -> Request:
    """The picture alone as the body, options in the query string."""
    return Request(content=to_bytes(image), query=_in_query(options), headers=headers or {})


def _in_json(options: Mapping[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if isinstance(given.get("filter"), str):
        given["filter"] = [given["filter"]]
    return given


def _query_in_json(query: Query) -> dict[str, Any]:
    given = _in_json(query)
    return {**given, "vector": _numbers(given["vector"])} if "vector" in given else given


def _in_query(options: Options | View) -> dict[str, Any]:
    given: dict[str, Any] = dict(options)
    if "filter" in given:
        given["filter"] = _filter_in_text(given["filter"])
    if isinstance(given.get("crop"), Sequence) and not isinstance(given["crop"], str):
        given["crop"] = ",".join(str(part) for part in given["crop"])
    return given


_in_form = _in_query


def _filter_in_text(filter: Filter | None) -> str | Sequence[str] | None:
    """A nested filter as JSON."""
    return json.dumps(filter) if isinstance(filter, Mapping) else filter


def _examples(given: Sequence[Example]) -> list[str | list[float]]:
    return [each if isinstance(each, str) else _numbers(each) for each in given]


def _numbers(vector: Iterable[float]) -> list[float]:
    """Also of a numpy array, whose numbers JSON does not know."""
    return [float(number) for number in vector]


def _file(field: str, picture: Picture) -> tuple[str, tuple[str, bytes, str]]:
    name = Path(picture).name if isinstance(picture, str | os.PathLike) else "image"
    return field, (name, to_bytes(picture), "application/octet-stream")
