"""The pictures below a folder, in one pass over its tree."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from model.errors import CatalogError
from model.formats import IMAGE_SUFFIXES, is_other_picture
from model.text import nfc

__all__ = ["IMAGE_SUFFIXES", "FileFinder", "LeftOut", "walk_images"]

SYSTEM_FOLDERS = frozenset({
    "__macosx", "@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "$recycle.bin", "recycler",
    "lost+found", "system volume information",
})  # fmt: skip
"""Folders, in lower case, of systems and storage devices: thumbnails, deleted files and the like."""

SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini"})

FileKey = tuple[int, int]


@dataclass
class LeftOut:
    """What a walk passed over, but for hidden files and those of file managers.

    Attributes:
        folders: name -> how many hidden folders and folders of systems have it.
        files: suffix -> how many files have it that are neither pictures nor tables.
        pictures: the paths of pictures in formats that are not read.
        tables: the paths of CSV files.
    """

    folders: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)
    pictures: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)

    def add_file(self, path: str, suffix: str) -> None:
        """Count a file that is no picture that can be read."""
        if suffix in {".csv", ".tsv"}:
            self.tables.append(path)
        elif is_other_picture(suffix):
            self.pictures.append(path)
        else:
            self.files[suffix or "no suffix"] += 1

    def __str__(self) -> str:
        """The folders and the files that are neither pictures nor tables, in words; empty if there are none."""
        parts = [f"{count} files ({suffix})" for suffix, count in self.files.most_common()]
        parts += [f"{count} folders ({name})" for name, count in self.folders.most_common()]
        return ", ".join(parts)


def walk_images(root: Path, left_out: LeftOut | None = None) -> Iterator[str]:
    """The paths of all pictures below `root`: relative to it, with forward slashes, in the order of their names.

    Hidden files and folders and folders of systems and storage devices (`SYSTEM_FOLDERS`) are passed over. Links are
    followed, but not to a folder that they lie in.

    Args:
        root: the folder.
        left_out: is told of what is passed over.

    Raises:
        CatalogError: a folder can't be listed. (A tree with a part missing must not pass for the whole.)
    """
    try:
        yield from _walk(str(root), "", (), LeftOut() if left_out is None else left_out)
    except OSError as error:
        raise CatalogError(f"can't list {error.filename or root}: {error.strerror or error}") from error


def _walk(folder: str, prefix: str, ancestors: tuple[FileKey, ...], left_out: LeftOut) -> Iterator[str]:
    status = Path(folder).stat()
    key = (status.st_dev, status.st_ino)
    if key in ancestors:
        return
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        name = entry.name
        if entry.is_dir():
            if name.startswith(".") or name.lower() in SYSTEM_FOLDERS:
                left_out.folders[name] += 1
            else:
                yield from _walk(entry.path, f"{prefix}{name}/", (*ancestors, key), left_out)
        elif not name.startswith(".") and name.lower() not in SYSTEM_FILES:
            suffix = _suffix_of(name)
            if not (entry.is_file() or entry.is_symlink()):
                left_out.files[suffix or "no suffix"] += 1  # pipes and devices are not pictures
            elif suffix in IMAGE_SUFFIXES:
                yield prefix + name  # a broken link, too, so that reading it reports it
            else:
                left_out.add_file(prefix + name, suffix)


def _suffix_of(name: str) -> str:
    _, dot, suffix = name.rpartition(".")
    return f"{dot}{suffix.lower()}" if dot else ""


class FileFinder:
    """Finds files below a folder by names that differ from theirs in Unicode's form only. Lists each folder once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[Path, dict[str, str]] = {}

    def find(self, path: str) -> str | None:
        """The spelling on disk of a file's path below the root, with forward slashes; None where no file is there.

        Raises:
            OSError, ValueError: it can't be looked up.
        """
        if (self._root / path).is_file():
            return path
        if path.isascii():  # the only form of itself
            return None
        folder = self._root
        for part in path.split("/"):
            name = self._list(folder).get(nfc(part))
            if name is None:
                return None
            folder /= name
        return folder.relative_to(self._root).as_posix() if folder.is_file() else None

    def _list(self, folder: Path) -> dict[str, str]:
        if folder not in self._names:
            names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
            self._names[folder] = {nfc(name): name for name in names}
        return self._names[folder]
