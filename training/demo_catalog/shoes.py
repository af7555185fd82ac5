"""Builders of low shoes: sneakers, oxfords, loafers, boat shoes, flats, heels, clogs and mules."""

import numpy as np

from training.demo_catalog import parts
from training.demo_catalog.canvas import Color, Surface, darken, lighten, mix
from training.demo_catalog.outline import band, curve, floor, join, loop, shift
from training.demo_catalog.parts import Upper
from training.demo_catalog.sketch import Builder, Sketch, is_kid, toe_tip

_RUBBER = (240, 238, 230)


def _draw_tongue(sketch: Sketch, throat: tuple[float, float], color: Color, rise: float = 0.06) -> None:
    u, v = throat
    shape = loop((u - 0.07, v - 0.06), (u - 0.03, v + rise * 0.5), (u + 0.02, v + rise), (u + 0.055, v + rise * 0.9),
                 (u + 0.05, v), (u + 0.02, v - 0.06))  # fmt: skip
    sketch.canvas.fill(shape, color, Surface.SECOND)
    sketch.canvas.line(shape, darken(color, 0.3), 0.008)


def _draw_side_mark(sketch: Sketch, color: Color) -> None:
    """Draw the coloured mark on the side of a sneaker: stripes, a wave, a chevron or a panel."""
    canvas, style = sketch.canvas, int(sketch.rng.random() * 4)
    if style == 0:
        for u in (0.50, 0.57, 0.64):
            canvas.fill(band(curve((u, 0.20), (u + 0.05, 0.02)), 0.03), color, Surface.SECOND)
    elif style == 1:
        wave = curve((0.34, 0.05), (0.50, 0.10), (0.66, 0.06), (0.86, 0.15))
        canvas.fill(band(wave, 0.018, 0.055), color, Surface.SECOND)
    elif style == 2:
        canvas.fill(band(np.array([[0.62, 0.19], [0.50, 0.11], [0.62, 0.03]]), 0.04), color, Surface.SECOND)
    else:
        canvas.fill(loop((0.44, 0.03), (0.52, 0.16), (0.66, 0.15), (0.74, 0.03)), color, Surface.SECOND)


def _trim_sneaker(sketch: Sketch, upper: Upper) -> None:
    """Lay the guards of toe and heel, the eyestay and the side mark on a sneaker."""
    canvas, scheme = sketch.canvas, sketch.scheme
    rubber_toe = "Capped Toe" in sketch.facts.toe
    toe = upper.front[upper.front[:, 0] < (0.13 if rubber_toe else 0.10)]
    if rubber_toe:
        seam = curve((0.17, 0.0), (0.17, 0.09), (float(toe[0, 0]), float(toe[0, 1])))
        canvas.fill(join(toe, seam), _RUBBER)
        canvas.line(seam, darken(_RUBBER, 0.4), 0.01)
    elif sketch.chance(0.75):
        guard = curve((0.40, 0.0), (0.26, 0.05), (0.14, 0.075), (float(toe[0, 0]), float(toe[0, 1])))
        canvas.fill(join(toe, floor(0.02, 0.40, 0.0, 8), guard), scheme.second, Surface.SECOND)
        canvas.line(guard, darken(scheme.second, 0.35), 0.008)
    parts.draw_counter(sketch, upper, scheme.second)
    stay = upper.throat
    if len(stay) > 3:
        canvas.fill(join(stay, shift(stay[::-1], 0.06, -0.035)), mix(scheme.second, scheme.main, 0.35), Surface.SECOND)
    if is_kid(sketch.facts) and sketch.chance(0.6):
        parts.draw_motif(sketch, 0.62, 0.10, 0.06)
    elif sketch.chance(0.85):
        _draw_side_mark(sketch, scheme.accent)


def _build_sneaker(sketch: Sketch) -> None:
    """Draw a sneaker: a runner, a court shoe or a high top."""
    scheme, canvas = sketch.scheme, sketch.canvas
    high = sketch.chance(0.2)
    collar, throat = (0.40, (0.56, 0.43)) if high else (sketch.spread(0.27, 0.30), (0.50, 0.315))
    dip = 0.36 if high else sketch.spread(0.185, 0.215)
    upper_lining = mix(scheme.accent, scheme.main, 0.3)
    _draw_tongue(sketch, throat, mix(scheme.main, scheme.accent, 0.4))
    upper = parts.draw_upper(sketch, collar=collar, dip=dip, throat=throat, lining=upper_lining, bulge=0.03)
    _trim_sneaker(sketch, upper)
    canvas.line(shift(upper.top, 0.0, -0.014), scheme.second, 0.03)
    parts.light_up(sketch, upper, 120)
    tread = scheme.accent if sketch.chance(0.5) else darken(scheme.main, 0.3)
    stripe = scheme.main if sketch.chance(0.4) else None
    parts.draw_unit_sole(sketch, scheme.sole, tread, tip=-0.03, back=1.04, stripe=stripe)
    if sketch.closes("Hook and Loop"):
        parts.draw_hook_straps(sketch, upper.throat, 2 if sketch.chance(0.6) else 3, color=scheme.strap)
    elif sketch.closes("Lace up"):
        parts.draw_laces(sketch, upper.throat, 7 if high else 5)
    elif sketch.closes("Elastic Gore"):
        left = curve((0.47, 0.29), (0.47, 0.22), (0.44, 0.15))
        right = curve((0.60, 0.245), (0.58, 0.2), (0.53, 0.14))
        parts.draw_gore(sketch, left, right)
    else:
        canvas.fill(band(curve((0.41, 0.255), (0.47, 0.19), (0.55, 0.08)), 0.07, 0.10), scheme.strap, Surface.SECOND)
    if sketch.closes("Zipper"):
        parts.draw_zip(sketch, curve((0.72, dip - 0.01), (0.66, 0.10), (0.60, 0.04)))


def _draw_low_heel(sketch: Sketch, start: float = 0.72, stop: float = 0.99) -> None:
    """Draw a thin sole on a low heel; a flat one stands on the ground from x = `start` to `stop`."""
    color = sketch.scheme.sole
    parts.draw_dress_sole(sketch, color, tip=toe_tip(sketch.facts))
    if sketch.facts.heel != "Flat":
        parts.draw_heel(sketch, "stack", color)
    else:
        sketch.canvas.stand(start * sketch.last.stretch, stop * sketch.last.stretch)


def _build_oxford(sketch: Sketch) -> None:
    """Draw an oxford or a monk-strap shoe."""
    scheme, canvas = sketch.scheme, sketch.canvas
    throat = (0.50, 0.285)
    _draw_tongue(sketch, throat, darken(scheme.main, 0.2), 0.03)
    upper = parts.draw_upper(sketch, collar=0.255, dip=0.185, throat=throat, vamp=0.88, bulge=0.015)
    parts.light_up(sketch, upper)
    parts.draw_toe(sketch, upper.front)
    facing = curve((0.62, 0.205), (0.50, 0.13), (0.33, 0.12), (0.28, 0.165))
    canvas.line(facing, scheme.seam, 0.012)
    canvas.stitch(shift(facing, 0.012, -0.012), lighten(scheme.main, 0.35))
    heel_seam = curve((0.86, 0.205), (0.80, 0.10), (0.84, 0.0))
    canvas.line(heel_seam, scheme.seam, 0.01)
    if sketch.closes("Lace up"):
        parts.draw_laces(sketch, upper.throat, 5, reach=0.05)
    else:
        strap = curve((0.40, 0.225), (0.50, 0.20), (0.62, 0.145))
        canvas.tint(shift(band(strap, 0.085), 0.0, -0.012), darken(scheme.main, 0.5))
        canvas.fill(band(strap, 0.08, 0.07), lighten(scheme.main, 0.05), Surface.UPPER)
        parts.draw_buckle(sketch, 0.575, 0.165, 0.038)
    _draw_low_heel(sketch)


def _build_loafer(sketch: Sketch) -> None:
    """Draw a loafer: penny strap, tassels or a metal bit."""
    scheme, canvas = sketch.scheme, sketch.canvas
    upper = parts.draw_upper(sketch, collar=0.235, dip=0.15, throat=(0.43, 0.265), vamp=0.9, dip_at=0.72, bulge=0.015)
    parts.light_up(sketch, upper)
    parts.draw_toe(sketch, upper.front)
    style = int(sketch.rng.random() * 3)
    saddle = curve((0.345, 0.215), (0.42, 0.16), (0.52, 0.07), (0.56, 0.0))
    canvas.tint(band(saddle, 0.085, 0.13), darken(scheme.main, 0.22))
    for edge in (shift(saddle, -0.042, -0.01), shift(saddle, 0.042, 0.01)):
        canvas.stitch(edge, lighten(scheme.main, 0.4))
    if style == 0:
        canvas.tint(loop((0.345, 0.20), (0.37, 0.215), (0.41, 0.18), (0.385, 0.165)), darken(scheme.lining, 0.5))
    elif style == 1:
        for u in (0.33, 0.375):
            tassel = band(curve((0.365, 0.205), (u, 0.16), (u - 0.01, 0.105)), 0.014, 0.04)
            canvas.fill(tassel, darken(scheme.main, 0.4))
    else:
        canvas.line(curve((0.34, 0.215), (0.39, 0.19), (0.45, 0.135)), scheme.metal, 0.03)
        canvas.dots(np.array([[0.345, 0.205], [0.45, 0.135]]), scheme.metal, 0.024)
    if sketch.closes("Elastic Gore"):
        parts.draw_gore(sketch, curve((0.56, 0.205), (0.565, 0.13)), curve((0.65, 0.165), (0.635, 0.11)))
    _draw_low_heel(sketch)


def _build_boat_shoe(sketch: Sketch) -> None:
    """Draw a boat shoe: a moc toe, a lace that runs round the collar, a white rubber sole."""
    scheme, canvas = sketch.scheme, sketch.canvas
    upper = parts.draw_upper(sketch, collar=0.215, dip=0.155, throat=(0.44, 0.255), vamp=0.88, dip_at=0.74)
    parts.light_up(sketch, upper, 150)
    parts.draw_toe(sketch, upper.front)
    color = scheme.lace if sum(scheme.lace) > 500 else mix(scheme.main, (236, 214, 170), 0.6)
    side = shift(upper.top[: len(upper.top) * 3 // 4], 0.0, -0.04)
    canvas.stitch(side, color, width=0.022)
    canvas.line(curve((0.72, 0.15), (0.66, 0.08), (0.64, 0.0)), scheme.seam, 0.011)
    canvas.line(curve((0.30, 0.15), (0.42, 0.10), (0.50, 0.0)), scheme.seam, 0.011)
    if sketch.closes("Lace up"):
        parts.draw_laces(sketch, upper.throat[: max(len(upper.throat) * 2 // 3, 3)], 2, reach=0.06)
    elif sketch.closes("Hook and Loop"):
        parts.draw_hook_straps(sketch, upper.throat, 1, color=scheme.strap)
    tread, stripe = mix(_RUBBER, scheme.main, 0.5), darken(_RUBBER, 0.25)
    parts.draw_unit_sole(sketch, _RUBBER, tread, tip=-0.02, back=1.015, stripe=stripe)


def _draw_pump(sketch: Sketch) -> Upper:
    """Draw the upper of a pump, with its toe style."""
    low = sketch.spread(0.095, 0.125)
    sling = sketch.closes("Sling Back")
    vamp = 0.96 if {"Round Toe", "Square Toe", "Capped Toe"} & set(sketch.facts.toe) else 0.78
    if not sling:
        upper = parts.draw_upper(sketch, collar=sketch.spread(0.205, 0.235), dip=low, throat=(0.27, 0.13), vamp=vamp,
                           dip_at=0.60, bulge=0.012)  # fmt: skip
    else:
        upper = parts.draw_front(sketch, end=0.62, throat=(0.28, 0.125), vamp=vamp)
        parts.draw_sling(sketch, 0.215, start=0.58)
        parts.draw_buckle(sketch, 0.79, 0.155, 0.026)
    if {"Peep Toe", "Open Toe"} & set(sketch.facts.toe):
        tip = floor(-0.01, 0.16, 0.012, 6)
        sketch.canvas.line(tip, darken(sketch.scheme.lining, 0.12), 0.022)
    parts.draw_toe(sketch, upper.front, cap=darken(sketch.scheme.main, 0.6))
    return upper


def _build_heels(sketch: Sketch) -> None:
    """Draw a pump on a high heel."""
    scheme = sketch.scheme
    shape = parts.heel_shape(sketch)
    color = scheme.sole if shape in {"stack", "wedge"} and sketch.chance(0.5) else darken(scheme.main, 0.12)
    parts.draw_heel(sketch, shape, color)
    parts.draw_dress_sole(sketch, mix(scheme.sole, scheme.main, 0.3), tip=toe_tip(sketch.facts))
    upper = _draw_pump(sketch)
    parts.light_up(sketch, upper)
    if sketch.closes("Ankle Strap") or sketch.closes("T-Strap"):
        parts.draw_ankle_strap(sketch, 0.40, scheme.main)
        sketch.canvas.fill(band(curve((0.985, 0.2), (0.982, 0.40)), 0.04), scheme.main, Surface.UPPER)
    if sketch.closes("T-Strap"):
        sketch.canvas.fill(band(curve((0.26, 0.11), (0.44, 0.21), (0.66, 0.39)), 0.036), scheme.main, Surface.UPPER)


def _build_flat(sketch: Sketch) -> None:
    """Draw a ballet flat or another low pump."""
    scheme, canvas = sketch.scheme, sketch.canvas
    _draw_low_heel(sketch, 0.6, 0.98)
    upper = _draw_pump(sketch)
    parts.light_up(sketch, upper)
    if sketch.closes("Elastic Gore"):
        for share in np.linspace(0, len(upper.top) - 1, 15).astype(int).tolist():
            point = upper.top[share]
            canvas.line(np.stack([point, shift(point, 0.0, -0.022)]), darken(scheme.main, 0.55), 0.012)
    elif sketch.closes("Ankle Strap"):
        parts.draw_ankle_strap(sketch, 0.36, scheme.main)
        canvas.fill(band(curve((0.985, 0.2), (0.982, 0.37)), 0.05), scheme.main, Surface.UPPER)
    elif sketch.closes("Hook and Loop"):
        strap = curve((0.40, 0.23), (0.47, 0.20), (0.56, 0.10))
        canvas.fill(band(strap, 0.055, 0.07), darken(scheme.main, 0.12), Surface.UPPER)
        canvas.line(band(strap, 0.055, 0.07), darken(scheme.main, 0.5), 0.007)
    elif sketch.chance(0.6 if is_kid(sketch.facts) else 0.4):
        color = scheme.accent if is_kid(sketch.facts) else lighten(scheme.main, 0.12)
        parts.draw_bow(sketch, 0.225, 0.135, 0.06, color)


def _build_clog(sketch: Sketch) -> None:
    """Draw a clog on a thick sole, or a foam clog with holes; open at the heel."""
    scheme, canvas = sketch.scheme, sketch.canvas
    foam = "EVA" in sketch.facts.material
    wood = (196, 152, 104) if not foam else lighten(scheme.main, 0.12)
    high = sketch.facts.heel in {"1in - 1 3/4in", "2in - 2 3/4in"}
    if high:
        parts.draw_heel(sketch, "block", wood)
        parts.draw_dress_sole(sketch, wood, tip=toe_tip(sketch.facts) - 0.01)
    else:
        parts.draw_unit_sole(sketch, wood, darken(wood, 0.5), tip=toe_tip(sketch.facts) - 0.01, back=1.03)
    footbed = join(floor(0.5, 1.0, 0.01, 8), curve((1.0, 0.03), (0.8, 0.035), (0.5, 0.03)))
    canvas.fill(footbed, darken(scheme.lining, 0.1))
    upper = parts.draw_front(sketch, end=0.70, throat=(0.46, 0.27), vamp=1.05)
    parts.light_up(sketch, upper)
    if foam:
        holes = ((0.14, 0.12), (0.21, 0.135), (0.28, 0.15), (0.18, 0.08), (0.26, 0.10), (0.34, 0.12), (0.35, 0.18))
        canvas.dots(np.array(holes), darken(scheme.main, 0.55), 0.016)
    else:
        canvas.dots(floor(0.03, 0.68, 0.022, 12), darken(scheme.metal, 0.15), 0.012)
    if sketch.closes("Buckle") and foam:
        parts.draw_sling(sketch, 0.19, start=0.62, width=0.055)
        parts.draw_buckle(sketch, 0.65, 0.07, 0.036)
    elif sketch.closes("Buckle"):
        strap = curve((0.37, 0.245), (0.45, 0.17), (0.54, 0.02))
        canvas.tint(shift(band(strap, 0.085), 0.0, -0.012), darken(scheme.main, 0.5))
        canvas.fill(band(strap, 0.085), darken(scheme.main, 0.2), Surface.UPPER)
        parts.draw_buckle(sketch, 0.46, 0.155, 0.042)


BUILDERS: dict[tuple[str, str], Builder] = {
    ("Shoes", "Sneakers and Athletic Shoes"): _build_sneaker,
    ("Shoes", "Loafers"): _build_loafer,
    ("Shoes", "Flats"): _build_flat,
    ("Shoes", "Clogs and Mules"): _build_clog,
    ("Shoes", "Oxfords"): _build_oxford,
    ("Shoes", "Heels"): _build_heels,
    ("Shoes", "Boat Shoes"): _build_boat_shoe,
}
