"""The parts that fasten and trim a shoe, each laid on an upper that is there already."""

import numpy as np

from training.demo_catalog.outline import Points, band, curve, join, loop, shift
from training.demo_catalog.paint import Color, Surface, mix
from training.demo_catalog.sketch import Sketch

__all__ = [
    "draw_ankle_strap",
    "draw_bow",
    "draw_buckle",
    "draw_gore",
    "draw_hook_straps",
    "draw_laces",
    "draw_motif",
    "draw_pull_tab",
    "draw_ruff",
    "draw_sling",
    "draw_toe",
    "draw_zip",
    "toe_points",
]

_BLACK = (0, 0, 0)
_WHITE = (255, 255, 255)

# From the vamp over the tip down to the sole, for a vamp of usual height.
_TOES: dict[str, tuple[tuple[float, float], ...]] = {
    "Round Toe": ((0.24, 0.178), (0.13, 0.160), (0.04, 0.122), (-0.005, 0.060), (0.005, 0.0)),
    "Almond": ((0.24, 0.160), (0.12, 0.126), (0.03, 0.082), (-0.035, 0.032), (-0.02, 0.0)),
    "Pointed Toe": ((0.24, 0.150), (0.11, 0.102), (0.00, 0.060), (-0.105, 0.020), (-0.11, 0.0)),
    "Square Toe": ((0.24, 0.150), (0.10, 0.126), (-0.02, 0.112), (-0.048, 0.104), (-0.055, 0.085), (-0.055, 0.0)),
    "Bump Toe": ((0.24, 0.170), (0.15, 0.178), (0.05, 0.160), (-0.01, 0.085), (0.0, 0.0)),
    "Peep Toe": ((0.24, 0.160), (0.14, 0.135), (0.085, 0.112), (0.065, 0.060), (0.075, 0.0)),
    "Open Toe": ((0.26, 0.170), (0.21, 0.150), (0.170, 0.120), (0.150, 0.060), (0.155, 0.0)),
}


def toe_points(sketch: Sketch, height: float = 1.0) -> tuple[tuple[float, float], ...]:
    """Return the points of the toe, from the vamp down to the sole, of a vamp `height` times the usual."""
    style = next((word for word in sketch.facts.toe if word in _TOES), "Round Toe")
    return tuple((u, v * height) for u, v in _TOES[style])


def draw_toe(sketch: Sketch, profile: Points, *, cap: Color | None = None) -> None:
    """Draw the cap, wings, perforations or apron that the toe style asks for.

    Args:
        sketch: the shoe.
        profile: the upper's edge from the throat over the toe to the sole, in (u, v).
        cap: colour of a toe cap; by default a shade of the upper.
    """
    canvas, scheme, toe = sketch.canvas, sketch.scheme, sketch.facts.toe
    color = cap or mix(scheme.main, _BLACK, 0.3)
    if "Capped Toe" in toe:
        tip = profile[profile[:, 0] < 0.17]
        top = tip[0]
        seam = curve((0.15, 0.0), (0.185, float(top[1]) * 0.55), (float(top[0]), float(top[1])))
        canvas.tint(join(tip, seam), color)
        canvas.line(seam, scheme.seam, 0.012)
        canvas.stitch(shift(seam, 0.018, 0.0), mix(scheme.main, _WHITE, 0.4))
    if "Wingtip" in toe:
        tip = profile[profile[:, 0] < 0.235]
        top = tip[0]
        wing = curve((0.42, 0.0), (0.33, 0.055), (0.25, 0.085), (float(top[0]), float(top[1])))
        canvas.tint(join(tip, np.array([[0.05, 0.0], [0.42, 0.0]]), wing), color)
        canvas.line(wing, scheme.seam, 0.012)
        canvas.dots(shift(wing[::3], -0.006, -0.02), scheme.seam, 0.0075)
        canvas.dots(np.array([[0.10, 0.105], [0.13, 0.115], [0.115, 0.085], [0.145, 0.09]]), scheme.seam, 0.007)
    if "Moc Toe" in toe or "Apron Toe" in toe:
        apron = curve((0.33, 0.165), (0.22, 0.125), (0.11, 0.098), (0.045, 0.088))
        upper = profile[(profile[:, 0] < 0.35) & (profile[:, 1] > 0.09)]
        if "Apron Toe" in toe:
            canvas.tint(join(upper, apron[::-1]), mix(scheme.main, _WHITE, 0.14))
        canvas.line(apron, scheme.seam, 0.018)
        canvas.stitch(shift(apron, 0.0, 0.014), mix(scheme.main, _WHITE, 0.35), width=0.009)


def draw_laces(sketch: Sketch, edge: Points, count: int, *, reach: float = 0.055) -> None:
    """Draw `count` rows of laces over the front `edge` (top first), with eyelets at their ends."""
    canvas, color = sketch.canvas, sketch.scheme.lace
    at = np.linspace(0.04, 0.96, count) * (len(edge) - 1)
    for index in at.round().astype(int).tolist():
        before, after = edge[max(index - 1, 0)], edge[min(index + 1, len(edge) - 1)]
        along = (after - before) / max(float(np.hypot(*(after - before))), 1e-6)
        inward = np.array([-along[1], along[0]])
        inward = inward if inward[0] > 0 else -inward
        start = edge[index] - inward * 0.012
        end = edge[index] + inward * reach - along * 0.012
        canvas.dots(end[None], mix(sketch.scheme.main, _BLACK, 0.5), 0.012)
        canvas.fill(band(np.stack([start, end]), 0.021), color)
        canvas.line(np.stack([start, end]) + along * 0.011, mix(color, _BLACK, 0.35), 0.005)
    _draw_lace_bow(sketch, edge[0])


def _draw_lace_bow(sketch: Sketch, at: Points) -> None:
    u, v = float(at[0]), float(at[1])
    canvas, color = sketch.canvas, sketch.scheme.lace
    for du, dv in ((0.085, 0.004), (0.05, -0.055)):
        near = loop((u, v), (u + du * 0.6, v + dv + 0.028), (u + du, v + dv), (u + du * 0.5, v + dv - 0.014))
        canvas.fill(near, color)
        canvas.line(near, mix(color, _BLACK, 0.4), 0.006)


def draw_hook_straps(sketch: Sketch, edge: Points, count: int, *, color: Color, width: float = 0.09) -> None:
    """Draw hook-and-loop straps from the front `edge` (top first) down the side, each with its stitched tab."""
    canvas = sketch.canvas
    places = np.linspace(0.12, 0.80, count) if count > 1 else np.array([0.25])
    for index in (places * (len(edge) - 1)).round().astype(int).tolist():
        top = edge[index]
        u, v = float(top[0]), float(top[1])
        center = curve((u - 0.016, v + 0.012), (u + 0.055, v - 0.03), (u + 0.13, v - 0.12))
        shape = band(center, width, width * 0.92)
        canvas.tint(shift(shape, 0.008, -0.012), mix(sketch.scheme.main, _BLACK, 0.45))
        canvas.fill(shape, color, Surface.SECOND)
        canvas.line(shape, mix(color, _BLACK, 0.4), 0.008)
        end = band(center[-5:], width * 0.62)
        canvas.line(np.concatenate([end, end[:1]]), mix(color, _WHITE, 0.55), 0.007)


def draw_buckle(sketch: Sketch, u: float, v: float, size: float = 0.05) -> None:
    """Draw a metal buckle with its pin."""
    canvas, metal = sketch.canvas, sketch.scheme.metal
    frame = loop((u - size, v), (u - size * 0.8, v + size * 0.8), (u + size * 0.8, v + size * 0.8), (u + size, v),
                 (u + size * 0.8, v - size * 0.8), (u - size * 0.8, v - size * 0.8))  # fmt: skip
    canvas.line(np.concatenate([frame, frame[:1]]), mix(metal, _BLACK, 0.55), 0.034)
    canvas.line(np.concatenate([frame, frame[:1]]), metal, 0.022)
    canvas.line(np.array([[u - size, v], [u + size * 0.5, v]]), mix(metal, _WHITE, 0.4), 0.014)


def draw_zip(sketch: Sketch, line: Points) -> None:
    """Draw a zip along `line` (top first): dark tape, metal teeth, a slider with its pull."""
    canvas, metal = sketch.canvas, sketch.scheme.metal
    canvas.line(line, mix(sketch.scheme.main, _BLACK, 0.62), 0.042)
    canvas.stitch(line, metal, width=0.022)
    u, v = float(line[0, 0]), float(line[0, 1])
    canvas.tint(band(np.array([[u, v], [u + 0.01, v - 0.10]]), 0.032, 0.042), metal)
    canvas.line(np.array([[u, v - 0.02], [u + 0.01, v - 0.09]]), mix(metal, _BLACK, 0.5), 0.01)


def draw_gore(sketch: Sketch, left: Points, right: Points) -> None:
    """Draw an elastic panel between two lines that run from its top down: dark, with fine ribs."""
    canvas = sketch.canvas
    color = mix(sketch.scheme.main, (40, 40, 44), 0.72)
    canvas.tint(join(left, right[::-1]), color)
    for share in (0.2, 0.4, 0.6, 0.8):
        canvas.line(left * (1 - share) + right * share, mix(color, _WHITE, 0.3), 0.007)
    for edge in (left, right):
        canvas.line(edge, sketch.scheme.seam, 0.012)


def draw_pull_tab(sketch: Sketch, u: float, v: float, color: Color) -> None:
    """Draw the loop by which a boot is pulled on, standing over its collar."""
    tab = curve((u - 0.03, v - 0.07), (u - 0.032, v + 0.02), (u, v + 0.05), (u + 0.032, v + 0.02), (u + 0.03, v - 0.07))
    sketch.canvas.line(tab, mix(color, _BLACK, 0.45), 0.044)
    sketch.canvas.fill(band(tab, 0.028), color, Surface.PLAIN)


def draw_ankle_strap(sketch: Sketch, v: float, color: Color, *, front: float = 0.64, buckle: bool = True) -> None:
    """Draw a strap round the ankle at the height `v`: its far side, then its near side with the buckle."""
    canvas = sketch.canvas
    far = curve((front, v), (front + 0.10, v + 0.045), (0.90, v + 0.045), (0.985, v + 0.01))
    near = curve((front, v), (front + 0.08, v - 0.035), (0.86, v - 0.045), (0.985, v + 0.01))
    canvas.fill(band(far, 0.028), mix(color, _BLACK, 0.45))
    canvas.fill(band(near, 0.042), color, Surface.UPPER)
    if buckle:
        draw_buckle(sketch, front + 0.10, v - 0.036, 0.034)


def draw_sling(sketch: Sketch, height: float, *, start: float = 0.50, width: float = 0.04) -> None:
    """Draw a strap that runs from the sides of the foot round the heel at `height`: far side, then near side."""
    color = sketch.scheme.main
    far = curve((0.985, height), (0.82, height * 0.85), (start + 0.08, 0.04))
    sketch.canvas.line(far, mix(color, _BLACK, 0.5), width * 0.7)
    near = curve((start, 0.04), (start + 0.14, height * 0.45), (0.82, height * 0.78), (0.985, height))
    sketch.canvas.fill(band(near, width), color, Surface.UPPER)


def draw_bow(sketch: Sketch, u: float, v: float, size: float, color: Color) -> None:
    """Draw a flat bow."""
    canvas = sketch.canvas
    dark = mix(color, _BLACK, 0.35)
    for side in (-1, 1):
        wing = loop(
            (u, v), (u + side * size, v + size * 0.62), (u + side * size * 1.15, v), (u + side * size, v - size * 0.55)
        )
        canvas.fill(wing, color, Surface.UPPER)
        canvas.line(wing, dark, 0.007)
    canvas.dots(np.array([[u, v]]), dark, size * 0.26)


def draw_ruff(sketch: Sketch, line: Points, width: float, color: Color) -> None:
    """Draw a collar of fur or fleece along `line`: many small tufts."""
    canvas, rng = sketch.canvas, sketch.rng
    canvas.fill(band(line, width * 0.8), color, Surface.SECOND)
    at = np.linspace(0, len(line) - 1.001, 45)
    index = at.astype(int)
    share = (at - index)[:, None]
    tufts = line[index] * (1 - share) + line[index + 1] * share
    tufts += (rng.random(tufts.shape) - 0.5) * (width * 0.55)
    for start, dark in enumerate((0.10, 0.0, 0.05)):
        canvas.dots(tufts[start::3], mix(color, _BLACK, dark), width * 0.30, Surface.SECOND)


def draw_motif(sketch: Sketch, u: float, v: float, size: float) -> None:
    """Draw what a child likes on its shoe: a flower for girls, a star for boys, a ball for both."""
    canvas, color = sketch.canvas, sketch.scheme.accent
    if len(sketch.facts.gender) > 1:
        canvas.dots(np.array([[u, v]]), color, size)
    elif sketch.facts.gender[0] == "Girls":
        angles = np.linspace(0, 5.03, 5)
        canvas.dots(
            np.array([u, v]) + 0.8 * size * np.stack([np.cos(angles), np.sin(angles)], axis=1), color, size * 0.5
        )
        canvas.dots(np.array([[u, v]]), mix(sketch.scheme.main, _WHITE, 0.5), size * 0.4)
    else:
        angles = np.arange(10) * np.pi / 5 + np.pi / 2
        radii = np.where(np.arange(10) % 2 == 0, 1.25, 0.55) * size
        canvas.tint(np.array([u, v]) + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1), color)
