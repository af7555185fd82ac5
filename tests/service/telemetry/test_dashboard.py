"""The Grafana dashboard asks for nothing that the service does not tell."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from service.telemetry import metrics

DASHBOARD = Path(__file__).parents[3] / "docs" / "grafana" / "solemate.json"

ALERTS = Path(__file__).parents[3] / "deploy" / "alerts.yaml"

METRIC = re.compile(r"\bsolemate_\w+")

OF_PROMETHEUS = {"job", "instance", "le"}
"""Labels that the service does not give itself."""


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    """The file."""
    read: dict[str, Any] = json.loads(DASHBOARD.read_bytes())
    return read


def alerts() -> Iterator[str]:
    """Every query of the alerts."""
    for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]


def queries(dashboard: dict[str, Any]) -> Iterator[str]:
    """Every query of the panels and of the variables."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


def labels_of(client: TestClient) -> dict[str, set[str]]:
    """Name of a sample -> its labels, once the service has answered and refused a request and made a large index."""
    metrics.set_index_recall("overall", 1.0)
    client.get("/healthz")
    client.get("/nothing")
    families = text_string_to_metric_families(client.get("/metrics").text)
    metrics.index_recall.clear()
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


def test_every_metric_exists(client: TestClient, dashboard: dict[str, Any]) -> None:
    """Every metric and every label that a query of the dashboard or an alert names is in the service's answer."""
    known = labels_of(client)
    for query in (*queries(dashboard), *alerts()):
        named = METRIC.findall(query)
        assert named or query.startswith("up{"), query
        assert set(named) <= set(known), query
        labels = set[str]().union(*(known[name] for name in named)) | OF_PROMETHEUS
        groups = [label.strip() for group in re.findall(r"\bby \(([^)]*)\)", query) for label in group.split(",")]
        matched = re.findall(r"(\w+)\s*!?=~?\s*\"", query)
        assert set(groups) | set(matched) <= labels, query


def test_every_metric_is_shown(client: TestClient, dashboard: dict[str, Any]) -> None:
    """What the service measures has a place on the dashboard."""
    shown = " ".join(queries(dashboard))
    unseen = {re.sub(r"_(bucket|sum|count)$", "", name) for name in labels_of(client)}
    assert {name for name in unseen if name not in shown} == set()


def test_panels_are_whole(dashboard: dict[str, Any]) -> None:
    """Panels have ids of their own, lie side by side, and ask the data source that is chosen at the top."""
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert {x for x, _ in cells} == set(range(24))
    for panel in panels:
        if panel["type"] != "row":
            assert panel["description"], panel["title"]
            assert panel["datasource"]["uid"] == "${datasource}"
            assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
