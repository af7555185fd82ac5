"""Photographs of a catalogue's shoes, made to measure on."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from model.errors import CatalogError, QueryError
from training.cli import app
from training.photos.composites import CompositeConfig, compose
from training.photos.make import SIZES, make_photos


def _make_catalog(folder: Path, *, plain: int = 3, cluttered: int = 0) -> str:
    """Shoes `shoe 0`, ... in the colours of a table; the last ones fill their picture with noise."""
    random = np.random.default_rng(0)
    folder.mkdir()
    rows = ["id,image,Colour"]
    for index in range(plain + cluttered):
        picture = Image.new("RGB", (60, 80), "white")
        ImageDraw.Draw(picture).polygon([(8, 60), (10, 40), (30, 45), (52, 55), (52, 60)], fill=(200, 30 * index, 40))
        if index >= plain:
            picture = Image.fromarray(random.integers(0, 256, (80, 60, 3), dtype=np.uint8))
        picture.save(folder / f"{index}.png")
        rows.append(f"shoe {index},{index}.png,red")
    (folder / "shoes.csv").write_text("\n".join(rows))
    return f"csv:{folder / 'shoes.csv'}?id=id&image=image&attributes=Colour"


def _make_backgrounds(folder: Path) -> Path:
    random = np.random.default_rng(1)
    (folder / "rooms").mkdir(parents=True)
    for name, size in (("wide.png", (90, 120, 3)), ("rooms/tall.png", (120, 40, 3))):
        Image.fromarray(random.integers(0, 200, size, dtype=np.uint8)).save(folder / name)
    (folder / "README.txt").write_text("two pictures")
    return folder


def _read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_each_shoe_is_photographed_once(tmp_path: Path) -> None:
    """Every shoe gets one JPEG of its id, in one of the sizes, and nothing else lies in the folder."""
    made = make_photos(_make_catalog(tmp_path / "shoes"), _make_backgrounds(tmp_path / "rooms"), tmp_path / "photos")
    assert (made.photos, made.backgrounds, made.skipped) == (3, 2, 1)
    assert set(_read(tmp_path / "photos")) == {"shoe 0.jpg", "shoe 1.jpg", "shoe 2.jpg"}
    for path in (tmp_path / "photos").iterdir():
        with Image.open(path) as photo:
            assert photo.format == "JPEG"
            assert photo.size in SIZES


def test_a_seed_gives_the_same_photos(tmp_path: Path) -> None:
    """One seed gives the same bytes again, for some of the shoes as for all; another seed gives others."""
    catalog, rooms = _make_catalog(tmp_path / "shoes"), _make_backgrounds(tmp_path / "rooms")
    (tmp_path / "ids.txt").write_text("shoe 1\n")
    make_photos(catalog, rooms, tmp_path / "all", seed=3)
    make_photos(catalog, rooms, tmp_path / "one", seed=3, ids=tmp_path / "ids.txt")
    make_photos(catalog, rooms, tmp_path / "other", seed=4, ids=tmp_path / "ids.txt")
    one = _read(tmp_path / "one")
    assert one == {"shoe 1.jpg": _read(tmp_path / "all")["shoe 1.jpg"]}
    assert one != _read(tmp_path / "other")


def test_shoes_without_a_photo_are_counted(tmp_path: Path) -> None:
    """A picture without a plain margin and one that can't be read are left out, counted and said."""
    catalog = _make_catalog(tmp_path / "shoes", plain=2, cluttered=1)
    (tmp_path / "shoes" / "0.png").write_bytes(b"no picture")
    rooms, out = _make_backgrounds(tmp_path / "rooms"), tmp_path / "photos"
    arguments = ["make-photos", "--catalog", catalog, "--backgrounds", str(rooms), "--out", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "1 photos on pieces of 2 pictures; 1 shoes left out, without a plain margin" in result.output
    assert "1 shoes left out, whose picture can't be read" in result.output
    assert set(_read(out)) == {"shoe 1.jpg"}


def test_no_shoe_with_a_plain_margin(tmp_path: Path) -> None:
    """A catalogue of which no shoe can be cut out is an error with the counts."""
    catalog = _make_catalog(tmp_path / "shoes", plain=0, cluttered=2)
    with pytest.raises(CatalogError, match=r"no shoe could be photographed.*2 shoes left out, without a plain margin"):
        make_photos(catalog, _make_backgrounds(tmp_path / "rooms"), tmp_path / "photos")


@pytest.mark.parametrize(("files", "message"), [({}, "it has no files"), ({"a.jpg": b"x"}, "none of its 1 files")])
def test_no_background(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    """A folder of backgrounds without a readable picture is an error before anything is written."""
    (tmp_path / "rooms").mkdir()
    for name, data in files.items():
        (tmp_path / "rooms" / name).write_bytes(data)
    with pytest.raises(QueryError, match=message):
        make_photos(_make_catalog(tmp_path / "shoes"), tmp_path / "rooms", tmp_path / "photos")
    assert not (tmp_path / "photos").exists()


@pytest.mark.parametrize("out", ["shoes", "rooms", "rooms/photos"])
def test_folders_that_are_read_are_not_written(tmp_path: Path, out: str) -> None:
    """Photos may replace neither the catalogue's pictures nor the backgrounds."""
    catalog, rooms = _make_catalog(tmp_path / "shoes"), _make_backgrounds(tmp_path / "rooms")
    with pytest.raises(QueryError, match="name another folder"):
        make_photos(catalog, rooms, tmp_path / out)


def test_an_id_that_the_catalogue_lacks(tmp_path: Path) -> None:
    """A file of ids that names an unknown shoe is an error."""
    (tmp_path / "ids.txt").write_text("shoe 1\nboot 9\n")
    with pytest.raises(CatalogError, match=r"1 of its 2 ids are not in .*boot 9"):
        make_photos(
            _make_catalog(tmp_path / "shoes"),
            _make_backgrounds(tmp_path / "rooms"),
            tmp_path / "photos",
            ids=tmp_path / "ids.txt",
        )


@pytest.mark.parametrize(("chance", "mirrored"), [(0.0, {False}), (0.5, {False, True}), (1.0, {True})])
def test_the_chance_to_mirror(chance: float, mirrored: set[bool]) -> None:
    """A composite is mirrored by the chance of its configuration: never at 0, always at 1."""
    shoe = np.full((20, 20, 3), 90, dtype=np.uint8)
    background = np.zeros((80, 60, 3), dtype=np.uint8)
    outline = np.zeros((20, 20), dtype=np.bool_)
    outline[8:14, 3:17] = True
    random = np.random.default_rng(0)
    config = CompositeConfig(mirror=chance)
    assert {compose(random, shoe, outline, background, config).mirrored for _ in range(20)} == mirrored
