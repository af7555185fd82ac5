"""Drawn triplet lists: of the published ones' form, by the labels, and with no product in two splits."""

import shutil
from pathlib import Path

import pytest

from model.catalog import Catalog, read_catalog
from model.errors import CatalogError, TrainingError
from training.demo_catalog import draw_demo_catalog
from training.evaluation.csn import SPLITS, Split, read_csn, read_listed
from training.evaluation.csn_draw import are_drawn, draw_csn_lists

COUNTS: dict[Split, int] = {"train": 60, "val": 40, "test": 50}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """Some drawn shoes, many of them in several colours."""
    folder = tmp_path_factory.mktemp("catalog") / "demo"
    draw_demo_catalog(folder, count=100, seed=0, workers=1)
    return read_catalog(str(folder))


def test_the_files_are_of_csns_form(catalog: Catalog, tmp_path: Path) -> None:
    """An image list, and twelve lists of three numbers a line, as many as were asked for."""
    out = tmp_path / "deep" / "lists"
    assert sum(draw_csn_lists(catalog, out, seed=1, counts=COUNTS).values()) == 100
    assert {path.name for path in out.iterdir()} == {
        "filenames.json",
        "drawn-lists.json",
        *(f"{name}_tripletlist_{split}.txt" for name in ("class", "closure", "gender", "heel") for split in SPLITS),
    }
    paths = (out / "filenames.json").read_text().splitlines()
    assert all((catalog.root / path).is_file() for path in paths)
    for split, count in COUNTS.items():
        lines = (out / f"heel_tripletlist_{split}.txt").read_text().splitlines()
        assert len(lines) == count
        assert all(0 <= int(cell) < len(paths) for line in lines for cell in line.split(" "))


def test_close_is_alike_and_far_is_not(catalog: Catalog, tmp_path: Path) -> None:
    """By the lists' own order, the last shoe shares a value with the first and the one between them does not."""
    draw_csn_lists(catalog, tmp_path, seed=1, counts=COUNTS)
    for name, attribute in (
        ("class", "Category"),
        ("closure", "Closure"),
        ("gender", "Gender"),
        ("heel", "HeelHeight"),
    ):
        for line in (tmp_path / f"{name}_tripletlist_test.txt").read_text().splitlines():
            anchor, far, close = (set(catalog.shoes[int(cell)].attributes[attribute]) for cell in line.split())
            assert anchor & close
            assert not anchor & far


def test_the_reader_takes_them(catalog: Catalog, tmp_path: Path) -> None:
    """Every triplet of every split is found in the catalogue."""
    draw_csn_lists(catalog, tmp_path, seed=1, counts=COUNTS)
    ids = [shoe.id for shoe in catalog.shoes]
    for split, count in COUNTS.items():
        for each in read_csn(tmp_path, ids, split):
            assert (len(each.triplets), each.missing, each.repeated) == (count, 0, 0)


def test_no_product_is_in_two_splits(catalog: Catalog, tmp_path: Path) -> None:
    """Neither a shoe nor a colour variant of it is in the lists of another split."""
    draw_csn_lists(catalog, tmp_path, seed=1, counts=COUNTS)
    ids = [shoe.id for shoe in catalog.shoes]
    products = [{catalog.shoes[shoe].group for shoe in read_listed(tmp_path, ids, split)} for split in SPLITS]
    assert all(products)
    assert len(set.union(*products)) == sum(map(len, products))


def test_the_seed_decides(catalog: Catalog, tmp_path: Path) -> None:
    """The same seed draws the same lists in place of the ones before; another draws others."""

    def contents() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    draw_csn_lists(catalog, tmp_path, seed=1, counts=COUNTS)
    first = contents()
    draw_csn_lists(catalog, tmp_path, seed=1, counts=COUNTS)
    assert contents() == first
    draw_csn_lists(catalog, tmp_path, seed=2, counts=COUNTS)
    assert contents()["class_tripletlist_test.txt"] != first["class_tripletlist_test.txt"]


def test_other_lists_are_left_alone(catalog: Catalog, tmp_path: Path) -> None:
    """A folder that holds something else, such as the published lists, is not written into."""
    (tmp_path / "filenames.json").write_text("Shoes/Heels/A/1.2.jpg\n")
    with pytest.raises(CatalogError, match="isn't drawn triplet lists"):
        draw_csn_lists(catalog, tmp_path)
    with pytest.raises(CatalogError, match="need a folder"):
        draw_csn_lists(catalog, tmp_path / "filenames.json")
    assert not are_drawn(tmp_path)
    assert (tmp_path / "filenames.json").read_text() == "Shoes/Heels/A/1.2.jpg\n"


def test_unusable_catalogues(catalog: Catalog, tmp_path: Path) -> None:
    """Too few shoes, a table that is missing and pictures of other names are told apart."""
    few = Catalog(catalog.source, catalog.root, catalog.shoes[:5], ())
    with pytest.raises(CatalogError, match=r"allow no triplet by .* a larger catalogue"):
        draw_csn_lists(few, tmp_path / "few")
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare/ut-zap50k-images").symlink_to(catalog.root)
    with pytest.raises(
        TrainingError, match="no shoe has the attribute 'Closure'; the catalogue's attributes are: Brand"
    ):
        draw_csn_lists(read_catalog(str(tmp_path / "bare")), tmp_path / "out")
    shutil.copytree(catalog.root, tmp_path / "tree")
    with pytest.raises(CatalogError, match="expected UT-Zap50K's layout"):
        draw_csn_lists(read_catalog(f"folder:{tmp_path / 'tree'}"), tmp_path / "out")
    assert not (tmp_path / "few").exists()
    assert not (tmp_path / "out").exists()
