"""The pictures below a folder, in one pass over its tree."""

import os
from collections.abc import Iterator
from pathlib import Path

from model.errors import CatalogError
from model.text import nfc

__all__ = ["IMAGE_SUFFIXES", "FileFinder", "walk_images"]

IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""Suffixes, in lower case, of the files that are taken for pictures."""

FileKey = tuple[int, int]


def walk_images(root: Path) -> Iterator[str]:
    """The paths of all pictures below `root`: relative to it, with forward slashes, in the order of their names.

    Hidden files and folders and what archivers leave behind (`__MACOSX`) are passed over. Links are followed, but
    not to a folder that they lie in.

    Raises:
        CatalogError: a folder can't be listed. (A tree with a part missing must not pass for the whole.)
    """
    try:
        yield from _walk(str(root), "", ())
    except OSError as error:
        raise CatalogError(f"can't list {error.filename or root}: {error.strerror or error}") from error


def _walk(folder: str, prefix: str, ancestors: tuple[FileKey, ...]) -> Iterator[str]:
    status = Path(folder).stat()
    key = (status.st_dev, status.st_ino)
    if key in ancestors:
        return
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        name = entry.name
        if name.startswith(".") or name == "__MACOSX":
            continue
        if entry.is_dir():
            yield from _walk(entry.path, f"{prefix}{name}/", (*ancestors, key))
        elif _is_image_name(name) and (entry.is_file() or entry.is_symlink()):
            # A broken link is listed too, so that reading it reports it; pipes and devices are not pictures.
            yield prefix + name


def _is_image_name(name: str) -> bool:
    _, dot, suffix = name.rpartition(".")
    return f"{dot}{suffix.lower()}" in IMAGE_SUFFIXES


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
