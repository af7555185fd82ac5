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
from pydantic.json_schema import models_json_schema

from service.http.problems import PROBLEM_TYPE, Problem
from service.http.schemas import BatchLine
from service.search.options import DEFAULT_K
from service.settings import Settings

EXAMPLES = Path(__file__).with_name("examples.json")
"""Operation -> status -> body, captured from a service of the demo catalogue by `capture_examples.py` of the tests."""

Responses = dict[int | str, dict[str, Any]]
Described = dict[str, Any]
"""A part of the document, as JSON has it."""

MODELS: set[type[BaseModel]] = set()
"""Those that the document names and FastAPI does not see, as they are in no route's signature."""


def _refer(model: type[BaseModel]) -> Described:
    MODELS.add(model)
    return {"$ref": f"#/components/schemas/{model.__name__}"}


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
    "content": {PROBLEM_TYPE: {"schema": _refer(Problem)}},
}

PICTURE = {"type": "string", "format": "binary"}


@cache
def load_examples() -> dict[str, Described]:
    """Operation -> status -> an example of that answer's body."""
    examples: dict[str, Described] = json.loads(EXAMPLES.read_bytes())
    return examples


def answers(operation: str, *statuses: int) -> Responses:
    """The answers of an operation that have a JSON body, with their examples."""
    described: Responses = {}
    for status in statuses:
        failed = status >= HTTPStatus.BAD_REQUEST
        content: Described = {"schema": _refer(Problem)} if failed else {}
        example = load_examples().get(operation, {}).get(str(status))
        if example is not None:
            content["example"] = example
        described[status] = {
            "description": HTTPStatus(status).phrase,
            "content": {PROBLEM_TYPE if failed else "application/json": content},
        }
    return described


def request_examples(operation: str) -> list[Any]:
    """Bodies that the operation takes."""
    example = load_examples().get(operation, {}).get("request")
    return [] if example is None else [example]


def body_of(
    operation: str,
    form: type[BaseModel],
    in_json: type[BaseModel] | None = None,
    *,
    query: type[BaseModel] | None = None,
    alone: bool = False,
    conditional: bool = False,
) -> Described:
    """What an operation takes that reads its body by itself. For `openapi_extra`.

    Args:
        operation: names the example of a JSON body.
        form: describes a form.
        in_json: describes JSON, where that is taken.
        query: fields that may also be in the query string.
        alone: whether a picture alone is taken as well.
        conditional: whether it heeds `If-None-Match: *`.
    """
    content: Described = {"multipart/form-data": {"schema": _refer(form)}}
    if in_json is not None:
        content["application/json"] = {"schema": _refer(in_json)}
        if examples := request_examples(operation):
            content["application/json"]["example"] = examples[0]
    if alone:
        picture = {**PICTURE, "description": "A picture alone, as the whole body."}
        content |= {"image/*": {"schema": picture}, "application/octet-stream": {"schema": picture}}
    described: Described = {"requestBody": {"required": True, "content": content}}
    parameters = [IF_NONE_MATCH] if conditional else []
    for name, schema in (query.model_json_schema()["properties"] if query is not None else {}).items():
        parameter = {"name": name, "in": "query", "required": False, "schema": schema}
        parameters.append({**parameter, "description": schema["description"]})
    return {**described, "parameters": parameters} if parameters else described


def ndjson(operation: str) -> Responses:
    """The answer of an operation that consists of lines of JSON."""
    described = answers(operation, 200)
    lines = described[200]["content"].pop("application/json")["example"]
    example = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    described[200]["content"]["application/x-ndjson"] = {"schema": _refer(BatchLine), "example": example}
    return described


def pictures(description: str, media_type: str) -> Responses:
    """The answers of an operation that gives a picture."""
    return {200: {"description": description, "content": {media_type: {"schema": PICTURE}}}}


def drawings(description: str, operation: str) -> Responses:
    """The answers of an operation that gives a picture, or JSON to those who ask for it."""
    described = answers(operation, 200)
    described[200]["description"] = description
    described[200]["content"] = {"image/png": {"schema": PICTURE}, **described[200]["content"]}
    return described


def cutouts(operation: str) -> Responses:
    """The answers of an operation that gives a cut-out: in JSON, or as a picture."""
    described = answers(operation, 200)
    header = {"schema": {"type": "string"}, "description": "With a PNG: `subject` of the other answer, in JSON."}
    described[200]["content"]["image/png"] = {"schema": PICTURE}
    described[200]["headers"] = {"X-Subject": header}
    return described


def name_operation(route: APIRoute) -> str:
    """The operation id, which generated clients name their functions after: `search_by_image` -> `searchByImage`."""
    first, *others = route.name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _without_null(schema: Described) -> Described:
    """The schema of an optional value where null can't be sent: in a query string or a form."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"]
    rest = {key: value for key, value in schema.items() if key != "default" or value is not None}
    if len(choices) != 1:
        return rest
    del rest["anyOf"]
    only: Described = choices[0]
    return only | rest


def _bound_k(schemas: dict[str, Described], largest: int) -> None:
    """Put a setting's value into the schemas, by name, of `k`, which may be one of several choices, and of `limit`."""
    for schema in (schemas[name] for name in ("k", "limit") if name in schemas):
        for choice in schema.get("anyOf", [schema]):
            if "minimum" in choice and "maximum" not in choice:
                choice["maximum"] = largest
                if schema is schemas.get("k"):
                    schema["default"] = min(DEFAULT_K, largest)


def install(app: FastAPI, settings: Settings) -> None:
    """Make `app` describe itself with problems as its errors, and with the bounds that `settings` have."""

    def describe() -> Described:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            components = schema["components"]
            named = [(model, "validation") for model in MODELS]
            unseen = models_json_schema(named, ref_template="#/components/schemas/{model}")[1]["$defs"]  # type: ignore[arg-type]
            components["schemas"] = {**unseen, **components["schemas"]}
            components["securitySchemes"] = KEYS
            schema["security"] = [{}, *({name: []} for name in KEYS)]  # one of them, or none: as the service is set up
            for operations in schema["paths"].values():
                for operation in operations.values():
                    operation["responses"]["default"] = REFUSAL
                    parameters = operation.get("parameters", ())
                    for parameter in parameters:
                        parameter["schema"] = _without_null(parameter["schema"])
                    _bound_k({each["name"]: each["schema"] for each in parameters}, settings.max_k)
            for name, model in components["schemas"].items():
                properties = model.get("properties", {})
                if name.endswith("Form"):
                    properties |= {key: _without_null(described) for key, described in properties.items()}
                _bound_k(properties, settings.max_k)
            app.openapi_schema = schema
        return app.openapi_schema

    # The documented way: https://fastapi.tiangolo.com/how-to/extending-openapi/
    setattr(app, "openapi", describe)  # noqa: B010 - a method, as far as mypy knows
