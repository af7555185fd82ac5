import errno
import os
import resource
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from model.command import run_command
from model.errors import CatalogError, TrainingInterrupted


def _run(app: typer.Typer, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["program", *arguments])
    with pytest.raises(SystemExit) as ended:
        run_command(app)
    return ended.value.code


def _app_that_raises(error: BaseException | None) -> typer.Typer:
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def work() -> None:
        typer.echo("working")
        if error is not None:
            raise error

    return app


def test_a_command_that_works(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A command's output is its own, and its status is 0."""
    assert not _run(_app_that_raises(None), monkeypatch)
    assert capsys.readouterr() == ("working\n", "")


def test_an_error_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What a person can mend is told in one line on stderr, without a trace, and is the status 1."""
    assert _run(_app_that_raises(CatalogError("no catalogue at nowhere")), monkeypatch) == 1
    assert capsys.readouterr().err == "error: no catalogue at nowhere\n"


def test_a_full_disk_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A disk that takes no more is what a person can mend, whichever file it is that meets it."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(lambda: (tmp_path / "ledger").write_bytes(bytes(2000)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        assert _run(app, monkeypatch) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert capsys.readouterr().err == "error: a file can't be written: File too large\n"
    read_only = OSError(errno.EROFS, os.strerror(errno.EROFS), "/there/file")
    assert _run(_app_that_raises(read_only), monkeypatch) == 1
    assert capsys.readouterr().err == "error: /there/file can't be written: Read-only file system\n"


def test_a_wrong_option(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An option that there is not is named, and is the status 2."""
    assert _run(_app_that_raises(None), monkeypatch, "--colour") == 2
    assert "--colour" in capsys.readouterr().err


def test_an_interrupt_is_told_by_its_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C ends with the status that shells expect, and without a trace; a training says what it left."""
    assert _run(_app_that_raises(KeyboardInterrupt()), monkeypatch) == 130
    assert "Traceback" not in capsys.readouterr().err
    assert _run(_app_that_raises(TrainingInterrupted("interrupted: --resume")), monkeypatch) == 130
    assert capsys.readouterr().err == "interrupted: --resume\n"


def test_other_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of the program's own keeps its trace."""
    monkeypatch.setattr(sys, "argv", ["program"])
    with pytest.raises(ZeroDivisionError):
        run_command(_app_that_raises(ZeroDivisionError()))
    with pytest.raises(FileNotFoundError):
        run_command(_app_that_raises(FileNotFoundError(errno.ENOENT, "no such file")))


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not installed is told with the extra that brings it; a module of ours that is missing is a fault."""
    for module, importer in (
        ("nowhere.at_all", "training.figures.maps"),
        ("service.nowhere", "service.http.app"),
        ("no", "other"),
    ):
        names: dict[str, Any] = {"__name__": importer}
        exec(f"def work(): import {module}", names)
        app = typer.Typer(pretty_exceptions_enable=False)
        app.command()(names["work"])
        if importer == "training.figures.maps":
            assert _run(app, monkeypatch) == 1
            assert capsys.readouterr().err == (
                "error: this needs nowhere, which is not installed: pip install 'solemate[training]'\n"
            )
        else:
            monkeypatch.setattr(sys, "argv", ["program"])
            with pytest.raises(ModuleNotFoundError):
                run_command(app)
