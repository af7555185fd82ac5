from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.training.catalog import make_plan
from benchmarks.training.profiling import BACKWARD, DECODER, ENCODER, PARTS, PYTHON, profile_step, sort_events
from training.demo_catalog import draw_demo_catalog


def test_events_are_sorted_by_time_and_kind() -> None:
    """What lies between the network's halves, the backward pass and the optimizer is told by its place."""
    events = [
        ("aten::index", 1.0),
        (ENCODER, 2.0),
        ("aten::linear", 4.0),
        (DECODER, 8.0),
        ("aten::sum", 16.0),
        ("Optimizer.zero_grad#AdamW.zero_grad", 32.0),
        (f"{BACKWARD}SumBackward1", 64.0),
        (f"{BACKWARD}ConvolutionBackward0", 128.0),
        (f"{BACKWARD}torch::autograd::AccumulateGrad", 256.0),
        ("aten::_foreach_norm", 512.0),
        ("Optimizer.step#AdamW.step", 1024.0),
        ("aten::item", 2048.0),
    ]
    parts = {name: duration for name, duration in sort_events(events).items() if duration}
    assert parts == {
        "batch: gather, scale, mirror": 1.0,
        "forward: encoder": 2.0,
        "forward: mean, log-variance, sample": 4.0,
        "forward: decoder": 8.0,
        "forward: objective": 16.0,
        "backward: convolutions": 128.0,
        "backward: the rest": 64.0 + 256.0,
        "gradient's norm": 512.0,
        "optimizer": 32.0 + 1024.0,
        "reading the figures": 2048.0,
    }


def test_a_profile(tmp_path: Path) -> None:
    """A real step is cut into all its parts, whose times add up to its own."""
    draw_demo_catalog(tmp_path / "demo", count=8)
    plan = make_plan(str(tmp_path / "demo"), network="shoes", epochs=2, batch_size=4, device="cpu")
    profile = profile_step(replace(plan, precision="float32"), steps=1)
    assert list(profile.parts) == [*PARTS, PYTHON]
    assert min(profile.parts.values()) > 0
    assert sum(profile.parts.values()) == pytest.approx(profile.profiled)
    assert "| backward: convolutions |" in profile.to_markdown()
    assert profile.to_json()["shoes"] == 4
