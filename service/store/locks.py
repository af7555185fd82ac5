"""One process at a time in a folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["locked", "remove_leftovers"]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Wait until no other process, and no other thread, is within such a block for this folder.

    It is the folder itself that is locked, so no file is left behind, and the lock of a process that was killed is
    gone with it. Not to be nested.

    Raises:
        OSError: the folder is not there.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes have left of writing `path` with `write_atomic`.

    To be called within `locked`, where every process that writes `path` does so within it: then none is at it.
    """
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):
        leftover.unlink(missing_ok=True)
