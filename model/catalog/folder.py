"""A folder of folders of pictures: the folders' names are the attributes."""

import logging
from pathlib import Path

from model.catalog.base import Catalog, CatalogBuilder, locate, split_values
from model.catalog.tree import IMAGE_SUFFIXES, LeftOut, walk_images
from model.errors import CatalogError

logger = logging.getLogger(__name__)

LEVELS = ("category", "subcategory", "group")


def read_folder(path: Path, left_out: LeftOut | None = None) -> Catalog:
    """Read a folder of pictures, `<category>/<subcategory>/<group>/<name>.jpg`, with as many levels as there are.

    The id of `boots/ankle/7.jpg` is `boots:ankle:7`, its attributes are `category: boots` and `subcategory: ankle`.
    Below the third level they are called `level4`, `level5` and so on; a picture at the top has none. The shoes are
    in the order of their paths. A picture in a format that is not read is a bad row; what else is passed over is
    counted in the log.

    Args:
        path: the folder.
        left_out: is told of what is passed over.

    Raises:
        CatalogError: not a folder, a part of it can't be listed, or no picture is in it.
    """
    if not path.is_dir():
        raise CatalogError(f"{path} is not a folder")
    root = locate(path)
    builder = CatalogBuilder(f"folder:{root}", root)
    found = False
    left_out = LeftOut() if left_out is None else left_out
    for image in walk_images(root, left_out):
        found = True
        folders = image.split("/")[:-1]
        values = {_name_level(depth): split_values(name, "") for depth, name in enumerate(folders)}
        attributes = {level: value for level, value in values.items() if value}
        builder.add(image, id=image.rpartition(".")[0].replace("/", ":"), image=image, attributes=attributes)
    for picture in left_out.pictures:
        suffix = picture.rpartition(".")[2].lower()
        builder.reject(picture, f"pictures in the format .{suffix} can't be read; save it as JPEG, PNG or WebP")
    if str(left_out):
        logger.warning("passed over in %s, as they are no pictures of it: %s", root, left_out)
    if not found and not left_out.pictures:
        raise CatalogError(f"no pictures in {root}; files are taken by suffix: {', '.join(sorted(IMAGE_SUFFIXES))}")
    return builder.build()


def _name_level(depth: int) -> str:
    return LEVELS[depth] if depth < len(LEVELS) else f"level{depth + 1}"
