"""`python -m training download` against a server of its own: from nothing to a catalogue that reads."""

import fcntl
import io
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from model.catalog import Catalog, read_catalog
from model.errors import CatalogError
from tests.training.file_server import FileServer, Served, serve_files
from training.data import download as downloading
from training.data.download import download
from training.data.fetch import RetryPolicy

QUICK = RetryPolicy(timeout=5, attempts=2, pause=0.001)

TABLE = """CID,Category,SubCategory,HeelHeight,Insole,Closure,Gender,Material,ToeStyle
100627-72,Shoes,Oxfords,,,Lace up,Men,Leather,
7-1,Boots,Ankle,,,Zipper,Women,,
"""
PICTURES = {"Shoes/Oxfords/Bostonian/100627.72.jpg": b"a" * 9000, "Boots/Ankle/Levi's&#174; /7.1.jpg": b"b" * 9000}


def make_zip(files: Mapping[str, bytes]) -> bytes:
    """The bytes of a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A server with a small UT-Zap50K, reached past any proxy."""
    monkeypatch.setenv("no_proxy", "*")
    with serve_files() as running:
        running.files["ut-zap50k-data.zip"] = Served(make_zip({"ut-zap50k-data/meta-data.csv": TABLE.encode()}))
        for folder in ("ut-zap50k-images", "ut-zap50k-images-square"):
            files = {f"{folder}/{name}": data for name, data in PICTURES.items()}
            running.files[f"{folder}.zip"] = Served(make_zip(files))
        yield running


def run(server: FileServer, out: Path, *, square: bool = False) -> Catalog:
    """Download from the server."""
    return download(out, base_url=server.url, square=square, policy=QUICK)


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_from_nothing_to_a_catalogue(server: FileServer, tmp_path: Path) -> None:
    """The folder reads as UT-Zap50K, with every shoe and nothing but the data set in it."""
    out = tmp_path / "new" / "zappos"
    catalog = run(server, out)
    assert [shoe.id for shoe in catalog.shoes] == ["100627.72", "7.1"]
    assert catalog.bad_rows == ()
    assert catalog.shoes == read_catalog(str(out)).shoes
    assert catalog.shoes[1].image.read_bytes() == b"b" * 9000
    assert names(out) == ["ut-zap50k-data", "ut-zap50k-images"]


def test_the_licence_comes_first(server: FileServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """On what terms, and what to cite, is said before anything else, also when nothing is left to do."""
    for _ in range(2):
        caplog.clear()
        with caplog.at_level("INFO"):
            run(server, tmp_path)
        assert "academic, non-commercial use only" in caplog.messages[0]
        assert "Yu and K. Grauman" in caplog.messages[0]
        assert "CVPR 2014" in caplog.messages[0]


def test_square_pictures(server: FileServer, tmp_path: Path) -> None:
    """The square pictures come instead of the original ones; both may lie in one folder."""
    assert run(server, tmp_path, square=True).root == tmp_path / "ut-zap50k-images-square"
    assert names(tmp_path) == ["ut-zap50k-data", "ut-zap50k-images-square"]
    assert run(server, tmp_path).root == tmp_path / "ut-zap50k-images"
    assert [name for name, _, _ in server.requests] == [
        "ut-zap50k-data.zip",
        "ut-zap50k-images-square.zip",
        "ut-zap50k-images.zip",
    ]


def test_a_second_run_does_nothing(server: FileServer, tmp_path: Path) -> None:
    """What is unpacked is not asked for again, nor touched."""
    run(server, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    asked = len(server.requests)
    assert len(run(server, tmp_path).shoes) == 2
    assert len(server.requests) == asked
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_an_interrupted_run_goes_on(server: FileServer, tmp_path: Path) -> None:
    """The next run asks for the rest of the pictures only."""
    server.files["ut-zap50k-images.zip"].stops = [5000, 0, 0]
    with pytest.raises(CatalogError, match="run it again to go on"):
        run(server, tmp_path)
    assert names(tmp_path) == [".ut-zap50k-images.zip.part", ".ut-zap50k-images.zip.part.json", "ut-zap50k-data"]
    server.requests.clear()
    server.files["ut-zap50k-images.zip"].stops = []
    assert len(run(server, tmp_path).shoes) == 2
    assert server.requests == [("ut-zap50k-images.zip", "bytes=5000-", 206)]


def test_an_archive_that_is_there_is_used(server: FileServer, tmp_path: Path) -> None:
    """Someone's own download is unpacked without a request, and stays theirs."""
    for name, file in server.files.items():
        (tmp_path / name).write_bytes(file.data)
    run(server, tmp_path)
    assert server.requests == []
    assert {"ut-zap50k-data.zip", "ut-zap50k-images.zip"} <= set(names(tmp_path))


def test_a_damaged_archive_is_fetched_anew(server: FileServer, tmp_path: Path) -> None:
    """A wrong checksum leaves no tree and no archive behind, so that the next run begins again."""
    good = server.files["ut-zap50k-images.zip"].data
    server.files["ut-zap50k-images.zip"].data = good.replace(b"aaaaaaaa", b"aaaaaaab", 1)
    with pytest.raises(CatalogError, match=r"Bad CRC-32 .*It came from .*images\.zip and was removed; run it again"):
        run(server, tmp_path)
    assert names(tmp_path) == ["ut-zap50k-data"]
    server.files["ut-zap50k-images.zip"].data = good
    assert len(run(server, tmp_path).shoes) == 2


def test_a_damaged_archive_of_the_users_own_stays(server: FileServer, tmp_path: Path) -> None:
    """What this command did not fetch it does not remove; the error says what to do."""
    (tmp_path / "ut-zap50k-data.zip").write_bytes(b"PK torn")
    with pytest.raises(CatalogError, match=r"Remove it, so that it is fetched from http://127"):
        run(server, tmp_path)
    assert names(tmp_path) == ["ut-zap50k-data.zip"]


def test_a_small_archive_is_remarked(server: FileServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An archive far smaller than the published one may be somebody's sample: it is taken, with a warning."""
    run(server, tmp_path)
    assert "ut-zap50k-images.zip has only 0.0 MB; the data set's has about 291" in caplog.text


def test_a_base_url_without_its_slash(server: FileServer, tmp_path: Path) -> None:
    """The slash at the end of the base URL may be left out."""
    assert len(download(tmp_path, base_url=server.url.rstrip("/"), policy=QUICK).shoes) == 2


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://host/",
        "file:///etc/",
        "host/path",
        "http://",
        "http://h:x/",
        "http://h/a b",
        "http://u:p@h/",
        "http://h?q",
    ],
)
def test_other_base_urls(tmp_path: Path, url: str) -> None:
    """Only http and https, to some host, without a query or a password."""
    with pytest.raises(CatalogError, match="can't be used"):
        download(tmp_path, base_url=url)


def test_two_at_once(server: FileServer, tmp_path: Path) -> None:
    """A second download into the same folder is refused while the first one runs."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(CatalogError, match=r"another download into .* is running"):
        run(server, tmp_path)
    os.close(descriptor)
    assert len(run(server, tmp_path).shoes) == 2


def test_a_disk_that_fills_up(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When there is no room to unpack, the archive stays for the next run."""

    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(downloading, "unpack", fail)
        with pytest.raises(CatalogError, match="No space left on device; make room and run it again"):
            run(server, tmp_path)
    assert names(tmp_path) == [".ut-zap50k-data.zip"]
    assert len(run(server, tmp_path).shoes) == 2
    assert [name for name, _, _ in server.requests] == ["ut-zap50k-data.zip", "ut-zap50k-images.zip"]
    assert names(tmp_path) == ["ut-zap50k-data", "ut-zap50k-images"]


def test_an_unwritable_folder(server: FileServer, tmp_path: Path) -> None:
    """A folder that can't be made is an error of one line."""
    (tmp_path / "file").touch()
    with pytest.raises(CatalogError, match=r"can't write to .*file"):
        run(server, tmp_path / "file" / "out")
