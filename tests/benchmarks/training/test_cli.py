import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.training import cli
from benchmarks.training.rounds import Side
from training.demo_catalog import draw_demo_catalog


@pytest.mark.slow
def test_a_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a few shoes the command trains each side in its process, prints the table and writes the figures."""
    sides = [Side("ours", "benchmarks.training.ours", "float32"), Side("plain", "benchmarks.training.plain")]
    monkeypatch.setattr(cli, "choose_sides", lambda _: sides)
    draw_demo_catalog(tmp_path / "demo", count=24)
    options = {
        "--catalog": tmp_path / "demo",
        "--epochs": 2,
        "--rounds": 1,
        "--batch-size": 24,  # one step an epoch
        "--device": "cpu",
        "--out": tmp_path / "out" / "figures.json",
    }
    result = CliRunner().invoke(cli.app, [str(each) for option in options.items() for each in option])
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert list(figures["sides"]) == ["ours", "plain"]
    assert all(each["images_per_second"] > 0 for each in figures["sides"].values())
    assert figures["plan"]["shoes"] == 24
    own, plain = (figures["runs"][index]["timings"]["figures"] for index in (0, 1))
    # After a single step both have hardly learnt anything: the same pictures under the same likelihood.
    assert plain["reconstruction"] == pytest.approx(own["reconstruction"], rel=0.2)
    assert "| ours |" in result.output
