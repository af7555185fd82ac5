"""The triplet lists of Conditional Similarity Networks (Veit, Belongie & Karaletsos, CVPR 2017) for UT-Zap50K.

    filenames.json                                one image path a line; despite its name it is not JSON
    {class,closure,gender,heel}_tripletlist_{train,val,test}.txt      beside it, or in tripletlists/

A line of a list has three numbers of lines of `filenames.json`, counted from 0, in the order anchor, *far*, *close*.
Here they become anchor, positive, negative. Triplets that name a shoe which the catalogue does not have are left out
and counted: UT-Zap50K lists a few pictures that are not in its archives.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model.errors import CatalogError
from model.files import write_atomic
from training.evaluation.triplet_lists import write_triplets

_log = logging.getLogger(__name__)

Split = Literal["train", "val", "test"]

SPLITS: Mapping[Split, int | None] = {"train": None, "val": 20_000, "test": 40_000}
"""Split -> how many lines of each condition's list are taken, as is usual; None is all of them."""

CONDITIONS = {"category": "class", "closure": "closure", "gender": "gender", "heel": "heel"}
"""Our name of a condition -> how its lists call it."""

ATTRIBUTES = {"category": "Category", "closure": "Closure", "gender": "Gender", "heel": "HeelHeight"}
"""Condition -> the attribute of UT-Zap50K's table that its lists go by.

Their class is the type of shoe (shoes, boots, sandals, slippers), and not the 21 subcategories.
"""

IMAGE_LIST = "filenames.json"

WHERE_FROM = (
    "expected the triplet lists of Conditional Similarity Networks: get_data.py of "
    "github.com/andreasveit/conditional-similarity-networks fetches them; or, to try things on, "
    "`python -m training draw-csn-lists` draws lists of that form from a catalogue's labels"
)


@dataclass(frozen=True)
class CsnTriplets:
    """One condition's list.

    Attributes:
        condition: `category`, `closure`, `gender` or `heel`.
        triplets: (M, 3) indices of shoes: anchor, positive, negative; M is at least 1.
        listed: lines that were taken from the list; M and what was left out.
        missing: triplets that were left out since the catalogue lacks one of their shoes.
        repeated: triplets that were left out since they name one shoe twice.
    """

    condition: str
    triplets: NDArray[np.intp]
    listed: int
    missing: int
    repeated: int


def list_name(condition: str, split: Split) -> str:
    """The file's name of a condition's list."""
    return f"{CONDITIONS[condition]}_tripletlist_{split}.txt"


def read_csn(folder: Path, ids: Sequence[str], split: Split, *, limit: int | None = None) -> tuple[CsnTriplets, ...]:
    """Read a split's four lists and find their shoes in the catalogue.

    Args:
        folder: holds `filenames.json` and the lists, or a folder `tripletlists` with them.
        ids: of the N shoes of UT-Zap50K, as its reader names them.
        split: which lists.
        limit: lines of each list, from its start; None takes the usual number (`SPLITS`). Lines are counted before
            any is left out, so that no other triplet takes the place of one that is.
    """
    shoes = _find_shoes(folder, ids)
    limit = SPLITS[split] if limit is None else limit
    return tuple(
        _match(condition, _find(folder, list_name(condition, split)), shoes, limit) for condition in CONDITIONS
    )


def read_listed(folder: Path, ids: Sequence[str], split: Split) -> NDArray[np.intp]:
    """Which of the catalogue's shoes a split's four lists name, in any triplet of any line.

    The arguments are those of `read_csn`; lists that name no shoe of the catalogue are no error.

    Returns:
        (S,) indices of shoes, each once, in ascending order.
    """
    shoes = _find_shoes(folder, ids)
    paths = [_find(folder, list_name(condition, split)) for condition in CONDITIONS]
    named = np.unique(np.concatenate([shoes[_read_triplet_list(path, len(shoes), None)].reshape(-1) for path in paths]))
    return named[named >= 0]


def write_csn(
    folder: Path, ids: Sequence[str], split: Split, out: Path, *, limit: int | None = None
) -> tuple[CsnTriplets, ...]:
    """Turn a split's lists into files that the evaluation takes, and say what was left out.

    Writes `<split>-<condition>.csv` for each condition, as `write_triplets` does, and `<split>-ids.txt`, the shoes
    that are in any of them, one id a line, into the folder `out`. The other arguments are those of `read_csn`.

    Raises:
        CatalogError: a file is missing or can't be read, a line is not three numbers of images, no triplet of a
            condition is left, or `out` can't be written.
    """
    lists = read_csn(folder, ids, split, limit=limit)
    named = np.unique(np.concatenate([each.triplets.reshape(-1) for each in lists]))
    try:
        out.mkdir(parents=True, exist_ok=True)
        for each in lists:
            write_triplets(out / f"{split}-{each.condition}.csv", each.triplets, ids)
        write_atomic(out / f"{split}-ids.txt", "".join(f"{ids[shoe]}\n" for shoe in named.tolist()).encode())
    except OSError as error:
        raise CatalogError(f"can't write triplets to {out}: {error.strerror or error}") from error
    for each in lists:
        _log.info(
            "%s: %d of %d triplets kept; left out: %d name shoes that the catalogue lacks, %d name one shoe twice",
            *(each.condition, len(each.triplets), each.listed, each.missing, each.repeated),
        )
    return lists


def _find(folder: Path, name: str) -> Path:
    candidates = (folder / name, folder / "tripletlists" / name)
    for path in candidates:
        if path.is_file():
            return path
    raise CatalogError(f"no {name} in {folder}, nor in its folder tripletlists; {WHERE_FROM}")


def _read(path: Path) -> str:
    try:
        # Brands are not all UTF-8; but only the files' names matter, and those are ASCII.
        return path.read_bytes().decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    except OSError as error:
        raise CatalogError(f"can't read {path}: {error.strerror or error}") from error


def _read_image_list(path: Path) -> list[str]:
    text = _read(path)
    if text.lstrip().startswith("["):
        try:
            names = json.loads(text)
        except ValueError as error:
            raise CatalogError(f"{path} starts like JSON but is not: {error}") from error
        if not all(isinstance(name, str) for name in names):
            raise CatalogError(f"{path}: a JSON array with something else than image paths in it")
    else:
        # An empty line in between keeps its number. Not splitlines, which also splits at marks inside a name.
        names = text.rstrip("\r\n").split("\n")
    if not any(name.strip() for name in names):
        raise CatalogError(f"{path} is empty; expected one image path a line")
    return list(names)


def _find_shoes(folder: Path, ids: Sequence[str]) -> NDArray[np.intp]:
    """For each image of the image list its shoe, or -1."""
    index = {shoe: position for position, shoe in enumerate(ids)}
    return np.array([_find_shoe(path, index) for path in _read_image_list(_find(folder, IMAGE_LIST))], dtype=np.intp)


def _find_shoe(path: str, index: Mapping[str, int]) -> int:
    """The shoe whose picture has this name, or -1. Folders are spelled in many ways, and stems are unique."""
    stem = path.strip().replace("\\", "/").rpartition("/")[2].rpartition(".")[0]
    return index.get(stem, index.get(stem.replace("-", "."), -1))


def _match(condition: str, path: Path, shoes: NDArray[np.intp], limit: int | None) -> CsnTriplets:
    """One list, as shoes. `shoes` holds, for each image, its shoe or -1."""
    images = _read_triplet_list(path, len(shoes), limit)
    triplets = shoes[images[:, [0, 2, 1]]]  # anchor, far, close -> anchor, positive, negative
    missing = (triplets < 0).any(axis=1)
    anchor, positive, negative = triplets.T
    repeated = ~missing & ((anchor == positive) | (anchor == negative) | (positive == negative))
    kept = triplets[~missing & ~repeated]
    if not len(kept):
        raise CatalogError(
            f"{path}: none of its {len(triplets)} triplets can be used: {missing.sum()} name shoes that are not in the "
            f"catalogue, {repeated.sum()} name one shoe twice; is the catalogue UT-Zap50K?"
        )
    return CsnTriplets(condition, kept, len(triplets), int(missing.sum()), int(repeated.sum()))


def _read_triplet_list(path: Path, images: int, limit: int | None) -> NDArray[np.intp]:
    """(M, 3) numbers of images: anchor, far, close."""
    rows: list[list[int]] = []
    for number, line in enumerate(_read(path).splitlines(), 1):
        if limit is not None and len(rows) >= limit:
            break
        cells = line.split()
        if not cells:
            continue
        # A run of digits longer than any image's number would only cost time.
        row = [int(cell) if cell.isdecimal() and len(cell) < 10 else images for cell in cells]
        if len(row) != 3 or max(row) >= images:
            raise CatalogError(
                f"{path}, line {number}: {line[:60]!r}; expected three numbers from 0 to {images - 1}, which count the "
                f"lines of {IMAGE_LIST}: anchor, far, close"
            )
        rows.append(row)
    if not rows:
        raise CatalogError(f"{path} has no triplets")
    return np.array(rows, dtype=np.intp)
