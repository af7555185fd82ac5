"""Commands in processes forked from one that has loaded torch, so that each starts in no time and may be killed."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.support.server import environment

PRELOADED = (
    *("matplotlib.figure", "service.catalog.indexing.index", "service.cli.main", "service.store.embedded.store"),
    *("torch._dynamo", "training.photos.stage", "training.plan", "training.train"),
)
"""What takes long to import. Whatever is missing here is imported by each process for itself."""


def fork_command(start: Callable[[], None], *arguments: str, log: Path) -> BaseProcess:
    """Start `service.cli.main.main` or `training.cli.main` with these arguments; what it prints goes into `log`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    process = context.Process(target=_run, args=(start, arguments, environment(), log), daemon=True)
    process.start()
    return process


def wait_for_end(process: BaseProcess) -> int:
    """The exit status: negative for a signal, as of `subprocess`."""
    process.join(120)
    assert process.exitcode is not None, "the process does not end"
    return process.exitcode


def _run(start: Callable[[], None], arguments: tuple[str, ...], variables: dict[str, str], log: Path) -> None:
    """Be the command."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(file, stream.fileno())
    os.environ.clear()
    os.environ.update(variables)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [start.__module__, *arguments]
    start()
