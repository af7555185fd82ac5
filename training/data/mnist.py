"""MNIST as an image set, from its own files: a folder that holds them, or a download through torchvision."""

import gzip
import math
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torchvision import datasets

from model.errors import CatalogError
from training.data.images import ImageSet

DIGIT = "digit"
"""The one attribute: "0" to "9"."""

FOLDERS = (".", "raw", "MNIST/raw")
"""Where below the given folder the files may lie; torchvision puts them into the last."""

SIDE = 28


class Mnist(NamedTuple):
    """Both parts in their published order: 60,000 pictures to train on and 10,000 to test on, 28x28 and grey."""

    training: ImageSet
    test: ImageSet


def read_mnist(folder: Path) -> Mnist:
    """Read the four IDX files, as they are or gzipped, in the folder or in its `raw` or `MNIST/raw`.

    Raises:
        CatalogError: a file is missing, truncated or not what its name says.
    """
    return Mnist(training=_read_part(folder, "train"), test=_read_part(folder, "t10k"))


def download_mnist(folder: Path) -> None:
    """Fetch MNIST through torchvision into `folder`/MNIST/raw; what is there already is left alone.

    Raises:
        CatalogError: no network, or what came is damaged.
    """
    try:
        datasets.MNIST(str(folder), download=True)
    except (OSError, RuntimeError) as error:
        raise CatalogError(
            f"can't download MNIST into {folder} ({error}); put its four .gz files into that folder by hand"
        ) from error


def _read_part(folder: Path, part: str) -> ImageSet:
    pixels = _read_idx(_find(folder, f"{part}-images-idx3-ubyte"))
    labels = _read_idx(_find(folder, f"{part}-labels-idx1-ubyte"))
    if pixels.shape[1:] != (SIDE, SIDE) or labels.shape != pixels.shape[:1]:
        raise CatalogError(
            f"{folder}: {part} pictures of shape {pixels.shape} and labels of shape {labels.shape}; expected as many "
            f"labels as pictures, of {SIDE}x{SIDE} pixels"
        )
    if labels.size == 0 or labels.max() > 9:
        raise CatalogError(f"{folder}: the {part} labels are not digits")
    name = "train" if part == "train" else "test"
    ids = tuple(f"{name}-{index:05d}" for index in range(len(labels)))
    # Ten shared mappings in place of 60,000 of their own.
    of_digit = [{DIGIT: (str(digit),)} for digit in range(10)]
    attributes = tuple(of_digit[label] for label in labels.tolist())
    return ImageSet(ids=ids, groups=ids, pixels=pixels[:, None], attributes=attributes)


def _find(folder: Path, name: str) -> Path:
    for place in FOLDERS:
        for path in (folder / place / name, folder / place / f"{name}.gz"):
            if path.is_file():
                return path
    raise CatalogError(
        f"no {name} or {name}.gz in {folder} (nor in its raw or MNIST/raw): expected MNIST's four files; --download "
        f"fetches them there"
    )


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """An IDX file of unsigned bytes: two zeros, the type 8, the number of dimensions, their sizes, the values."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise CatalogError(f"can't read {path}: {error}") from error
    if len(data) < 4 or data[:3] != b"\x00\x00\x08":
        raise CatalogError(f"{path} is no IDX file of bytes: it starts with {data[:4].hex(' ') or 'nothing'}")
    start = 4 + 4 * data[3]
    shape = tuple(int.from_bytes(data[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(data[3]))
    if len(data) != start + math.prod(shape):
        raise CatalogError(f"{path} is truncated or padded: {len(data):,} bytes for the shape {shape}")
    # A copy, since torch takes only arrays that may be written to.
    return np.frombuffer(data, dtype=np.uint8, offset=start).reshape(shape).copy()
