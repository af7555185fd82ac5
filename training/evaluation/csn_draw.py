"""Triplet lists of the form that `training.evaluation.csn` reads, drawn from a catalogue's labels.

They stand in for the lists of Conditional Similarity Networks on any catalogue whose pictures are named by their shoes.
Products are split into train, val and test, so that no two splits share a shoe or a colour variant of one.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.catalog import Catalog
from model.errors import CatalogError
from model.files import write_atomic, write_json
from training.data.images import split_by_group
from training.data.labels import Labels, encode_labels
from training.evaluation.csn import ATTRIBUTES, IMAGE_LIST, Split, list_name
from training.evaluation.triplet_lists import draw_triplets

COUNTS: Mapping[Split, int] = {"train": 100_000, "val": 20_000, "test": 40_000}
"""Triplets of each list: for val and test, as many as are usually taken of the published ones."""

TEST_SHARE, VAL_SHARE = 0.2, 0.1

MARKER = "drawn-lists.json"
"""Marker file of drawn lists, which are not the published ones and may be drawn anew."""


def draw_csn_lists(
    catalog: Catalog, out: Path, *, seed: int = 0, counts: Mapping[Split, int] = COUNTS
) -> Mapping[Split, int]:
    """Draw the lists of all splits and conditions.

    A triplet's close shoe shares a value with the anchor, its far shoe does not. Writes `filenames.json`, twelve lists
    and a file that says how they were drawn.

    Args:
        catalog: in UT-Zap50K's layout, with its table.
        out: a folder; made if it is not there, and drawn anew if it holds drawn lists.
        seed: of the split and of the triplets.
        counts: triplets of each list.

    Returns:
        how many shoes each split has.

    Raises:
        CatalogError: a picture is not named by its shoe, the shoes of a split allow no triplet, `out` holds something
            else, or it can't be written.
        TrainingError: no shoe has one of the attributes, or all share its value.
    """
    _check_target(out)
    paths = [shoe.image.relative_to(catalog.root) for shoe in catalog.shoes]
    for shoe, path in zip(catalog.shoes, paths, strict=True):
        if path.stem != shoe.id:
            raise CatalogError(f"the picture of shoe {shoe.id!r} is called {path.name}; expected UT-Zap50K's layout")
    attributes = [shoe.attributes for shoe in catalog.shoes]
    labels = {condition: encode_labels(attributes, attribute) for condition, attribute in ATTRIBUTES.items()}
    members = _deal([shoe.group for shoe in catalog.shoes], seed)
    lists = {
        list_name(condition, split): _draw(labels[condition], members[split], split, count, seed)
        for split, count in counts.items()
        for condition in labels
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        # First of all, so that a folder that is only half written can be drawn anew.
        write_json(out / MARKER, {"format": "drawn triplet lists", "version": 1, "seed": seed, "shoes": len(paths)})
        write_atomic(out / IMAGE_LIST, "".join(f"{path.as_posix()}\n" for path in paths).encode())
        for name, rows in lists.items():
            write_atomic(out / name, "".join(f"{a} {far} {close}\n" for a, far, close in rows.tolist()).encode())
    except OSError as error:
        raise CatalogError(f"can't write triplet lists to {out}: {error.strerror or error}") from error
    return {split: len(members[split]) for split in counts}


def are_drawn(folder: Path) -> bool:
    """Were this folder's lists drawn by `draw_csn_lists`?"""
    return (folder / MARKER).is_file()


def _check_target(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise CatalogError(f"{out} is a file; the triplet lists need a folder")
    if out.exists() and any(out.iterdir()) and not are_drawn(out):
        raise CatalogError(f"{out} holds something that isn't drawn triplet lists; name a new or an empty folder")


def _deal(groups: Sequence[str], seed: int) -> dict[Split, NDArray[np.intp]]:
    """Indices of each split's shoes; whole groups."""
    train, held_out = split_by_group(groups, TEST_SHARE + VAL_SHARE, seed)
    # Another seed: by the same one, all that was held out would fall to one side again.
    share = TEST_SHARE / (TEST_SHARE + VAL_SHARE)
    val, test = split_by_group([groups[index] for index in held_out], share, seed + 1)
    apart = np.array(held_out, dtype=np.intp)
    return {"train": np.array(train, dtype=np.intp), "val": apart[val], "test": apart[test]}


def _draw(labels: Labels, members: NDArray[np.intp], split: Split, count: int, seed: int) -> NDArray[np.intp]:
    """(count, 3) numbers of images: anchor, far, close."""
    drawn = draw_triplets(labels.take(members), count, seed)
    if not len(drawn):
        raise CatalogError(
            f"the {len(members)} shoes of the split {split} allow no triplet by {labels.attribute}: some must share a "
            f"value and some must not; expected a larger catalogue"
        )
    # Drawn as anchor, positive, negative.
    return members[drawn[:, [0, 2, 1]]]
