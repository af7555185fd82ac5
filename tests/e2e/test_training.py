"""`python -m training`, as a user runs it."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from model.checkpoint import load_checkpoint
from model.errors import ArtifactMissing
from model.onnx_checkpoint import load_onnx
from tests.support.commands import run_training
from tests.support.forking import fork_command, wait_for_end
from tests.support.server import environment, heed_interrupts
from training.checkpointing import STAGING
from training.cli import main

TRAIN = (
    *("--network", "mnist", "--latent-size", "8", "--epochs", "12", "--batch-size", "16", "--save-every", "0"),
    *("--device", "cpu", "--threads", "1", "--precision", "float32", "--condition", "Category", "--no-onnx"),
)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few drawn shoes."""
    folder = tmp_path_factory.mktemp("catalog") / "demo"
    _run("demo-catalog", "--out", str(folder), "--count", "48")
    return folder


def _run(*arguments: str) -> None:
    done = run_training(*arguments)
    assert done.status == 0, done.error


@pytest.mark.slow
def test_kill_while_training(catalog: Path, tmp_path: Path) -> None:
    """A training that is killed, resumed and killed again ends with the weights of one that was left alone."""
    arguments = ("train", "--catalog", str(catalog), *TRAIN, "--resume", "--out")
    _run(*arguments, str(tmp_path / "whole"))
    whole = load_checkpoint(tmp_path / "whole")
    cut = tmp_path / "cut"
    kills = 0
    while not _is_done(cut) and kills < 3:
        process = fork_command(main, *arguments, str(cut), log=tmp_path / "log")
        _wait_for_progress(cut, process.is_alive)
        time.sleep(0.05 * kills)  # somewhere else in the loop each time
        process.kill()
        kills += wait_for_end(process) == -signal.SIGKILL
        _is_done(cut)  # whatever was cut off, what is there loads
    _run(*arguments, str(cut))
    assert kills > 1
    assert load_checkpoint(cut).digest == whole.digest
    left = {path.name for path in cut.iterdir() if not path.name.startswith(".")}
    assert left == {"weights.safetensors", "config.json", "metrics.json", "README.md", "training-curves.png"}


@pytest.mark.slow
def test_kill_while_overwriting(catalog: Path, tmp_path: Path) -> None:
    """A finished checkpoint is there, whole, until the training that replaces it is over, however that is cut short."""
    arguments = ("train", "--catalog", str(catalog), *TRAIN, "--out", str(tmp_path))
    _run(*arguments)
    before = load_checkpoint(tmp_path).digest
    refused = run_training(*arguments, "--seed", "1")
    assert (refused.status, refused.error.count("\n")) == (1, 1)
    assert "holds a finished checkpoint: --overwrite" in refused.error
    process = fork_command(main, *arguments, "--seed", "1", "--epochs", "500", "--overwrite", log=tmp_path / ".log")
    _wait_for_progress(tmp_path / STAGING, process.is_alive)
    process.kill()
    process.join()
    assert load_checkpoint(tmp_path).digest == before
    _run(*arguments, "--seed", "1", "--overwrite")
    assert load_checkpoint(tmp_path).digest != before
    assert not (tmp_path / STAGING).exists()


def _is_done(folder: Path) -> bool:
    try:
        facts = load_checkpoint(folder).training
    except ArtifactMissing:
        return False
    return bool(facts["epoch"] == facts["epochs"])


def _wait_for_progress(folder: Path, is_running: Callable[[], bool]) -> None:
    """Until the run has saved something new, or is over."""
    state = folder / "config.json"
    before = state.stat().st_mtime_ns if state.exists() else 0
    while is_running() and (not state.exists() or state.stat().st_mtime_ns == before):
        time.sleep(0.01)


def test_a_flat_folder(catalog: Path, tmp_path: Path) -> None:
    """Pictures in one folder have nothing to be ordered by; the training says so, and goes on as a plain VAE."""
    (tmp_path / "flat").mkdir()
    for path in sorted(catalog.rglob("*.jpg"))[:12]:
        shutil.copy(path, tmp_path / "flat")
    options = ("--network", "mnist", "--epochs", "1", "--device", "cpu")
    arguments = ("--catalog", str(tmp_path / "flat"), "--out", str(tmp_path / "out"), *options)
    process = fork_command(main, "train", *arguments, log=tmp_path / "log")
    assert wait_for_end(process) == 0, (tmp_path / "log").read_text()
    warnings = [line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("warning: ")]
    assert ["plain VAE" in each for each in warnings] == [True, *[False] * (len(warnings) - 1)]
    assert any("shoes are few to train on" in each for each in warnings)
    checkpoint = load_checkpoint(tmp_path / "out")
    assert checkpoint.conditions == ()
    assert load_onnx(tmp_path / "out").digest == checkpoint.digest


def test_interrupt_while_training(catalog: Path, tmp_path: Path) -> None:
    """Ctrl-C ends with status 130, a usable checkpoint, and a word on how to go on."""
    arguments = ("--catalog", str(catalog), *TRAIN, "--epochs", "500", "--out", str(tmp_path))
    process = subprocess.Popen(
        [sys.executable, "-m", "training", "train", *arguments],
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,  # noqa: PLW1509 - it takes no lock
    )
    _wait_for_progress(tmp_path, lambda: process.poll() is None)
    process.send_signal(signal.SIGINT)
    try:
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "--resume" in errors
    assert "Traceback" not in errors
    assert load_checkpoint(tmp_path).training["epoch"] >= 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--catalog", "nowhere"), "nowhere"),
        (("--catalog", "{catalog}", "--condition", "Heel"), "Closure, Gender, HeelHeight"),
        (("--catalog", "{catalog}", "--miner", "best"), "expected one of: batch-all, semi-hard"),
        (("--catalog", "{catalog}", "--condition", "a=Gender:99"), "do not fit into a mean vector of 64"),
        (("--catalog", "{catalog}", "--device", "tpu"), "'tpu' can't be used here"),
    ],
)
def test_mistakes_are_named(catalog: Path, tmp_path: Path, arguments: tuple[str, ...], expected: str) -> None:
    """A mistake is one line that says what was expected; nothing is written, no trace is shown."""
    filled = [each.format(catalog=catalog) for each in arguments]
    done = run_training("train", *filled, "--out", str(tmp_path / "out"))
    assert done.status == 1
    assert expected in done.error
    assert "Traceback" not in done.error
    assert not (tmp_path / "out" / "config.json").exists()
