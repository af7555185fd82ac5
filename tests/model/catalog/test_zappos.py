import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from model.catalog import product_id, read_zappos
from model.catalog.zappos import find_layout, parse_brand
from model.errors import CatalogError

HEADER = "CID,Category,SubCategory,HeelHeight,Insole,Closure,Gender,Material,ToeStyle"
ROWS = (
    "100627-72,Shoes,Oxfords,,,Lace up,Men,Leather;Suede,",
    "100627-255,Shoes,Oxfords,,,Lace up,Men,Leather,",
    "7-1,Boots,Ankle,3in - 3 3/4in,Padded,Pull-on; Zipper ,Women;Girls,,Round Toe",
)
IMAGES = (
    "Boots/Ankle/Levi's&#174; /7.1.jpg",
    "Shoes/Oxfords/Bostonian/100627.255.jpg",
    "Shoes/Oxfords/Bostonian/100627.72.jpg",
)


def make_copy(
    base: Path, *, folder: str = "ut-zap50k-images", images: Sequence[str] = IMAGES, rows: Sequence[str] | None = ROWS
) -> Path:
    """Make a copy of the data set with empty pictures; without the table if `rows` is None."""
    for name in images:
        path = base / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    if rows is not None:
        (base / "ut-zap50k-data").mkdir(exist_ok=True)
        (base / "ut-zap50k-data/meta-data.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return base


def test_shoes_are_the_rows_of_the_table(tmp_path: Path) -> None:
    """Shoes are in the table's order, with its filled columns, the path's brand, and the product as their group."""
    catalog = read_zappos(make_copy(tmp_path))
    assert catalog.root == tmp_path / "ut-zap50k-images"
    assert catalog.bad_rows == ()
    assert [(shoe.id, shoe.group) for shoe in catalog.shoes] == [
        ("100627.72", "100627"),
        ("100627.255", "100627"),
        ("7.1", "7"),
    ]
    assert catalog.shoes[0].image == tmp_path / "ut-zap50k-images/Shoes/Oxfords/Bostonian/100627.72.jpg"
    assert catalog.shoes[0].attributes == {
        "Category": ("Shoes",),
        "SubCategory": ("Oxfords",),
        "Closure": ("Lace up",),
        "Gender": ("Men",),
        "Material": ("Leather", "Suede"),
        "Brand": ("Bostonian",),
    }
    assert catalog.shoes[2].attributes == {
        "Category": ("Boots",),
        "SubCategory": ("Ankle",),
        "HeelHeight": ("3in - 3 3/4in",),
        "Insole": ("Padded",),
        "Closure": ("Pull-on", "Zipper"),
        "Gender": ("Women", "Girls"),
        "ToeStyle": ("Round Toe",),
        "Brand": ("Levi's®",),
    }


@pytest.mark.parametrize("brand", ["L.A.M.B.", "L.A.M.B", "L.A.M.B%2E", "L.A.M.B. "])
def test_the_spelling_of_a_brand_on_disk(tmp_path: Path, brand: str) -> None:
    """A brand ending in a dot is found with the dot, without it and escaped, and is the same brand each time."""
    make_copy(tmp_path, images=[f"Shoes/Heels/{brand}/1.2.jpg"], rows=["1-2,Shoes,Heels,,,,,,"])
    catalog = read_zappos(tmp_path)
    assert [shoe.attributes["Brand"] for shoe in catalog.shoes] == [("L.A.M.B",)]
    assert catalog.shoes[0].image.is_file()


@pytest.mark.parametrize(
    ("folder", "brand"),
    [
        ("Levi's&#174; ", "Levi's®"),
        ("Dolce & Gabbana", "Dolce & Gabbana"),
        ("A&amp;B", "A&B"),
        ("100% Wool", "100% Wool"),
    ],
)
def test_parse_brand(folder: str, brand: str) -> None:
    """Entities and escapes in a folder's name are decoded, and other names are left alone."""
    assert parse_brand(folder) == brand


def test_a_missing_picture_shifts_nothing(tmp_path: Path) -> None:
    """A row without a picture is left out and reported, and its neighbours keep their own."""
    catalog = read_zappos(make_copy(tmp_path, images=[IMAGES[0], IMAGES[2]]))
    assert [(shoe.id, shoe.image.stem) for shoe in catalog.shoes] == [("100627.72", "100627.72"), ("7.1", "7.1")]
    (bad,) = catalog.bad_rows
    assert (bad.row, bad.reason) == ("meta-data.csv line 3 (100627.255)", "its picture 100627.255.jpg is missing")


def test_a_picture_without_a_row(tmp_path: Path) -> None:
    """A picture that the table does not list is left out and reported."""
    catalog = read_zappos(make_copy(tmp_path, rows=ROWS[:2]))
    assert [shoe.id for shoe in catalog.shoes] == ["100627.72", "100627.255"]
    assert [bad.row for bad in catalog.bad_rows] == [IMAGES[0]]


def test_a_picture_that_is_there_twice(tmp_path: Path) -> None:
    """Two unpackings with different spellings of a brand give one shoe and a report."""
    images = ["Shoes/Heels/X%2E/1.2.jpg", "Shoes/Heels/X/1.2.jpg"]
    catalog = read_zappos(make_copy(tmp_path, images=images, rows=["1-2,Shoes,Heels,,,,,,"]))
    assert [shoe.image.parent.name for shoe in catalog.shoes] == ["X"]
    assert [bad.row for bad in catalog.bad_rows] == ["Shoes/Heels/X%2E/1.2.jpg"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("100627-72,Shoes,Oxfords,,,,,,", "taken by meta-data.csv line 2"),
        ("../../x-1,Shoes,Oxfords,,,,,,", "not <ProductID>-<ColorID>"),
        ("100627,Shoes,Oxfords,,,,,,", "not <ProductID>-<ColorID>"),
        (",Shoes,Oxfords,,,,,,", "not <ProductID>-<ColorID>"),
        ("9-9,Shoes", "2 cells, the header has 9"),
    ],
)
def test_bad_rows_of_the_table(tmp_path: Path, row: str, reason: str) -> None:
    """A row that is repeated, torn or without a usable CID is left out and reported."""
    catalog = read_zappos(make_copy(tmp_path, rows=[*ROWS, row]))
    assert len(catalog.shoes) == 3
    (bad,) = catalog.bad_rows
    assert bad.row.startswith("meta-data.csv line 5")
    assert reason in bad.reason


def test_without_the_table(tmp_path: Path) -> None:
    """With the images alone, the shoes are in the order of their paths and their attributes come from the path."""
    make_copy(tmp_path, images=[*IMAGES, "Shoes/stray.jpg"], rows=None)
    catalog = read_zappos(tmp_path)
    assert [shoe.id for shoe in catalog.shoes] == ["7.1", "100627.255", "100627.72"]
    assert catalog.shoes[0].attributes == {"Category": ("Boots",), "SubCategory": ("Ankle",), "Brand": ("Levi's®",)}
    assert catalog.shoes[1].group == catalog.shoes[2].group == "100627"
    assert [bad.row for bad in catalog.bad_rows] == ["Shoes/stray.jpg"]


def test_choice_of_the_archive(tmp_path: Path) -> None:
    """The original images come before the square ones, unless the square ones are asked for or are alone."""
    make_copy(tmp_path)
    make_copy(tmp_path, folder="ut-zap50k-images-square")
    assert read_zappos(tmp_path).root.name == "ut-zap50k-images"
    assert read_zappos(tmp_path, images="square").root.name == "ut-zap50k-images-square"
    assert read_zappos(tmp_path / "ut-zap50k-images-square").root.name == "ut-zap50k-images-square"
    shutil.rmtree(tmp_path / "ut-zap50k-images")
    assert read_zappos(tmp_path).root.name == "ut-zap50k-images-square"
    with pytest.raises(CatalogError, match=r"no folder .*ut-zap50k-images;"):
        read_zappos(tmp_path, images="original")
    with pytest.raises(CatalogError, match=r"unknown images 'round'.*original, square"):
        read_zappos(tmp_path, images="round")


def test_the_images_folder_finds_the_table_beside_it(tmp_path: Path) -> None:
    """The images' folder itself may be named, and the table beside it is used."""
    catalog = read_zappos(make_copy(tmp_path) / "ut-zap50k-images")
    assert catalog.shoes[0].attributes["Gender"] == ("Men",)


def test_folders_that_an_unpacker_doubled(tmp_path: Path) -> None:
    """An archive unpacked into a folder of its own name is read all the same."""
    make_copy(tmp_path, folder="ut-zap50k-images/ut-zap50k-images")
    nested = tmp_path / "ut-zap50k-data/ut-zap50k-data"
    nested.mkdir()
    (tmp_path / "ut-zap50k-data/meta-data.csv").rename(nested / "meta-data.csv")
    for path in (tmp_path, tmp_path / "ut-zap50k-images"):
        catalog = read_zappos(path)
        assert len(catalog.shoes) == 3
        assert catalog.shoes[0].attributes["Brand"] == ("Bostonian",)
        assert catalog.shoes[0].attributes["Gender"] == ("Men",)


def test_what_is_not_a_copy(tmp_path: Path) -> None:
    """A folder of something else is not taken for UT-Zap50K."""
    assert find_layout(tmp_path) is None
    assert find_layout(tmp_path / "nothing/ut-zap50k-images") is None
    with pytest.raises(CatalogError, match="is not a copy of UT-Zap50K"):
        read_zappos(tmp_path)


def test_half_a_copy(tmp_path: Path) -> None:
    """Missing images, images that were not unpacked, and a missing table are each named."""
    (tmp_path / "ut-zap50k-data").mkdir()
    with pytest.raises(CatalogError, match=r"no meta-data\.csv"):
        read_zappos(tmp_path)
    make_copy(tmp_path, images=[])
    with pytest.raises(CatalogError, match="images of UT-Zap50K are not there"):
        read_zappos(tmp_path)
    (tmp_path / "ut-zap50k-images").mkdir()
    with pytest.raises(CatalogError, match="no pictures in"):
        read_zappos(tmp_path)


def test_another_table(tmp_path: Path) -> None:
    """A table without the columns that every copy has is refused."""
    make_copy(tmp_path)
    (tmp_path / "ut-zap50k-data/meta-data.csv").write_text("id,Category\n1,Shoes\n")
    with pytest.raises(CatalogError, match="no column 'CID', 'SubCategory'"):
        read_zappos(tmp_path)


def test_product_id() -> None:
    """The product is what stands before the first dot."""
    assert product_id("100627.72") == "100627"
    assert product_id("100627") == "100627"
