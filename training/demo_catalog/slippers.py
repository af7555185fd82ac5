"""Builders of slippers and of babies' shoes: soft forms with hardly any sole."""

from training.demo_catalog import parts
from training.demo_catalog.canvas import Surface, darken, lighten, mix
from training.demo_catalog.outline import curve, floor, join, shift
from training.demo_catalog.parts import Upper
from training.demo_catalog.sketch import Builder, Sketch

_FLEECE = (238, 230, 214)
_SUEDE = (226, 196, 150)


def _build_slipper_flat(sketch: Sketch) -> None:
    """Draw a house slipper: a soft mule or a moccasin, with a fleece collar."""
    scheme, canvas = sketch.scheme, sketch.canvas
    sole = mix(scheme.main, (222, 202, 170), 0.65) if sketch.chance(0.6) else scheme.sole
    parts.draw_unit_sole(sketch, sole, darken(sole, 0.45), tip=-0.015, back=1.02)
    if sketch.chance(0.55) or "Open Toe" in sketch.facts.toe:
        parts.draw_footbed(sketch, _FLEECE)
        parts.draw_ruff(sketch, curve((0.52, 0.03), (0.75, 0.045), (0.98, 0.035)), 0.04, _FLEECE)
        upper = parts.draw_front(sketch, end=0.62, throat=(0.45, 0.25), vamp=1.02)
        parts.draw_ruff(sketch, upper.top[6:], 0.065, _FLEECE)
    else:
        upper = parts.draw_upper(
            sketch, collar=0.20, dip=0.14, throat=(0.44, 0.25), dip_at=0.70, lining=_FLEECE, bulge=0.03
        )
        parts.draw_ruff(sketch, shift(upper.top, 0.0, 0.005), 0.075, _FLEECE)
    parts.draw_toe(sketch, upper.front)
    if sketch.closes("Hook and Loop"):
        parts.draw_hook_straps(sketch, upper.front[3:12], 1, color=darken(scheme.main, 0.25), width=0.10)
    elif sketch.facts.gender[0] in {"Girls", "Women"} and sketch.chance(0.5):
        parts.draw_bow(sketch, 0.25, 0.17, 0.065, scheme.accent)
    canvas.stitch(floor(0.02, 0.6, 0.02), lighten(scheme.main, 0.5))


def _build_slipper_heel(sketch: Sketch) -> None:
    """Draw a boudoir slipper: a mule on a small heel, with a tuft of fur."""
    scheme = sketch.scheme
    shape = "wedge" if sketch.chance(0.5) else parts.heel_shape(sketch)
    parts.draw_heel(sketch, shape, lighten(scheme.main, 0.1))
    parts.draw_dress_sole(sketch, darken(scheme.main, 0.25), tip=-0.02)
    parts.draw_footbed(sketch, mix(_FLEECE, scheme.main, 0.3))
    upper = parts.draw_front(sketch, end=0.56, throat=(0.40, 0.205), vamp=0.9)
    parts.light_up(sketch, upper)
    tuft = upper.front[(upper.front[:, 0] > 0.19)]
    parts.draw_ruff(sketch, shift(tuft, 0.0, -0.015), 0.13, lighten(scheme.main, 0.6))


def _trim_baby(sketch: Sketch, upper: Upper) -> None:
    """Put a picture on the side of a baby's shoe."""
    parts.draw_counter(sketch, upper, sketch.scheme.second, reach=0.12, surface=Surface.UPPER)
    parts.draw_motif(sketch, 0.70, 0.11, 0.055)


def _fasten_baby(sketch: Sketch, upper: Upper) -> None:
    scheme, canvas = sketch.scheme, sketch.canvas
    if sketch.closes("Lace up"):
        parts.draw_laces(sketch, upper.throat, 3, reach=0.07)
    elif sketch.closes("Hook and Loop"):
        parts.draw_hook_straps(sketch, upper.throat, 1, color=scheme.strap, width=0.11)
    elif sketch.closes("Buckle"):
        parts.draw_hook_straps(sketch, upper.throat, 1, color=scheme.strap, width=0.06)
        parts.draw_buckle(sketch, 0.50, 0.20, 0.04)
    else:
        canvas.line(shift(upper.top, 0.0, -0.02), lighten(scheme.main, 0.55), 0.035)
        canvas.stitch(shift(upper.top, 0.0, -0.02), scheme.seam, width=0.03)


def _build_crib_shoe(sketch: Sketch) -> None:
    """Draw a crib shoe (no sole to speak of) or a prewalker (a thin, soft one)."""
    scheme, canvas = sketch.scheme, sketch.canvas
    crib = sketch.facts.subcategory == "Crib Shoes"
    canvas.stand(0.08, 0.95)
    upper = parts.draw_upper(sketch, collar=0.24, dip=0.19, throat=(0.48, 0.28), vamp=1.12, bulge=0.045)
    parts.light_up(sketch, upper, 130)
    toe = upper.front[upper.front[:, 0] < 0.16]
    seam = curve((0.28, 0.0), (0.20, 0.08), (float(toe[0, 0]), float(toe[0, 1])))
    if sketch.chance(0.6):
        canvas.fill(join(toe, seam), scheme.second, Surface.UPPER)
    canvas.line(seam, scheme.seam, 0.01)
    _trim_baby(sketch, upper)
    if crib:
        parts.draw_ruff(sketch, upper.top, 0.05, lighten(scheme.main, 0.75))
        canvas.stitch(floor(0.02, 0.98, 0.018), lighten(scheme.main, 0.6), width=0.014)
        belly = join(floor(0.02, 0.98, 0.006), curve((0.98, -0.008), (0.5, -0.012), (0.03, -0.008)))
        canvas.fill(belly, darken(scheme.main, 0.25), Surface.SOLE)
    else:
        parts.draw_unit_sole(sketch, mix(scheme.sole, _SUEDE, 0.5), darken(scheme.main, 0.3), tip=0.0, back=1.03)
    _fasten_baby(sketch, upper)


def _build_firstwalker(sketch: Sketch) -> None:
    """Draw a first walker: sturdy, often above the ankle, on a bendy rubber sole."""
    scheme, canvas = sketch.scheme, sketch.canvas
    upper = parts.draw_upper(
        sketch, collar=0.33, dip=0.29, throat=(0.55, 0.36), vamp=1.08, bulge=0.04, lining=scheme.accent
    )
    parts.light_up(sketch, upper, 130)
    parts.draw_toe(sketch, upper.front, cap=scheme.second)
    _trim_baby(sketch, upper)
    canvas.line(shift(upper.top, 0.0, -0.02), scheme.second, 0.045)
    parts.draw_unit_sole(sketch, scheme.sole, scheme.accent, tip=-0.025, back=1.045)
    _fasten_baby(sketch, upper)


def _build_baby_boot(sketch: Sketch) -> None:
    """Draw a prewalker boot: a soft little boot with a fleece collar."""
    scheme = sketch.scheme
    upper = parts.draw_shaft(sketch, width=0.045, vamp=1.1, lining=_FLEECE)
    parts.light_up(sketch, upper, 120)
    _trim_baby(sketch, upper)
    parts.draw_unit_sole(sketch, mix(scheme.main, _SUEDE, 0.6), darken(scheme.main, 0.35), tip=-0.01, back=1.035)
    front = upper.shin(0.30, 0.18)[2:]
    if sketch.closes("Lace up"):
        parts.draw_laces(sketch, front, 4, reach=0.075)
    elif sketch.closes("Hook and Loop"):
        parts.draw_hook_straps(sketch, front, 2, color=scheme.strap, width=0.10)
    parts.draw_ruff(sketch, shift(upper.top, 0.0, -0.015), 0.10, _FLEECE)
    if sketch.closes("Pull-on"):
        parts.draw_pull_tab(sketch, 0.97, sketch.height, scheme.accent)


BUILDERS: dict[tuple[str, str], Builder] = {
    ("Slippers", "Slipper Flats"): _build_slipper_flat,
    ("Slippers", "Slipper Heels"): _build_slipper_heel,
    ("Shoes", "Crib Shoes"): _build_crib_shoe,
    ("Shoes", "Prewalker"): _build_crib_shoe,
    ("Shoes", "Firstwalker"): _build_firstwalker,
    ("Boots", "Prewalker Boots"): _build_baby_boot,
}
