"""Attributes of the demo catalogue's shoes: the vocabulary of UT-Zap50K's meta-data.csv and the frequency of each word.

A product is drawn at random from its own seed, so it is the same in a catalogue of any size.
"""

from bisect import bisect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from training.demo_catalog.palette import COLORS, colors_for

COLUMNS = ("CID", "Category", "SubCategory", "HeelHeight", "Insole", "Closure", "Gender", "Material", "ToeStyle")

BRANDS = (
    "Alderfoot", "Bramblewalk", "Cinderlane", "Dovetail Row", "Ellerby", "Fennimore Kids", "Galosha", "Harrow & Pine",
    "Ilmen", "Juniper Strand", "Kestrel Run", "Lindqvale", "Marrowby", "Northquay", "Ostrava Lane", "Pebblehop",
    "Quillon", "Rosamara", "Saltmarsh", "Tamber", "Umberto Vale", "Velloria", "Wickenby", "Yarrowstep",
)  # fmt: skip
"""Invented names; none is a maker of shoes."""

Weights = Mapping[str, float]

_FIRST_PRODUCT = 7_000_100
_PRODUCT_STEP = 13
_COLOR_SHARES = (0.45, 0.75, 0.93, 1.0)  # cumulative: one, two, three or four colours of a product
_GOLDEN = 0.6180339887498949  # its multiples spread evenly over [0, 1): rare kinds come up in small catalogues too
_LOW_HEELS = ("Flat", "Under 1in", "1in - 1 3/4in")


@dataclass(frozen=True)
class Kind:
    """One subcategory: its share of the catalogue, and the probabilities of its shoes' attribute values.

    In `closure`, `material` and `toe`, a `;` joins several values of one shoe.
    """

    category: str
    subcategory: str
    share: float
    gender: Weights
    heel: Weights
    closure: Weights
    material: Weights
    toe: Weights
    insole: Weights
    bright: float = 0.0


@dataclass(frozen=True)
class ShoeFacts:
    """The attributes of one shoe: the complete input of `draw_shoe`.

    Attributes:
        seed, product, variant: the catalogue's seed, the product's number in it, the number of the colour.
        color: the name of the main colour.
        bright: whether the shoe takes sporty colours rather than sober ones.
    """

    seed: int
    product: int
    variant: int
    brand: str
    category: str
    subcategory: str
    heel: str
    insole: str
    closure: tuple[str, ...]
    gender: tuple[str, ...]
    material: tuple[str, ...]
    toe: tuple[str, ...]
    color: str
    bright: bool

    @property
    def product_id(self) -> int:
        """The product's id, which its colour variants share."""
        return _FIRST_PRODUCT + self.product * _PRODUCT_STEP

    @property
    def color_id(self) -> int:
        """The colour's id."""
        return COLORS[self.color][0]

    @property
    def path(self) -> str:
        """The picture's place under the image folder, with forward slashes."""
        return f"{self.category}/{self.subcategory}/{self.brand}/{self.product_id}.{self.color_id}.jpg"

    @property
    def attributes(self) -> dict[str, str]:
        """The shoe's row of meta-data.csv, by column."""
        values = (
            f"{self.product_id}-{self.color_id}",
            self.category,
            self.subcategory,
            self.heel,
            self.insole,
            ";".join(self.closure),
            ";".join(self.gender),
            ";".join(self.material),
            ";".join(self.toe),
        )
        return dict(zip(COLUMNS, values, strict=True))


_ALL = {"Men": 0.4, "Women": 0.4, "Boys": 0.1, "Girls": 0.1}
_BABY = {"Boys": 0.4, "Girls": 0.45, "Boys;Girls": 0.15}
_LADIES = {"Women": 0.94, "Girls": 0.06}
_WOMEN = {"Women": 1.0}
_FLAT = {"Flat": 1.0}
_LOW = {"Flat": 0.5, "Under 1in": 0.3, "1in - 1 3/4in": 0.2}
_HIGH = {
    "1in - 1 3/4in": 0.14, "2in - 2 3/4in": 0.24, "3in - 3 3/4in": 0.28, "4in - 4 3/4in": 0.24, "5in & over": 0.10,
}  # fmt: skip
_BOOT_HEELS = {
    "Flat": 0.2, "Under 1in": 0.2, "1in - 1 3/4in": 0.25, "2in - 2 3/4in": 0.14, "3in - 3 3/4in": 0.12,
    "4in - 4 3/4in": 0.09,
}  # fmt: skip
_LEATHERS = {"Leather": 0.55, "Suede": 0.2, "Patent Leather": 0.12, "Nubuck": 0.13}
_SOFT = {"Leather": 0.35, "Canvas": 0.25, "Fleece": 0.15, "Wool": 0.1, "Suede": 0.15}
_CLOSED = {"Round Toe": 0.5, "Almond": 0.2, "Square Toe": 0.12, "Pointed Toe": 0.18}
_PLAIN_INSOLE = {"": 0.6, "Leather": 0.25, "Padded": 0.15}
_SPORT_INSOLE = {"": 0.5, "Padded": 0.2, "Removable": 0.2, "EVA": 0.1}
_WARM_INSOLE = {"": 0.4, "Fleece": 0.3, "Shearling": 0.15, "Memory Foam": 0.15}

KINDS = (
    Kind("Shoes", "Sneakers and Athletic Shoes", 0.17,
         {"Men": 0.34, "Women": 0.34, "Boys": 0.16, "Girls": 0.16}, _LOW,
         {"Lace up": 0.62, "Hook and Loop": 0.18, "Slip-On": 0.08, "Elastic Gore;Slip-On": 0.06,
          "Lace up;Zipper": 0.06},
         {"Mesh;Synthetic": 0.3, "Leather": 0.22, "Suede;Mesh": 0.14, "Canvas": 0.2, "Synthetic": 0.14},
         {"Round Toe": 0.62, "Capped Toe": 0.38}, _SPORT_INSOLE, 1.0),
    Kind("Shoes", "Heels", 0.12, _LADIES, _HIGH,
         {"Slip-On": 0.5, "Ankle Strap;Buckle": 0.22, "Sling Back": 0.16, "T-Strap;Buckle": 0.12},
         {"Leather": 0.35, "Patent Leather": 0.25, "Suede": 0.2, "Satin": 0.12, "Glitter": 0.08},
         {"Pointed Toe": 0.3, "Round Toe": 0.22, "Almond": 0.16, "Peep Toe": 0.2, "Square Toe": 0.12}, _PLAIN_INSOLE),
    Kind("Boots", "Ankle", 0.11, {"Men": 0.35, "Women": 0.45, "Boys": 0.1, "Girls": 0.1}, _BOOT_HEELS,
         {"Lace up": 0.36, "Zipper": 0.26, "Elastic Gore;Pull-on": 0.2, "Buckle": 0.12, "Hook and Loop": 0.06},
         {"Leather": 0.5, "Suede": 0.25, "Nubuck": 0.13, "Patent Leather": 0.06, "Canvas": 0.06},
         {**_CLOSED, "Capped Toe": 0.15}, _PLAIN_INSOLE, 0.1),
    Kind("Shoes", "Flats", 0.09, {"Women": 0.75, "Girls": 0.25}, {"Flat": 0.6, "Under 1in": 0.4},
         {"Slip-On": 0.62, "Ankle Strap;Buckle": 0.18, "Hook and Loop": 0.1, "Elastic Gore;Slip-On": 0.1},
         {**_LEATHERS, "Satin": 0.08, "Glitter": 0.08, "Velvet": 0.06, "Canvas": 0.08},
         {"Round Toe": 0.36, "Pointed Toe": 0.22, "Almond": 0.16, "Square Toe": 0.08, "Capped Toe": 0.1,
          "Peep Toe": 0.08}, _PLAIN_INSOLE, 0.2),
    Kind("Shoes", "Oxfords", 0.08, {"Men": 0.72, "Women": 0.2, "Boys": 0.08}, _LOW,
         {"Lace up": 0.8, "Monk Strap;Buckle": 0.2}, _LEATHERS,
         {"Wingtip;Medallion": 0.25, "Capped Toe": 0.25, "Round Toe": 0.2, "Square Toe": 0.15, "Pointed Toe": 0.15},
         _PLAIN_INSOLE),
    Kind("Shoes", "Loafers", 0.07, {"Men": 0.5, "Women": 0.4, "Boys": 0.1}, _LOW,
         {"Slip-On": 0.85, "Elastic Gore;Slip-On": 0.15}, _LEATHERS,
         {"Moc Toe": 0.45, "Apron Toe": 0.2, "Round Toe": 0.15, "Square Toe": 0.12, "Almond": 0.08}, _PLAIN_INSOLE),
    Kind("Sandals", "Flat", 0.055, _ALL, {"Flat": 0.75, "Under 1in": 0.25},
         {"Slip-On": 0.5, "Buckle": 0.28, "Ankle Strap;Buckle": 0.14, "Sling Back": 0.08},
         {"Leather": 0.55, "Synthetic": 0.2, "Rubber": 0.15, "Suede": 0.1}, {"Open Toe": 1.0},
         {"": 0.6, "Leather": 0.2, "Cork": 0.2}, 0.3),
    Kind("Boots", "Mid-Calf", 0.065, {"Men": 0.3, "Women": 0.5, "Boys": 0.1, "Girls": 0.1}, _BOOT_HEELS,
         {"Lace up": 0.28, "Zipper": 0.24, "Pull-on": 0.32, "Buckle;Pull-on": 0.16},
         {"Leather": 0.45, "Suede": 0.25, "Rubber": 0.15, "Nylon": 0.15}, {**_CLOSED, "Capped Toe": 0.1},
         _PLAIN_INSOLE, 0.15),
    Kind("Boots", "Knee High", 0.05, {"Women": 0.85, "Girls": 0.15}, _BOOT_HEELS,
         {"Zipper": 0.5, "Pull-on": 0.3, "Buckle;Zipper": 0.2}, {"Leather": 0.55, "Suede": 0.3, "Patent Leather": 0.15},
         _CLOSED, _PLAIN_INSOLE),
    Kind("Sandals", "Heel", 0.045, _LADIES, _HIGH,
         {"Ankle Strap;Buckle": 0.42, "Slip-On": 0.34, "Sling Back;Buckle": 0.24},
         {"Leather": 0.4, "Patent Leather": 0.2, "Suede": 0.16, "Satin": 0.12, "Glitter": 0.12}, {"Open Toe": 1.0},
         _PLAIN_INSOLE, 0.1),
    Kind("Shoes", "Clogs and Mules", 0.04, {"Men": 0.25, "Women": 0.5, "Boys": 0.12, "Girls": 0.13},
         {"Flat": 0.4, "Under 1in": 0.2, "1in - 1 3/4in": 0.2, "2in - 2 3/4in": 0.2}, {"Slip-On": 0.7, "Buckle": 0.3},
         {"Leather": 0.4, "Suede": 0.25, "EVA": 0.25, "Wool": 0.1},
         {"Round Toe": 0.6, "Closed Toe": 0.2, "Square Toe": 0.2}, {"": 0.6, "Cork": 0.4}, 0.2),
    Kind("Shoes", "Boat Shoes", 0.03, {"Men": 0.5, "Women": 0.25, "Boys": 0.15, "Girls": 0.1},
         {"Flat": 0.7, "Under 1in": 0.3}, {"Lace up": 0.8, "Slip-On": 0.1, "Hook and Loop": 0.1},
         {"Leather": 0.5, "Canvas": 0.25, "Suede": 0.13, "Nubuck": 0.12}, {"Moc Toe": 1.0}, _PLAIN_INSOLE, 0.25),
    Kind("Sandals", "Athletic", 0.03, _ALL, {"Flat": 0.55, "Under 1in": 0.3, "1in - 1 3/4in": 0.15},
         {"Hook and Loop": 0.75, "Buckle": 0.15, "Slip-On": 0.1}, {"Synthetic": 0.5, "Nylon": 0.2, "Leather": 0.3},
         {"Open Toe": 0.75, "Bump Toe": 0.25}, _SPORT_INSOLE, 0.8),
    Kind("Slippers", "Slipper Flats", 0.03, _ALL, _FLAT, {"Slip-On": 0.9, "Hook and Loop": 0.1},
         {"Suede": 0.25, "Felt": 0.2, "Fleece": 0.15, "Wool": 0.12, "Terry": 0.13, "Corduroy": 0.15},
         {"Round Toe": 0.6, "Moc Toe": 0.25, "Open Toe": 0.15}, _WARM_INSOLE, 0.3),
    Kind("Shoes", "Prewalker", 0.02, _BABY, _FLAT, {"Hook and Loop": 0.5, "Lace up": 0.25, "Slip-On": 0.25},
         {"Leather": 0.5, "Canvas": 0.3, "Suede": 0.2}, {"Round Toe": 1.0}, _PLAIN_INSOLE, 1.0),
    Kind("Shoes", "Firstwalker", 0.02, _BABY, {"Flat": 0.6, "Under 1in": 0.4},
         {"Hook and Loop": 0.5, "Lace up": 0.4, "Buckle": 0.1},
         {"Leather": 0.5, "Mesh;Synthetic": 0.2, "Canvas": 0.3}, {"Round Toe": 0.6, "Capped Toe": 0.4},
         _PLAIN_INSOLE, 1.0),
    Kind("Boots", "Over the Knee", 0.015, _WOMEN, _BOOT_HEELS, {"Zipper": 0.6, "Pull-on": 0.4},
         {"Leather": 0.4, "Suede": 0.4, "Patent Leather": 0.2}, _CLOSED, _PLAIN_INSOLE),
    Kind("Shoes", "Crib Shoes", 0.015, _BABY, _FLAT, {"Slip-On": 0.45, "Hook and Loop": 0.35, "Lace up": 0.2},
         _SOFT, {"Round Toe": 1.0}, _PLAIN_INSOLE, 1.0),
    Kind("Boots", "Prewalker Boots", 0.015, _BABY, _FLAT, {"Hook and Loop": 0.45, "Pull-on": 0.35, "Lace up": 0.2},
         _SOFT, {"Round Toe": 1.0}, _WARM_INSOLE, 1.0),
    Kind("Slippers", "Boot", 0.015, {"Men": 0.2, "Women": 0.5, "Boys": 0.12, "Girls": 0.18}, _FLAT,
         {"Pull-on": 0.75, "Hook and Loop": 0.25},
         {"Suede": 0.35, "Fleece": 0.2, "Wool": 0.25, "Nylon": 0.2}, {"Round Toe": 1.0}, _WARM_INSOLE, 0.3),
    Kind("Slippers", "Slipper Heels", 0.015, _WOMEN,
         {"Under 1in": 0.2, "1in - 1 3/4in": 0.4, "2in - 2 3/4in": 0.4}, {"Slip-On": 1.0},
         {"Satin": 0.35, "Velvet": 0.3, "Terry": 0.2, "Suede": 0.15}, {"Open Toe": 0.65, "Round Toe": 0.35},
         _WARM_INSOLE, 0.5),
)  # fmt: skip
"""The 21 subcategories; their shares sum to about 1."""


def _pick(weights: Weights, at: float) -> str:
    """Return the word of `weights` at the quantile `at` in [0, 1)."""
    bounds = list(accumulate(weights.values()))
    return list(weights)[min(bisect(bounds, at * bounds[-1]), len(bounds) - 1)]


def _kind_of(product: int, seed: int) -> Kind:
    start = np.random.default_rng([seed, 0]).random()
    bounds = list(accumulate(kind.share for kind in KINDS))
    at = (start + product * _GOLDEN) % 1.0 * bounds[-1]
    return KINDS[min(bisect(bounds, at), len(KINDS) - 1)]


def product_facts(product: int, seed: int = 0) -> list[ShoeFacts]:
    """Return the shoes of the product of this number, from 0, one for each colour it comes in."""
    rng = np.random.default_rng([seed, 1, product])
    kind = _kind_of(product, seed)
    gender = tuple(_pick(kind.gender, rng.random()).split(";"))
    heels = kind.heel
    if gender[0] != "Women":
        heels = {heel: heels[heel] for heel in _LOW_HEELS if heel in heels}
    words = [_pick(weights, rng.random()) for weights in (heels, kind.insole, kind.closure, kind.material, kind.toe)]
    brand = BRANDS[int(rng.random() * len(BRANDS))]
    bright = bool(rng.random() < kind.bright)
    colors = colors_for(gender, bright=bright, rng=rng)[: 1 + bisect(_COLOR_SHARES, rng.random())]
    heel, insole = words[0], words[1]
    closure, material, toe = (tuple(word.split(";")) for word in words[2:])
    return [
        ShoeFacts(seed, product, variant, brand, kind.category, kind.subcategory, heel, insole, closure, gender,
                  material, toe, color, bright)
        for variant, color in enumerate(colors)
    ]  # fmt: skip


def plan_shoes(count: int, seed: int = 0) -> Iterator[ShoeFacts]:
    """Yield the first `count` shoes of the catalogue of `seed`, colour variants of a product one after the other."""
    left, product = count, 0
    while left > 0:
        for facts in product_facts(product, seed)[:left]:
            yield facts
            left -= 1
        product += 1
