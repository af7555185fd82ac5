"""Presets: named sets of defaults for `train`, and the choice between `catalog` and `photos`."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from model.catalog import Catalog
from model.errors import ImageError
from model.framing import find_plain_colour
from model.preprocess import PreprocessConfig, Preprocessor
from training.distributed import count_processes

MIN_SHOES = 200
"""Shoes that a catalogue needs for `photos`: a localizer learns from their outlines."""

SAMPLED = 64
"""Pictures that are checked for a plain margin."""

MIN_PLAIN_SHARE = 0.5
"""Share of them that must have one for `photos`."""

ANALYSED_SIDE = 160
"""Longest side, in pixels, at which they are checked."""

PRESETS: Mapping[str, Mapping[str, object]] = {
    "catalog": {},
    "demo": {"epochs": 10},
    "photos": {
        "network": "shoes-large",
        "latent_size": 128,
        "photo_views": 4,
        "epochs": 24,
        "batch_size": 128,
        "reframe": 1.0,
        "brighten": 0.1,
        "erase": 0.3,
        "triplet_weight": 1500.0,
        "label_weight": 1500.0,
        "instance_weight": 500.0,
    },
    "mnist": {
        "network": "mnist",
        "latent_size": 20,
        "likelihood": "bernoulli",
        "triplet_weight": 300.0,
        "margin": 0.5,
        "smooth": False,
        "flip": 0.0,
        "reframe": 1.0,
        "epochs": 16,
        "batch_size": 128,
    },
}
"""Name -> option of `train` -> its default.

`catalog` is for questions of the catalogue's own kind, `photos` for photos with any background as well. `demo` takes a
third of the usual epochs, for a first look. `mnist` is for pictures of digits in a folder for each digit.
"""


class Choice(NamedTuple):
    """A preset that was chosen, and why, for a person."""

    preset: str
    reason: str


def choose_preset(catalog: Catalog) -> Choice:
    """`photos` where shoes can be cut out of the catalogue's pictures, to be put before other backgrounds.

    That needs plain margins, enough shoes, and one process.
    """
    count = len(catalog.shoes)
    if count < MIN_SHOES:
        return Choice("catalog", f"{count} shoes are too few to learn from photos; {MIN_SHOES} are needed")
    if count_processes() > 1:
        return Choice("catalog", "several processes can't learn from photos together")
    preprocessor = Preprocessor(PreprocessConfig())
    plain = readable = 0
    for index in np.unique(np.linspace(0, count - 1, SAMPLED).astype(int)):
        try:
            picture = preprocessor.render(catalog.shoes[index].image.read_bytes(), ANALYSED_SIDE)
        except (OSError, ImageError):
            continue
        readable += 1
        plain += find_plain_colour(np.asarray(picture)) is not None
    found = f"{plain} of {readable} pictures that were looked at have a plain margin to cut the shoe out of"
    if readable and plain >= MIN_PLAIN_SHARE * readable:
        return Choice("photos", f"{found}; --preset catalog is faster, and finds no shoes in photos")
    return Choice("catalog", found)
