"""Downloads of one file: taken up again, started again, or given up with the reason."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from model.errors import CatalogError
from tests.training.file_server import FileServer, Served, serve_files
from training.data.fetch import RetryPolicy, fetch

DATA = np.random.default_rng(0).bytes(1_000_000)
QUICK = RetryPolicy(timeout=5, attempts=3, pause=0.001)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A server without files, reached past any proxy."""
    monkeypatch.setenv("no_proxy", "*")
    with serve_files() as running:
        yield running


def run(server: FileServer, folder: Path, *, max_bytes: int = 10**7, policy: RetryPolicy = QUICK) -> Path:
    """Fetch the file called `file`."""
    target = folder / "a.zip"
    fetch(server.url + "file", target, max_bytes=max_bytes, policy=policy)
    return target


def names(folder: Path) -> list[str]:
    """The files in a folder."""
    return sorted(path.name for path in folder.iterdir())


def ranges(server: FileServer) -> list[str]:
    """What was asked for, request by request."""
    return [asked for _, asked, _ in server.requests]


def test_a_whole_file(server: FileServer, tmp_path: Path) -> None:
    """The file arrives byte for byte, and nothing else is left in the folder."""
    server.files["file"] = Served(DATA)
    assert run(server, tmp_path).read_bytes() == DATA
    assert names(tmp_path) == ["a.zip"]
    assert server.requests == [("file", "", 200)]


@pytest.mark.parametrize(("etag", "modified"), [('"x"', None), (None, "Tue, 01 Mar 2016 00:00:00 GMT")])
def test_goes_on_after_a_dropped_connection(
    server: FileServer, tmp_path: Path, etag: str | None, modified: str | None
) -> None:
    """Each next request asks for what is missing only, known to be of the same version by its tag or date."""
    server.files["file"] = Served(DATA, etag=etag, modified=modified, stops=[300_000, 200_000, 0])
    assert run(server, tmp_path).read_bytes() == DATA
    assert ranges(server) == ["", "bytes=300000-", "bytes=500000-", "bytes=500000-"]
    assert names(tmp_path) == ["a.zip"]


def test_goes_on_in_the_next_run(server: FileServer, tmp_path: Path) -> None:
    """What a run could not finish the next one does, and the error says that it will."""
    server.files["file"] = Served(DATA, stops=[400_000, 0, 0, 0])
    with pytest.raises(CatalogError, match=r"broke after 0\.4 of 1\.0 MB; 0\.4 MB are kept: run it again to go on"):
        run(server, tmp_path)
    assert names(tmp_path) == ["a.zip.part", "a.zip.part.json"]
    assert run(server, tmp_path).read_bytes() == DATA
    assert ranges(server)[-1] == "bytes=400000-"


def test_progress_renews_patience(server: FileServer, tmp_path: Path) -> None:
    """A connection that breaks often but always brings something gets there."""
    server.files["file"] = Served(DATA, stops=[100_000] * 9)
    assert run(server, tmp_path).read_bytes() == DATA


def test_a_server_without_parts(server: FileServer, tmp_path: Path) -> None:
    """A server that always sends the whole file is asked again from the start, but not for ever."""
    server.files["file"] = Served(DATA, ranges=False, stops=[300_000, 300_000])
    assert run(server, tmp_path).read_bytes() == DATA
    server.files["file"].stops = [300_000] * 4
    with pytest.raises(CatalogError, match="connection broke"):
        run(server, tmp_path)
    assert len(server.files["file"].stops) == 1


@pytest.mark.parametrize("etag", [None, 'W/"1"'])
def test_a_server_without_versions(server: FileServer, tmp_path: Path, etag: str | None) -> None:
    """Without a date or a strong tag, parts of two versions could be mixed: it starts again."""
    server.files["file"] = Served(DATA, etag=etag, stops=[300_000])
    assert run(server, tmp_path).read_bytes() == DATA
    assert ranges(server) == ["", ""]


@pytest.mark.parametrize("obeys", [True, False])
def test_a_file_that_changed_meanwhile(server: FileServer, tmp_path: Path, obeys: bool) -> None:
    """A new version is fetched from its start, even from a server that sends a part of it all the same."""
    server.files["file"] = Served(DATA, stops=[300_000, 0, 0, 0])
    with pytest.raises(CatalogError, match="broke"):
        run(server, tmp_path)
    new = DATA[::-1]
    server.files["file"] = Served(new, etag='"2"')
    if not obeys:
        server.files["file"].etag, server.files["file"].headers = '"1"', {"ETag": '"2"'}
    assert run(server, tmp_path).read_bytes() == new


def test_a_file_that_became_shorter(server: FileServer, tmp_path: Path) -> None:
    """Where nothing is left to ask for, the answer 416 leads to a fresh start."""
    server.files["file"] = Served(DATA, stops=[300_000, 0, 0, 0])
    with pytest.raises(CatalogError, match="broke"):
        run(server, tmp_path)
    server.files["file"] = Served(DATA[:1000])
    assert run(server, tmp_path).read_bytes() == DATA[:1000]
    assert [status for _, _, status in server.requests[-2:]] == [416, 200]


def test_a_part_of_another_address(server: FileServer, tmp_path: Path) -> None:
    """A part that came from elsewhere, or whose note is damaged, is not added to."""
    for note in ('{"url": "http://elsewhere/", "validator": "\\"1\\"", "size": 1000000}', "{", "[]", '{"a": 1}'):
        (tmp_path / "a.zip.part").write_bytes(b"other")
        (tmp_path / "a.zip.part.json").write_text(note)
        server.files["file"] = Served(DATA)
        assert run(server, tmp_path).read_bytes() == DATA
    assert set(ranges(server)) == {""}


def test_a_part_that_was_whole(server: FileServer, tmp_path: Path) -> None:
    """A process that ended before the last rename costs no second download."""
    server.files["file"] = Served(DATA)
    run(server, tmp_path).rename(tmp_path / "a.zip.part")
    note = f'{{"url": "{server.url}file", "validator": "\\"1\\"", "size": 1000000}}'
    (tmp_path / "a.zip.part.json").write_text(note)
    assert run(server, tmp_path).read_bytes() == DATA
    assert len(server.requests) == 1


def test_a_file_of_unknown_size(server: FileServer, tmp_path: Path) -> None:
    """Without a length the end of the connection is the end of the file, up to the limit."""
    server.files["file"] = Served(DATA, endless=True)
    assert run(server, tmp_path).read_bytes() == DATA
    with pytest.raises(CatalogError, match="more than the 999999 bytes"):
        run(server, tmp_path, max_bytes=999_999)
    assert names(tmp_path) == ["a.zip"]


def test_a_file_that_is_too_large(server: FileServer, tmp_path: Path) -> None:
    """More than is plausible is refused before it comes."""
    server.files["file"] = Served(DATA)
    with pytest.raises(CatalogError, match="has 1 MB; expected at most 0"):
        run(server, tmp_path, max_bytes=400_000)
    assert names(tmp_path) == []


def test_a_full_disk(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little room is said before the download starts."""
    server.files["file"] = Served(DATA)
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(CatalogError, match=r"file: 1 MB are to come, and .* has 0 MB free"):
        run(server, tmp_path)


def test_a_folder_that_is_gone(server: FileServer, tmp_path: Path) -> None:
    """A file that can't be written is an error with its path."""
    server.files["file"] = Served(DATA)
    with pytest.raises(CatalogError, match=r"can't write .* to .*gone/a\.zip: No such file"):
        run(server, tmp_path / "gone")


@pytest.mark.parametrize("status", [404, 403, 410])
def test_a_file_that_is_not_there(server: FileServer, tmp_path: Path, status: int) -> None:
    """A refusal is final, as is the page of a login or of a moved site; the error gives the URL and the status."""
    server.files["file"] = Served(DATA, statuses=[status], headers={"Content-Type": "text/html; charset=utf-8"})
    for answer in (f"{status} ", "200 with text/html"):
        with pytest.raises(CatalogError, match=rf"{server.url}file: the server answers {answer}"):
            run(server, tmp_path)
    assert len(server.requests) == 2


def test_a_server_that_is_busy(server: FileServer, tmp_path: Path) -> None:
    """A server that has no time now is asked again, and given up in the end."""
    server.files["file"] = Served(DATA, statuses=[503, 429])
    assert run(server, tmp_path).read_bytes() == DATA
    server.files["file"].statuses = [503] * 3
    with pytest.raises(CatalogError, match="the server answers 503 Service Unavailable"):
        run(server, tmp_path)


def test_a_file_that_moved(server: FileServer, tmp_path: Path) -> None:
    """A redirect is followed, but not out of HTTP."""
    server.files |= {"file": Served(location=server.url + "new"), "new": Served(DATA)}
    assert run(server, tmp_path).read_bytes() == DATA
    for location in ("file:///etc/hostname", "ftp://127.0.0.1/file", "data:,x"):
        server.files["file"] = Served(location=location)
        with pytest.raises(CatalogError, match="can't download"):
            run(server, tmp_path)


def test_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection, or a host that does not exist, is said at once."""
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    slow = RetryPolicy(pause=1000)
    with pytest.raises(CatalogError, match=rf"can't download http://127\.0\.0\.1:{port}/f: Connection refused"):
        fetch(f"http://127.0.0.1:{port}/f", tmp_path / "f", max_bytes=10, policy=slow)

    def fail(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(CatalogError, match="Name or service not known"):
        fetch("http://shoes.invalid/f", tmp_path / "f", max_bytes=10, policy=slow)


def test_a_server_that_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent server is left after the timeout, a few times."""
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/f"
        with pytest.raises(CatalogError, match="does not answer in time"):
            fetch(url, tmp_path / "f", max_bytes=10, policy=RetryPolicy(timeout=0.05, attempts=2, pause=0.001))
