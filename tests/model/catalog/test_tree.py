import os
from pathlib import Path

import pytest

from model.catalog.tree import LeftOut, walk_images
from model.errors import CatalogError


def touch(*paths: Path) -> None:
    """Make empty files."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_order_and_suffixes(tmp_path: Path) -> None:
    """Pictures are found by suffix, in any case, in the order of their names."""
    touch(tmp_path / "b/2.JPG", tmp_path / "b/10.png", tmp_path / "a/x.WebP", tmp_path / "c.tiff")
    touch(tmp_path / "notes.txt", tmp_path / "jpg", tmp_path / "b/archive.zip")
    assert list(walk_images(tmp_path)) == ["a/x.WebP", "b/10.png", "b/2.JPG", "c.tiff"]


def test_leftovers_are_passed_over(tmp_path: Path) -> None:
    """Hidden files and what a Mac's archiver adds are not pictures."""
    touch(tmp_path / "a/1.jpg", tmp_path / "a/._1.jpg", tmp_path / ".thumbs/1.jpg", tmp_path / "__MACOSX/a/1.jpg")
    assert list(walk_images(tmp_path)) == ["a/1.jpg"]


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "JFIF", "avif", "tif", "apng", "mpo", "heic"])
def test_every_suffix_of_the_formats(tmp_path: Path, suffix: str) -> None:
    """Each suffix that Pillow knows for an accepted format is a picture's; of HEIC, reading says what to do."""
    touch(tmp_path / f"1.{suffix}")
    assert list(walk_images(tmp_path)) == [f"1.{suffix}"]


@pytest.mark.parametrize(
    "name",
    ["@eaDir", "#recycle", "$RECYCLE.BIN", "$Recycle.Bin", "__MACOSX", ".hidden", "lost+found",
     "System Volume Information", "@Recycle", "#snapshot"],
)  # fmt: skip
def test_system_folders(tmp_path: Path, name: str) -> None:
    """Thumbnails and deleted pictures in the folders of systems and storage devices are no shoes, and are told of."""
    touch(tmp_path / "boots/1.jpg", tmp_path / name / "1.jpg", tmp_path / "boots" / name / "2.jpg")
    left_out = LeftOut()
    assert list(walk_images(tmp_path, left_out)) == ["boots/1.jpg"]
    assert str(left_out) == f"2 folders ({name})"


def test_all_else_is_counted(tmp_path: Path) -> None:
    """What is no picture is counted by suffix; tables and unreadable pictures are named; system files are not."""
    touch(
        *(tmp_path / name for name in ("1.jpg", "a.txt", "b.TXT", "c.zip", "README", "shop.csv", "x/2.psd", "x/3.svg"))
    )
    touch(tmp_path / "Thumbs.db", tmp_path / ".DS_Store", tmp_path / "desktop.ini")
    left_out = LeftOut()
    assert list(walk_images(tmp_path, left_out)) == ["1.jpg"]
    assert left_out.files == {".txt": 2, ".zip": 1, "no suffix": 1}
    assert (left_out.tables, left_out.pictures) == (["shop.csv"], ["x/2.psd", "x/3.svg"])


def test_links(tmp_path: Path) -> None:
    """Links to folders and files are followed, loops are not, and a broken link is listed so that it is reported."""
    touch(tmp_path / "elsewhere/boots/1.jpg", tmp_path / "root/a/2.jpg")
    root = tmp_path / "root"
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "a/3.jpg").symlink_to(root / "a/2.jpg")
    (root / "a/broken.jpg").symlink_to(root / "nothing.jpg")
    (root / "a/loop").symlink_to(root)
    assert list(walk_images(root)) == ["a/2.jpg", "a/3.jpg", "a/broken.jpg", "linked/boots/1.jpg"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_are_not_pictures(tmp_path: Path) -> None:
    """A named pipe, which would block its reader for ever, is not taken for a picture."""
    touch(tmp_path / "1.jpg")
    os.mkfifo(tmp_path / "2.jpg")
    assert list(walk_images(tmp_path)) == ["1.jpg"]


def test_a_folder_that_can_not_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that can't be listed is an error, since the rest must not pass for the whole."""
    touch(tmp_path / "a/1.jpg", tmp_path / "secret/1.jpg")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("secret"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(CatalogError, match=r"can't list .*secret: Permission denied"):
        list(walk_images(tmp_path))
