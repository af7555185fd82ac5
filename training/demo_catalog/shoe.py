"""`draw_shoe`: the picture of one shoe of the demo catalogue, a pure function of its attributes."""

import numpy as np
from PIL import Image

from training.demo_catalog import boots, sandals, shoes, slippers
from training.demo_catalog.attributes import ShoeFacts
from training.demo_catalog.canvas import Canvas, Light, look_of
from training.demo_catalog.palette import scheme_for
from training.demo_catalog.sketch import Sketch, fit_last, fit_pose, shaft_height

_BUILDERS = {**shoes.BUILDERS, **boots.BUILDERS, **sandals.BUILDERS, **slippers.BUILDERS}


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
    _BUILDERS[facts.category, facts.subcategory](Sketch(facts, scheme, canvas, shape, height))
    light = Light(
        side=0.8 * (float(shot.random()) - 0.5) - 0.15,
        strength=0.85 + 0.3 * float(shot.random()),
        shadow=0.28 + 0.2 * float(shot.random()),
        offset=(int(shot.random() * 24), int(shot.random() * 24)),
    )
    soft = facts.category == "Slippers" or facts.subcategory.startswith(("Crib", "Prewalker"))
    second = "Fleece" if soft else facts.material[-1]
    return canvas.finish(look_of(facts.material[0]), look_of(second), light), facts.attributes
