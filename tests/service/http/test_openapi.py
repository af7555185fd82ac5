"""The interface's description is whole and true, and loses nothing unnoticed."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr
from starlette.testclient import TestClient

from service.http import schemas
from service.http.openapi import EXAMPLES
from service.http.problems import Problem
from service.serving.engine import Engine
from service.settings import Settings
from tests.service.http.capture_examples import KEYS, ask, body_of
from tests.support.app import make_app

OPERATIONS = {
    "searchByImage": "POST /v1/search",
    "searchByVector": "POST /v1/search/vector",
    "searchBatch": "POST /v1/search:batch",
    "recommendItems": "POST /v1/recommendations",
    "embedImages": "POST /v1/embeddings",
    "listItems": "GET /v1/items",
    "queryItems": "POST /v1/items:query",
    "createItem": "POST /v1/items",
    "addItems": "POST /v1/items:batch",
    "getItem": "GET /v1/items/{id}",
    "replaceItem": "PUT /v1/items/{id}",
    "patchItem": "PATCH /v1/items/{id}",
    "deleteItem": "DELETE /v1/items/{id}",
    "findSimilarItems": "GET /v1/items/{id}/similar",
    "explainLikeness": "GET /v1/items/{id}/explain",
    "getItemImage": "GET /v1/items/{id}/image",
    "getItemReconstruction": "GET /v1/items/{id}/reconstruction",
    "countFacets": "GET /v1/facets",
    "queryFacets": "POST /v1/facets:query",
    "reconstructImage": "POST /v1/reconstructions",
    "reconstructVector": "POST /v1/reconstructions/vector",
    "cutOutSubject": "POST /v1/subjects",
    "interpolateItems": "GET /v1/interpolations",
    "swapSlice": "GET /v1/swaps",
    "sampleShoes": "GET /v1/samples",
    "getHealth": "GET /healthz",
    "getReadiness": "GET /readyz",
    "getMap": "GET /v1/map",
    "getMapAtlas": "GET /v1/map/atlas/{n}",
    "getMapTile": "GET /v1/map/tiles/{n}",
    "getInfo": "GET /v1/info",
    "getCheckpoint": "GET /v1/checkpoint",
    "reloadArtifacts": "POST /v1/admin/reload",
}
"""What clients are generated from: operation ids name their functions."""

OPTIONS = {"condition", "cursor", "diversity", "duplicate_distance", "exclude", "facets", "fields", "filter", "group"}
OPTIONS |= {"ignore_case", "k", "limit", "max_distance"}
"""Of every search, by a query string, a form or JSON."""

PICTURE = {"application/json", "application/octet-stream", "image/*", "multipart/form-data"}
CHANGES = {"createItem", "replaceItem", "patchItem", "deleteItem", "addItems", "reloadArtifacts"}

MODELS: dict[str, type[BaseModel]] = {
    "search": schemas.SearchAnswer,
    "search_vector": schemas.SearchAnswer,
    "search_batch": schemas.BatchSearchAnswer,
    "similar": schemas.SearchAnswer,
    "recommendations": schemas.SearchAnswer,
    "subjects": schemas.SubjectAnswer,
    "embeddings": schemas.EmbeddingsAnswer,
    "items": schemas.ItemsAnswer,
    "query_items": schemas.ItemsAnswer,
    "item": schemas.ItemAnswer,
    "explain": schemas.ExplainAnswer,
    "interpolations": schemas.InterpolationAnswer,
    "swaps": schemas.SwapAnswer,
    "samples": schemas.SamplesAnswer,
    "facets": schemas.FacetsAnswer,
    "query_facets": schemas.FacetsAnswer,
    "map": schemas.MapAnswer,
    "map_tile": schemas.MapTile,
    "info": schemas.Info,
    "checkpoint": schemas.CheckpointRecord,
    "healthz": schemas.Status,
    "readyz": schemas.Status,
    "reload": schemas.ReloadAnswer,
    "create_item": schemas.ItemAnswer,
    "replace_item": schemas.ItemAnswer,
    "add_items": schemas.BatchLine,
    "patch_item": schemas.ItemAnswer,
}

REQUESTS: dict[str, type[BaseModel]] = {
    "search_vector": schemas.VectorSearch,
    "recommendations": schemas.Recommendation,
    "search_batch": schemas.BatchSearch,
    "query_items": schemas.ItemsQuery,
    "query_facets": schemas.FacetsQuery,
    "patch_item": schemas.ItemPatch,
}


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Method and path, and the operation, of everything described."""
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    """What the service says of itself."""
    described: dict[str, Any] = client.get("/openapi.json").json()
    return described


def test_no_operation_is_lost(document: dict[str, Any]) -> None:
    """Each operation has its id, method and path, a summary, a description and a tag; parameters are described too."""
    described = {operation["operationId"]: name for name, operation in operations(document)}
    assert described == OPERATIONS
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["tags"], name
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], (name, parameter["name"])


def test_operations_take_what_they_always_took(document: dict[str, Any]) -> None:
    """Searches have all options, whatever they are sent as; pictures are forms, JSON or bare; changes take a key."""
    by_id = {operation["operationId"]: operation for _, operation in operations(document)}
    parameters = {name: {each["name"] for each in by_id[name].get("parameters", ())} for name in by_id}
    models = {name: set(model.get("properties", ())) for name, model in document["components"]["schemas"].items()}
    for name in ("searchByImage", "searchBatch", "recommendItems", "findSimilarItems"):
        assert parameters[name] >= OPTIONS, name
    for name in (
        "ImageSearch",
        "SearchForm",
        "VectorSearch",
        "BatchQuery",
        "BatchSearchForm",
        "Recommendation",
        "RecommendationForm",
    ):
        assert models[name] >= OPTIONS, name
    for name in ("searchByImage", "embedImages", "reconstructImage", "cutOutSubject"):
        assert by_id[name]["requestBody"]["content"].keys() == PICTURE, name
        assert parameters[name] >= {"crop", "rotate", "subject"}, name
    for name in CHANGES:
        assert by_id[name]["responses"].keys() >= {"401", "403"}, name


def test_every_request_may_be_refused(document: dict[str, Any]) -> None:
    """Each operation tells that it may be refused with a problem of any status, and how to show a key."""
    for name, operation in operations(document):
        assert "application/problem+json" in operation["responses"]["default"]["content"], name
    assert document["components"]["securitySchemes"].keys() == {"bearer", "key"}
    assert {} in document["security"]


def test_every_answer_has_an_example(document: dict[str, Any]) -> None:
    """Each answer has a schema, each JSON answer an example too, and no error but a problem is described."""
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            if status == "default":
                continue
            for media_type, content in response.get("content", {}).items():
                assert "schema" in content, (name, status)
                if not media_type.startswith("image/"):
                    assert "example" in content, (name, status)
                if int(status) >= 400:
                    assert media_type == "application/problem+json", (name, status)
                    Problem.model_validate(content["example"])
                    assert content["example"]["status"] == int(status)


def test_examples_fit_their_schemas() -> None:
    """Each example is an answer that the schemas allow, to the last key."""
    for operation, examples in json.loads(EXAMPLES.read_text(encoding="utf-8")).items():
        for status, example in examples.items():
            if status == "request":
                REQUESTS[operation].model_validate(example)
                continue
            model = MODELS[operation] if status.startswith("2") else Problem
            bodies = example if isinstance(example, list) else [example]
            for body in bodies:
                assert model.model_validate(body).model_dump(mode="json", by_alias=True, exclude_unset=True) == body


def test_examples_are_what_the_service_answers(client: TestClient, memory_engine: Engine, settings: Settings) -> None:
    """Asked what the examples were asked, the service answers with the same statuses, keys and kinds of problems."""
    examples = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    seen: dict[str, set[str]] = {}
    keyed = settings.model_copy(update={"api_keys": SecretStr(KEYS)})
    with TestClient(make_app(keyed, memory_engine)) as guarded:
        for operation, response in ask(client, guarded):
            status = str(response.status_code)
            seen.setdefault(operation, set()).add(status)
            example, answer = examples[operation][status], body_of(response)
            if isinstance(example, list):
                assert [line.keys() for line in example] == [line.keys() for line in answer]
                continue
            assert example.keys() == answer.keys()
            if not status.startswith("2"):
                assert {key: example.get(key) for key in ("type", "title", "field")} == {
                    key: answer.get(key) for key in ("type", "title", "field")
                }
    assert seen == {operation: set(statuses) - {"request"} for operation, statuses in examples.items()}


def find_schemas(part: Any, name: str) -> Iterator[dict[str, Any]]:
    """The schemas of properties and parameters of a name, anywhere in a description."""
    if isinstance(part, list):
        for each in part:
            yield from find_schemas(each, name)
    elif isinstance(part, dict):
        if part.get("name") == name and "in" in part:
            yield part["schema"]
        if isinstance(part.get("properties"), dict) and name in part["properties"]:
            yield part["properties"][name]
        for each in part.values():
            yield from find_schemas(each, name)


def find_parts(part: Any, schemas: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A schema and all that it consists of, what it refers to as well."""
    if isinstance(part, list):
        for each in part:
            yield from find_parts(each, schemas)
    elif isinstance(part, dict):
        yield part
        if "$ref" in part:
            yield from find_parts(schemas[part["$ref"].rpartition("/")[2]], schemas)
        for each in part.values():
            yield from find_parts(each, schemas)


def test_all_that_json_may_repeat_is_bounded(document: dict[str, Any]) -> None:
    """Each list of a body has a largest length, and so has each object whose names are the client's."""
    lists = set()
    for name, operation in operations(document):
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            if media_type != "application/json":
                continue
            for part in find_parts(content["schema"], document["components"]["schemas"]):
                if part.get("type") == "array":
                    assert part["maxItems"] > 0, (name, part)
                    lists.add(name)
                elif isinstance(part.get("additionalProperties"), dict):
                    assert part["maxProperties"] > 0, (name, part)
    assert len(lists) == 11


@pytest.mark.parametrize("max_k", [5, 50])
def test_bounds_of_k(memory_engine: Engine, settings: Settings, max_k: int) -> None:
    """Wherever a request may say `k`, its default and its bounds are those of the service, which keeps to them."""
    bounded = settings.model_copy(update={"max_k": max_k})
    memory_engine.limits = bounded
    with TestClient(make_app(bounded, memory_engine)) as client:
        described = client.get("/openapi.json").json()
        answer = client.get("/v1/items/1000.1/similar").json()
    asked = [schema for schema in find_schemas(described, "k") if "default" in schema]
    assert len(asked) == 11  # four query strings, and the bodies of four searches, three of them forms or JSON
    for schema in asked:
        number = next(choice for choice in schema.get("anyOf", [schema]) if choice["type"] == "integer")
        assert (number["minimum"], number["maximum"], schema["default"]) == (1, max_k, min(10, max_k))
        assert answer["k"] == schema["default"]


def test_pictures_are_binary(document: dict[str, Any]) -> None:
    """Pictures are files to generated clients, in forms, as whole bodies and as answers."""
    binary = {"type": "string", "format": "binary"}
    forms = {name: model for name, model in document["components"]["schemas"].items() if name.endswith("Form")}
    for image in find_schemas(forms, "image"):
        assert image.get("items", image).items() >= binary.items()
    for name, operation in operations(document):
        contents = [operation.get("requestBody", {}), *operation["responses"].values()]
        for media_type, content in [pair for each in contents for pair in each.get("content", {}).items()]:
            if media_type.startswith("image/"):
                assert content["schema"].items() >= binary.items(), name


def test_no_null_in_texts(document: dict[str, Any]) -> None:
    """A query string and a form have no null: an optional value is described as what it is when it is there."""
    for name, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            assert "anyOf" not in parameter["schema"], (name, parameter["name"])
    for name, schema in document["components"]["schemas"].items():
        if name.endswith("Form"):
            assert "null" not in json.dumps(schema), name


def test_docs_are_a_page_of_it(client: TestClient) -> None:
    """The page of the description runs no script of its own markup, and names nothing but files of the service."""
    page = client.get("/docs")
    links = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert len(links) == 5
    for link in links:
        assert client.get(f"/{link}").status_code == 200
    assert not re.search(r"<script[^>]*>[^<]|<style|\son\w+=", page.text)
    assert page.headers["content-security-policy"] == client.get("/").headers["content-security-policy"]
