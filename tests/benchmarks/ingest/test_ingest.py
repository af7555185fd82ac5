import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.ingest import cli
from benchmarks.ingest.rounds import Part, Result
from training.demo_catalog import draw_demo_catalog


@pytest.mark.slow
def test_a_measurement(tmp_path: Path) -> None:
    """On a few shoes the command runs both sides in turn, prints their rates and writes the figures."""
    draw_demo_catalog(tmp_path / "demo", count=72)
    out = tmp_path / "figures.json"
    options = ["--catalog", str(tmp_path / "demo"), "--part", "64", "--no-whole", "--json", str(out)]
    result = CliRunner().invoke(cli.app, [*options, "--team", "processes", "--members", "2"])
    assert result.exit_code == 0, result.output
    assert "goal 85%" in result.output
    (team,) = json.loads(out.read_text())["teams"]
    assert [part["pictures"] for part in team["parts"]] == [64, 8]
    assert all(part["ingest"] > 0 and part["ceiling"] > 0 for part in team["parts"])


def test_rates() -> None:
    """The time of planning and tidying up counts as the indexing's; shares are of the same pictures."""
    result = Result("processes", (Part(100, 2.0, 1.0, 3.0, 2.0), Part(100, 2.0, 3.0, 3.0, 2.0)), rest=1.0, rest_cpu=1.0)
    assert (result.pictures, result.ingest_rate, result.ceiling_rate) == (200, 40.0, 50.0)
    assert (result.ingest_cpu_ms, result.ceiling_cpu_ms) == (35.0, 20.0)
