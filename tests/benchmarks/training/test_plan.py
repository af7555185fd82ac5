from pathlib import Path

from benchmarks.training.plan import Plan
from model.tvae import PRESETS, Slice
from tests.benchmarks.training.plans import make_plan


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    """What a side's process reads is what the rounds wrote."""
    plan = make_plan()
    plan.write(tmp_path)
    assert Plan.read(tmp_path) == plan


def test_the_network() -> None:
    """The network is the preset with the plan's slices."""
    config = make_plan().tvae_config
    assert config.slices == (Slice("gender", 8), Slice("free", 4))
    assert config.widths == PRESETS["shoes"].widths
