"""Files that are whole or not there: atomic writes and digests."""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.errors import ArtifactError, StorageFull, StorageReadOnly

__all__ = [
    "READ_ONLY",
    "explain_failure",
    "sha256_bytes",
    "sha256_file",
    "sync_folder",
    "write_atomic",
    "write_files",
    "write_json",
]

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` so that `path` holds all of it, or what it held before: temporary file, fsync, rename.

    The temporary file lies beside the target, since a rename is atomic only within one file system. A process that
    is killed in between leaves at most a dot-file behind.

    Raises:
        OSError: the folder is missing, read-only or full; `path` is then as it was.
    """
    write_files(path.parent, {path.name: data})


def write_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write several files of one folder, each as `write_atomic` does; together they cost less than one by one.

    Raises:
        OSError: as `write_atomic`; some of the files may be there, whole.
    """
    for name, data in contents.items():
        _write_and_rename(folder / name, data)
    sync_folder(folder)


def _write_and_rename(path: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private; these are for whoever may read the folder.
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 - JSON is whatever json.dumps takes
    """Write `value` as indented JSON, atomically."""
    write_atomic(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def explain_failure(path: Path, error: OSError) -> ArtifactError:
    """What an error of the file system means to the person who can mend it."""
    reason = error.strerror or str(error)
    if error.errno in FULL:
        message = (
            f"{path}: the disk is full ({reason}); nothing of this change was stored. Free some space and try again"
        )
        return StorageFull(message)
    if error.errno in READ_ONLY:
        message = f"{path}: no permission, or a read-only disk ({reason}); make the folder readable and writable"
        return StorageReadOnly(message)
    return ArtifactError(f"{path}: {error}")


def sync_folder(folder: Path) -> None:
    """Make a rename or an unlink in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_bytes(data: bytes) -> str:
    """The SHA-256 of `data`, in hex."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's content, in hex. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
