"""What the hooks count, in one process and in several."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from service.http.routes.operations import read_shared
from service.telemetry import metrics
from service.telemetry.request_timing import STAGES
from tests.support.samples import value

PACKAGE = Path(metrics.__file__).parents[1]

WORKER = """
import sys
from service.telemetry import metrics
metrics.observe_request("GET", "/v1/items/{id}", 200, 0.004, {"search": 0.002})
metrics.request_began()
metrics.set_queue_depth(int(sys.argv[1]))
metrics.observe_batch(3)
metrics.count_rejection("queue-full")
print("counted", flush=True)
sys.stdin.read()
"""


def test_request() -> None:
    """A request counts once under its route and status, and each of its stages once."""
    before = value("solemate_requests_total", method="GET", route="/counted", status="404")
    stages = {stage: value("solemate_stage_seconds_sum", stage=stage) for stage in STAGES}
    metrics.observe_request("GET", "/counted", 404, 0.5, {"decode": 0.25, "search": 0.125})
    assert value("solemate_requests_total", method="GET", route="/counted", status="404") == before + 1
    assert value("solemate_request_seconds_bucket", route="/counted", le="0.5") == before + 1
    assert value("solemate_request_seconds_bucket", route="/counted", le="0.25") == 0
    for stage, spent in {**dict.fromkeys(STAGES, 0.0), "decode": 0.25, "search": 0.125}.items():
        assert value("solemate_stage_seconds_sum", stage=stage) == stages[stage] + spent


def test_text_of_clients_becomes_no_label() -> None:
    """Methods and reasons that are not known count together, so that clients can't make new series."""
    metrics.observe_request("BREW", "/counted", 405, 0.1, {})
    assert value("solemate_requests_total", method=metrics.OTHER, route="/counted", status="405") == 1
    before = value("solemate_rejections_total", reason=metrics.OTHER)
    metrics.count_rejection("a mood")
    assert value("solemate_rejections_total", reason=metrics.OTHER) == before + 1


def test_queues_are_told_apart() -> None:
    """The encoder's queue and the search's have numbers of their own."""
    metrics.set_queue_depth(3)
    metrics.set_queue_depth(5, "write")
    assert value("solemate_queue_depth", queue="encode") == 3
    assert value("solemate_queue_depth", queue="write") == 5
    metrics.set_queue_depth(0)
    metrics.set_queue_depth(0, "write")


def test_the_recall_of_an_index() -> None:
    """Each condition's, as it was last measured; there is none where nothing was."""
    metrics.index_recall.clear()  # what other tests have left
    assert metrics.REGISTRY.get_sample_value("solemate_index_recall", {"condition": "closure"}) is None
    metrics.set_index_recall("closure", 0.5)
    metrics.set_index_recall("closure", 0.985)
    metrics.set_index_recall("overall", 0.99)
    assert value("solemate_index_recall", condition="closure") == 0.985
    assert value("solemate_index_recall", condition="overall") == 0.99
    metrics.index_recall.clear()


def test_series_begin_at_zero() -> None:
    """What may go wrong is there before it has: Prometheus sees a first event only as a step."""
    for reason in metrics.REASONS:
        assert metrics.REGISTRY.get_sample_value("solemate_rejections_total", {"reason": reason}) is not None
    for outcome in ("switched", "kept"):
        assert metrics.REGISTRY.get_sample_value("solemate_reloads_total", {"outcome": outcome}) is not None


def test_reasons_are_known() -> None:
    """Every reason that the service's code gives for a rejection is in the list of them."""
    given = {
        reason
        for file in PACKAGE.rglob("*.py")
        for reason in re.findall(r"count_rejection\(\s*\"([^\"]+)\"", file.read_text(encoding="utf-8"))
    }
    assert given <= set(metrics.REASONS)


def collect(folder: Path) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Name and labels -> value, of all processes that share the folder."""
    registry = CollectorRegistry()
    read_shared(registry, str(folder))
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def test_two_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers of two processes add up; of one that has ended stays what it counted, but not what was under way."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, depth],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=PACKAGE.parent,
            env=os.environ,
        )
        for depth in ("2", "5")
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"counted\n"
        both = collect(tmp_path)
        workers[0].communicate(timeout=120)
        metrics.forget_worker(workers[0].pid)
        one = collect(tmp_path)
    finally:
        for worker in workers:
            worker.communicate(timeout=120)
    request = (("method", "GET"), ("route", "/v1/items/{id}"), ("status", "200"))
    search, encode = (("stage", "search"),), (("queue", "encode"),)
    for samples in (both, one):
        assert samples["solemate_requests_total", request] == 2
        assert samples["solemate_stage_seconds_sum", search] == pytest.approx(0.004)
        assert samples["solemate_batch_size_bucket", (("le", "4.0"), *encode)] == 2
        assert samples["solemate_rejections_total", (("reason", "queue-full"),)] == 2
    assert both["solemate_queue_depth", encode] == 7
    assert one["solemate_queue_depth", encode] == 5
    assert (both["solemate_requests_in_flight", ()], one["solemate_requests_in_flight", ()]) == (2, 1)
