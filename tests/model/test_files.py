import hashlib
import json
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from model.files import sha256_bytes, sha256_file, sync_folder, write_atomic, write_files, write_json


def test_write_and_overwrite(tmp_path: Path) -> None:
    """A file is made, and replaced by a longer or shorter one; nothing else is left in the folder."""
    path = tmp_path / "config.json"
    for data in (b"first", b"", b"x" * 1_000_000, b"last"):
        write_atomic(path, data)
        assert path.read_bytes() == data
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    """When the disk is full, the old content stays and no temporary file is left."""
    path = tmp_path / "weights"
    write_atomic(path, b"old")

    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os if failing == "fsync" else Path, failing, fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights"]


def test_a_file_is_durable_before_it_is_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is synced before the rename, and the folder after it."""
    events: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def record_fsync(descriptor: int) -> None:
        events.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        fsync(descriptor)

    def record_replace(self: Path, target: Path) -> Path:
        events.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(Path, "replace", record_replace)
    write_atomic(tmp_path / "x", b"data")
    assert events == ["sync file", "rename", "sync folder"]


def test_kill_in_the_middle(tmp_path: Path) -> None:
    """A process killed while it writes leaves the old content, and only a hidden file beside it."""
    path = tmp_path / "weights"
    write_atomic(path, b"old")
    code = """
        import os, signal, sys
        from pathlib import Path
        from model import files
        os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
        files.write_atomic(Path(sys.argv[1]), b"new")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(path)], check=False)
    assert done.returncode == -9
    assert path.read_bytes() == b"old"
    assert [entry.name.startswith(".weights.") for entry in tmp_path.iterdir() if entry != path] == [True]


def test_others_may_read(tmp_path: Path) -> None:
    """The file is readable for all, though its temporary file was not."""
    write_atomic(tmp_path / "x", b"data")
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o644


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    """The first file of a run makes its folder and those above it, however it is written."""
    write_atomic(tmp_path / "a/b/x", b"data")
    write_json(tmp_path / "c/x.json", [])
    write_files(tmp_path / "d/e", {"x": b"1", "y": b"2"})
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert found == ["a/b/x", "c/x.json", "d/e/x", "d/e/y"]


def test_a_file_in_the_way_of_a_folder(tmp_path: Path) -> None:
    """A folder that can't be made is an error, and the file in its place stays."""
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises((FileExistsError, NotADirectoryError)):
        write_atomic(tmp_path / "out/x", b"data")
    assert (tmp_path / "out").read_bytes() == b"mine"


def test_write_json(tmp_path: Path) -> None:
    """JSON is for people too: indented, with letters as they are, and a line end."""
    write_json(tmp_path / "x.json", {"brand": "Größe", "sizes": [36, 42]})
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"brand": "Größe", "sizes": [36, 42]}
    assert "Größe" in text
    assert text.endswith("}\n")


def test_json_that_can_not_be_written(tmp_path: Path) -> None:
    """A value that is not JSON leaves the old file."""
    write_json(tmp_path / "x.json", [1])
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", [object()])
    assert json.loads((tmp_path / "x.json").read_text()) == [1]


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_digests(tmp_path: Path, size: int) -> None:
    """A file's digest is that of its bytes."""
    data = bytes(index % 251 for index in range(size))
    (tmp_path / "x").write_bytes(data)
    assert sha256_file(tmp_path / "x") == sha256_bytes(data) == hashlib.sha256(data).hexdigest()
    with pytest.raises(FileNotFoundError):
        sha256_file(tmp_path / "nothing")


def test_sync_folder(tmp_path: Path) -> None:
    """A folder can be synced, and one that is not there can't."""
    sync_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "nothing")
