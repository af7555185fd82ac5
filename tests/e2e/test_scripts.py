"""The scripts, several at a time; with a stand-in for Python, so that nothing is downloaded and nothing trained."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.server import ROOT, environment
from tests.support.waiting import wait_until

STAND_IN = """#!{python}
import os, pathlib, shutil, sys, time

folder, arguments = pathlib.Path({folder!r}), sys.argv[1:]
if "-m" not in arguments:
    os.execv(sys.executable, [sys.executable, *arguments])  # the scripts' own few lines of Python

def note(stage, gate):
    with (folder / "log").open("a") as log:
        log.write(stage + "\\n")
    while not (folder / gate).exists():
        time.sleep(0.01)

def made(option, file):
    target = pathlib.Path(arguments[arguments.index(option) + 1])
    target.mkdir(parents=True, exist_ok=True)
    (target / file).touch()

match arguments[arguments.index("-m") + 1 :]:
    case ["venv", *_, target]:
        os.makedirs(target + "/bin")
        shutil.copy(__file__, target + "/bin/python")
    case ["pip", "install", *_]:
        note("install", "go")
    case ["training", "demo-catalog", *_]:
        note("draw", "go")
        made("--out", "drawn")
    case ["training", "train", *_]:
        if os.path.exists(arguments[arguments.index("--out") + 1] + "/config.json") and "--overwrite" not in arguments:
            sys.exit("a finished checkpoint is there")
        note("train", "go")
        made("--out", "config.json")
    case ["service", "index", *_]:
        note("index", "go")
        made("--out", "catalog.sqlite")
    case ["service", "serve"]:
        note("serve", "stop")
"""


class Checkout:
    """A folder with the scripts, and what the stand-in for Python was asked to do in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.python = path / "python"
        self.python.write_text(STAND_IN.format(python=sys.executable, folder=str(path)))
        self.python.chmod(0o755)
        shutil.copytree(ROOT / "scripts", path / "scripts")
        (path / "pyproject.toml").touch()
        (path / "constraints.txt").touch()
        self.runs: list[subprocess.Popen[bytes]] = []

    def start(self, script: str, *options: str, **settings: str) -> Callable[[], str]:
        """Run a script in the background; what is returned tells what it has said so far."""
        said = self.path / f"said-{len(self.runs)}"
        command = ["bash", str(self.path / "scripts" / script), *options]
        with said.open("wb") as file:
            self.runs.append(subprocess.Popen(command, env=environment(**settings), stdout=file, stderr=file))
        return said.read_text

    def stages(self) -> list[str]:
        """What was begun, in order."""
        log = self.path / "log"
        return log.read_text().split() if log.exists() else []

    def allow(self, *gates: str) -> None:
        """Let the stages of these gates end."""
        for gate in gates:
            (self.path / gate).touch()

    def wait(self) -> list[int]:
        """The scripts' exit statuses."""
        return [run.wait(timeout=240) for run in self.runs]


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    """A fresh one; whatever still runs is let go at the end."""
    checkout = Checkout(tmp_path)
    yield checkout
    checkout.allow("go", "stop")
    for run in checkout.runs:
        run.kill()
        run.wait()


def test_two_first_runs(checkout: Checkout) -> None:
    """The second run waits, says so, and serves what the first has made, while the first one serves."""
    settings = {"SOLEMATE_PYTHON": str(checkout.python)}
    first = checkout.start("serve", "--port", "0", **settings)
    wait_until(lambda: checkout.stages() == ["draw"])
    second = checkout.start("serve", "--port", "0", **settings)
    wait_until(lambda: "Another run is preparing" in second())
    assert checkout.stages() == ["draw"]
    checkout.allow("go")
    wait_until(lambda: checkout.stages() == ["draw", "train", "index", "serve", "serve"])
    assert "Another run" not in first()
    checkout.allow("stop")
    assert checkout.wait() == [0, 0]


def test_two_first_installations(checkout: Checkout) -> None:
    """Packages are installed once, by whichever run came first; a later run neither installs nor waits."""
    settings = {"PYTHON": str(checkout.python)}
    checkout.start("prepare", **settings)
    wait_until(lambda: checkout.stages() == ["install"])
    second = checkout.start("prepare", **settings)
    wait_until(lambda: "Another run is installing the Python packages" in second())
    checkout.allow("go")
    assert checkout.wait() == [0, 0]
    assert checkout.stages() == ["install", "draw", "train", "index"]
    third = checkout.start("prepare", **settings)
    assert checkout.wait() == [0, 0, 0]
    assert third().splitlines() == [f"==> Ready in {checkout.path}/artifacts"]


def test_a_killed_run_leaves_no_lock(checkout: Checkout) -> None:
    """After a kill the next run waits for the stage that is still at work, not for the script, and does it again."""
    settings = {"SOLEMATE_PYTHON": str(checkout.python)}
    checkout.start("prepare", **settings)
    wait_until(lambda: checkout.stages() == ["draw"])
    checkout.runs[0].kill()
    second = checkout.start("prepare", **settings)
    wait_until(lambda: "Another run is preparing" in second())
    checkout.allow("go")
    assert checkout.wait() == [-9, 0]
    assert checkout.stages() == ["draw", "draw", "train", "index"]


def test_a_due_training_replaces_the_checkpoint(checkout: Checkout) -> None:
    """A network that the scripts made before is trained anew where that is due, for instance for a new drawing."""
    settings = {"SOLEMATE_PYTHON": str(checkout.python)}
    checkout.allow("go")
    checkout.start("prepare", **settings)
    assert checkout.wait() == [0]
    (checkout.path / "artifacts/.done/draw").unlink()
    checkout.start("prepare", **settings)
    assert checkout.wait() == [0, 0]
    assert checkout.stages() == ["draw", "train", "index"] * 2


def test_catalogues_do_not_wait_for_each_other(checkout: Checkout) -> None:
    """Runs that make different things are at work at the same time."""
    settings = {"SOLEMATE_PYTHON": str(checkout.python)}
    for name in ("one", "two"):
        checkout.start("prepare", "--artifacts", str(checkout.path / name), **settings)
    wait_until(lambda: checkout.stages() == ["draw", "draw"])
    checkout.allow("go")
    assert checkout.wait() == [0, 0]
