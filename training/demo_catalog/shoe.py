"""One shoe of the demo catalogue, drawn from its facts alone."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from training.demo_catalog.attributes import ShoeFacts
from training.demo_catalog.boots import build_boot, build_slipper_boot
from training.demo_catalog.paint import Canvas, Light
from training.demo_catalog.palette import scheme_for
from training.demo_catalog.sandals import build_athletic_sandal, build_flat_sandal, build_heel_sandal
from training.demo_catalog.shoes import (
    build_boat_shoe,
    build_clog,
    build_flat,
    build_heels,
    build_loafer,
    build_oxford,
    build_sneaker,
)  # fmt: skip
from training.demo_catalog.sketch import Sketch, fit_last, fit_pose, shaft_height
from training.demo_catalog.slippers import (
    build_baby_boot,
    build_crib_shoe,
    build_firstwalker,
    build_slipper_flat,
    build_slipper_heel,
)  # fmt: skip
from training.demo_catalog.texture import look_of

__all__ = ["draw_shoe"]

_LOW: dict[tuple[str, str], Callable[[Sketch], None]] = {
    ("Shoes", "Sneakers and Athletic Shoes"): build_sneaker,
    ("Shoes", "Loafers"): build_loafer,
    ("Shoes", "Crib Shoes"): build_crib_shoe,
    ("Shoes", "Prewalker"): build_crib_shoe,
    ("Shoes", "Flats"): build_flat,
    ("Shoes", "Clogs and Mules"): build_clog,
    ("Shoes", "Oxfords"): build_oxford,
    ("Shoes", "Firstwalker"): build_firstwalker,
    ("Shoes", "Heels"): build_heels,
    ("Shoes", "Boat Shoes"): build_boat_shoe,
    ("Sandals", "Athletic"): build_athletic_sandal,
    ("Sandals", "Flat"): build_flat_sandal,
    ("Sandals", "Heel"): build_heel_sandal,
    ("Slippers", "Slipper Flats"): build_slipper_flat,
    ("Slippers", "Slipper Heels"): build_slipper_heel,
}
_HIGH: dict[tuple[str, str], Callable[[Sketch, float], None]] = {
    ("Boots", "Prewalker Boots"): build_baby_boot,
    ("Boots", "Ankle"): build_boot,
    ("Boots", "Mid-Calf"): build_boot,
    ("Boots", "Knee High"): build_boot,
    ("Boots", "Over the Knee"): build_boot,
    ("Slippers", "Boot"): build_slipper_boot,
}


def draw_shoe(facts: ShoeFacts) -> tuple[Image.Image, dict[str, str]]:
    """Draw one shoe.

    The shape comes from the product, so its colour variants share it; colours, light and pose are the variant's own.

    Returns:
        The picture, (136, 102) RGB with the toe to the left, and the shoe's row of meta-data.csv by column.
    """
    shape = np.random.default_rng([facts.seed, 2, facts.product])
    shot = np.random.default_rng([facts.seed, 3, facts.product, facts.variant])
    last = fit_last(facts, shape)
    height = shaft_height(facts, shape)
    canvas = Canvas(last, fit_pose(facts, last, height, shot))
    scheme = scheme_for(facts.color, facts.gender, facts.insole, bright=facts.bright, rng=shot)
    sketch = Sketch(facts, scheme, canvas, shape)
    kind = (facts.category, facts.subcategory)
    if kind in _HIGH:
        _HIGH[kind](sketch, height)
    else:
        _LOW[kind](sketch)
    light = Light(
        side=0.8 * (float(shot.random()) - 0.5) - 0.15,
        strength=0.85 + 0.3 * float(shot.random()),
        shadow=0.28 + 0.2 * float(shot.random()),
        offset=(int(shot.random() * 24), int(shot.random() * 24)),
    )
    second = (
        "Fleece"
        if facts.category == "Slippers" or facts.subcategory.startswith(("Crib", "Prewalker"))
        else facts.material[-1]
    )
    return canvas.finish(look_of(facts.material[0]), look_of(second), light), facts.attributes
