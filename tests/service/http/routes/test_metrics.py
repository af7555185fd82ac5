"""Where Prometheus collects."""

import pytest
from starlette.testclient import TestClient

from service.serving.engine import Engine
from service.settings import Settings
from tests.support.app import make_app
from tests.support.problems import check_problem


def test_metrics(client: TestClient) -> None:
    """The metrics are text of Prometheus' type, and have the requests before this one."""
    client.get("/v1/items/1000.1")
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert 'solemate_requests_total{method="GET",route="/v1/items/{id}",status="200"}' in response.text
    assert "1000.1" not in response.text


def test_metrics_can_be_off(memory_engine: Engine, settings: Settings) -> None:
    """Where they are off, nothing is at their path."""
    closed = settings.model_copy(update={"metrics_access": "off"})
    with TestClient(make_app(closed, memory_engine)) as client:
        check_problem(client.get("/metrics"), 404)


@pytest.mark.parametrize("query", ["?name[]=solemate_info", "?x=1"])
def test_parameters_change_nothing(client: TestClient, query: str) -> None:
    """Prometheus may add parameters to its request."""
    assert "solemate_info" in client.get(f"/metrics{query}").text
