import logging
import sys
from pathlib import Path

import pytest

from benchmarks.training import rounds
from benchmarks.training.plan import Plan
from benchmarks.training.rounds import Run, Side, SideFailed, choose_sides, run_rounds
from tests.benchmarks.training.plans import make_plan, make_run


def test_sides_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each side trains once in each round, in its own precision, before any trains again."""
    seen: list[tuple[int, str, str]] = []

    def run(plan: Plan, side: Side, number: int) -> Run:
        seen.append((number, side.name, plan.precision))
        return make_run(side.name, number, seconds=1.0)

    monkeypatch.setattr(rounds, "_run_side", run)
    sides = [Side("a", "module"), Side("b", "module", precision="float32")]
    assert len(list(run_rounds(make_plan(), sides, 2))) == 4
    assert seen == [(1, "a", "auto"), (1, "b", "float32"), (2, "a", "auto"), (2, "b", "float32")]


def test_a_failure_is_told(tmp_path: Path) -> None:
    """The error of a side that fails says which one and what it wrote last."""
    (tmp_path / "side.py").write_text("raise SystemExit('no such network')\n")
    side = Side("mine", str(tmp_path / "side.py"))
    with pytest.raises(SideFailed, match=r"mine ended with status 1:\n.*No module named"):
        list(run_rounds(make_plan(), [side], 1))


@pytest.mark.parametrize("python", [Path("no/bin/python"), Path(sys.executable)], ids=["no interpreter", "no pythae"])
def test_a_missing_peer_is_skipped(python: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without the peers' environment pythae is left out, and a line says so and where to read on."""
    with caplog.at_level(logging.WARNING):
        sides = choose_sides(python)
    assert [side.name for side in sides] == ["solemate", "solemate in float32", "plain PyTorch loop"]
    assert f"skipped pythae: {python}" in caplog.text
    assert "benchmarks/README.md" in caplog.text


def test_a_peer_runs_in_its_own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The peer's interpreter is taken by its own path: a virtual environment's is often a link."""
    monkeypatch.setattr(rounds, "_has_pythae", lambda _: True)
    (tmp_path / "python").symlink_to(sys.executable)
    assert choose_sides(tmp_path / "python")[-1].python == tmp_path / "python"


def test_figures_of_a_run() -> None:
    """Images a second leave out the first epoch; start-up is imports and pictures."""
    run = make_run("solemate", 1, seconds=4.0)
    assert run.images_per_second == 25.0
    assert run.start_up == 3.0
