"""Catalogues: what a shoe is, and the readers for UT-Zap50K, CSV files and folders of pictures."""

from model.catalog.base import BadRow, Catalog, Shoe
from model.catalog.folder import read_folder
from model.catalog.manifest import ManifestOptions, read_manifest
from model.catalog.pictures import PictureDecoder, check_bad_rows, decode_picture, decode_shoes
from model.catalog.reader import read_catalog
from model.catalog.zappos import product_id, read_zappos

__all__ = [
    "BadRow",
    "Catalog",
    "ManifestOptions",
    "PictureDecoder",
    "Shoe",
    "check_bad_rows",
    "decode_picture",
    "decode_shoes",
    "product_id",
    "read_catalog",
    "read_folder",
    "read_manifest",
    "read_zappos",
]
