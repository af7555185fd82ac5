"""Advisory locks between processes, on a folder or a file (flock). The only ones of the service beside SQLite's."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

FIRST_POLL_SECONDS = 0.002
LONGEST_POLL_SECONDS = 0.01
"""Interval between two attempts to get a lock where `give_up` is given; it doubles from the first to the longest."""


@contextmanager
def locked(path: Path, *, shared: bool = False, give_up: Callable[[], bool] | None = None) -> Iterator[bool]:
    """Hold the lock of a folder, or of a file, which is created; yields whether it is held. Not to be nested.

    Threads exclude each other as processes do. The lock of a process that was killed is gone with it. A folder is
    locked itself, so that no file is left behind.

    Args:
        path: what to lock.
        shared: exclude only those who lock it exclusively.
        give_up: whether to go on without the lock; asked after each failed attempt. Left out: wait as long as it takes.

    Raises:
        OSError: the folder, or that of the file, is not there, or can't be written.
    """
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o644)
    try:
        yield _acquire(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, give_up)
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, kind: int, give_up: Callable[[], bool] | None) -> bool:
    if give_up is None:
        fcntl.flock(descriptor, kind)
        return True
    pause = FIRST_POLL_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if give_up():
                return False
            time.sleep(pause)
            pause = min(LONGEST_POLL_SECONDS, 2 * pause)
        else:
            return True


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files that killed processes left of writing `path` with `write_atomic` or `write_parts`.

    To be called within `locked`, where every process that writes `path` does so within it: then none is at it.
    """
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):
        leftover.unlink(missing_ok=True)
