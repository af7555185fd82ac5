"""Files that are whole or not there: atomic writes and digests."""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path
from typing import Any

from model.errors import ArtifactError, StorageFull, StorageReadOnly

READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
"""What a file system says that may not be written to."""

_FREE = "nothing of this change was stored. Free some space and try again"
_ALLOW = "make the folder readable and writable for this user, or choose another one"
_REMEDIES = {
    errno.ENOSPC: (StorageFull, f"the disk is full; {_FREE}"),
    errno.EDQUOT: (StorageFull, f"the disk quota is used up; {_FREE}"),
    errno.EFBIG: (StorageFull, "a file would be larger than this process may make it; raise the limit (ulimit -f)"),
    errno.EROFS: (StorageReadOnly, f"a read-only disk; {_ALLOW}"),
    errno.EACCES: (StorageReadOnly, f"no permission; {_ALLOW}"),
    errno.EPERM: (StorageReadOnly, f"no permission; {_ALLOW}"),
}


def write_atomic(path: Path, data: bytes) -> None:
    """As `write_parts`, of one part."""
    write_parts(path, [data])


def write_parts(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write all parts so that `path` holds all of them, or what it held before: temporary file, fsync, rename.

    The temporary file lies beside the target, since a rename is atomic only within one file system. A process that
    is killed in between leaves at most a dot-file behind. Folders that are missing above it are made.

    Raises:
        OSError: the folder can't be made, is read-only or full; `path` is then as it was.
    """
    make_folder(path.parent)
    with replacing(path) as file:
        file.writelines(parts)
    sync_folder(path.parent)


def write_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write several files of one folder, each as `write_atomic` does; together they cost less than one by one.

    Raises:
        OSError: as `write_atomic`; some of the files may be there, whole.
    """
    make_folder(folder)
    for name, data in contents.items():
        with replacing(folder / name) as file:
            file.write(data)
    sync_folder(folder)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, durably. Raises OSError."""
    if not folder.is_dir():
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for each in missing:
            sync_folder(each.parent)


@contextmanager
def replacing(path: Path) -> Iterator[BufferedRandom]:
    """A new file beside `path`, which takes its place, synced, where the block ends well, and else is gone.

    The folder above has to be there, and is not synced. Raises OSError.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
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
    kind, remedy = _REMEDIES.get(error.errno or 0, (ArtifactError, str(error.strerror or error)))
    return kind(f"{path}: {remedy}")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the file system's errors into ArtifactError, with the file and the remedy."""
    try:
        yield
    except OSError as error:
        raise explain_failure(path, error) from error


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
