"""Builders of boots: ankle, mid-calf, knee high, over the knee, and the slipper boot."""

from training.demo_catalog import parts
from training.demo_catalog.canvas import Surface, darken, lighten, mix
from training.demo_catalog.outline import band, curve, shift
from training.demo_catalog.parts import Upper
from training.demo_catalog.sketch import Builder, Sketch, is_kid, toe_tip


def _draw_boot_sole(sketch: Sketch) -> None:
    facts, scheme = sketch.facts, sketch.scheme
    tip = toe_tip(facts)
    rubber = "Rubber" in facts.material and facts.heel == "1in - 1 3/4in"
    if facts.heel in {"Flat", "Under 1in"} or rubber:
        if facts.heel == "Flat" or "Rubber" in facts.material or is_kid(facts):
            parts.draw_unit_sole(sketch, scheme.sole, darken(scheme.sole, 0.4), tip=tip - 0.01, back=1.03)
            if facts.gender[0] in {"Men", "Boys"}:
                parts.draw_lugs(sketch, (255, 255, 255))
            return
        parts.draw_heel(sketch, "stack", scheme.sole)
    else:
        parts.draw_heel(sketch, parts.heel_shape(sketch), scheme.sole)
    parts.draw_dress_sole(sketch, scheme.sole, tip=tip, back=1.01)


def _fasten(sketch: Sketch, upper: Upper) -> None:
    """Draw the closure of a boot on its upper."""
    canvas, scheme, height = sketch.canvas, sketch.scheme, sketch.height
    if sketch.closes("Lace up"):
        front = upper.shin(0.30, 0.19)
        canvas.line(shift(front, 0.075, -0.02), scheme.seam, 0.012)
        parts.draw_laces(sketch, front[2:], 6 + int(height * 4), reach=0.07)
    if sketch.closes("Zipper"):
        parts.draw_zip(sketch, curve((0.80, height - 0.06), (0.80, height * 0.55), (0.78, 0.22), (0.74, 0.05)))
    if sketch.closes("Elastic Gore"):
        top = height - 0.035
        left = curve((0.69, top), (0.70, top - 0.14), (0.75, 0.17))
        parts.draw_gore(sketch, left, curve((0.89, top), (0.875, top - 0.14), (0.80, 0.17)))
    if sketch.closes("Buckle"):
        for v in (0.27,) if height < 0.7 else (0.30, height - 0.14):
            low = ((0.47, v + 0.015), (0.70, v - 0.02), (1.0, v - 0.08))
            high = ((0.54, v), (0.75, v - 0.03), (1.02, v))
            shape = band(curve(*(low if v < 0.4 else high)), 0.075)
            canvas.tint(shift(shape, 0.0, -0.014), darken(scheme.main, 0.5))
            canvas.fill(shape, darken(scheme.main, 0.18), Surface.UPPER)
            parts.draw_buckle(sketch, 0.70, v - 0.02, 0.055)
    if sketch.closes("Hook and Loop"):
        parts.draw_hook_straps(sketch, upper.shin(0.33, 0.19)[2:], 2, color=scheme.strap, width=0.085)
    if sketch.closes("Pull-on"):
        color = scheme.accent if sketch.facts.bright else darken(scheme.main, 0.3)
        parts.draw_pull_tab(sketch, 0.93, height - 0.01, color)


def _build_boot(sketch: Sketch) -> None:
    """Draw a boot with a shaft."""
    scheme, canvas, facts, height = sketch.scheme, sketch.canvas, sketch.facts, sketch.height
    wide = 0.03 if facts.gender[0] in {"Men", "Boys"} else 0.0
    rubber = "Rubber" in facts.material
    upper = parts.draw_shaft(sketch, width=wide + (0.05 if rubber else 0.0))
    parts.light_up(sketch, upper)
    canvas.shine(curve((0.70, height - 0.1), (0.70, height * 0.5), (0.66, 0.36)), 0.045, 100)
    parts.draw_toe(sketch, upper.front)
    if not rubber:
        canvas.line(curve((0.40, 0.25), (0.52, 0.15), (0.56, 0.0)), scheme.seam, 0.01)
        canvas.line(curve((0.98, 0.26), (0.86, 0.22), (0.80, 0.0)), scheme.seam, 0.01)
    else:
        rear, fore = float(upper.top[0, 0]), float(upper.top[-1, 0])
        rim = curve((rear - 0.01, height - 0.05), (0.77, height - 0.085), (fore + 0.01, height - 0.05))
        canvas.tint(band(rim, 0.05), scheme.accent)
    _draw_boot_sole(sketch)
    _fasten(sketch, upper)
    if facts.subcategory == "Mid-Calf" and "Nylon" in facts.material:
        parts.draw_ruff(sketch, upper.top, 0.10, scheme.lining)


def _build_slipper_boot(sketch: Sketch) -> None:
    """Draw a slipper boot: soft, wide, with a turned-down collar of fleece."""
    scheme = sketch.scheme
    sketch.canvas.stand(0.03, 0.98)
    upper = parts.draw_shaft(sketch, width=0.05, vamp=1.05, lining=(238, 230, 214))
    seam = curve((0.42, 0.27), (0.56, 0.16), (0.60, 0.0))
    sketch.canvas.line(seam, scheme.seam, 0.012)
    sketch.canvas.stitch(shift(seam, 0.02, 0.0), lighten(scheme.main, 0.4))
    parts.draw_unit_sole(
        sketch, mix(scheme.main, (226, 206, 172), 0.7), darken(scheme.main, 0.4), tip=-0.015, back=1.03
    )
    if sketch.closes("Hook and Loop"):
        parts.draw_hook_straps(sketch, upper.shin(0.33, 0.19)[2:], 1, color=scheme.strap, width=0.11)
    parts.draw_ruff(sketch, shift(upper.top, 0.0, -0.025), 0.13, (236, 228, 212))
    if sketch.closes("Pull-on"):
        parts.draw_pull_tab(sketch, 0.97, sketch.height - 0.02, darken(scheme.main, 0.3))


BUILDERS: dict[tuple[str, str], Builder] = {
    ("Boots", "Ankle"): _build_boot,
    ("Boots", "Mid-Calf"): _build_boot,
    ("Boots", "Knee High"): _build_boot,
    ("Boots", "Over the Knee"): _build_boot,
    ("Slippers", "Boot"): _build_slipper_boot,
}
