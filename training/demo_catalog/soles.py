"""Soles and heels."""

import numpy as np

from training.demo_catalog.outline import Points, curve, floor, join
from training.demo_catalog.paint import Color, Surface, mix
from training.demo_catalog.sketch import Sketch

__all__ = ["draw_dress_sole", "draw_heel", "draw_lugs", "draw_unit_sole", "underside"]

_BLACK = (0, 0, 0)
_WHITE = (255, 255, 255)


def underside(sketch: Sketch, start: float, stop: float, lift: float = 0.0) -> Points:
    """Return the line of the ground under the shoe in world coordinates, with the spring of the toe, from u to u."""
    u = np.linspace(start, stop, 22)
    toe = np.clip((0.2 - u) / 0.2, 0.0, 1.5)
    return np.stack([u * sketch.last.stretch, sketch.last.spring * toe * toe + lift], axis=1)


def draw_unit_sole(
    sketch: Sketch, color: Color, tread: Color, *, tip: float = -0.01, back: float = 1.025, stripe: Color | None = None
) -> None:
    """Draw a sole in one piece, from the foot down to the ground: sneakers, slippers, rubber boots."""
    last, canvas = sketch.last, sketch.canvas
    thick = last.platform
    top = last.place(floor(tip, back, 0.012))
    heel = np.array([[back * last.stretch, thick * 0.45], [(back - 0.02) * last.stretch, 0.008]])
    toe = underside(sketch, tip + 0.02, tip + 0.008, 0.008)
    bottom = underside(sketch, back - 0.03, tip + 0.05)
    canvas.fill(join(top, heel, bottom, toe), color, Surface.SOLE, world=True)
    deep = min(0.026, thick * 0.4)
    strip = join(underside(sketch, tip + 0.03, back - 0.02), underside(sketch, back - 0.008, tip + 0.01, deep))
    canvas.tint(strip, tread, world=True)
    if stripe is not None:
        canvas.line(last.place(floor(tip + 0.02, back - 0.005, -thick * 0.28)), stripe, 0.014, world=True)
    canvas.line(last.place(floor(tip + 0.01, back - 0.01, 0.010)), mix(color, _BLACK, 0.35), 0.009, world=True)
    canvas.stand(0.05 * last.stretch, (back - 0.02) * last.stretch)


def draw_dress_sole(sketch: Sketch, color: Color, *, tip: float = -0.02, back: float = 1.0) -> None:
    """Draw a thin sole that follows the foot; a heel comes under it."""
    last, canvas = sketch.last, sketch.canvas
    thick = last.platform
    front = floor(tip + 0.02, 0.34, -thick)
    rear = floor(0.34, back - 0.01, -0.034)
    canvas.fill(join(floor(back, tip, 0.008), front, rear), color, Surface.SOLE)
    canvas.line(floor(tip + 0.01, back - 0.01, 0.004), mix(color, _WHITE, 0.28), 0.008)
    canvas.stand(0.10 * last.stretch, 0.36 * last.stretch)


def _block(sketch: Sketch, shape: str) -> tuple[Points, float, float]:
    """Return the outline of a heel in world coordinates and the stretch of ground that it stands on."""
    last = sketch.last
    stretch = last.stretch
    seat = last.platform + last.heel
    front_u, back_u, foot_front, foot_back, waist = {
        "stiletto": (0.82, 1.0, 0.925, 0.965, 0.9),
        "kitten": (0.82, 1.0, 0.895, 0.955, 0.75),
        "cone": (0.78, 1.0, 0.875, 0.965, 0.5),
        "flare": (0.78, 1.0, 0.82, 1.01, 1.2),
        "block": (0.76, 1.0, 0.785, 0.99, 0.5),
        "stack": (0.71, 1.005, 0.725, 1.0, 0.5),
    }[shape]
    top = last.place(floor(front_u, back_u, -0.02, 8))
    front_y = float(top[0, 1])
    back = curve(
        (back_u * stretch, seat - 0.02),
        ((back_u + (foot_back - back_u) * (0.75 if waist > 0.6 else 0.5)) * stretch, seat * 0.55),
        (foot_back * stretch, 0.0),
    )
    bend = min(0.5 + 0.4 * waist, 0.9)
    front = curve(
        (foot_front * stretch, 0.0),
        ((front_u + (foot_front - front_u) * bend) * stretch, front_y * 0.52),
        ((front_u + (foot_front - front_u) * 0.22) * stretch, front_y * 0.88),
        (front_u * stretch, front_y),
    )
    return join(top, back, front), foot_front * stretch, foot_back * stretch


def draw_heel(sketch: Sketch, shape: str, color: Color) -> None:
    """Draw a heel under a thin sole.

    Args:
        sketch: the shoe.
        shape: `stiletto`, `kitten`, `cone`, `flare`, `block`, `stack` (low, of leather lifts) or `wedge`.
        color: its colour; the top lift at the ground is darker.
    """
    last, canvas = sketch.last, sketch.canvas
    if shape == "wedge":
        x = last.stretch
        outline = join(last.place(floor(0.30, 1.0, -0.015)), [(0.985 * x, 0.0), (0.42 * x, 0.0), (0.30 * x, 0.004)])
        left, right = 0.4 * x, 0.985 * x
    else:
        outline, left, right = _block(sketch, shape)
    canvas.fill(outline, color, Surface.SOLE, world=True)
    if shape == "stack":
        for share in (0.33, 0.66):
            y = share * (last.heel + last.platform)
            canvas.line(np.array([[left, y], [right, y]]), mix(color, _BLACK, 0.3), 0.006, world=True)
    lift = np.array([[left, 0.0], [left, 0.02], [right, 0.02], [right, 0.0]])
    canvas.tint(lift, mix(color, _BLACK, 0.6), world=True)
    canvas.stand(left, right)


def draw_lugs(sketch: Sketch, color: Color) -> None:
    """Cut a coarse tread into the underside of a unit sole."""
    for u in np.arange(0.07, 1.0, 0.075).tolist():
        x = u * sketch.last.stretch
        notch = np.array([[x, -0.004], [x + 0.012, 0.03], [x + 0.024, 0.03], [x + 0.034, -0.004]])
        sketch.canvas.tint(notch, color, world=True)
