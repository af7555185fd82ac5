"""The OpenAPI document: FastAPI's, with forms, examples captured from a running service, and bounds of the settings."""

import json
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel

from service.http.problems import PROBLEM_TYPE, Problem
from service.http.schemas import (
    BatchForm,
    BatchLine,
    BatchQuery,
    BatchSearch,
    BatchSearchForm,
    ImageSearch,
    ImagesInJson,
    ItemForm,
    NewItemForm,
    PictureForm,
    PictureSearchFields,
    PicturesForm,
    Recommendation,
    RecommendationForm,
    SearchFields,
    SearchForm,
)
from service.search.options import DEFAULT_K
from service.settings import Settings

__all__ = [
    "EXAMPLES",
    "answers",
    "batch_body",
    "cutouts",
    "drawings",
    "example_body",
    "form_body",
    "form_only",
    "install",
    "name_operation",
    "ndjson",
    "pictures",
    "request_examples",
]

FORMS = (PictureForm, PicturesForm, SearchForm, BatchSearchForm, RecommendationForm, ItemForm, NewItemForm, BatchForm)
UNSIGNED = (Problem, ImageSearch, ImagesInJson, Recommendation, BatchQuery, BatchSearch, BatchLine, *FORMS)
"""Models that FastAPI does not see, as they are in no route's signature."""

EXAMPLES = Path(__file__).with_name("examples.json")
"""Operation -> status -> body, captured from a service of the demo catalogue by `capture_examples.py` of the tests."""

Responses = dict[int | str, dict[str, Any]]

# Not http.HTTPStatus: its phrases differ between Python's versions.
DESCRIPTIONS = {
    200: "OK",
    201: "Created",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    412: "Precondition Failed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    503: "Service Unavailable",
    507: "Insufficient Storage",
}

DESCRIPTION = """
Similar-shoe search on a triplet variational autoencoder: a picture becomes a vector, the nearest vectors of the
catalogue are the most similar shoes, and every vector decodes back into a picture.

Distances are Euclidean. Errors are problems after RFC 9457 (`application/problem+json`): `detail` says what was wrong
and what is expected, `field` names the parameter at fault. Answers carry the fingerprints of the checkpoint and of the
catalogue that they were made from.

Where the service has API keys, requests carry one: `Authorization: Bearer KEY` or `X-API-Key: KEY`. Any request may be
refused for what it is rather than for what it asks: its key (401, 403), its size (413, 431), its slowness (408), its
host (421), or as there are too many others (503, with `Retry-After`).
"""

KEYS = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same, in a header of its own."},
}

IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "enum": ["*"]},
    "description": "`*`: a shoe whose id is in the catalogue is not replaced, but refused.",
}

REFUSAL = {
    "description": "The request was refused, whatever it asks for",
    "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


@cache
def load_examples() -> dict[str, dict[str, Any]]:
    """Operation -> status -> an example of that answer's body."""
    examples: dict[str, dict[str, Any]] = json.loads(EXAMPLES.read_bytes())
    return examples


def answers(operation: str, *statuses: int) -> Responses:
    """The answers of an operation that have a JSON body, with their examples."""
    return {status: _describe(status, load_examples().get(operation, {}).get(str(status))) for status in statuses}


def request_examples(operation: str) -> list[Any]:
    """Bodies that the operation takes."""
    example = load_examples().get(operation, {}).get("request")
    return [] if example is None else [example]


def form_body(form: type[BaseModel], in_json: type[BaseModel]) -> dict[str, Any]:
    """What an operation takes that reads its body by itself: a form, JSON, or a picture alone. For `openapi_extra`.

    A form's other fields may also be in the query string.
    """
    picture = {"type": "string", "format": "binary", "description": "A picture alone, as the whole body."}
    content = {
        "multipart/form-data": {"schema": {"$ref": f"#/components/schemas/{form.__name__}"}},
        "application/json": {"schema": {"$ref": f"#/components/schemas/{in_json.__name__}"}},
        "image/*": {"schema": picture},
        "application/octet-stream": {"schema": picture},
    }
    described: dict[str, Any] = {"requestBody": {"required": True, "content": content}}
    fields = {name: schema for name, schema in form.model_json_schema()["properties"].items() if name != "image"}
    if fields:
        described["parameters"] = [_describe_parameter(name, schema) for name, schema in fields.items()]
    return described


def form_only(form: type[BaseModel], *, conditional: bool = False) -> dict[str, Any]:
    """What an operation takes that reads a form by itself, and nothing else. Goes into `openapi_extra`.

    Args:
        form: describes it.
        conditional: it heeds `If-None-Match: *`.
    """
    schema = {"schema": {"$ref": f"#/components/schemas/{form.__name__}"}}
    described: dict[str, Any] = {"requestBody": {"required": True, "content": {"multipart/form-data": schema}}}
    if conditional:
        described["parameters"] = [IF_NONE_MATCH]
    return described


def ndjson(operation: str) -> Responses:
    """The answer of an operation that consists of lines of JSON."""
    example = load_examples().get(operation, {}).get("200", [])
    content = {
        "schema": {"$ref": f"#/components/schemas/{BatchLine.__name__}"},
        "example": "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in example),
    }
    return {200: {"description": DESCRIPTIONS[200], "content": {"application/x-ndjson": content}}}


def example_body() -> dict[str, Any]:
    """What an operation takes that reads examples by itself: a form, or JSON. Goes into `openapi_extra`."""
    return _two_bodies("recommendations", Recommendation, RecommendationForm, SearchFields)


def batch_body() -> dict[str, Any]:
    """What an operation takes that reads several searches by itself: a form, or JSON. Goes into `openapi_extra`."""
    return _two_bodies("search_batch", BatchSearch, BatchSearchForm, PictureSearchFields)


def _two_bodies(
    operation: str, in_json: type[BaseModel], form: type[BaseModel], query: type[BaseModel]
) -> dict[str, Any]:
    json_body = {"schema": {"$ref": f"#/components/schemas/{in_json.__name__}"}}
    if examples := request_examples(operation):
        json_body["example"] = examples[0]
    content = {
        "application/json": json_body,
        "multipart/form-data": {"schema": {"$ref": f"#/components/schemas/{form.__name__}"}},
    }
    fields = query.model_json_schema()["properties"]
    return {
        "requestBody": {"required": True, "content": content},
        "parameters": [_describe_parameter(name, schema) for name, schema in fields.items()],
    }


def _describe_parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": schema["description"]}


def pictures(description: str, media_type: str) -> Responses:
    """The answers of an operation that gives a picture."""
    schema = {"type": "string", "format": "binary"}
    return {200: {"description": description, "content": {media_type: {"schema": schema}}}}


def drawings(description: str, operation: str) -> Responses:
    """The answers of an operation that gives a picture, or JSON to those who ask for it."""
    described = answers(operation, 200)
    described[200]["description"] = description
    described[200]["content"] = {**pictures("", "image/png")[200]["content"], **described[200]["content"]}
    return described


def cutouts(operation: str) -> Responses:
    """The answers of an operation that gives a cut-out: in JSON, or as a picture."""
    described = answers(operation, 200)
    header = {"schema": {"type": "string"}, "description": "With a PNG: `subject` of the other answer, in JSON."}
    described[200]["content"] |= pictures("", "image/png")[200]["content"]
    described[200]["headers"] = {"X-Subject": header}
    return described


def _describe(status: int, example: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    described: dict[str, Any] = {"description": DESCRIPTIONS[status]}
    if status < HTTPStatus.BAD_REQUEST:
        content: dict[str, Any] = {"application/json": {}}
    else:
        content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    if example is not None:
        next(iter(content.values()))["example"] = example
    return {**described, "content": content}


def name_operation(route: APIRoute) -> str:
    """The operation id, which generated clients name their functions after: `search_by_image` -> `searchByImage`."""
    first, *others = route.name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of an optional value where null can't be sent: in a query string or a form."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"]
    rest = {key: value for key, value in schema.items() if key != "default" or value is not None}
    if len(choices) != 1:
        return rest
    del rest["anyOf"]
    only: dict[str, Any] = choices[0]
    return only | rest


def _bound_k(schemas: dict[str, dict[str, Any]], largest: int) -> None:
    """Put a setting's value into the schemas, by name, of `k`, which may be one of several choices, and of `limit`."""
    for schema in (schemas[name] for name in ("k", "limit") if name in schemas):
        for choice in schema.get("anyOf", [schema]):
            if "minimum" in choice and "maximum" not in choice:
                choice["maximum"] = largest
                if schema is schemas.get("k"):
                    schema["default"] = min(DEFAULT_K, largest)


def install(app: FastAPI, settings: Settings) -> None:
    """Make `app` describe itself with problems as its errors, and with the bounds that `settings` have."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            for model in UNSIGNED:
                described = model.model_json_schema(ref_template="#/components/schemas/{model}")
                described.pop("$defs", None)  # the routes' own answers have them
                schema["components"]["schemas"][model.__name__] = described
            schema["components"]["securitySchemes"] = KEYS
            schema["security"] = [{}, *({name: []} for name in KEYS)]  # one of them, or none: as the service is set up
            for operations in schema["paths"].values():
                for operation in operations.values():
                    operation["responses"]["default"] = REFUSAL
                    parameters = operation.get("parameters", ())
                    for parameter in parameters:
                        parameter["schema"] = _without_null(parameter["schema"])
                    _bound_k({each["name"]: each["schema"] for each in parameters}, settings.max_k)
            models = schema["components"]["schemas"]
            for form in FORMS:
                properties = models[form.__name__]["properties"]
                properties |= {name: _without_null(described) for name, described in properties.items()}
            for model in models.values():
                _bound_k(model.get("properties", {}), settings.max_k)
            app.openapi_schema = schema
        return app.openapi_schema

    # The documented way: https://fastapi.tiangolo.com/how-to/extending-openapi/
    setattr(app, "openapi", describe)  # noqa: B010 - a method, as far as mypy knows
