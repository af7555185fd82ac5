"""Room for the metrics' files: taken before it is needed, given back afterwards, done without where there is none."""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from service.telemetry import metrics_files

COUNT = """
import os
from service.telemetry.metrics_files import reserve
reserve()
from service.telemetry import metrics
for status in range(100, 600):
    metrics.observe_request("GET", "/v1/items/{id}", status, 0.1, {"decode": 0.1})
print(os.getpid())
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where processes share their numbers."""
    monkeypatch.setenv(metrics_files.VARIABLE, str(tmp_path))
    return tmp_path


def test_room_is_real(folder: Path) -> None:
    """What is reserved is on the disk, not only promised."""
    metrics_files.reserve()
    files = list(folder.iterdir())
    assert len(files) == len(metrics_files.KINDS)
    for file in files:
        assert file.stat().st_size == metrics_files.BYTES
        assert file.stat().st_blocks * 512 >= metrics_files.BYTES


def test_reserved_files_are_the_librarys(folder: Path) -> None:
    """The library uses them, with room to spare; what a process that has ended does not need is given back."""
    done = subprocess.run([sys.executable, "-c", COUNT], check=True, capture_output=True, text=True)
    files = {file.name: file for file in folder.iterdir()}
    assert files.keys() == {f"{kind}_{done.stdout.strip()}.db" for kind in metrics_files.KINDS}
    assert {file.stat().st_size for file in files.values()} == {metrics_files.BYTES}
    metrics_files.release(int(done.stdout))
    for file in files.values():
        used = int.from_bytes(file.read_bytes()[:4], "little")
        assert 0 < file.stat().st_size == used < metrics_files.BYTES


def test_no_room(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A process that finds no room counts for itself, and says so; it does not die of it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (metrics_files.BYTES // 2, before[1]))
    try:
        metrics_files.reserve()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert metrics_files.VARIABLE not in os.environ
    assert not list(folder.iterdir())
    assert "this process's metrics are its own" in caplog.text
    metrics_files.reserve()


def test_no_folder(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Without a folder for temporary files the service starts all the same."""
    monkeypatch.delenv(metrics_files.VARIABLE, raising=False)
    monkeypatch.setattr(tempfile, "TemporaryDirectory", lambda **_: (_ for _ in ()).throw(OSError("full")))
    with metrics_files.share_metrics():
        assert metrics_files.VARIABLE not in os.environ
    assert "no room for temporary files" in caplog.text


def test_folder_ends_with_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder and its files are there for as long as the supervisor is."""
    monkeypatch.setattr(os, "environ", {"TMPDIR": os.environ.get("TMPDIR", "/tmp")})
    with metrics_files.share_metrics():
        folder = Path(os.environ[metrics_files.VARIABLE])
        assert len(list(folder.iterdir())) == len(metrics_files.KINDS)
    assert not folder.exists()
