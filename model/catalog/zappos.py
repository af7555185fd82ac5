"""UT-Zap50K (Yu & Grauman, "Fine-Grained Visual Comparisons with Local Learning", CVPR 2014), as users have it.

    ut-zap50k-images[-square]/<Category>/<SubCategory>/<Brand>/<ProductID>.<ColorID>.jpg
    ut-zap50k-data/meta-data.csv     CID,Category,SubCategory,HeelHeight,...  with CID = <ProductID>-<ColorID>

The archive's own list of paths (`image-path.mat`) is not used, because it does not agree with what is on disk: a
brand that ends in a dot is there with the dot, without it, or with `%2E`, depending on the archive and the tool that
unpacked it; `Levi's ` in the list is ``Levi's&#174; `` on disk; and a few files are missing altogether. The file's
stem is the CID with a dot for the dash, and it is unique. So the tree is listed once and indexed by stem, and the
spelling of a brand's folder stops to matter; so does an additional folder that an unpacker put around the tree.

The data set is for academic, non-commercial use only.
"""

import html
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from model.catalog.base import Catalog, CatalogBuilder, locate, split_values
from model.catalog.table import Row, Table, read_table
from model.catalog.tree import walk_images
from model.errors import CatalogError
from model.text import nfc

IMAGE_FOLDERS = {"original": "ut-zap50k-images", "square": "ut-zap50k-images-square"}
"""Choice of images -> the folder that its archive unpacks to. The first that is there is the default."""

DATA_FOLDER = "ut-zap50k-data"
TABLE_NAME = "meta-data.csv"
CID_PATTERN = re.compile(r"[^-./\s]+-[^-./\s]+")


@dataclass(frozen=True)
class ZapposLayout:
    """Where the parts of a copy lie. `table` is None when only the images were unpacked."""

    images: Path
    table: Path | None


def product_id(shoe_id: str) -> str:
    """The product that a shoe of UT-Zap50K is a colour variant of: `100627` of the shoe `100627.72`.

    Splits go by product; else a test shoe is seen in training in another colour.
    """
    return shoe_id.partition(".")[0]


def parse_brand(folder: str) -> str:
    """The brand's name from its folder's: ``Levi's&#174; `` is `Levi's®`, `L.A.M.B%2E` is `L.A.M.B`.

    Dots at the end are dropped, since some copies of the data set have lost them.
    """
    name = html.unescape(urllib.parse.unquote(folder))
    return " ".join(name.split()).rstrip(" .")


def find_layout(path: Path, images: str | None = None) -> ZapposLayout | None:
    """Find the data set's parts, given the folder that holds them or its images' folder itself.

    Args:
        path: the folder.
        images: `original` or `square`; None takes what is there, the original ones first.

    Returns:
        None if this is not a copy of the data set.

    Raises:
        CatalogError: it is one, but the images or the table in it are missing.
    """
    base, choices = _find_base(path, images)
    if base is None:
        return None
    table = _find_table(base / DATA_FOLDER)
    for choice in choices:
        folder = base / IMAGE_FOLDERS[choice]
        if folder.is_dir():
            return ZapposLayout(folder, table)
    wanted = " nor ".join(str(base / IMAGE_FOLDERS[choice]) for choice in choices)
    raise CatalogError(f"the images of UT-Zap50K are not there: no folder {wanted}; unpack their archive in {base}")


def read_zappos(path: Path, *, images: str | None = None) -> Catalog:
    """Read UT-Zap50K.

    With `meta-data.csv`, the shoes are its rows in its order, with all of its columns as attributes and the brand
    from the path. A row without a picture, and a picture without a row, are left out and reported. Without the
    table, the shoes are the pictures in the order of their paths, and the attributes are Category, SubCategory and
    Brand. In both, `Shoe.group` is the product's id.

    Args:
        path: the folder that holds `ut-zap50k-images` or `ut-zap50k-images-square`, or that folder itself.
        images: `original` (mostly 136x102 pixels) or `square`; None takes what is there, the original ones first.

    Raises:
        CatalogError: this is not UT-Zap50K, or a part of it is missing or can't be read.
    """
    if images is not None and images not in IMAGE_FOLDERS:
        raise CatalogError(f"unknown images {images!r} of UT-Zap50K; known are {', '.join(IMAGE_FOLDERS)}")
    layout = find_layout(locate(path), images)
    if layout is None:
        folders = " or ".join(IMAGE_FOLDERS.values())
        raise CatalogError(f"{path} is not a copy of UT-Zap50K: it neither is nor holds a folder {folders}")
    builder = CatalogBuilder(f"zappos:{layout.images}", layout.images)
    files = _index_by_stem(layout.images, builder)
    if not files:
        raise CatalogError(f"no pictures in {layout.images}; unpack {layout.images.name}.zip again")
    if layout.table is None:
        _add_files(files, builder)
    else:
        _add_rows(read_table(layout.table), files, builder)
    return builder.build()


def _find_base(path: Path, images: str | None) -> tuple[Path | None, tuple[str, ...]]:
    choices = tuple(IMAGE_FOLDERS) if images is None else (images,)
    if (path / DATA_FOLDER).is_dir():
        return path, choices
    for choice, name in IMAGE_FOLDERS.items():
        if path.name == name and path.is_dir():
            return path.parent, (images or choice,)
    if any((path / name).is_dir() for name in IMAGE_FOLDERS.values()):
        return path, choices
    return None, ()


def _find_table(folder: Path) -> Path | None:
    if not folder.is_dir():
        return None
    # Some unpackers put an archive's folder into another one of the same name.
    for table in (folder / TABLE_NAME, folder / folder.name / TABLE_NAME):
        if table.is_file():
            return table
    raise CatalogError(f"{folder} has no {TABLE_NAME}; unpack {DATA_FOLDER}.zip again, or remove the folder")


def _index_by_stem(root: Path, builder: CatalogBuilder) -> dict[str, str]:
    files: dict[str, str] = {}
    for image in walk_images(root):
        stem = nfc(image.rpartition("/")[2].rpartition(".")[0])
        if stem in files:
            builder.reject(image, f"a second picture of {stem}; the first is {files[stem]}")
        else:
            files[stem] = image
    return files


def _add_files(files: Mapping[str, str], builder: CatalogBuilder) -> None:
    for stem, image in files.items():
        folders = image.split("/")[:-1]
        if len(folders) < 3:
            builder.reject(image, "expected <Category>/<SubCategory>/<Brand>/<ProductID>.<ColorID>.jpg")
            continue
        names = {"Category": folders[-3], "SubCategory": folders[-2], "Brand": parse_brand(folders[-1])}
        attributes = {attribute: (name,) for attribute, name in names.items() if name}
        builder.add(image, id=stem, image=image, attributes=attributes, group=product_id(stem))


def _add_rows(table: Table, files: dict[str, str], builder: CatalogBuilder) -> None:
    table.require(["CID", "Category", "SubCategory"])
    cid_index = table.index_of("CID")
    listed = set()
    for row in table.rows:
        name = f"{TABLE_NAME} line {row.line}"
        problem = table.find_problem(row)
        if problem is None and not CID_PATTERN.fullmatch(row.cells[cid_index]):
            problem = f"CID {row.cells[cid_index]!r} is not <ProductID>-<ColorID>"
        if problem is not None:
            builder.reject(name, problem)
            continue
        stem = nfc(row.cells[cid_index].replace("-", "."))
        listed.add(stem)
        image = files.get(stem)
        if image is None:
            builder.reject(f"{name} ({stem})", f"its picture {stem}.jpg is missing")
            continue
        attributes = _read_attributes(table, row, image)
        builder.add(f"{name} ({stem})", id=stem, image=image, attributes=attributes, group=product_id(stem))
    for stem, image in files.items():
        if stem not in listed:
            builder.reject(image, f"{TABLE_NAME} does not list it")


def _read_attributes(table: Table, row: Row, image: str) -> dict[str, tuple[str, ...]]:
    attributes = {}
    for column, cell in zip(table.columns, row.cells, strict=True):
        values = split_values(cell)
        if values and column != "CID":
            attributes[column] = values
    folders = image.split("/")[:-1]
    brand = parse_brand(folders[-1]) if len(folders) >= 3 else ""
    if brand:
        attributes.setdefault("Brand", (brand,))
    return attributes
