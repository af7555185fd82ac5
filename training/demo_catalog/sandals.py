"""Builders of sandals: athletic, flat, on a heel."""

import numpy as np

from training.demo_catalog import parts
from training.demo_catalog.canvas import Surface, darken, lighten, mix
from training.demo_catalog.outline import band, curve, join, shift
from training.demo_catalog.sketch import Builder, Sketch, is_kid


def _strap(sketch: Sketch, start: float, top: float, height: float, width: float) -> None:
    """Draw a strap over the foot: its far side dark behind, its near side in front.

    Args:
        sketch: the shoe.
        start: where it leaves the sole, u of its middle.
        top: where it crosses the instep, u of its middle.
        height: how high it crosses the instep.
        width: along the foot.
    """
    canvas = sketch.canvas
    color = sketch.scheme.main
    slope = min(0.42 * width, 0.06)  # the instep rises towards the ankle
    narrow = width * (0.5 if width < 0.1 else 0.38)
    low, high = (top - narrow, height - slope), (top + narrow, height - 0.3 * narrow)
    left = curve((start - width * 0.55, 0.0), (start - width * 0.5 + (top - start) * 0.3, height * 0.5), low)
    right = curve(high, (start + width * 0.5 + (top - start) * 0.3, height * 0.55), (start + width * 0.55, 0.0))
    ridge = curve(low, (top - 0.3 * narrow, height - 0.006), (top + 0.45 * narrow, height + 0.004), high)
    far = curve(high, (high[0] + 0.05, high[1] * 0.62), (start + width * 0.5 + 0.05, 0.03))
    canvas.fill(join(ridge, far, [(start, 0.03)]), darken(mix(sketch.scheme.lining, color, 0.55), 0.42))
    canvas.fill(join(left, ridge[1:], right[1:]), color, Surface.UPPER)
    canvas.line(right, darken(color, 0.45), 0.010)
    canvas.line(left, darken(color, 0.3), 0.007)
    canvas.shine(shift(ridge, 0.0, -0.03), 0.02, 200)


def _build_athletic(sketch: Sketch) -> None:
    """Draw a sports sandal: broad hook-and-loop straps on a thick sole."""
    scheme, canvas = sketch.scheme, sketch.canvas
    parts.draw_unit_sole(sketch, scheme.sole, darken(scheme.main, 0.3), tip=-0.02, back=1.03, stripe=scheme.accent)
    parts.draw_footbed(sketch, darken(scheme.lining, 0.45))
    heel = curve((0.80, 0.02), (0.90, 0.15), (0.995, 0.27))
    canvas.fill(band(curve((0.70, 0.29), (0.86, 0.295), (0.99, 0.265)), 0.05), darken(scheme.main, 0.45))
    _strap(sketch, 0.30, 0.21, 0.15, 0.13)
    if "Bump Toe" in sketch.facts.toe:
        bumper = join(curve((0.14, 0.0), (0.13, 0.10), (0.06, 0.13), (-0.015, 0.08), (-0.005, 0.0)))
        canvas.fill(bumper, darken(scheme.main, 0.45), Surface.UPPER)
    canvas.fill(band(curve((0.26, 0.13), (0.40, 0.10), (0.56, 0.02)), 0.055), scheme.second, Surface.SECOND)
    _strap(sketch, 0.60, 0.50, 0.245, 0.12)
    canvas.fill(band(heel, 0.09, 0.07), scheme.main, Surface.UPPER)
    ankle = curve((0.98, 0.255), (0.84, 0.265), (0.70, 0.29), (0.64, 0.275))
    canvas.fill(band(ankle, 0.07), scheme.main, Surface.UPPER)
    if sketch.closes("Hook and Loop"):
        for center in (
            curve((0.265, 0.125), (0.235, 0.15)),
            curve((0.555, 0.17), (0.50, 0.225)),
            curve((0.86, 0.263), (0.74, 0.285)),
        ):
            canvas.fill(band(center, 0.085), scheme.accent, Surface.SECOND)
            canvas.line(band(center, 0.06), darken(scheme.accent, 0.35), 0.007)
    elif sketch.closes("Buckle"):
        parts.draw_buckle(sketch, 0.55, 0.17, 0.05)
        parts.draw_buckle(sketch, 0.79, 0.272, 0.04)


def _draw_thong(sketch: Sketch, width: float) -> None:
    color = sketch.scheme.main
    canvas = sketch.canvas
    post = (0.17, 0.085)
    far = curve(post, (0.34, 0.13), (0.50, 0.10), (0.62, 0.03))
    canvas.fill(band(far, width * 0.6, width), darken(color, 0.45))
    canvas.line(curve((0.185, 0.02), (0.17, 0.05), post), darken(color, 0.2), 0.03)
    near = curve(post, (0.30, 0.115), (0.44, 0.075), (0.56, 0.0))
    canvas.fill(band(near, width * 0.7, width * 1.3), color, Surface.UPPER)
    canvas.shine(shift(near, 0.0, 0.008), 0.012, 200)


def _build_flat(sketch: Sketch) -> None:
    """Draw a flat sandal: a thong, a slide, two buckled straps, or straps round the ankle."""
    scheme, canvas, facts = sketch.scheme, sketch.canvas, sketch.facts
    rubber = "Rubber" in facts.material
    cork = facts.insole == "Cork"
    sole = (190, 146, 98) if cork else (lighten(scheme.main, 0.25) if rubber else scheme.sole)
    parts.draw_unit_sole(sketch, sole, darken(sole, 0.45), tip=-0.02, back=1.02)
    parts.draw_footbed(sketch, (214, 180, 136) if cork else scheme.lining)
    ankle = sketch.closes("Ankle Strap") or sketch.closes("Sling Back")
    if ankle:
        _strap(sketch, 0.25, 0.19, 0.115, 0.055)
        _strap(sketch, 0.40, 0.32, 0.16, 0.055)
        if sketch.closes("Ankle Strap"):
            canvas.fill(band(curve((0.90, 0.0), (0.965, 0.16), (0.985, 0.34)), 0.06, 0.045), scheme.main, Surface.UPPER)
            parts.draw_ankle_strap(sketch, 0.34, scheme.main)
        else:
            parts.draw_sling(sketch, 0.20)
    elif sketch.closes("Buckle"):
        for start, top, high in ((0.28, 0.23, 0.14), (0.52, 0.46, 0.21)):
            _strap(sketch, start, top, high, 0.12)
            parts.draw_buckle(sketch, start * 0.6 + top * 0.4, high * 0.5, 0.042)
    elif sketch.chance(0.55):
        _draw_thong(sketch, 0.05)
    else:
        _strap(sketch, 0.37, 0.34, 0.165, sketch.spread(0.20, 0.28))
    if is_kid(facts) and facts.gender[0] == "Girls":
        parts.draw_bow(sketch, 0.22, 0.14, 0.06, scheme.accent)


def _build_heel(sketch: Sketch) -> None:
    """Draw a sandal on a high heel: thin straps over the toes, a strap round the ankle or the heel, or a mule."""
    scheme, canvas = sketch.scheme, sketch.canvas
    shape = parts.heel_shape(sketch)
    cork = shape == "wedge" and sketch.chance(0.5)
    parts.draw_heel(sketch, shape, (190, 146, 98) if cork else darken(scheme.main, 0.2))
    parts.draw_dress_sole(sketch, (176, 132, 88) if cork else mix(scheme.sole, scheme.main, 0.3), tip=-0.03)
    parts.draw_footbed(sketch, scheme.lining, tip=-0.02)
    style = int(sketch.rng.random() * 3)
    width = (0.045, 0.13, 0.05)[style]
    _strap(sketch, 0.21, 0.17, 0.09, width)
    if style != 1:
        _strap(sketch, 0.31, 0.26, 0.12, width)
    if style == 2 or sketch.closes("Slip-On"):
        _strap(sketch, 0.42, 0.37, 0.155, width * 1.3)
    if sketch.closes("Ankle Strap"):
        counter = curve((0.86, 0.0), (0.93, 0.14), (0.982, 0.40))
        canvas.fill(band(counter, 0.13, 0.035), scheme.main, Surface.UPPER)
        parts.draw_ankle_strap(sketch, 0.41, scheme.main)
    elif sketch.closes("Sling Back"):
        parts.draw_sling(sketch, 0.225)
        parts.draw_buckle(sketch, 0.74, 0.135, 0.034)
    canvas.shine(np.array([[0.16, 0.07], [0.26, 0.10]]), 0.03, 200)


BUILDERS: dict[tuple[str, str], Builder] = {
    ("Sandals", "Athletic"): _build_athletic,
    ("Sandals", "Flat"): _build_flat,
    ("Sandals", "Heel"): _build_heel,
}
