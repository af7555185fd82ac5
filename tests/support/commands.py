"""Commands within the tests' own process, where torch is loaded already."""

import contextlib
import io
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import NamedTuple
from unittest import mock

import training.cli
from service.cli.main import main


class Done(NamedTuple):
    """What a command left behind."""

    status: int
    output: str
    error: str


def run_main(*arguments: str, **settings: str) -> Done:
    """Run a command of `python -m service` to its end, with these settings in its environment."""
    return _run("service", main, *arguments, **settings)


def run_training(*arguments: str) -> Done:
    """Run a command of `python -m training` to its end."""
    return _run("training", training.cli.main, *arguments)


def _run(program: str, start: Callable[[], None], /, *arguments: str, **settings: str) -> Done:
    """Leave the process as it was."""
    output, error = io.StringIO(), io.StringIO()
    level = logging.getLogger().level
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SOLEMATE_")}
    status = 0
    try:
        with (
            mock.patch.object(sys, "argv", [f"python -m {program}", *arguments]),
            mock.patch.dict(os.environ, {**environment, **settings}, clear=True),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(error),
        ):
            start()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        logging.getLogger().setLevel(level)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return Done(status, output.getvalue(), error.getvalue())
