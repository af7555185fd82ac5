"""The one program of all commands."""

import importlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command, get_group
from typer.testing import CliRunner

import service.cli.main
import training.cli
from model.version import find_version
from solemate.cli import app, main

ROOT = Path(__file__).parents[2]

OF_THE_SOURCE = {
    *("index", "train", "evaluate", "csn-triplets", "draw-csn-lists", "reproduce zappos"),
    *("make-photos", "evaluate-photos"),
}

OF_THE_INDEX = {
    *("serve", "search", "duplicates", "verify", "export", "import", "backup", "map"),
    *("items list", "items add", "items delete"),
}


def run(*arguments: str, before: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
    """The program in a process of its own, after these lines of Python."""
    code = f"import sys\n{before}\nfrom solemate.cli import main\nsys.argv[0] = 'solemate'\nmain()"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SOLEMATE_")}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**kept, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def leaves(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every command below a group, with its name in full."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


def options(flag: str) -> dict[str, str]:
    """Command -> what the option says of itself, of all commands that have it."""
    return {
        name: str(parameter.help)
        for name, command in leaves(get_command(app))
        for parameter in command.params
        if flag in parameter.opts
    }


def test_script_that_is_installed() -> None:
    """What pyproject.toml names as the program is there, and goes into the wheel."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    module, _, function = project["project"]["scripts"]["solemate"].partition(":")
    assert getattr(importlib.import_module(module), function) is main
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert module.partition(".")[0] in wheel["packages"]
    assert f"COPY {module.partition('.')[0]} " in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_all_commands_of_both() -> None:
    """Every command of the two packages is a command of the program, and none hides another."""
    parts = [get_group(part.app).commands for part in (training.cli, service.cli.main)]
    assert not parts[0].keys() & parts[1].keys()
    assert get_group(app).commands.keys() == parts[0].keys() | parts[1].keys()


def test_one_meaning_of_catalog() -> None:
    """--catalog is the source of shoes in every command that has it, and --index the folder that `index` makes."""
    sources, indexes = options("--catalog"), options("--index")
    assert sources.keys() == OF_THE_SOURCE
    assert all("UT-Zap50K" in text for text in sources.values())
    assert indexes.keys() == OF_THE_INDEX
    assert set(indexes.values()) == {"The indexed catalogue's folder."}


def test_version() -> None:
    """--version prints it, before any command."""
    assert CliRunner().invoke(app, ["--version"]).output == f"solemate {find_version()}\n"


def test_help_loads_little() -> None:
    """--help does with typer alone."""
    heavy = "{'torch', 'numpy', 'pydantic', 'fastapi', 'matplotlib'}"
    before = f"import atexit\natexit.register(lambda: print('loaded', *{heavy} & sys.modules.keys()))"
    done = run("--help", before=before)
    assert done.returncode == 0
    assert "evaluate" in done.stdout
    assert done.stdout.endswith("loaded\n")


@pytest.mark.parametrize(("typed", "expected"), [("solemate tra", "train"), ("solemate items a", "add")])
def test_shell_completion(typed: str, expected: str) -> None:
    """A shell that asks is told how a command goes on."""
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    done = run(_SOLEMATE_COMPLETE="complete_bash", **words)
    assert done.stdout.split() == [expected]


@pytest.mark.parametrize(
    ("module", "command", "extra"),
    [
        ("pydantic_settings", ("serve",), "service"),
        ("faiss", ("verify", "--index", "nowhere"), "service"),
        ("matplotlib", ("evaluate", "--catalog", "nowhere"), "training"),
        ("pyarrow", ("embed", "nowhere", "--out", "vectors.parquet"), "parquet"),
        ("onnxruntime", ("export-onnx", "--checkpoint", "nowhere"), "onnx"),
    ],
)
def test_without_an_extra(module: str, command: tuple[str, ...], extra: str) -> None:
    """Where what a command needs is not installed, it names the extra; the others work."""
    before = f"sys.modules[{module!r}] = None"
    done = run(*command, before=before)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"this needs {module}, which is not installed: pip install 'solemate[{extra}]'" in done.stderr
    assert run("--help", before=before).returncode == 0


def test_commands_log_as_their_package_does() -> None:
    """A command is begun as its own package begins it: one of the service's warns of unknown settings."""
    mistyped = {"SOLEMATE_" + "WORKER": "2"}
    assert "did you mean SOLEMATE_WORKERS?" in run("settings", **mistyped).stderr
    assert run("download", "--help", **mistyped).stderr == ""
