"""The files through which worker processes share their numbers, with room on the disk that is theirs from the start.

Prometheus' client maps its files into memory and leaves them sparse. On a disk without room, the first touch of such a
page ends the process by SIGBUS, and so its successor's. Room that was reserved can't be taken by others.
"""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

KINDS = ("counter", "histogram", "gauge_livesum")
"""Kinds of files that the library keeps for each process, for the metrics in `service.telemetry.metrics`."""

BYTES = 512 * 1024
"""Size reserved for each file, in bytes: several times what all routes and statuses take."""


@contextmanager
def share_metrics() -> Iterator[None]:
    """A folder for the files, and this process's own, until the block ends. For the supervisor.

    Without room for them the service starts all the same: each worker then reports its own numbers only.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="solemate-metrics-")
    except OSError as error:
        logger.warning("there is no room for temporary files (%s); metrics will be of one worker only", error)
        yield
        return
    with folder as name:
        os.environ.setdefault(VARIABLE, name)
        reserve()
        yield


def reserve() -> None:
    """Reserve room for this process's files; without it, share none. To be called before `metrics` is loaded."""
    folder = os.environ.get(VARIABLE)
    if folder is None:
        return
    paths = _paths(folder, os.getpid())
    try:
        for path in paths:
            path.write_bytes(bytes(BYTES))
    except OSError as error:
        for path in paths:
            path.unlink(missing_ok=True)
        del os.environ[VARIABLE]
        logger.warning("there is no room in %s (%s); this process's metrics are its own", folder, error.strerror)


def release(pid: int) -> None:
    """Give back the room that a process that has ended did not need; what it counted stays. For the supervisor."""
    for path in _paths(os.environ.get(VARIABLE, ""), pid):
        try:
            with path.open("r+b") as file:
                file.truncate(int.from_bytes(file.read(4), "little"))  # the library begins a file with what it has used
        except OSError:
            continue


def _paths(folder: str, pid: int) -> list[Path]:
    return [Path(folder, f"{kind}_{pid}.db") for kind in KINDS]
