"""Whether photos find the catalogue pictures of their own shoes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from model.checkpoint import save_checkpoint
from model.errors import CatalogError, QueryError
from model.preprocess import PreprocessConfig
from tests.model.networks import tiny_checkpoint
from training.cli import app
from training.photos.measure import evaluate_photos, rank_own

COLOURS = {"red": (210, 30, 30), "green": (30, 170, 40), "blue": (40, 60, 200), "black": (10, 10, 10)}


def _draw(colour: str) -> Image.Image:
    picture = Image.new("RGB", (60, 60), "white")
    ImageDraw.Draw(picture).polygon([(8, 45), (10, 20), (30, 30), (52, 40), (52, 45)], fill=COLOURS[colour])
    return picture


@pytest.fixture
def catalog(tmp_path: Path) -> str:
    """Four shoes of different colours: two boots and two sandals."""
    rows = ["id,image,Category,Colour"]
    for index, colour in enumerate(COLOURS):
        _draw(colour).save(tmp_path / f"{colour}.png")
        rows.append(f"{colour},{colour}.png,{'boot' if index < 2 else 'sandal'},{colour}")
    (tmp_path / "shoes.csv").write_text("\n".join(rows))
    return f"csv:{tmp_path / 'shoes.csv'}?id=id&image=image&attributes=Category,Colour"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A network that was not trained, which frames subjects and has no localizer."""
    save_checkpoint(
        tmp_path / "ck", replace(tiny_checkpoint(), preprocess=PreprocessConfig(size=16, framing="subject"))
    )
    return tmp_path / "ck"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photos of three of the shoes, each its catalogue picture; one of them is broken."""
    (tmp_path / "photos").mkdir()
    for colour in ("red", "blue"):
        _draw(colour).save(tmp_path / "photos" / f"{colour}.jpg", "PNG")
    (tmp_path / "photos" / "green.jpg").write_bytes(b"no picture")
    return tmp_path / "photos"


def test_ranks_against_a_loop() -> None:
    """A rank is the place of the own shoe in the sorted distances; the first shoes are the nearest."""
    random = np.random.default_rng(0)
    shoes = random.normal(size=(30, 4)).astype(np.float32)
    questions, own = random.normal(size=(300, 4)).astype(np.float32), random.integers(0, 30, 300)
    ranking = rank_own(questions, shoes, own, 5)
    for question, mine, rank, nearest in zip(questions, own, ranking.ranks, ranking.nearest, strict=True):
        order = sorted(range(30), key=lambda shoe: float(((question - shoes[shoe]) ** 2).sum()))
        assert order.index(mine) + 1 == rank
        assert order[:5] == nearest.tolist()


def test_equally_near_shoes_count_as_nearer() -> None:
    """A network that puts all shoes at one point finds none first."""
    point = np.zeros((4, 3), dtype=np.float32)
    assert rank_own(point, point, np.arange(4), 2).ranks.tolist() == [4, 4, 4, 4]


def test_photos_that_are_the_catalogue_pictures(catalog: str, checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    """They find their shoes first, by the whole vector and by each slice; what has no photo is counted."""
    summary = evaluate_photos(catalog, photos, checkpoint, out=tmp_path / "out", device="cpu")
    assert (summary.shoes, summary.photos, summary.missing, summary.unreadable) == (4, 2, 1, 1)
    assert [row.order for row in summary.rows] == ["overall", "type", "free"]
    for row in summary.rows:
        assert (row.first, row.in_10, row.in_24, row.median_rank, row.alike) == (1.0, 1.0, 1.0, 1.0, 1.0)
    assert summary.attribute == "Category"
    assert json.loads((tmp_path / "out" / "photos.json").read_text())["rows"][0]["first"] == 1.0
    assert (tmp_path / "out" / "photos.txt").read_text() == summary.to_text() + "\n"
    with Image.open(tmp_path / "out" / "photos.png") as sheet:
        assert sheet.width > 1000


def test_a_photo_of_another_shoe(catalog: str, checkpoint: Path, tmp_path: Path) -> None:
    """The nearest shoe's value tells whether it is alike: a photo that shows a boot's twin is not its own colour."""
    (tmp_path / "photos").mkdir()
    _draw("red").save(tmp_path / "photos" / "green.jpg", "PNG")
    measured = {
        name: evaluate_photos(
            catalog, tmp_path / "photos", checkpoint, out=tmp_path / name, attribute=name, device="cpu"
        ).rows[0]
        for name in ("Category", "Colour")
    }
    assert (measured["Category"].first, measured["Category"].alike, measured["Colour"].alike) == (0.0, 1.0, 0.0)
    assert measured["Category"].median_rank > 1


def test_only_the_named_shoes(catalog: str, checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    """A file of ids says which shoes are searched; the command prints the table and where the sheet is."""
    (tmp_path / "ids.txt").write_text("red\nblack\n")
    arguments = {
        "--catalog": catalog,
        "--photos": photos,
        "--checkpoint": checkpoint,
        "--ids": tmp_path / "ids.txt",
        "--out": tmp_path / "out",
        "--device": "cpu",
    }
    result = CliRunner().invoke(app, ["evaluate-photos", *(str(each) for pair in arguments.items() for each in pair)])
    assert result.exit_code == 0, result.output
    assert "1 photos among 2 shoes; a subject was found in 1 (the checkpoint has no localizer)" in result.output
    assert f"contact sheet: {tmp_path / 'out' / 'photos.png'}" in result.output


def test_no_photo_of_the_shoes(catalog: str, checkpoint: Path, tmp_path: Path) -> None:
    """A folder without a photo of these shoes is an error that names a file that was expected."""
    with pytest.raises(CatalogError, match=r"no readable photo of these shoes in .*; expected files such as red\.jpg"):
        evaluate_photos(catalog, tmp_path / "nowhere", checkpoint, out=tmp_path / "out", device="cpu")


def test_an_attribute_that_no_shoe_has(catalog: str, checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    """An unknown attribute is an error that names the known ones."""
    with pytest.raises(QueryError, match="no shoe has the attribute 'Heel'; expected one of Category, Colour"):
        evaluate_photos(catalog, photos, checkpoint, out=tmp_path / "out", attribute="Heel", device="cpu")
