"""Safe extraction of zip archives: nothing lands outside the target, and nothing is left half done."""

import errno
import re
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from model.errors import CatalogError
from model.progress import track

MAX_BYTES = 2 << 30
MAX_ENTRIES = 200_000
MAX_RATIO = 100
"""Limits on what an archive may grow to. UT-Zap50K's stay below them by a factor of four or more."""

SMALL = 1 << 20
"""Unpacked size, in bytes, below which the compression ratio is not limited."""

UTF8_NAME = 0x800
ENCRYPTED = 0x1


def unpack(archive: Path, folder: Path, *, max_bytes: int = MAX_BYTES) -> None:
    """Unpack a zip archive into a new folder.

    An archive whose files lie in a folder of that very name gives the same tree as one that holds them bare. The tree
    grows in a hidden folder beside the target and is renamed when every file's checksum was right. So the target is
    whole or not there, unless power fails. One process at a time.

    Args:
        archive: the zip file.
        folder: what to make; not there, or empty.
        max_bytes: of all files together.
    """
    growing = folder.with_name(f".{folder.name}.unpacking")
    # Of a process that was killed.
    shutil.rmtree(growing, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = _plan(opened, archive, max_bytes)
            growing.mkdir()
            for entry, path in track(entries, desc=f"unpack {folder.name}", unit="files", total=len(entries)):
                _extract(opened, entry, growing / path)
        inner = growing / folder.name
        (inner if inner.is_dir() else growing).replace(folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, RuntimeError) as error:
        raise CatalogError(f"{archive} is not a whole zip archive: {error}") from error
    finally:
        shutil.rmtree(growing, ignore_errors=True)


def _plan(opened: zipfile.ZipFile, archive: Path, max_bytes: int) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """The files to extract, and where to; all of them are looked at before the first is written."""
    infos = opened.infolist()
    if len(infos) > MAX_ENTRIES:
        raise CatalogError(f"{archive} has {len(infos)} entries; expected at most {MAX_ENTRIES}")
    entries = []
    for info in infos:
        path = _find_place(info, archive)
        is_folder = info.orig_filename.endswith(("/", "\\"))
        if not is_folder and path.name not in {"", ".DS_Store"} and path.parts[0] != "__MACOSX":
            entries.append((info, path))
    if not entries:
        raise CatalogError(f"{archive} has no files in it")
    total = sum(info.file_size for info, _ in entries)
    if total > max_bytes or total > max(SMALL, MAX_RATIO * archive.stat().st_size):
        raise CatalogError(
            f"{archive} would grow to {total / 1e6:.0f} MB from {archive.stat().st_size / 1e6:.0f}; that is no archive "
            "of pictures and tables"
        )
    free = shutil.disk_usage(archive.parent).free
    if total > free:
        reason = f"{total / 1e6:.0f} MB are needed and {free / 1e6:.0f} MB free"
        raise OSError(errno.ENOSPC, reason, str(archive.parent))
    return entries


def _find_place(info: zipfile.ZipInfo, archive: Path) -> PurePosixPath:
    """An entry's path below the folder that is made."""
    name = info.orig_filename
    if not info.flag_bits & UTF8_NAME:
        # Many tools write UTF-8 without saying so; zipfile then takes it for the code page of the first PCs.
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            name = info.orig_filename
    kind = stat.S_IFMT(info.external_attr >> 16)
    problem = None
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        problem = "a link or a device"
    elif info.flag_bits & ENCRYPTED:
        problem = "encrypted"
    elif info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        problem = "compressed by an unknown method"
    elif re.match(r"[/\\]|[A-Za-z]:", name) or ".." in re.split(r"[/\\]", name):
        problem = "a path that leads out of the archive"
    elif not name or any(ord(character) < 32 or ord(character) == 127 for character in name):
        problem = "a name with control characters or none"
    if problem is not None:
        raise CatalogError(f"{archive} has an entry that can't be unpacked: {name!r} is {problem}")
    return PurePosixPath(*re.split(r"[/\\]", name))


def _extract(opened: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("xb")
    except (FileExistsError, NotADirectoryError) as error:
        raise CatalogError(f"{opened.filename} has two entries for {info.filename!r}, or for a folder of it") from error
    # Reading to the end compares the checksum; zipfile gives no more bytes than the plan counted.
    with file, opened.open(info) as source:
        shutil.copyfileobj(source, file, 1 << 18)
