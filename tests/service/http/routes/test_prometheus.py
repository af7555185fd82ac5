"""The text that Prometheus reads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.http.routes.operations import render, resident_bytes
from service.serving.engine import Engine
from service.telemetry import metrics

Samples = dict[str, list[tuple[dict[str, str], float]]]


def read(engine: Engine) -> Samples:
    """Name -> labels and value of each sample, as Prometheus parses the text."""
    samples: Samples = {}
    for family in text_string_to_metric_families(render(engine).decode()):
        assert family.documentation, family.name
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    return samples


def test_what_is_served(memory_engine: Engine) -> None:
    """The catalogue's size and the names of what is served are read when they are asked for."""
    samples = read(memory_engine)
    assert samples["solemate_catalogue_shoes"] == [({}, 12)]
    ((labels, one),) = samples["solemate_info"]
    assert one == 1
    assert labels == {**labels, "checkpoint": memory_engine.checkpoint, "catalogue": "catalog-1", "dimension": "8"}
    memory_engine.store.delete([item.id for item in memory_engine.page(1).items])
    samples = read(memory_engine)
    assert samples["solemate_catalogue_shoes"] == [({}, 11)]
    assert [labels["catalogue"] for labels, _ in samples["solemate_info"]] == ["catalog-2"]


def test_alone(memory_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that shares nothing tells what it counted itself."""
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    metrics.set_queue_depth(4)
    samples = read(memory_engine)
    metrics.set_queue_depth(0)
    assert ({"queue": "encode"}, 4) in samples["solemate_queue_depth"]
    ((labels, memory),) = samples["solemate_process_resident_bytes"]
    assert labels == {"pid": str(os.getpid())}
    assert memory > 2**20


def test_several_workers(memory_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any process tells what all together counted, and the memory of those that are alive."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    code = (
        "import sys; from service.telemetry import metrics; "
        "metrics.observe_batch(7); print('.', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code]
    root = Path(metrics.__file__).parents[2]
    workers = [
        subprocess.Popen(command, cwd=root, env=os.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.read(1) == b"."
        samples = read(memory_engine)
    finally:
        for worker in workers:
            worker.communicate(timeout=120)
    assert ({"queue": "encode"}, 14) in samples["solemate_batch_size_sum"]
    pids = {labels["pid"] for labels, _ in samples["solemate_process_resident_bytes"]}
    assert pids == {str(worker.pid) for worker in workers}
    assert samples["solemate_catalogue_shoes"] == [({}, 12)]


def test_memory_of_a_process_that_is_not_there() -> None:
    """A process that has ended in the meantime has no memory to tell of."""
    assert resident_bytes(2**22 + 1) is None
