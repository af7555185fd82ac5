"""Builders of slippers and of babies' shoes: soft forms with hardly any sole."""

from training.demo_catalog.boots import draw_shaft
from training.demo_catalog.outline import curve, floor, join, shift
from training.demo_catalog.paint import Surface, mix
from training.demo_catalog.parts import (
    draw_bow,
    draw_buckle,
    draw_hook_straps,
    draw_laces,
    draw_motif,
    draw_pull_tab,
    draw_ruff,
    draw_toe,
)
from training.demo_catalog.sandals import draw_footbed
from training.demo_catalog.shoes import heel_shape
from training.demo_catalog.sketch import Sketch
from training.demo_catalog.soles import draw_dress_sole, draw_heel, draw_unit_sole
from training.demo_catalog.uppers import Upper, draw_counter, draw_front, draw_upper, light_up

__all__ = ["build_baby_boot", "build_crib_shoe", "build_firstwalker", "build_slipper_flat", "build_slipper_heel"]

_BLACK = (0, 0, 0)
_WHITE = (255, 255, 255)
_FLEECE = (238, 230, 214)


def build_slipper_flat(sketch: Sketch) -> None:
    """Draw a house slipper: a soft mule or a moccasin, with a fleece collar."""
    scheme, canvas = sketch.scheme, sketch.canvas
    sole = mix(scheme.main, (222, 202, 170), 0.65) if sketch.chance(0.6) else scheme.sole
    draw_unit_sole(sketch, sole, mix(sole, _BLACK, 0.45), tip=-0.015, back=1.02)
    if sketch.chance(0.55) or "Open Toe" in sketch.facts.toe:
        draw_footbed(sketch, _FLEECE)
        draw_ruff(sketch, curve((0.52, 0.03), (0.75, 0.045), (0.98, 0.035)), 0.04, _FLEECE)
        upper = draw_front(sketch, end=0.62, throat=(0.45, 0.25), vamp=1.02)
        draw_ruff(sketch, upper.top[6:], 0.065, _FLEECE)
    else:
        upper = draw_upper(sketch, collar=0.20, dip=0.14, throat=(0.44, 0.25), dip_at=0.70, lining=_FLEECE, bulge=0.03)
        draw_ruff(sketch, shift(upper.top, 0.0, 0.005), 0.075, _FLEECE)
    draw_toe(sketch, upper.front)
    if sketch.closes("Hook and Loop"):
        draw_hook_straps(sketch, upper.front[3:12], 1, color=mix(scheme.main, _BLACK, 0.25), width=0.10)
    elif sketch.facts.gender[0] in {"Girls", "Women"} and sketch.chance(0.5):
        draw_bow(sketch, 0.25, 0.17, 0.065, scheme.accent)
    canvas.stitch(floor(0.02, 0.6, 0.02), mix(scheme.main, _WHITE, 0.5))


def build_slipper_heel(sketch: Sketch) -> None:
    """Draw a boudoir slipper: a mule on a small heel, with a tuft of fur."""
    scheme = sketch.scheme
    shape = "wedge" if sketch.chance(0.5) else heel_shape(sketch)
    draw_heel(sketch, shape, mix(scheme.main, _WHITE, 0.1))
    draw_dress_sole(sketch, mix(scheme.main, _BLACK, 0.25), tip=-0.02)
    draw_footbed(sketch, mix(_FLEECE, scheme.main, 0.3))
    upper = draw_front(sketch, end=0.56, throat=(0.40, 0.205), vamp=0.9)
    light_up(sketch, upper)
    tuft = upper.front[(upper.front[:, 0] > 0.19)]
    draw_ruff(sketch, shift(tuft, 0.0, -0.015), 0.13, mix(scheme.main, _WHITE, 0.6))


def _trim_baby(sketch: Sketch, upper: Upper) -> None:
    """Put a picture on the side of a baby's shoe."""
    draw_counter(sketch, upper, sketch.scheme.second, reach=0.12, surface=Surface.UPPER)
    draw_motif(sketch, 0.70, 0.11, 0.055)


def _fasten_baby(sketch: Sketch, upper: Upper) -> None:
    scheme, canvas = sketch.scheme, sketch.canvas
    if sketch.closes("Lace up"):
        draw_laces(sketch, upper.throat, 3, reach=0.07)
    elif sketch.closes("Hook and Loop"):
        draw_hook_straps(sketch, upper.throat, 1, color=scheme.strap, width=0.11)
    elif sketch.closes("Buckle"):
        draw_hook_straps(sketch, upper.throat, 1, color=scheme.strap, width=0.06)
        draw_buckle(sketch, 0.50, 0.20, 0.04)
    else:
        canvas.line(shift(upper.top, 0.0, -0.02), mix(scheme.main, _WHITE, 0.55), 0.035)
        canvas.stitch(shift(upper.top, 0.0, -0.02), scheme.seam, width=0.03)


def build_crib_shoe(sketch: Sketch) -> None:
    """Draw a crib shoe (no sole to speak of) or a prewalker (a thin, soft one)."""
    scheme, canvas = sketch.scheme, sketch.canvas
    crib = sketch.facts.subcategory == "Crib Shoes"
    canvas.stand(0.08, 0.95)
    upper = draw_upper(sketch, collar=0.24, dip=0.19, throat=(0.48, 0.28), vamp=1.12, bulge=0.045)
    light_up(sketch, upper, 130)
    toe = upper.front[upper.front[:, 0] < 0.16]
    seam = curve((0.28, 0.0), (0.20, 0.08), (float(toe[0, 0]), float(toe[0, 1])))
    if sketch.chance(0.6):
        canvas.fill(join(toe, seam), scheme.second, Surface.UPPER)
    canvas.line(seam, scheme.seam, 0.01)
    _trim_baby(sketch, upper)
    if crib:
        draw_ruff(sketch, upper.top, 0.05, mix(scheme.main, _WHITE, 0.75))
        canvas.stitch(floor(0.02, 0.98, 0.018), mix(scheme.main, _WHITE, 0.6), width=0.014)
        belly = join(floor(0.02, 0.98, 0.006), curve((0.98, -0.008), (0.5, -0.012), (0.03, -0.008)))
        canvas.fill(belly, mix(scheme.main, _BLACK, 0.25), Surface.SOLE)
    else:
        draw_unit_sole(
            sketch, mix(scheme.sole, (226, 196, 150), 0.5), mix(scheme.main, _BLACK, 0.3), tip=0.0, back=1.03
        )
    _fasten_baby(sketch, upper)


def build_firstwalker(sketch: Sketch) -> None:
    """Draw a first walker: sturdy, often above the ankle, on a bendy rubber sole."""
    scheme, canvas = sketch.scheme, sketch.canvas
    upper = draw_upper(sketch, collar=0.33, dip=0.29, throat=(0.55, 0.36), vamp=1.08, bulge=0.04, lining=scheme.accent)
    light_up(sketch, upper, 130)
    draw_toe(sketch, upper.front, cap=scheme.second)
    _trim_baby(sketch, upper)
    canvas.line(shift(upper.top, 0.0, -0.02), scheme.second, 0.045)
    draw_unit_sole(sketch, scheme.sole, scheme.accent, tip=-0.025, back=1.045)
    _fasten_baby(sketch, upper)


def build_baby_boot(sketch: Sketch, height: float) -> None:
    """Draw a prewalker boot: a soft little boot with a fleece collar."""
    scheme = sketch.scheme
    upper = draw_shaft(sketch, height, width=0.045, vamp=1.1, lining=_FLEECE)
    light_up(sketch, upper, 120)
    _trim_baby(sketch, upper)
    draw_unit_sole(
        sketch, mix(scheme.main, (226, 196, 150), 0.6), mix(scheme.main, _BLACK, 0.35), tip=-0.01, back=1.035
    )
    front = upper.front[(upper.front[:, 0] > 0.30) & (upper.front[:, 1] > 0.18)]
    if sketch.closes("Lace up"):
        draw_laces(sketch, front[2:], 4, reach=0.075)
    elif sketch.closes("Hook and Loop"):
        draw_hook_straps(sketch, front[2:], 2, color=scheme.strap, width=0.10)
    draw_ruff(sketch, shift(upper.top, 0.0, -0.015), 0.10, _FLEECE)
    if sketch.closes("Pull-on"):
        draw_pull_tab(sketch, 0.97, height, scheme.accent)
