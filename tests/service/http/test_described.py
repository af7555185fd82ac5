"""The service does as its OpenAPI document says: requests that schemathesis draws from it, good ones and bad ones."""

from collections.abc import Iterator
from contextlib import nullcontext, suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from pydantic import SecretStr
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.python.asgi import shutdown_lifespans
from schemathesis.specs.openapi import checks

from service.http.app import create_app
from service.serving.engine import Engine
from service.settings import Settings

KEY = "key-of-the-operators-0123456789"

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]

WRONG = {
    "POST /v1/search",
    "POST /v1/search/vector",
    "POST /v1/embeddings",
    "POST /v1/reconstructions",
    "POST /v1/subjects",
    "GET /v1/items",
}
"""What can certainly be asked wrongly."""


@pytest.fixture
def document(memory_engine: Engine, settings: Settings) -> Iterator[schemathesis.BaseSchema]:
    """What a service of twelve shoes says of itself."""
    keyed = settings.model_copy(update={"api_keys": SecretStr(f"operators:admin:{KEY}")})
    yield schemathesis.openapi.from_asgi("/openapi.json", create_app(keyed, memory_engine))
    shutdown_lifespans()


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_answers_are_as_described(document: schemathesis.BaseSchema, mode: schemathesis.GenerationMode) -> None:
    """Good requests and bad ones to every operation get an answer of a described form, and never a 5xx."""
    tried: set[str] = set()
    operations = [found.ok() for found in document.get_all_operations() if isinstance(found, Ok)]
    for operation in operations:

        @seed(0)
        @hypothesis_settings(
            max_examples=4,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            tried.add(case.operation.label)
            case.call_and_validate(checks=CHECKS, headers={"X-API-Key": KEY})

        # Where any text is right, or nothing is taken at all, nothing wrong can be drawn.
        with nullcontext() if mode.is_positive else suppress(Unsatisfiable):
            ask()
    assert tried == {operation.label for operation in operations} if mode.is_positive else tried >= WRONG
