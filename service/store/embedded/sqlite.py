"""Connections to a catalogue's SQLite file, and what its errors mean to the person who runs the service."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.errors import ArtifactCorrupt, ArtifactError, ArtifactMissing, StorageFull, StorageReadOnly
from model.files import explain_failure
from service.errors import StoreBusy
from service.store.checks import REBUILD

__all__ = ["BUSY_SECONDS", "connect", "connect_to_read", "translated"]

logger = logging.getLogger(__name__)

BUSY_SECONDS = 30.0
"""How long a change waits for those of others, unless it is told otherwise."""

BUSY_RETRY = 2
"""Seconds after which a change is worth another try."""


def connect(path: Path, mode: str, *, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """A connection in autocommit mode; `mode` is one of SQLite's URI modes (ro, rw, rwc), or `immutable`."""
    flag = "mode=ro&immutable=1" if mode == "immutable" else f"mode={mode}"
    uri = f"{path.absolute().as_uri()}?{flag}"
    connection = sqlite3.connect(uri, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        # FULL: in WAL mode, NORMAL would let a power cut take back acknowledged writes.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_read(path: Path, *, named: Path | None = None) -> sqlite3.Connection:
    """A read-only connection, also where the folder is read-only and SQLite can't make its WAL files.

    Args:
        path: of the file.
        named: what to call it in errors, where that differs.

    Raises:
        ArtifactMissing: there is no such file.
        sqlite3.Error: it can't be read.
    """
    if not path.is_file():
        command = "python -m service index --catalog PATH"
        folder = (named or path).parent
        raise ArtifactMissing(f"{folder} holds no indexed catalogue ({path.name}); make one with `{command}`")
    try:
        return connect(path, "ro")
    except sqlite3.OperationalError as error:
        if primary_code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        log = path.with_name(f"{path.name}-wal")
        if log.exists() and log.stat().st_size > 0:
            # Immutable would leave out what only the log holds, some of it acknowledged.
            raise
        logger.info("%s lies in a read-only folder: changes by others stay unseen until it is opened again", path)
        return connect(path, "immutable")


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code of an error; 0 where the error came from Python's wrapper itself."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn the errors of SQLite and of the file system into ArtifactError, with the file and the way out.

    Where only somebody else's change is in the way, it is StoreBusy, which names no file: clients are told of it.
    """
    try:
        yield
    except sqlite3.ProgrammingError as error:
        raise ArtifactError(f"{path}: {error}") from error
    except sqlite3.Error as error:
        match primary_code(error):
            case sqlite3.SQLITE_FULL:
                message = "the disk is full; nothing of this change was stored. Free some space and try again"
                raise StorageFull(f"{path}: {message}") from error
            case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
                message = f"no permission, or a read-only disk ({error}); make the folder readable and writable"
                raise StorageReadOnly(f"{path}: {message}") from error
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                message = "another process has been changing the catalogue for too long; nothing was stored, try again"
                raise StoreBusy(message, retry_after=BUSY_RETRY) from error
            case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_NOMEM:
                message = f"the disk or the memory failed ({error})"
            case _:
                raise ArtifactCorrupt(f"{path} is no whole catalogue ({error}); {REBUILD}") from error
        raise ArtifactError(f"{path}: {message}") from error
    except OSError as error:
        raise explain_failure(path, error) from error
