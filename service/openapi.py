"""The interface's description: each answer with an example that the service really gave."""

import json
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.errors import PROBLEM_TYPE
from service.schemas import Problem

__all__ = ["EXAMPLES", "answers", "install", "pictures", "request_examples"]

EXAMPLES = Path(__file__).with_name("examples.json")
"""Operation -> status -> body, captured from a service of the demo catalogue by `tests/service/capture_examples.py`."""

Responses = dict[int | str, dict[str, Any]]

# Not http.HTTPStatus: its phrases differ between Python's versions.
DESCRIPTIONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    503: "Service Unavailable",
}

DESCRIPTION = """
Similar-shoe search on a triplet variational autoencoder: a picture becomes a vector, the nearest vectors of the
catalogue are the most similar shoes, and every vector decodes back into a picture.

Distances are Euclidean. Errors are problems after RFC 9457 (`application/problem+json`): `detail` says what was wrong
and what is expected, `field` names the parameter at fault. Answers carry the fingerprints of the checkpoint and of the
catalogue that they were made from.
"""


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


def pictures(description: str, media_type: str) -> Responses:
    """The answers of an operation that gives a picture."""
    schema = {"type": "string", "format": "binary"}
    return {200: {"description": description, "content": {media_type: {"schema": schema}}}}


def _describe(status: int, example: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    described: dict[str, Any] = {"description": DESCRIPTIONS[status]}
    if status < HTTPStatus.BAD_REQUEST:
        content: dict[str, Any] = {"application/json": {}}
    else:
        content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    if example is not None:
        next(iter(content.values()))["example"] = example
    return {**described, "content": content}


def install(app: FastAPI) -> None:
    """Make `app` describe itself with problems as its errors."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            schema["components"]["schemas"]["Problem"] = Problem.model_json_schema()
            app.openapi_schema = schema
        return app.openapi_schema

    # The documented way: https://fastapi.tiangolo.com/how-to/extending-openapi/
    setattr(app, "openapi", describe)  # noqa: B010 - a method, as far as mypy knows
