"""A folder of folders of pictures: the folders' names are the attributes."""

from pathlib import Path

from model.catalog.base import Catalog, CatalogBuilder, locate, split_values
from model.catalog.tree import IMAGE_SUFFIXES, walk_images
from model.errors import CatalogError

__all__ = ["read_folder"]

LEVELS = ("category", "subcategory", "group")


def read_folder(path: Path) -> Catalog:
    """Read a folder of pictures, `<category>/<subcategory>/<group>/<name>.jpg`, with as many levels as there are.

    The id of `boots/ankle/7.jpg` is `boots:ankle:7`, its attributes are `category: boots` and `subcategory: ankle`.
    Below the third level they are called `level4`, `level5` and so on; a picture at the top has none. The shoes are
    in the order of their paths.

    Raises:
        CatalogError: not a folder, a part of it can't be listed, or no picture is in it.
    """
    if not path.is_dir():
        raise CatalogError(f"{path} is not a folder")
    root = locate(path)
    builder = CatalogBuilder(f"folder:{root}", root)
    found = False
    for image in walk_images(root):
        found = True
        folders = image.split("/")[:-1]
        values = {_name_level(depth): split_values(name, "") for depth, name in enumerate(folders)}
        attributes = {level: value for level, value in values.items() if value}
        builder.add(image, id=image.rpartition(".")[0].replace("/", ":"), image=image, attributes=attributes)
    if not found:
        raise CatalogError(f"no pictures in {root}; files are taken by suffix: {', '.join(sorted(IMAGE_SUFFIXES))}")
    return builder.build()


def _name_level(depth: int) -> str:
    return LEVELS[depth] if depth < len(LEVELS) else f"level{depth + 1}"
