"""Files that are whole or not there: atomic writes and digests."""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model.errors import ArtifactError

__all__ = ["explain", "explained", "sha256_bytes", "sha256_file", "sync_folder", "write_atomic", "write_json"]


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` so that `path` holds all of it, or what it held before: temporary file, fsync, rename.

    The temporary file lies beside the target, since a rename is atomic only within one file system. A process that
    is killed in between leaves at most a dot-file behind.

    Raises:
        OSError: the folder is missing, read-only or full; `path` is then as it was.
    """
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
    sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 - JSON is whatever json.dumps takes
    """Write `value` as indented JSON, atomically."""
    write_atomic(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


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


_REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space and try again",
    errno.EDQUOT: "the disk quota is used up; free some space and try again",
    errno.EFBIG: "a file would be larger than this process may make it; raise the limit (ulimit -f) and try again",
    errno.EROFS: "the disk is read-only; make it writable, or choose another folder",
    errno.EACCES: "no permission; make the folder readable and writable for this user",
    errno.EPERM: "no permission; make the folder readable and writable for this user",
}


def explain(error: OSError) -> str:
    """What is wrong with the disk, and what to do about it."""
    return _REMEDIES.get(error.errno or 0) or str(error.strerror or error)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the file system's errors into ArtifactError, with the file and the remedy."""
    try:
        yield
    except OSError as error:
        raise ArtifactError(f"{path}: {explain(error)}") from error
