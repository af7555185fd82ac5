"""`python -m training reproduce`: what reaches the function behind a command, and what it answers."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from training.cli import app
from training.reproduce.mnist import experiment as mnist
from training.reproduce.zappos import experiment as zappos


class _Report:
    """Stands in for a report."""

    def to_text(self) -> str:
        return "figures"


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["reproduce", *(str(each) for each in arguments)])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """What the experiments are called with, instead of being run."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def fake(*arguments: Any, **options: Any) -> _Report:
        calls.append((arguments, options))
        return _Report()

    monkeypatch.setattr(mnist, "reproduce_mnist", fake)
    monkeypatch.setattr(zappos, "reproduce_zappos", fake)
    return calls


def test_zappos(asked: list[tuple[tuple[Any, ...], dict[str, Any]]], tmp_path: Path) -> None:
    """The options make the plan; without them it is the usual one, on what `download` leaves."""
    result = _run("zappos", "--lists", tmp_path)
    assert result.exit_code == 0, result.output
    assert "figures\n\nreport and pictures: artifacts/reproduce-zappos/report.md" in result.output
    usual = (("artifacts/ut-zap50k", tmp_path, Path("artifacts/reproduce-zappos"), zappos.Plan()), {"device": "auto"})
    assert asked == [usual]
    options = ("--seeds", 2, "--epochs", 3, "--network", "shoes-large", "--quick", "--no-pictures", "--device", "cpu")
    _run("zappos", "--catalog", "shoes", "--lists", tmp_path, "--out", tmp_path / "out", *options)
    plan = zappos.Plan((0, 1), 3, "shoes-large", zappos.QUICK.training_shoes, zappos.QUICK.triplets, pictures=False)
    assert asked[1] == (("shoes", tmp_path, tmp_path / "out", plan), {"device": "cpu"})


def test_zappos_needs_the_lists(asked: list[tuple[tuple[Any, ...], dict[str, Any]]]) -> None:
    """Where the lists are has to be said."""
    result = _run("zappos")
    assert result.exit_code == 2
    assert "--lists" in result.output
    assert not asked


def test_mnist(asked: list[tuple[tuple[Any, ...], dict[str, Any]]], tmp_path: Path) -> None:
    """The options make the plan; without them it is the usual one."""
    assert _run("mnist").exit_code == 0
    _run("mnist", "--data", tmp_path, "--quick", "--epochs", 4, "--triplets", tmp_path / "a.npy", "--download")
    (first, second) = asked
    assert first[0] == (Path("artifacts/mnist"), Path("artifacts/reproduce-mnist"), mnist.Plan())
    assert first[1] == {"triplets": None, "download": False, "device": "auto"}
    assert (second[0][2].epochs, second[0][2].training_images) == (4, mnist.QUICK.training_images)
    assert second[1] == {"triplets": tmp_path / "a.npy", "download": True, "device": "auto"}


def test_help_loads_no_torch() -> None:
    """The commands' help does not wait for torch."""
    code = "import sys, training.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
