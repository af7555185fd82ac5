from pathlib import Path

import pytest

from model.catalog import read_catalog
from model.errors import CatalogError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that holds a catalogue of each kind."""
    for name in ("zap/ut-zap50k-images/Shoes/Flats/X/1.2.jpg", "zap/ut-zap50k-images-square/Shoes/Flats/X/1.2.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    (tmp_path / "tree/boots").mkdir(parents=True)
    (tmp_path / "tree/boots/7.jpg").touch()
    (tmp_path / "shoes.csv").write_text("sku,brand,colour\n7,C++,red|blue\n")
    (tmp_path / "C++7.jpg").touch()
    return tmp_path


CSV_OPTIONS = "?image={brand}{sku}.jpg&attributes=brand,%20colour&split=|&group=brand"


@pytest.mark.parametrize(
    ("spec", "id", "source"),
    [
        ("{}/zap", "1.2", "zappos:{}/zap"),
        ("{}/zap/", "1.2", "zappos:{}/zap"),
        ("{}/zap?images=square", "1.2", "zappos:{}/zap?images=square"),
        ("zappos:{}/zap/ut-zap50k-images", "1.2", "zappos:{}/zap/ut-zap50k-images"),
        ("folder:{}/zap/ut-zap50k-images", "Shoes:Flats:X:1.2", "folder:{}/zap/ut-zap50k-images"),
        ("{}/tree", "boots:7", "folder:{}/tree"),
        ("folder:{}/tree", "boots:7", "folder:{}/tree"),
    ],
)
def test_spellings(folder: Path, spec: str, id: str, source: str) -> None:
    """The kind is told by what is there, or is said outright; the source says it outright."""
    catalog = read_catalog(spec.format(folder))
    assert [shoe.id for shoe in catalog.shoes] == [id]
    assert catalog.source == source.format(folder)
    assert read_catalog(catalog.source) == catalog


@pytest.mark.parametrize("prefix", ["", "csv:"])
def test_csv_options(folder: Path, prefix: str) -> None:
    """A CSV file's options come after a question mark, percent-encoded where they must be."""
    catalog = read_catalog(f"{prefix}{folder}/shoes.csv{CSV_OPTIONS}")
    (shoe,) = catalog.shoes
    assert (shoe.id, shoe.image.name, shoe.group) == ("7", "C++7.jpg", "C++")
    assert shoe.attributes == {"brand": ("C++",), "colour": ("red", "blue")}
    assert catalog.source.startswith(f"csv:{folder}/shoes.csv?image={{brand}}{{sku}}.jpg&")
    assert read_catalog(catalog.source) == catalog


def test_more_csv_options(folder: Path) -> None:
    """Encoding, delimiter, id and root can be given too; the root counts from the table's folder."""
    (folder / "t").mkdir()
    (folder / "t/x.csv").write_bytes("nr\tbild\tmarke\n7\t7.jpg\tGröße\n".encode("cp1252"))
    spec = f"{folder}/t/x.csv?id=nr&image=bild&encoding=cp1252&delimiter=%09&root=../tree/boots"
    catalog = read_catalog(spec)
    assert catalog.shoes[0].attributes == {"marke": ("Größe",)}
    assert catalog.shoes[0].image.samefile(folder / "tree/boots/7.jpg")
    assert read_catalog(catalog.source) == catalog


def test_a_question_mark_in_a_name(folder: Path) -> None:
    """A path that is there is taken as it is, question mark and all."""
    (folder / "tree").rename(folder / "what?=x")
    assert read_catalog(f"{folder}/what?=x").shoes[0].id == "boots:7"


def test_paths_from_here_and_from_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths and the tilde are understood."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    assert read_catalog("tree").root == folder / "tree"
    assert read_catalog("folder:~/tree").root == folder / "tree"
    assert read_catalog("zap/../tree").root == folder / "tree"
    assert read_catalog("zap/../shoes.csv?image={brand}{sku}.jpg").root == folder
    monkeypatch.chdir(folder / "zap/ut-zap50k-images")
    assert read_catalog(".").shoes[0].id == "1.2"
    assert read_catalog("..?images=square").root == folder / "zap/ut-zap50k-images-square"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "names no file or folder"),
        ("csv:", "names no file or folder"),
        ("{}/nothing", "no catalogue at .*nothing: no such file"),
        ("milvus:there", "no catalogue at milvus:there"),
        ("{}/tree?depth=2", "unknown option depth .*folder catalogue: none"),
        ("{}/zap?image=x&root=y", "unknown option image, root .*zappos catalogue: images"),
        ("{}/shoes.csv?colour=red", "unknown option colour .*id, image, attributes, group, split, encoding"),
        ("{}/shoes.csv?id=a&id=b", "option id is given twice"),
        ("{}/shoes.csv?id", "expected KEY=VALUE instead of 'id'"),
        ("{}/C++7.jpg", "neither a folder nor a .csv file"),
        ("folder:{}/shoes.csv", "is not a folder"),
        ("zappos:{}/tree", "is not a copy of UT-Zap50K"),
        ("csv:{}/tree", "can't read"),
    ],
)
def test_errors(folder: Path, spec: str, message: str) -> None:
    """What can't be read is an error that says what was given and what is known."""
    with pytest.raises(CatalogError, match=message):
        read_catalog(spec.format(folder))


@pytest.mark.parametrize(
    ("table", "spec"),
    [
        ("id,image,colour\n1,1.jpg,red\n", "csv:{}/shop.csv"),
        ("sku,colour\n1,red\n2,blue\n", "csv:{}/shop.csv?image={{sku}}.jpg"),
    ],
    ids=["a column of pictures", "pictures named by the sku"],
)
def test_a_table_beside_the_pictures(tmp_path: Path, caplog: pytest.LogCaptureFixture, table: str, spec: str) -> None:
    """A CSV file in a folder catalogue is told of, with the spelling that reads it, which works as it stands."""
    (tmp_path / "shop.csv").write_text(table)
    (tmp_path / "1.jpg").touch()
    assert not read_catalog(str(tmp_path)).shoes[0].attributes
    told = spec.format(tmp_path)
    assert f"--catalog '{told}'" in caplog.text
    assert read_catalog(told).shoes[0].attributes == {"colour": ("red",)}


def test_a_table_that_needs_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where no column or name of a picture fits, the advice says what is missing, also where there are no pictures."""
    (tmp_path / "shop.csv").write_text("article,colour\n1,red\n")
    with pytest.raises(CatalogError, match="no pictures in"):
        read_catalog(str(tmp_path))
    assert f"--catalog 'csv:{tmp_path}/shop.csv'; but which column" in caplog.text
