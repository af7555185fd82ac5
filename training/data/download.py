"""Download of UT-Zap50K: `python -m training download`.

Nothing of the data set is part of this project: it is for academic, non-commercial use only, and comes from where
its authors publish it.
"""

import errno
import fcntl
import logging
import os
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from model.catalog import Catalog, read_zappos
from model.errors import CatalogError
from training.data.fetch import MEGABYTE, RetryPolicy, fetch
from training.data.unpack import unpack

_log = logging.getLogger(__name__)

BASE_URL = "http://vision.cs.utexas.edu/projects/finegrained/utzap50k/"

NOTICE = """\
UT-Zap50K is for academic, non-commercial use only. Its pictures may not be passed on. Whoever publishes work with it
cites: A. Yu and K. Grauman, "Fine-Grained Visual Comparisons with Local Learning", CVPR 2014."""


@dataclass(frozen=True)
class Archive:
    """One of the data set's archives.

    Attributes:
        folder: what it unpacks to; its own name, less ".zip".
        megabytes: its published size; None where that is not known.
    """

    folder: str
    megabytes: int | None

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{self.folder}.zip"


DATA = Archive("ut-zap50k-data", 3)
IMAGES = Archive("ut-zap50k-images", 291)
SQUARE = Archive("ut-zap50k-images-square", None)


def download(
    out: Path, *, base_url: str = BASE_URL, square: bool = False, policy: RetryPolicy | None = None
) -> Catalog:
    """Fetch UT-Zap50K's table and pictures, and unpack them.

    Says on what terms first. A broken download is taken up again, now or in the next run; what is unpacked already
    is left alone, and an archive that the user put into `out` is used. What is fetched has a hidden name and is
    removed when it is unpacked.

    Args:
        out: the folder that will hold `ut-zap50k-data` and `ut-zap50k-images`; made if it is not there.
        base_url: where the archives are; http or https.
        square: the square pictures, `ut-zap50k-images-square`, instead of the original ones.
        policy: of retries; None is the default one.

    Returns:
        the catalogue, as `read_zappos` reads it.

    Raises:
        CatalogError: an archive can't be had or is damaged, the disk is full, or another download into `out` is
            running. The message says what to do.
    """
    _log.info("%s", NOTICE)
    base = _check_base(base_url)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with _alone(out):
            for archive in (DATA, SQUARE if square else IMAGES):
                _obtain(archive, base, out, policy)
    except OSError as error:
        raise CatalogError(f"can't write to {error.filename or out}: {error.strerror or error}") from error
    return read_zappos(out, images="square" if square else "original")


def _check_base(base_url: str) -> str:
    """The URL with a slash at its end."""
    try:
        parts = urllib.parse.urlsplit(base_url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    plain = base_url.isascii() and base_url.isprintable() and not set(" ?#@") & set(base_url)
    if not usable or not plain:
        raise CatalogError(f"the base URL {base_url!r} can't be used; expected something like {BASE_URL}")
    return base_url.rstrip("/") + "/"


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep a second download out of the folder; a killed process keeps nobody out."""
    descriptor = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise CatalogError(f"another download into {out} is running") from error
    finally:
        os.close(descriptor)


def _obtain(archive: Archive, base: str, out: Path, policy: RetryPolicy | None) -> None:
    folder, url = out / archive.folder, base + archive.name
    theirs, ours = out / archive.name, out / f".{archive.name}"
    if folder.is_dir() and any(folder.iterdir()):
        _log.info("%s is there already", folder)
    elif theirs.exists():
        _unpack(theirs, folder, url, ours=False)
    else:
        if not ours.exists():
            expected = archive.megabytes
            fetch(url, ours, max_bytes=(4 * expected if expected else 2_000) * MEGABYTE, policy=policy)
            _warn_if_small(ours, url, expected)
        _unpack(ours, folder, url, ours=True)
    # Also that of a process which was killed before it came to this.
    ours.unlink(missing_ok=True)


def _warn_if_small(file: Path, url: str, expected: int | None) -> None:
    size = file.stat().st_size / MEGABYTE
    if expected and size < expected / 2:
        _log.warning("%s has only %.1f MB; the data set's has about %d", url, size, expected)


def _unpack(file: Path, folder: Path, url: str, *, ours: bool) -> None:
    """Unpack. A bad archive is removed if `ours`; where only the disk is at fault, it stays for the next run."""
    try:
        unpack(file, folder)
    except CatalogError as error:
        if not ours:
            raise CatalogError(f"{error}. Remove it, so that it is fetched from {url}") from error
        file.unlink()
        raise CatalogError(f"{error}. It came from {url} and was removed; run it again to fetch it anew") from error
    except OSError as error:
        hint = "; make room and run it again" if error.errno in {errno.ENOSPC, errno.EDQUOT} else ""
        raise CatalogError(f"can't unpack {file} to {folder}: {error.strerror or error}{hint}") from error
