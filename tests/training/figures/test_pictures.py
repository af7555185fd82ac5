"""The report's pictures and tables."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from training.data.labels import Labels, encode_labels
from training.evaluation.elbo import NegativeElbo, Observation
from training.evaluation.embeddings import Embedding
from training.evaluation.metrics import RECALL_AT, Reconstruction, Retrieval
from training.evaluation.report import Row, Summary
from training.evaluation.tasks import SimilarityTask
from training.figures.maps import Panel, draw_map, draw_picture_map
from training.figures.pictures import ALIKE, DIFFERENT, PictureRow, Tile, TileRow, draw_reconstructions, draw_tile_rows
from training.figures.sheet import Sheet, shorten


def open_png(data: bytes) -> np.ndarray:
    """(H, W, 3) uint8."""
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def count_pixels(picture: np.ndarray, colour: str) -> int:
    """Pixels of very nearly this colour."""
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((np.abs(picture.astype(int) - rgb).max(axis=2) <= 6).sum())


def make_pictures(count: int, channels: int = 3, size: int = 16) -> np.ndarray:
    """Noise."""
    return np.random.default_rng(0).integers(0, 256, (count, channels, size, size), dtype=np.uint8)


def make_labels(values: list[str]) -> Labels:
    """Labels of shoes with one value each; those with an empty one have none."""
    return encode_labels([{"kind": (each,)} if each else {} for each in values], "kind")


@pytest.mark.parametrize("channels", [1, 3])
def test_reconstructions_have_a_row_for_each_network(channels: int) -> None:
    """Each network makes the page higher by one row; pictures may be grey and of other sizes."""
    originals = make_pictures(5, channels)
    rows = [PictureRow("one", make_pictures(5, channels, size=8), "squared error 0.01"), PictureRow("two", originals)]
    one, two = (open_png(draw_reconstructions(originals, rows[:count], note="note")) for count in (1, 2))
    assert two.shape[0] > one.shape[0]
    assert two.shape[1] == one.shape[1]


def test_neighbours_are_framed_by_likeness() -> None:
    """Alike shoes are framed green, others red."""
    picture = np.full((3, 16, 16), 255, dtype=np.uint8)
    alike, different = Tile(picture, "0.10", "", True), Tile(picture, "0.20", "Boots", False)
    rows = {
        name: TileRow("Heels", "1", picture, tiles)
        for name, tiles in {"a": (alike,) * 4, "d": (different,) * 4}.items()
    }
    green = open_png(draw_tile_rows("title", "note", [rows["a"]]))
    red = open_png(draw_tile_rows("title", "note", [rows["d"]]))
    assert count_pixels(green, ALIKE) > 100 > count_pixels(green, DIFFERENT)
    assert count_pixels(red, DIFFERENT) > 100 > count_pixels(red, ALIKE)


@pytest.mark.parametrize("panels", [1, 2, 3])
def test_maps_take_many_values_and_missing_ones(panels: int) -> None:
    """Forty values and shoes without any: ten colours, the rest together, any number of panels."""
    points = np.random.default_rng(0).normal(size=(120, 2)).astype(np.float32)
    labels = make_labels(["" if i % 13 == 0 else f"value {i % 40}" for i in range(120)])
    picture = open_png(draw_map("Map", "note", [Panel(points, labels)] * panels))
    assert picture.std() > 5


def test_values_that_name_colours_are_drawn_in_them() -> None:
    """A map by colour is not drawn in other colours than those it speaks of."""
    points = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    picture = open_png(draw_map("Map", "note", [Panel(points, make_labels(["Navy Blue", "Red"] * 30))]))
    assert count_pixels(picture, "#22307d") > 300
    assert count_pixels(picture, "#d8302c") > 300


def test_points_at_one_place_are_drawn() -> None:
    """A map of no extent, as of a network that gives one vector for all, is no error."""
    points = np.zeros((4, 2), dtype=np.float32)
    assert draw_map("Map", "note", [Panel(points, make_labels(["a", "b", "a", "b"]))])
    assert draw_picture_map("Map", "note", points, make_pictures(4))


@pytest.mark.parametrize("background", [0, 255])
def test_pictures_lie_where_their_points_are(background: int) -> None:
    """On light ground and on dark, the pictures stand out at their places."""
    pixels = np.full((2, 3, 16, 16), background, dtype=np.uint8)
    pixels[:, :, 4:12, 4:12] = np.array([[255, 0, 0], [0, 0, 255]], dtype=np.uint8)[:, :, None, None]
    picture = open_png(draw_picture_map("Map", "note", np.array([[0, 0], [9, 9]], dtype=np.float32), pixels))
    red = np.argwhere(np.abs(picture.astype(int) - [255, 0, 0]).max(axis=2) < 40).mean(axis=0)
    blue = np.argwhere(np.abs(picture.astype(int) - [0, 0, 255]).max(axis=2) < 40).mean(axis=0)
    assert (red < blue).all()


def test_names_are_cut_and_never_read_as_formulas() -> None:
    """Long names end in an ellipsis; dollar signs are dollar signs."""
    assert shorten("abcdef", 4) == "abc…"
    assert shorten("abcd", 4) == "abcd"
    sheet = Sheet(4, 1)
    sheet.head("from $5 to $\\frac$ " * 20, "note")
    assert open_png(sheet.to_png()).shape == (150, 600, 3)


VECTORS = np.zeros((10, 8))
ELBO = NegativeElbo(Observation("gaussian", 0.1), reconstruction=-60.0, kl=12.0, dimensions=48)


def make_summary() -> Summary:
    """Two embeddings, two attributes, one of them without labels."""
    found = Retrieval(queries=9, left_out=1, recall=dict(zip(RECALL_AT, (0.5, 0.75, 1.0), strict=True)), map_at_r=0.4)
    better = replace(found, map_at_r=0.6)
    return Summary(
        catalog="csv:shoes.csv",
        shoes=10,
        choice="all",
        tasks=(
            SimilarityTask("Gender", None, np.zeros((100, 3), dtype=np.intp), "gender.npy"),
            SimilarityTask("taste", None, np.zeros((7, 3), dtype=np.intp), "taste.csv"),
        ),
        embeddings=(
            Embedding("checkpoint", "ab" * 32, VECTORS, {}, reconstruction=Reconstruction(0.01, 0.05), elbo=ELBO),
            Embedding("foreign", "cd" * 32, VECTORS, {}, reconstruction=Reconstruction(0.02, 0.05)),
            Embedding("pixel distance", "", np.zeros((10, 48)), {}),
        ),
        rows=(
            Row("checkpoint", "Gender", "Gender", 4, 0.9, better),
            Row("checkpoint", "overall", "Gender", 8, 0.8, found),
            Row("pixel distance", "overall", "Gender", 48, None, found),
            Row("checkpoint", "overall", "taste", 8, 0.7, None),
        ),
        warnings=("take care",),
    )


def test_the_table_is_aligned_and_narrow() -> None:
    """Fits a terminal of 100 columns even with long names; figures are in percent, absent ones a dash."""
    summary = make_summary()
    long = replace(summary, rows=tuple(replace(row, model="x" * 60, slice="y" * 60) for row in summary.rows))
    assert max(map(len, long.to_text().splitlines())) <= 100
    text = summary.to_text()
    assert "warning: take care" in text
    assert "Gender: 100 triplets (gender.npy); 9 queries, 1 left out" in text
    assert "taste: 7 triplets (taste.csv); no labels" in text
    rows = [line.split() for line in text.splitlines() if line.startswith("  checkpoint")]
    assert rows[0] == ["checkpoint", "Gender", "4", "90.0", "50.0", "75.0", "100.0", "60.0"]
    assert rows[2] == ["checkpoint", "overall", "8", "70.0", "-", "-", "-", "-"]
    assert rows[3] == ["checkpoint", "gaussian,", "std", "0.1", "0.01000", "-48.0", "12.0", "-1.0000"]
    assert text.splitlines()[-1].split() == ["the", "mean", "picture", "-", "0.05000", "-", "-", "-"]


def test_markdown_marks_the_best() -> None:
    """The best figure of each column is bold, an unknown bound a dash, and pictures are linked."""
    text = make_summary().to_markdown([("A map", "map.png")])
    assert "| checkpoint | Gender | 4 | **90.0** | **50.0** | **75.0** | **100.0** | **60.0** |" in text
    assert "| checkpoint | overall | 8 | 80.0 |" in text
    assert "![A map](map.png)" in text
    assert "| checkpoint | gaussian, std 0.1 | 0.01000 | -48.0 | 12.0 | -1.0000 |" in text
    assert "| foreign | - | 0.02000 | - | - | - |" in text
    assert "may be negative" in text


def test_json_holds_everything() -> None:
    """Shares, not percent; null where there is no figure; plain JSON throughout."""
    found = json.loads(json.dumps(make_summary().to_json(), allow_nan=False))
    assert found["rows"][0]["recall"] == {"1": 0.5, "5": 0.75, "10": 1.0}
    assert found["rows"][3]["recall"] is None
    assert found["models"][0]["mse"] == 0.01
    assert found["models"][0]["elbo"] == {
        "likelihood": "gaussian", "observation_std": 0.1, "negative_elbo": -48.0, "reconstruction": -60.0, "kl": 12.0,
        "nats_per_dimension": -1.0,
    }  # fmt: skip
    assert (found["models"][1]["mse"], found["models"][1]["elbo"]) == (0.02, None)
    assert (found["models"][2]["mse"], found["models"][2]["elbo"]) == (None, None)
    assert found["warnings"] == ["take care"]
