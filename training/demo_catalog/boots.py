"""Builders of boots: ankle, mid-calf, knee high, over the knee, and the slipper boot."""

from training.demo_catalog.outline import band, curve, floor, join, loop, shift
from training.demo_catalog.paint import Color, Surface, mix
from training.demo_catalog.parts import (
    draw_buckle,
    draw_gore,
    draw_hook_straps,
    draw_laces,
    draw_pull_tab,
    draw_ruff,
    draw_toe,
    draw_zip,
    toe_points,
)  # fmt: skip
from training.demo_catalog.shoes import heel_shape
from training.demo_catalog.sketch import Sketch, is_kid, toe_tip
from training.demo_catalog.soles import draw_dress_sole, draw_heel, draw_lugs, draw_unit_sole
from training.demo_catalog.uppers import Upper, light_up

__all__ = ["build_boot", "build_slipper_boot", "draw_shaft"]

_BLACK = (0, 0, 0)
_WHITE = (255, 255, 255)


def draw_shaft(
    sketch: Sketch, height: float, *, width: float = 0.0, vamp: float = 1.0, lining: Color | None = None
) -> Upper:
    """Draw a boot's upper with a shaft up to `height`, `width` wider than usual, and the opening at its top."""
    canvas, scheme = sketch.canvas, sketch.scheme
    calf = min(max(height - 0.55, 0.0) * 0.10, 0.10)
    knee = max(height - 1.5, 0.0) * 0.16
    rear, fore = 0.975 + calf * 0.7 + width + knee, 0.60 - calf - width - knee * 0.6
    back_points = [(0.995, 0.0), (1.022, 0.08), (1.005, 0.18), (0.972 + width * 0.6, 0.33), (0.975 + width * 0.8, 0.45)]
    front_points = [(0.565 - width * 0.6, 0.40), (0.50, 0.315), (0.38, 0.245)]
    if height > 0.8:
        belly = min(0.33 + (height - 0.33) * 0.62, 1.05)
        back_points.append((0.985 + calf * 1.1 + width, belly))
        front_points.insert(0, (0.595 - calf * 0.85 - width, belly))
    back = curve(*[p for p in back_points if p[1] < height - 0.06], (rear, height))
    front = curve((fore, height), *[p for p in front_points if p[1] < height - 0.06], *toe_points(sketch, vamp))
    inside = mix(lining or scheme.lining, _BLACK, 0.3)
    middle = (fore + rear) / 2
    canvas.fill(loop((fore, height), (middle, height + 0.032), (rear, height), (middle, height - 0.03)), inside)
    top = curve((rear, height), (middle, height - 0.034), (fore, height))
    canvas.fill(join(back, top[1:], front[1:], floor(float(front[-1, 0]), 0.995)), scheme.main, Surface.UPPER)
    canvas.line(top, mix(scheme.main, _BLACK, 0.4), 0.018)
    canvas.line(shift(top, 0.0, 0.005), mix(scheme.main, _WHITE, 0.25), 0.007)
    return Upper(back, top, front)


def _draw_boot_sole(sketch: Sketch) -> None:
    facts, scheme = sketch.facts, sketch.scheme
    tip = toe_tip(facts)
    rubber = "Rubber" in facts.material and facts.heel == "1in - 1 3/4in"
    if facts.heel in {"Flat", "Under 1in"} or rubber:
        if facts.heel == "Flat" or "Rubber" in facts.material or is_kid(facts):
            draw_unit_sole(sketch, scheme.sole, mix(scheme.sole, _BLACK, 0.4), tip=tip - 0.01, back=1.03)
            if facts.gender[0] in {"Men", "Boys"}:
                draw_lugs(sketch, (255, 255, 255))
            return
        shape = "stack"
    else:
        shape = heel_shape(sketch)
    draw_heel(sketch, shape, scheme.sole)
    draw_dress_sole(sketch, scheme.sole, tip=tip, back=1.01)


def _fasten(sketch: Sketch, upper: Upper, height: float) -> None:
    """Draw the closure of a boot on its upper."""
    canvas, scheme = sketch.canvas, sketch.scheme
    if sketch.closes("Lace up"):
        front = upper.front[(upper.front[:, 0] > 0.30) & (upper.front[:, 1] > 0.19)]
        canvas.line(shift(front, 0.075, -0.02), scheme.seam, 0.012)
        draw_laces(sketch, front[2:], 6 + int(height * 4), reach=0.07)
    if sketch.closes("Zipper"):
        draw_zip(sketch, curve((0.80, height - 0.06), (0.80, height * 0.55), (0.78, 0.22), (0.74, 0.05)))
    if sketch.closes("Elastic Gore"):
        top = height - 0.035
        draw_gore(
            sketch,
            curve((0.69, top), (0.70, top - 0.14), (0.75, 0.17)),
            curve((0.89, top), (0.875, top - 0.14), (0.80, 0.17)),
        )
    if sketch.closes("Buckle"):
        for v in (0.27,) if height < 0.7 else (0.30, height - 0.14):
            low = v < 0.4
            strap = (
                curve((0.47, v + 0.015), (0.70, v - 0.02), (1.0, v - 0.08))
                if low
                else curve((0.54, v), (0.75, v - 0.03), (1.02, v))
            )
            shape = band(strap, 0.075)
            canvas.tint(shift(shape, 0.0, -0.014), mix(scheme.main, _BLACK, 0.5))
            canvas.fill(shape, mix(scheme.main, _BLACK, 0.18), Surface.UPPER)
            draw_buckle(sketch, 0.70, v - 0.02, 0.055)
    if sketch.closes("Hook and Loop"):
        front = upper.front[(upper.front[:, 0] > 0.33) & (upper.front[:, 1] > 0.19)]
        draw_hook_straps(sketch, front[2:], 2, color=scheme.strap, width=0.085)
    if sketch.closes("Pull-on"):
        draw_pull_tab(
            sketch, 0.93, height - 0.01, scheme.accent if sketch.facts.bright else mix(scheme.main, _BLACK, 0.3)
        )


def build_boot(sketch: Sketch, height: float) -> None:
    """Draw a boot whose shaft reaches `height`."""
    scheme, canvas, facts = sketch.scheme, sketch.canvas, sketch.facts
    wide = 0.03 if facts.gender[0] in {"Men", "Boys"} else 0.0
    rubber = "Rubber" in facts.material
    upper = draw_shaft(sketch, height, width=wide + (0.05 if rubber else 0.0))
    light_up(sketch, upper)
    canvas.shine(curve((0.70, height - 0.1), (0.70, height * 0.5), (0.66, 0.36)), 0.045, 100)
    draw_toe(sketch, upper.front)
    if not rubber:
        vamp_seam = curve((0.40, 0.25), (0.52, 0.15), (0.56, 0.0))
        canvas.line(vamp_seam, scheme.seam, 0.01)
        counter = curve((0.98, 0.26), (0.86, 0.22), (0.80, 0.0))
        canvas.line(counter, scheme.seam, 0.01)
    else:
        rear, fore = float(upper.top[0, 0]), float(upper.top[-1, 0])
        rim = curve((rear - 0.01, height - 0.05), (0.77, height - 0.085), (fore + 0.01, height - 0.05))
        canvas.tint(band(rim, 0.05), scheme.accent)
    _draw_boot_sole(sketch)
    _fasten(sketch, upper, height)
    if facts.subcategory == "Mid-Calf" and "Nylon" in facts.material:
        draw_ruff(sketch, upper.top, 0.10, scheme.lining)


def build_slipper_boot(sketch: Sketch, height: float) -> None:
    """Draw a slipper boot: soft, wide, with a turned-down collar of fleece."""
    scheme = sketch.scheme
    sketch.canvas.stand(0.03, 0.98)
    upper = draw_shaft(sketch, height, width=0.05, vamp=1.05, lining=(238, 230, 214))
    seam = curve((0.42, 0.27), (0.56, 0.16), (0.60, 0.0))
    sketch.canvas.line(seam, scheme.seam, 0.012)
    sketch.canvas.stitch(shift(seam, 0.02, 0.0), mix(scheme.main, _WHITE, 0.4))
    draw_unit_sole(sketch, mix(scheme.main, (226, 206, 172), 0.7), mix(scheme.main, _BLACK, 0.4), tip=-0.015, back=1.03)
    if sketch.closes("Hook and Loop"):
        front = upper.front[(upper.front[:, 0] > 0.33) & (upper.front[:, 1] > 0.19)]
        draw_hook_straps(sketch, front[2:], 1, color=scheme.strap, width=0.11)
    draw_ruff(sketch, shift(upper.top, 0.0, -0.025), 0.13, (236, 228, 212))
    if sketch.closes("Pull-on"):
        draw_pull_tab(sketch, 0.97, height - 0.02, mix(scheme.main, _BLACK, 0.3))
