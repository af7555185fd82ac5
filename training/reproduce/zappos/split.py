"""The split of UT-Zap50K into training and test shoes, by CSN's triplet lists, product by product."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.catalog import Catalog
from model.errors import CatalogError
from model.preprocess import Preprocessor
from training.data.images import ImageSet, load_images, take_shoes
from training.evaluation.csn import CsnTriplets, read_csn, read_listed


@dataclass(frozen=True)
class Choice:
    """Indices of the catalogue's shoes.

    Attributes:
        training: no shoe of the val and test lists, nor another colour of one.
        test: those that the test triplets name.
        listed: those that the val or test lists name, in any line.
        variants: of a product of which another colour is listed, but not listed themselves.
    """

    training: NDArray[np.intp]
    test: NDArray[np.intp]
    listed: NDArray[np.intp]
    variants: NDArray[np.intp]

    def excluded(self, catalog: Catalog) -> frozenset[str]:
        """Ids of the shoes that are kept out of training."""
        return frozenset(catalog.shoes[index].id for index in (*self.listed, *self.variants))


@dataclass(frozen=True)
class HeldOut:
    """What is measured. `lists`: condition -> its triplets, as indices into `images`."""

    images: ImageSet
    lists: Mapping[str, CsnTriplets]


def choose_shoes(catalog: Catalog, lists: Path, *, limit: int | None = None) -> Choice:
    """Split a catalogue by the lists.

    Args:
        catalog: of UT-Zap50K or in its layout; `Shoe.group` is the product.
        lists: as `training.evaluation.csn.read_csn` takes it.
        limit: lines of each test list, for what is measured; what is kept out of training goes by all lines.
    """
    ids = [shoe.id for shoe in catalog.shoes]
    listed = np.union1d(read_listed(lists, ids, "val"), read_listed(lists, ids, "test"))
    products = {catalog.shoes[index].group for index in listed}
    apart = np.array([shoe.group in products for shoe in catalog.shoes])
    training = np.flatnonzero(~apart)
    if not len(training):
        raise CatalogError(
            f"nothing is left to train on: the val and test lists in {lists} name {len(listed)} of the {len(ids)} "
            f"shoes of {catalog.source}, and all others are colour variants of those"
        )
    named = [each.triplets.reshape(-1) for each in read_csn(lists, ids, "test", limit=limit)]
    return Choice(
        training=training,
        test=np.unique(np.concatenate(named)),
        listed=listed,
        variants=np.setdiff1d(np.flatnonzero(apart), listed),
    )


def load_held_out(
    catalog: Catalog, choice: Choice, lists: Path, preprocessor: Preprocessor, *, limit: int | None = None
) -> HeldOut:
    """Decode the test shoes, and find their triplets; those of a shoe without a usable picture are left out."""
    images = load_images(take_shoes(catalog, choice.test), preprocessor)
    found = read_csn(lists, images.ids, "test", limit=limit)
    return HeldOut(images, {each.condition: each for each in found})
