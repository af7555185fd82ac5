"""`Sketch`, the state of one drawing, and the proportions of a shoe: its last, its height and its pose."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.demo_catalog.attributes import ShoeFacts
from training.demo_catalog.canvas import Canvas, Pose
from training.demo_catalog.outline import Last
from training.demo_catalog.palette import Scheme

# Rise of the heel over the ball for each value of HeelHeight, in foot lengths: an adult's foot is about ten inches.
_RISE = {
    "Flat": 0.012, "Under 1in": 0.065, "1in - 1 3/4in": 0.14, "2in - 2 3/4in": 0.24, "3in - 3 3/4in": 0.335,
    "4in - 4 3/4in": 0.43, "5in & over": 0.49,
}  # fmt: skip
_PLATFORM = {
    "Sneakers and Athletic Shoes": 0.085, "Loafers": 0.035, "Crib Shoes": 0.012, "Prewalker": 0.03, "Flats": 0.024,
    "Clogs and Mules": 0.085, "Oxfords": 0.036, "Firstwalker": 0.065, "Heels": 0.026, "Boat Shoes": 0.055,
    "Prewalker Boots": 0.03, "Ankle": 0.055, "Over the Knee": 0.04, "Knee High": 0.04, "Mid-Calf": 0.06,
    "Athletic": 0.10, "Heel": 0.03, "Flat": 0.05, "Boot": 0.045, "Slipper Heels": 0.035, "Slipper Flats": 0.035,
}  # fmt: skip
_SHAFT = {
    "Ankle": 0.56,
    "Mid-Calf": 0.95,
    "Knee High": 1.45,
    "Over the Knee": 1.95,
    "Boot": 0.66,
    "Prewalker Boots": 0.52,
}
_BABY = {"Crib Shoes", "Prewalker", "Firstwalker", "Prewalker Boots"}
_GIRTH = {"Men": 1.06, "Women": 0.92, "Boys": 1.2, "Girls": 1.12}
_LENGTH = {"Men": 122.0, "Women": 110.0, "Boys": 98.0, "Girls": 92.0}
_TALLEST = 85.0  # pixels
_WIDEST = 126.0
_MIDDLE = 68.0
_TIPS = {"Pointed Toe": -0.115, "Square Toe": -0.06}


@dataclass(frozen=True)
class Sketch:
    """What a builder needs: it draws on the canvas and takes every choice of shape from `rng`, the product's own.

    Attributes:
        height: how high the shoe reaches over the foot's sole, in v of the last.
    """

    facts: ShoeFacts
    scheme: Scheme
    canvas: Canvas
    rng: np.random.Generator
    height: float

    @property
    def last(self) -> Last:
        """The form that the shoe is built on."""
        return self.canvas.last

    def chance(self, share: float) -> bool:
        """Return True in `share` of the products."""
        return bool(self.rng.random() < share)

    def spread(self, low: float, high: float) -> float:
        """Return a number between `low` and `high`."""
        return low + (high - low) * float(self.rng.random())

    def closes(self, closure: str) -> bool:
        """Return whether the shoe has that closure."""
        return closure in self.facts.closure


Builder = Callable[[Sketch], None]
"""Draws the shoes of one subcategory."""


def is_kid(facts: ShoeFacts) -> bool:
    """Return whether the shoe is for boys or girls."""
    return facts.gender[0] in {"Boys", "Girls"}


def toe_tip(facts: ShoeFacts) -> float:
    """Return where the sole begins under the toe, u of the last."""
    return _TIPS.get(facts.toe[0], -0.025)


def fit_last(facts: ShoeFacts, rng: np.random.Generator) -> Last:
    """Return the form for a shoe of these facts."""
    girth = _GIRTH[facts.gender[0]] * (0.97 + 0.06 * rng.random())
    platform = _PLATFORM[facts.subcategory] * (0.9 + 0.25 * rng.random())
    if facts.subcategory in _BABY:
        girth *= 1.22
    elif is_kid(facts):
        platform *= 1.25
    elif facts.gender[0] == "Men":
        platform *= 1.12
    if facts.heel == "5in & over":
        platform += 0.10
    return Last(heel=_RISE[facts.heel], platform=platform, girth=girth, spring=0.014 + 0.012 * rng.random())


def shaft_height(facts: ShoeFacts, rng: np.random.Generator) -> float:
    """Return how high the shoe reaches over the foot's sole, in v of the last."""
    if facts.subcategory in _SHAFT:
        return _SHAFT[facts.subcategory] * (0.95 + 0.1 * float(rng.random()))
    return 0.5 if facts.category == "Sandals" or facts.subcategory == "Heels" else 0.36


def fit_pose(facts: ShoeFacts, last: Last, height: float, rng: np.random.Generator) -> Pose:
    """Return a place in the picture for a shoe of that `height` (v of the last): centred, with small changes."""
    front, back = toe_tip(facts) - 0.015, 1.04
    room = 0.08 if facts.subcategory in _SHAFT else 0.0  # for a ruff or a pull tab over the collar
    tall = last.platform + last.heel + (height + room) * last.girth
    length = _LENGTH[facts.gender[0]] * (0.86 if facts.subcategory in _BABY else 1.0)
    width = (back - front) * last.stretch
    scale = min(length / (1.05 * last.stretch), _WIDEST / width, _TALLEST / tall) * (0.96 + 0.05 * rng.random())
    left = _MIDDLE - 0.5 * scale * width - front * last.stretch * scale + 3 * (rng.random() - 0.5)
    ground = min(51 + 0.5 * scale * tall + 6, 96.0) + 3 * (rng.random() - 0.5)
    return Pose(scale=float(scale), toe=(float(left), float(ground)), tilt=float(4 * (rng.random() - 0.5)))
