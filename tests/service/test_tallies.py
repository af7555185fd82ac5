"""Room for the metrics' files: taken before it is needed, given back afterwards, done without where there is none."""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from service import tallies

COUNT = """
import os
from service.tallies import reserve
reserve()
from service import metrics
for status in range(100, 600):
    metrics.observe_request("GET", "/v1/items/{id}", status, 0.1, {"decode": 0.1})
print(os.getpid())
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where processes share their numbers."""
    monkeypatch.setenv(tallies.VARIABLE, str(tmp_path))
    return tmp_path


def test_room_is_real(folder: Path) -> None:
    """What is reserved is on the disk, not only promised."""
    tallies.reserve()
    files = list(folder.iterdir())
    assert len(files) == len(tallies.KINDS)
    for file in files:
        assert file.stat().st_size == tallies.BYTES
        assert file.stat().st_blocks * 512 >= tallies.BYTES


def test_reserved_files_are_the_librarys(folder: Path) -> None:
    """The library uses them, with room to spare; what a process that has ended does not need is given back."""
    done = subprocess.run([sys.executable, "-c", COUNT], check=True, capture_output=True, text=True)
    files = {file.name: file for file in folder.iterdir()}
    assert files.keys() == {f"{kind}_{done.stdout.strip()}.db" for kind in tallies.KINDS}
    assert {file.stat().st_size for file in files.values()} == {tallies.BYTES}
    tallies.release(int(done.stdout))
    for file in files.values():
        used = int.from_bytes(file.read_bytes()[:4], "little")
        assert 0 < file.stat().st_size == used < tallies.BYTES


def test_no_room(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A process that finds no room counts for itself, and says so; it does not die of it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (tallies.BYTES // 2, before[1]))
    try:
        tallies.reserve()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert tallies.VARIABLE not in os.environ
    assert not list(folder.iterdir())
    assert "this process's metrics are its own" in caplog.text
    tallies.reserve()


def test_no_folder(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Without a folder for temporary files the service starts all the same."""
    monkeypatch.delenv(tallies.VARIABLE, raising=False)
    monkeypatch.setattr(tempfile, "TemporaryDirectory", lambda **_: (_ for _ in ()).throw(OSError("full")))
    with tallies.share_tallies():
        assert tallies.VARIABLE not in os.environ
    assert "no room for temporary files" in caplog.text


def test_folder_ends_with_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder and its files are there for as long as the supervisor is."""
    monkeypatch.setattr(os, "environ", {"TMPDIR": os.environ.get("TMPDIR", "/tmp")})
    with tallies.share_tallies():
        folder = Path(os.environ[tallies.VARIABLE])
        assert len(list(folder.iterdir())) == len(tallies.KINDS)
    assert not folder.exists()
