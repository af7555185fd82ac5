import logging
from pathlib import Path

import pytest

from model.catalog import read_folder
from model.errors import CatalogError


def touch(root: Path, *names: str) -> None:
    """Make empty files."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_folders_are_attributes(tmp_path: Path) -> None:
    """Each level of folders is an attribute, and the path without suffix is the id."""
    touch(tmp_path, "top.png", "boots/1.jpg", "boots/ankle/2.v2.jpg", "a/b/c/d/e.gif")
    catalog = read_folder(tmp_path)
    assert catalog.root == tmp_path
    assert catalog.source == f"folder:{tmp_path}"
    assert {shoe.id: dict(shoe.attributes) for shoe in catalog.shoes} == {
        "a:b:c:d:e": {"category": ("a",), "subcategory": ("b",), "group": ("c",), "level4": ("d",)},
        "boots:1": {"category": ("boots",)},
        "boots:ankle:2.v2": {"category": ("boots",), "subcategory": ("ankle",)},
        "top": {},
    }
    assert catalog.shoes[0].image == tmp_path / "a/b/c/d/e.gif"
    assert catalog.bad_rows == ()


def test_a_name_with_two_suffixes(tmp_path: Path) -> None:
    """Of two files that give one id, the second is left out and reported."""
    touch(tmp_path, "boots/1.jpg", "boots/1.png", "boots:1.jpg")
    catalog = read_folder(tmp_path)
    assert [shoe.id for shoe in catalog.shoes] == ["boots:1"]
    assert [bad.row for bad in catalog.bad_rows] == ["boots/1.png", "boots:1.jpg"]


def test_names_that_are_no_ids(tmp_path: Path) -> None:
    """A path too long for an id is left out and reported."""
    touch(tmp_path, "a/" * 100 + "x.jpg", "ok.jpg")
    catalog = read_folder(tmp_path)
    assert [shoe.id for shoe in catalog.shoes] == ["ok"]
    assert "201 characters" in catalog.bad_rows[0].reason


def test_no_pictures(tmp_path: Path) -> None:
    """An empty folder, and a file, are errors."""
    touch(tmp_path, "notes.txt")
    with pytest.raises(CatalogError, match=r"no pictures in .*\.jpg"):
        read_folder(tmp_path)
    with pytest.raises(CatalogError, match="is not a folder"):
        read_folder(tmp_path / "notes.txt")


def test_pictures_that_are_not_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A picture in another format is a bad row with its reason; other files are counted in the log."""
    touch(tmp_path, "boots/1.jfif", "boots/2.psd", "boots/notes.txt", "@eaDir/1.jpg")
    with caplog.at_level(logging.WARNING):
        catalog = read_folder(tmp_path)
    assert [shoe.id for shoe in catalog.shoes] == ["boots:1"]
    assert [bad.row for bad in catalog.bad_rows] == ["boots/2.psd"]
    assert ".psd can't be read; save it as JPEG" in catalog.bad_rows[0].reason
    assert "1 files (.txt), 1 folders (@eaDir)" in caplog.text


def test_names_in_both_unicode_forms(tmp_path: Path) -> None:
    """Folders that macOS and others have named are one value, ids are in form C, pictures are found."""
    nfc, nfd = "Hausschuhe für Damen", "Hausschuhe fu\u0308r Damen"
    touch(tmp_path, f"{nfd}/Größe 1.jpg", f"{nfc}/Gro\u0308ße 2.jpg", f"{nfc}/Größe 1.jpg")
    catalog = read_folder(tmp_path)
    assert {shoe.id: dict(shoe.attributes) for shoe in catalog.shoes} == {
        f"{nfc}:Größe 1": {"category": (nfc,)},
        f"{nfc}:Größe 2": {"category": (nfc,)},
    }
    assert all(shoe.image.is_file() for shoe in catalog.shoes)
    assert ["is taken by" in bad.reason for bad in catalog.bad_rows] == [True]
