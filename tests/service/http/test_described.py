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
from schemathesis.transport.serialization import Binary

from service.serving.engine import Engine
from service.settings import Settings
from tests.support.app import make_app
from tests.support.scale import LONG, long_only
from tests.support.stack import draw_shoe

KEY = "key-of-the-operators-0123456789"

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.missing_required_header,
    checks.unsupported_method,
]

REFUSED = ["413", "431"]
"""Statuses of requests that are too large, which schemathesis does not expect of what breaks a `maxLength`."""

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
    described = schemathesis.openapi.from_asgi("/openapi.json", make_app(keyed, memory_engine))
    rejection = described.config.checks.negative_data_rejection
    rejection.expected_statuses = [*rejection.expected_statuses, *REFUSED]
    yield described
    shutdown_lifespans()


def try_operations(
    document: schemathesis.BaseSchema, mode: schemathesis.GenerationMode, *, pictured: bool = False
) -> tuple[set[str], set[str]]:
    """Draw requests to every operation and check the answers; returns all operations, and those that were asked."""
    tried: set[str] = set()
    operations = [found.ok() for found in document.get_all_operations() if isinstance(found, Ok)]
    # With real pictures it is not always known any more which requests are good.
    chosen = [check for check in CHECKS if not (pictured and check is checks.negative_data_rejection)]
    for operation in operations:

        @seed(0)
        @hypothesis_settings(
            max_examples=300 if LONG else 4,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            tried.add(case.operation.label)
            case = with_picture(case) if pictured else case
            case.call_and_validate(checks=chosen, headers={"X-API-Key": KEY})

        # Where any text is right, or nothing is taken at all, nothing wrong can be drawn.
        with nullcontext() if mode.is_positive else suppress(Unsatisfiable):
            ask()
    return {operation.label for operation in operations}, tried


def with_picture(case: Any) -> Any:
    """A picture in place of the bytes that were drawn for one."""
    picture = Binary(draw_shoe(1))
    if (case.media_type or "").startswith("image/"):
        case.body = picture
    elif case.media_type == "multipart/form-data" and isinstance(case.body, dict) and "image" in case.body:
        case.body = {**case.body, "image": picture}
    return case


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_answers_are_as_described(document: schemathesis.BaseSchema, mode: schemathesis.GenerationMode) -> None:
    """Good requests and bad ones to every operation get an answer of a described form, and never a 5xx."""
    operations, tried = try_operations(document, mode)
    assert tried == operations if mode.is_positive else tried >= WRONG


@long_only
def test_answers_to_pictures_are_as_described(document: schemathesis.BaseSchema) -> None:
    """So do requests with a real picture, which nothing that is drawn would be."""
    operations, tried = try_operations(document, schemathesis.GenerationMode.POSITIVE, pictured=True)
    assert tried == operations
