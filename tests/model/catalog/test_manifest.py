import csv
import io
import logging
import unicodedata
from pathlib import Path
from typing import Literal

import pytest

from model.catalog import ManifestOptions, read_manifest
from model.errors import CatalogError

Form = Literal["NFC", "NFD"]


def write(folder: Path, text: str, *images: str) -> Path:
    """Make a table, and empty pictures beside it."""
    for name in images:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    path = folder / "shoes.csv"
    path.write_text(text)
    return path


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    """Without options, id and picture are columns of those names, and all others are attributes."""
    path = write(
        tmp_path,
        "Image,ID,gender,material\nb/2.jpg,two,Women,Leather;NA; Suede\na.jpg,one,,\n",
        "a.jpg",
        "b/2.jpg",
    )
    catalog = read_manifest(path)
    assert catalog.root == tmp_path
    assert catalog.source == f"csv:{path}"
    assert [(shoe.id, shoe.image, dict(shoe.attributes), shoe.group) for shoe in catalog.shoes] == [
        ("two", tmp_path / "b/2.jpg", {"gender": ("Women",), "material": ("Leather", "Suede")}, "two"),
        ("one", tmp_path / "a.jpg", {}, "one"),
    ]


def test_the_first_column_is_the_id_where_none_is_called_so(tmp_path: Path) -> None:
    """Without a column `id` the first one is taken, also a nameless one, as pandas writes its index."""
    for first in ("sku", ""):
        catalog = read_manifest(write(tmp_path, f"{first},path,kind\n7,a.jpg,boot\n", "a.jpg"))
        assert [(shoe.id, dict(shoe.attributes)) for shoe in catalog.shoes] == [("7", {"kind": ("boot",)})]


def test_templates(tmp_path: Path) -> None:
    """Id, picture and group may be put together from columns."""
    path = write(tmp_path, "sku,colour,brand\n7,red,Acme\n7,blue,Acme\n", "p/Acme/7_red.jpg", "p/Acme/7_blue.jpg")
    options = ManifestOptions(id="{sku}.{colour}", image="p/{brand}/{sku}_{colour}.jpg", group="sku")
    catalog = read_manifest(path, options)
    assert [(shoe.id, shoe.group) for shoe in catalog.shoes] == [("7.red", "7"), ("7.blue", "7")]
    assert catalog.shoes[0].attributes == {"colour": ("red",), "brand": ("Acme",)}


def test_attributes_are_chosen(tmp_path: Path) -> None:
    """Only the columns that are named are attributes; none, if none is."""
    path = write(tmp_path, "id,image,a,b,a:b\n1,1.jpg,x|y,z,q\n", "1.jpg")
    catalog = read_manifest(path, ManifestOptions(attributes=("a",), split="|"))
    assert catalog.shoes[0].attributes == {"a": ("x", "y")}
    assert read_manifest(path, ManifestOptions(attributes=())).shoes[0].attributes == {}
    with pytest.raises(CatalogError, match=r"no column 'c'; its columns are 'id', 'image', 'a', 'b', 'a:b'"):
        read_manifest(path, ManifestOptions(attributes=("a", "c")))
    with pytest.raises(CatalogError, match=r"'a:b'.*attribute:value"):
        read_manifest(path)


def test_long_text_is_no_attribute_unless_it_is_asked_for(tmp_path: Path) -> None:
    """A column of whole descriptions is left out, which every answer would carry; one of titles is an attribute."""
    text = "<p>A shoe for every day; it is light.</p> " * 6
    rows = "".join(f"{number},1.jpg,Shoe no. {number},{text}{number},a; b\n" for number in range(60))
    path = write(tmp_path, f"id,image,title,text,kind\n{rows}", "1.jpg")
    assert read_manifest(path).shoes[5].attributes == {"title": ("Shoe no. 5",), "kind": ("a", "b")}
    options = ManifestOptions(attributes=("text",), split="")
    assert read_manifest(path, options).shoes[5].attributes == {"text": (f"{text}5",)}


def test_lists_are_divided(tmp_path: Path) -> None:
    """Cells that list several kinds are no text, however many different lists there are."""
    kinds = ["Leather", "Suede", "Mesh", "Rubber", "Wool", "Felt", "Cork"]
    rows = "".join(f"{n},1.jpg,{'; '.join([*kinds[n:], *kinds[:n]])}\n" for n in range(7))
    catalog = read_manifest(write(tmp_path, f"id,image,material\n{rows}", "1.jpg"))
    assert catalog.shoes[1].attributes["material"] == (*kinds[1:], kinds[0])


def write_shop(folder: Path, delimiter: str, encoding: str) -> Path:
    """A shop's export, of ten shoes, as a spreadsheet saves it."""
    lines = [["Handle", "Title", "Vendor", "Type", "Price", "Stock", "URL", "Image"]]
    (folder / "p").mkdir()
    for n in range(10):
        link = f"https://shop.example/products/derby-{n}?a=1;b=2"
        kind, price = "Derby" if n % 2 else "Boot", f"{n + 50},90 €"
        lines.append([f"derby-{n}", f"Größe {n}, leicht, weiß", "Acme", kind, price, str(n % 3), link, f"p/{n}.jpg"])
        (folder / f"p/{n}.jpg").touch()
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows(lines)
    path = folder / "export.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_shops_export(tmp_path: Path, caplog: pytest.LogCaptureFixture, delimiter: str, encoding: str) -> None:
    """Whatever a spreadsheet divides cells by and encodes them in, id, picture and attributes are found, and told."""
    with caplog.at_level(logging.INFO):
        catalog = read_manifest(write_shop(tmp_path, delimiter, encoding))
    assert catalog.bad_rows == ()
    assert (catalog.shoes[3].id, catalog.shoes[3].image) == ("derby-3", tmp_path / "p/3.jpg")
    assert catalog.shoes[3].attributes == {
        "Title": ("Größe 3, leicht, weiß",),
        "Vendor": ("Acme",),
        "Type": ("Derby",),
        "Price": ("53,90 €",),
        "Stock": ("0",),
        "URL": ("https://shop.example/products/derby-3?a=1;b=2",),
    }
    name = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}[delimiter]
    (told,) = [record.getMessage() for record in caplog.records]
    assert f"text with {name} between cells, 10 rows; ids from 'Handle', pictures from 'Image'" in told
    assert ("utf-16" in told) == encoding.startswith("utf-16")


def test_the_id_is_a_column_whose_cells_differ(tmp_path: Path) -> None:
    """A handle that several rows share, as variants do, is no id; the next column of such a name is."""
    rows = "".join(f"derby,{n},{n}.jpg\n" for n in range(2))
    path = write(tmp_path, f"Handle,Variant SKU,Image Src\n{rows}", "0.jpg", "1.jpg")
    assert [shoe.id for shoe in read_manifest(path).shoes] == ["0", "1"]


def test_pictures_that_are_links(tmp_path: Path) -> None:
    """A column of links is not taken where another one has files; where none has, it is told what to do."""
    path = write(tmp_path, "sku,Image,File\n1,https://cdn.example/1.jpg,1.jpg\n", "1.jpg")
    assert read_manifest(path).shoes[0].image == tmp_path / "1.jpg"
    path = write(tmp_path, "sku,Image\n1,https://cdn.example/1.jpg\n")
    with pytest.raises(CatalogError, match=r"its picture is a link.*download the pictures.*image=photos/\{id\}\.jpg"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1,1.jpg,again", "id '1' is taken by line 2 (1)"),
        ("2,2.jpg,x", "its picture '2.jpg' is missing"),
        ("2,folder,x", "its picture 'folder' is missing"),
        ("2,../secret.jpg,x", "outside"),
        ("2,folder/../../secret.jpg,x", "outside"),
        ("2,..\\secret.jpg,x", "outside"),
        ("2,/etc/passwd,x", "outside"),
        ("2,.,x", "outside"),
        ("2,nul\x00.jpg,x", ""),
        ("2," + "x" * 5000 + ",x", "xxx"),
        ("2,,x", "the column 'image' is empty"),
        (",1.jpg,x", "the column 'id' is empty"),
        ("a/b,1.jpg,x", "slash"),
        ("2,1.jpg", "2 cells, the header has 3"),
        ("2,1.jpg,a,b", "4 cells, the header has 3"),
    ],
)
def test_bad_rows(tmp_path: Path, row: str, reason: str) -> None:
    """A row that can't be used is left out and reported, and the others stay what they are."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.jpg").touch()
    (root / "folder").mkdir()
    catalog = read_manifest(write(root, f"id,image,kind\n1,1.jpg,boot\n{row}\n9,9.jpg,heel\n", "1.jpg", "9.jpg"))
    assert [(shoe.id, shoe.attributes["kind"]) for shoe in catalog.shoes] == [("1", ("boot",)), ("9", ("heel",))]
    (bad,) = catalog.bad_rows
    assert bad.row.startswith("line 3")
    assert reason in bad.reason


def test_a_value_can_not_lead_a_template_outside(tmp_path: Path) -> None:
    """A cell with dots and slashes in it does not escape by way of the template."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.jpg").touch()
    path = write(root, "id,file\n1,1\n2,../../secret\n", "p/1.jpg")
    catalog = read_manifest(path, ManifestOptions(image="p/{file}.jpg"))
    assert [shoe.id for shoe in catalog.shoes] == ["1"]
    assert "outside" in catalog.bad_rows[0].reason


def test_windows_paths(tmp_path: Path) -> None:
    """Backslashes are read as slashes."""
    catalog = read_manifest(write(tmp_path, "id,image\n1,a\\b\\1.jpg\n", "a/b/1.jpg"))
    assert catalog.shoes[0].image == tmp_path / "a/b/1.jpg"


def test_root(tmp_path: Path) -> None:
    """The pictures may lie elsewhere than the table, and may be given by their whole path there."""
    (tmp_path / "tables").mkdir()
    write(tmp_path / "pictures", "", "1.jpg", "2.jpg")
    path = write(tmp_path / "tables", f"id,image\n1,1.jpg\n2,{tmp_path}/pictures/2.jpg\n")
    catalog = read_manifest(path, ManifestOptions(root=tmp_path / "pictures"))
    assert catalog.root == tmp_path / "pictures"
    assert [shoe.image.name for shoe in catalog.shoes] == ["1.jpg", "2.jpg"]


def test_missing_columns(tmp_path: Path) -> None:
    """A table whose picture column can't be told, and options naming what is not there, list the columns."""
    path = write(tmp_path, "id,thing\n1,x\n")
    with pytest.raises(CatalogError, match=r"image=COLUMN .*its columns are 'id', 'thing'"):
        read_manifest(path)
    for options in (
        ManifestOptions(image="photo"),
        ManifestOptions(image="{photo}.jpg"),
        ManifestOptions(image="thing", id="photo"),
        ManifestOptions(image="thing", group="photo"),
    ):
        with pytest.raises(CatalogError, match=r"no column 'photo'; its columns are 'id', 'thing'"):
            read_manifest(path, options)
    with pytest.raises(CatalogError, match="unbalanced braces"):
        read_manifest(path, ManifestOptions(image="images/{id.jpg"))


def test_nothing_usable(tmp_path: Path) -> None:
    """A table of bad rows only, and one of a header only, are errors that say so."""
    with pytest.raises(CatalogError, match="all 1 rows are bad, such as line 2"):
        read_manifest(write(tmp_path, "id,image\n1,1.jpg\n"))
    with pytest.raises(CatalogError, match="it has no rows"):
        read_manifest(write(tmp_path, "id,image\n"))


@pytest.mark.parametrize(("row", "file"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_row_and_its_file_in_other_unicode_forms(tmp_path: Path, row: Form, file: Form) -> None:
    """A picture is found whichever form its row and its file's name have; columns, ids and values are in form C."""
    table = "id,image,Größe\nSchuh für 1,für/Größe 1.jpg,weiß für\n8,für/nichts.jpg,weiß\n"
    table += "9,für/Größe 2.jpg,weiß für;weiß\n"
    names = [unicodedata.normalize(file, f"für/Größe {number}.jpg") for number in (1, 2)]
    path = write(tmp_path, unicodedata.normalize(row, table), *names)
    for attributes in (None, ("Größe",), ("Gro\u0308ße",)):
        catalog = read_manifest(path, ManifestOptions(attributes=attributes))
        assert [(shoe.id, shoe.image, dict(shoe.attributes)) for shoe in catalog.shoes] == [
            ("Schuh für 1", tmp_path / names[0], {"Größe": ("weiß für",)}),
            ("9", tmp_path / names[1], {"Größe": ("weiß für", "weiß")}),
        ]
        assert ["is missing" in bad.reason for bad in catalog.bad_rows] == [True]
