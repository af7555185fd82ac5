"""Archives from elsewhere: the honest ones are unpacked whole, the others leave nothing behind."""

import shutil
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from model.errors import CatalogError
from training.data.unpack import unpack


def make_archive(path: Path, files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip archive with these entries, in this order, under exactly these names."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, compression
            archive.writestr(info, data)
    return path


def read_tree(folder: Path) -> dict[str, bytes]:
    """Relative path -> content of each file."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check_refused(archive: Path, folder: Path, message: str) -> None:
    """Unpacking fails with this message and leaves the disk as it was."""
    before = read_tree(folder.parent)
    with pytest.raises(CatalogError, match=message) as caught:
        unpack(archive, folder)
    assert str(archive) in str(caught.value)
    assert read_tree(folder.parent) == before
    assert not folder.exists()
    assert sorted(path.name for path in folder.parent.iterdir()) == [archive.name]


@pytest.mark.parametrize("prefix", ["shoes/", "", "./shoes/", "shoes\\"])
def test_with_and_without_its_own_folder(tmp_path: Path, prefix: str) -> None:
    """The tree is the same whether the archive holds the folder or what is in it, and however slashes are spelled."""
    files = {f"{prefix}Boots/Levi's&#174; /7.1.jpg": b"x" * 5000, f"{prefix}readme.txt": b"", f"{prefix}a.b./c": b"1"}
    archive = make_archive(tmp_path / "a.zip", {f"{prefix}Boots/": b"", **files})
    unpack(archive, tmp_path / "shoes")
    assert read_tree(tmp_path / "shoes") == {
        "Boots/Levi's&#174; /7.1.jpg": b"x" * 5000,
        "readme.txt": b"",
        "a.b./c": b"1",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "shoes"]


def test_what_a_mac_adds_is_left_out(tmp_path: Path) -> None:
    """Resource forks and folder settings are no part of the data."""
    files = {"shoes/1.jpg": b"1", "__MACOSX/shoes/._1.jpg": b"2", "shoes/.DS_Store": b"3"}
    unpack(make_archive(tmp_path / "a.zip", files), tmp_path / "shoes")
    assert read_tree(tmp_path / "shoes") == {"1.jpg": b"1"}


def test_names_in_odd_encodings(tmp_path: Path) -> None:
    """UTF-8 that is not marked as such is read as what it is; bytes of other code pages still give some name."""
    archive = make_archive(tmp_path / "a.zip", {"QQQQQ.jpg": b"1", "WWWWW.jpg": b"2", "é.jpg": b"3"})
    data = archive.read_bytes().replace(b"QQQQQ", "®ä'".encode()).replace(b"WWWWW", b"Levi\xae")
    archive.write_bytes(data)
    unpack(archive, tmp_path / "shoes")
    tree = read_tree(tmp_path / "shoes")
    assert tree["®ä'.jpg"] == b"1"
    assert tree["é.jpg"] == b"3"
    assert sorted(tree.values()) == [b"1", b"2", b"3"]


def test_the_rest_of_a_killed_process(tmp_path: Path) -> None:
    """What a killed process left is cleared away first, and an empty target is no obstacle."""
    (tmp_path / ".shoes.unpacking").mkdir()
    (tmp_path / ".shoes.unpacking/old.jpg").touch()
    (tmp_path / "shoes").mkdir()
    unpack(make_archive(tmp_path / "a.zip", {"1.jpg": b"1"}), tmp_path / "shoes")
    assert read_tree(tmp_path / "shoes") == {"1.jpg": b"1"}
    assert not (tmp_path / ".shoes.unpacking").exists()


@pytest.mark.parametrize(
    "name",
    [
        "../evil.txt",
        "shoes/../../evil.txt",
        "/tmp/evil.txt",
        "//host/evil.txt",
        "\\evil.txt",
        "..\\evil.txt",
        "shoes\\..\\..\\evil.txt",
        "C:\\evil.txt",
        "c:evil.txt",
        "..",
        "../",
    ],
)
def test_paths_that_lead_out(tmp_path: Path, name: str) -> None:
    """An absolute path, a drive or `..` refuses the whole archive, before anything is written."""
    (tmp_path / "in").mkdir()
    archive = make_archive(tmp_path / "in" / "a.zip", {"1.jpg": b"1", name: b"evil"})
    check_refused(archive, tmp_path / "in" / "shoes", "leads out of the archive")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("name", ["a\nb.jpg", "a\x1b[2Jb.jpg", "a\x7f.jpg"])
def test_names_with_control_characters(tmp_path: Path, name: str) -> None:
    """A name that would play with a terminal is refused, and shown escaped."""
    check_refused(make_archive(tmp_path / "a.zip", {name: b"1"}), tmp_path / "shoes", r"'a\\")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_devices(tmp_path: Path, kind: int) -> None:
    """Anything but a file or a folder is refused."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("link")
        info.create_system, info.external_attr = 3, (kind | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    check_refused(tmp_path / "a.zip", tmp_path / "shoes", "'link' is a link or a device")


def test_bombs(tmp_path: Path) -> None:
    """What would grow a hundredfold is refused from its table of contents, and so is more than the limit in all."""
    (tmp_path / "in").mkdir()
    archive = make_archive(tmp_path / "in" / "a.zip", {"zeros": bytes(3 << 20)})
    check_refused(archive, tmp_path / "in" / "shoes", "would grow to 3 MB from 0")
    archive = make_archive(tmp_path / "a.zip", {f"{n}.jpg": bytes(600) for n in range(10)})
    with pytest.raises(CatalogError, match="would grow"):
        unpack(archive, tmp_path / "shoes", max_bytes=5999)
    unpack(archive, tmp_path / "shoes", max_bytes=6000)


def test_a_bomb_that_lies_about_its_size(tmp_path: Path) -> None:
    """An entry that says it is small is not unpacked beyond what it says, and its checksum gives it away."""
    archive = make_archive(tmp_path / "a.zip", {"zeros": bytes(5_000_000)})
    size = (5_000_000).to_bytes(4, "little")
    archive.write_bytes(archive.read_bytes().replace(size, (10).to_bytes(4, "little")))
    check_refused(archive, tmp_path / "shoes", "not a whole zip archive: Bad CRC-32")


def test_too_many_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million empty files would fill a disk's tables."""
    monkeypatch.setattr("training.data.unpack.MAX_ENTRIES", 3)
    archive = make_archive(tmp_path / "a.zip", {f"{n}.jpg": b"" for n in range(4)})
    check_refused(archive, tmp_path / "shoes", "has 4 entries; expected at most 3")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_two_entries_for_one_file(tmp_path: Path) -> None:
    """A file is not written twice, nor under another file."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a/1.jpg", b"1")
        archive.writestr("a/1.jpg", b"2")
    check_refused(tmp_path / "a.zip", tmp_path / "shoes", "two entries for 'a/1.jpg'")
    make_archive(tmp_path / "a.zip", {"a": b"1", "a/b": b"2"})
    check_refused(tmp_path / "a.zip", tmp_path / "shoes", "two entries for 'a/b'")


def test_other_methods_and_encryption(tmp_path: Path) -> None:
    """Only what the data set uses is unpacked."""
    archive = make_archive(tmp_path / "a.zip", {"1.jpg": b"1" * 100}, zipfile.ZIP_LZMA)
    check_refused(archive, tmp_path / "shoes", "compressed by an unknown method")
    archive = make_archive(tmp_path / "a.zip", {"1.jpg": b"1" * 100})
    data = bytearray(archive.read_bytes())
    for header, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(header) + offset] |= 1
    archive.write_bytes(data)
    check_refused(archive, tmp_path / "shoes", "encrypted")


@pytest.mark.parametrize("damage", ["truncated", "flipped", "text", "empty"])
def test_damaged_archives(tmp_path: Path, damage: str) -> None:
    """An archive that is cut, altered or none at all leaves nothing behind."""
    files = {f"{n}.jpg": bytes(range(256)) * 20 for n in range(20)}
    archive = make_archive(tmp_path / "a.zip", files, zipfile.ZIP_STORED)
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    whole = archive.read_bytes()
    archive.write_bytes({"truncated": whole[:-5000], "flipped": bytes(data), "text": b"<html>", "empty": b""}[damage])
    check_refused(archive, tmp_path / "shoes", "not a whole zip archive")


def test_an_archive_without_files(tmp_path: Path) -> None:
    """An archive of nothing, or of folders only, is refused."""
    check_refused(make_archive(tmp_path / "a.zip", {"shoes/": b""}), tmp_path / "shoes", "no files in it")


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little room is the disk's fault, not the archive's, and is found before anything is written."""
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match="needed and 0 MB free"):
        unpack(make_archive(tmp_path / "a.zip", {"1.jpg": bytes(20)}), tmp_path / "shoes")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
