"""`python -m service` within the tests' own process, where torch is loaded already."""

import contextlib
import io
import logging
import os
import signal
import sys
from typing import NamedTuple
from unittest import mock

from service.cli.main import main

__all__ = ["Done", "run_main"]


class Done(NamedTuple):
    """What a command left behind."""

    status: int
    output: str
    error: str


def run_main(*arguments: str, **settings: str) -> Done:
    """Run a command to its end, with these settings in its environment, and leave the process as it was."""
    output, error = io.StringIO(), io.StringIO()
    level = logging.getLogger().level
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SOLEMATE_")}
    status = 0
    try:
        with (
            mock.patch.object(sys, "argv", ["python -m service", *arguments]),
            mock.patch.dict(os.environ, {**environment, **settings}, clear=True),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(error),
        ):
            main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        logging.getLogger().setLevel(level)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return Done(status, output.getvalue(), error.getvalue())
