"""HTTP download of one file that resumes where an earlier attempt stopped.

pooch, which others use for data sets, begins a broken download anew; the archives here are large and their server slow.
"""

import json
import logging
import re
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse, InvalidURL
from pathlib import Path

from model.errors import CatalogError
from model.files import sync_folder, write_json
from model.progress import progress

_log = logging.getLogger(__name__)

MEGABYTE = 10**6
CHUNK = 1 << 18
MAX_PAUSE = 30.0

RETRIED_STATUSES = frozenset({408, 416, 425, 429, 500, 502, 503, 504})
"""HTTP statuses after which the request is repeated."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long a download is tried.

    Attributes:
        timeout: seconds without a byte after which a connection counts as broken.
        attempts: in a row that bring nothing new.
        pause: seconds before the second attempt; doubled before each next one, up to half a minute.
    """

    timeout: float = 30.0
    attempts: int = 6
    pause: float = 1.0


def fetch(url: str, target: Path, *, max_bytes: int, policy: RetryPolicy | None = None) -> None:
    """Download a file.

    What has come is kept in `<target>.part`, with the server's mark of the file's version beside it, so that this
    process or a later one asks for the rest only. Where the server has another version by then, or can't send parts,
    it starts again. `target` appears when it is whole.

    Args:
        url: http or https.
        target: the file to make; its folder is there.
        max_bytes: a larger file is refused.
        policy: of retries; None is the default one.
    """
    policy = policy or RetryPolicy()
    part = _PartialFile(target)
    try:
        _fetch_part(url, part, max_bytes, policy)
        part.path.replace(target)
        part.version_path.unlink(missing_ok=True)
        sync_folder(target.parent)
    except OSError as error:
        raise CatalogError(f"can't write {url} to {target}: {error.strerror or error}") from error


class _AttemptFailed(Exception):
    """An attempt failed. `permanent`: repeating it is no use unless an earlier attempt went well."""

    def __init__(self, reason: str, *, permanent: bool = False) -> None:
        super().__init__(reason)
        self.permanent = permanent


@dataclass(frozen=True)
class _Version:
    """Which content a part is of. `validator`: its ETag or date, as `If-Range` takes it; `size` in bytes if known."""

    url: str
    validator: str
    size: int | None


class _PartialFile:
    """The bytes of a file that have arrived, with the version that they are of."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f"{target.name}.part")
        self.version_path = target.with_name(f"{target.name}.part.json")

    @property
    def size(self) -> int:
        """Bytes that have come."""
        return self.path.stat().st_size if self.path.exists() else 0

    def version(self, url: str) -> _Version | None:
        """The part's version, or None where nothing can be added to it."""
        try:
            version = _Version(**json.loads(self.version_path.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return version if version.url == url and version.validator and self.size else None

    def begin(self, version: _Version) -> None:
        """Start again."""
        self.discard()
        self.path.touch()
        write_json(self.version_path, asdict(version))

    def discard(self) -> None:
        """Delete the bytes that have arrived."""
        # The bytes first: a version without them is harmless.
        self.path.unlink(missing_ok=True)
        self.version_path.unlink(missing_ok=True)


def _fetch_part(url: str, part: _PartialFile, max_bytes: int, policy: RetryPolicy) -> None:
    longest = before = part.size
    failures = 0
    while True:
        try:
            _attempt(url, part, max_bytes, policy.timeout)
        except _AttemptFailed as error:
            # A server that can't send parts begins from the start each time: only what is new counts.
            failures = 1 if part.size > longest else failures + 1
            longest = max(longest, part.size)
            if failures >= policy.attempts or (error.permanent and longest == before):
                kept = f"; {part.size / MEGABYTE:.1f} MB are kept: run it again to go on" if part.size else ""
                raise CatalogError(f"can't download {url}: {error}{kept}") from error
            pause = min(MAX_PAUSE, policy.pause * 2 ** (failures - 1))
            _log.warning("%s: %s; trying again in %g s", url, error, pause)
            time.sleep(pause)
        else:
            return


def _attempt(url: str, part: _PartialFile, max_bytes: int, timeout: float) -> None:
    """Ask for what is missing, and add it to the part."""
    version = part.version(url)
    start = part.size if version is not None else 0
    if version is not None and version.size == start:
        return
    headers = {"User-Agent": "solemate", "Accept-Encoding": "identity"}
    if version is not None:
        headers |= {"Range": f"bytes={start}-", "If-Range": version.validator}
    with _open(url, headers, timeout, part) as response:
        found = _Version(url, _validator(response.headers), _full_size(response))
        if response.status == 206 and not _continues(response, version, found, start):
            part.discard()
            raise _AttemptFailed("the file has changed on the server meanwhile")
        _check(response, found, max_bytes)
        if response.status != 206:
            part.begin(found)
        _copy(response, part, found, max_bytes)


def _open(url: str, headers: dict[str, str], timeout: float, part: _PartialFile) -> HTTPResponse:
    opener = urllib.request.OpenerDirector()
    # build_opener's, less those that would read files, FTP and data URLs after a redirect.
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    opener.addheaders = list(headers.items())
    try:
        response: HTTPResponse = opener.open(url, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code not in RETRIED_STATUSES:
            raise CatalogError(f"can't download {url}: the server answers {error.code} {error.reason}") from error
        if error.code == 416:
            part.discard()
        raise _AttemptFailed(f"the server answers {error.code} {error.reason}") from error
    except InvalidURL as error:
        raise CatalogError(f"can't download {url}: {error}") from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        permanent = isinstance(reason, (ConnectionRefusedError, socket.gaierror, ssl.SSLCertVerificationError, str))
        raise _AttemptFailed(_describe(reason), permanent=permanent) from error
    return response


def _describe(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return "the server does not answer in time"
    return str(getattr(reason, "strerror", None) or reason) or type(reason).__name__


def _validator(headers: Message) -> str:
    """What `If-Range` may compare: a strong ETag, else the date; "" where the server gives neither."""
    etag = headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")


def _full_size(response: HTTPResponse) -> int | None:
    """The whole file's size in bytes, where the server says it."""
    if response.status == 206:
        match = re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range", "").strip())
        return int(match[1]) if match else None
    length = response.headers.get("Content-Length", "").strip()
    return int(length) if length.isdecimal() else None


def _continues(response: HTTPResponse, wanted: _Version | None, found: _Version, start: int) -> bool:
    """Does a partial answer begin where the part ends, and is it of the same version?"""
    begins = re.match(rf"bytes {start}-", response.headers.get("Content-Range", "").strip())
    return bool(
        wanted is not None
        and begins
        and found.size is not None
        and wanted.size in {None, found.size}
        and found.validator in {"", wanted.validator}
    )


def _check(response: HTTPResponse, found: _Version, max_bytes: int) -> None:
    """Refuse, before anything is written, what can't be the file."""
    kind = response.headers.get_content_type() if response.headers.get("Content-Type") else "no content"
    if response.status not in {200, 206} or kind.startswith("text/"):
        raise CatalogError(f"can't download {found.url}: the server answers {response.status} with {kind}")
    if found.size is not None and found.size > max_bytes:
        raise CatalogError(
            f"{found.url} has {found.size / MEGABYTE:.0f} MB; expected at most {max_bytes / MEGABYTE:.0f}"
        )


def _copy(response: HTTPResponse, part: _PartialFile, found: _Version, max_bytes: int) -> None:
    """Append what comes to the part, until it is whole; refuse what the disk has no room for."""
    done, size = part.size, found.size
    missing, free = (size or 0) - done, shutil.disk_usage(part.path.parent).free
    if missing > free:
        raise CatalogError(
            f"can't download {found.url}: {missing / MEGABYTE:.0f} MB are to come, and {part.path.parent} has "
            f"{free / MEGABYTE:.0f} MB free"
        )
    most = max_bytes if size is None else size
    name, total = found.url.rpartition("/")[2], None if size is None else size // MEGABYTE
    with progress(desc=name, unit="MB", total=total, initial=done // MEGABYTE) as shown, part.path.open("ab") as file:
        while done <= most and (data := _read(response)):
            shown.update((done + len(data)) // MEGABYTE - done // MEGABYTE)
            done += file.write(data)
    if done > most:
        part.discard()
        raise CatalogError(f"can't download {found.url}: more than the {most} bytes expected came")
    if size is not None and done < size:
        raise _AttemptFailed(f"the connection broke after {done / MEGABYTE:.1f} of {size / MEGABYTE:.1f} MB")


def _read(response: HTTPResponse) -> bytes:
    try:
        data: bytes = response.read(CHUNK)
    except (OSError, HTTPException) as error:
        raise _AttemptFailed(f"the connection broke: {_describe(error)}") from error
    return data
