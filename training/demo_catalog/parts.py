"""The components of a shoe: uppers, soles and heels, and what fastens and trims them."""

from dataclasses import dataclass

import numpy as np

from training.demo_catalog.canvas import Color, Surface, darken, lighten, mix
from training.demo_catalog.outline import Points, band, curve, floor, join, loop, shift
from training.demo_catalog.sketch import Sketch

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


def _toe_points(sketch: Sketch, height: float = 1.0) -> tuple[tuple[float, float], ...]:
    """Return the points of the toe, from the vamp down to the sole, of a vamp `height` times the usual."""
    style = next((word for word in sketch.facts.toe if word in _TOES), "Round Toe")
    return tuple((u, v * height) for u, v in _TOES[style])


@dataclass(frozen=True)
class Upper:
    """The edges of an upper that was drawn, in (u, v) of the last.

    Attributes:
        back: from the sole up the heel to the collar.
        top: the opening, from the collar at the heel to the throat.
        front: from the throat over the vamp and the toe down to the sole.
    """

    back: Points
    top: Points
    front: Points

    @property
    def throat(self) -> Points:
        """The part of the front that a shoe is fastened on, from the throat to the vamp."""
        return self.front[(self.front[:, 0] > 0.25) & (np.arange(len(self.front)) < len(self.front) * 0.6)]

    def shin(self, u: float, v: float) -> Points:
        """Return the part of the front behind `u` and above `v`, which a boot is fastened on."""
        return self.front[(self.front[:, 0] > u) & (self.front[:, 1] > v)]


def draw_upper(
    sketch: Sketch,
    *,
    collar: float,
    dip: float,
    throat: tuple[float, float],
    vamp: float = 1.0,
    dip_at: float = 0.78,
    bulge: float = 0.02,
    lining: Color | None = None,
) -> Upper:
    """Draw a closed upper and the lining behind its opening.

    Args:
        sketch: the shoe.
        collar: height at the back of the heel.
        dip: height of the opening at its lowest, at u = `dip_at`.
        throat: where the opening ends on the foot, (u, v).
        vamp: height of the toe against the usual.
        dip_at: where the opening is lowest.
        bulge: how far the heel bulges backwards.
        lining: colour of the lining, instead of the insole's.
    """
    canvas, main = sketch.canvas, sketch.scheme.main
    toe = _toe_points(sketch, vamp)
    back = curve((0.995, 0.0), (1.0 + bulge, collar * 0.3), (1.0 + bulge * 0.4, collar * 0.65), (0.985, collar))
    top = curve((0.985, collar), (0.93, collar - 0.3 * (collar - dip)), (dip_at, dip),
                (throat[0] + 0.3 * (dip_at - throat[0]), dip + 0.35 * (throat[1] - dip)), throat)  # fmt: skip
    knee = ((throat[0] + 0.24) / 2, (throat[1] + toe[0][1]) / 2 - 0.004)
    front = curve(throat, *((knee, *toe) if throat[0] > 0.3 else [p for p in toe if p[0] < throat[0] - 0.03]))
    far = curve((0.985, collar), (0.86, max(collar, dip + 0.03) - 0.004), (dip_at - 0.04, dip + 0.045), throat)
    canvas.fill(join(top, far[::-1]), darken(lining or sketch.scheme.lining, 0.28))
    canvas.fill(join(back, top[1:], front[1:], floor(float(front[-1, 0]), 0.995)), main, Surface.UPPER)
    canvas.line(top, darken(main, 0.4), 0.014)
    canvas.line(shift(top, 0.0, 0.004), lighten(main, 0.2), 0.006)
    return Upper(back, top, front)


def draw_shaft(sketch: Sketch, *, width: float = 0.0, vamp: float = 1.0, lining: Color | None = None) -> Upper:
    """Draw a boot's upper with its shaft, `width` wider than usual, and the opening at the top."""
    canvas, scheme, height = sketch.canvas, sketch.scheme, sketch.height
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
    front = curve((fore, height), *[p for p in front_points if p[1] < height - 0.06], *_toe_points(sketch, vamp))
    inside = darken(lining or scheme.lining, 0.3)
    middle = (fore + rear) / 2
    canvas.fill(loop((fore, height), (middle, height + 0.032), (rear, height), (middle, height - 0.03)), inside)
    top = curve((rear, height), (middle, height - 0.034), (fore, height))
    canvas.fill(join(back, top[1:], front[1:], floor(float(front[-1, 0]), 0.995)), scheme.main, Surface.UPPER)
    canvas.line(top, darken(scheme.main, 0.4), 0.018)
    canvas.line(shift(top, 0.0, 0.005), lighten(scheme.main, 0.25), 0.007)
    return Upper(back, top, front)


def light_up(sketch: Sketch, upper: Upper, level: int = 230) -> None:
    """Put highlights on the toe, the vamp and the heel: bright on patent leather, faint on calf, none on suede."""
    toe = upper.front[upper.front[:, 0] < 0.20]
    sketch.canvas.shine(toe[: max(len(toe) * 2 // 3, 2)] * (0.86, 0.72) + (0.035, 0.004), 0.022, level)
    vamp = upper.front[(upper.front[:, 0] > 0.16)]
    sketch.canvas.shine(vamp * (1.0, 0.74) + (0.05, 0.0), 0.014, level // 2)
    if len(upper.back) > 10:
        sketch.canvas.shine(upper.back[4:-4] * (1.0, 0.9) - (0.07, 0.0), 0.02, level * 2 // 3)


def draw_counter(
    sketch: Sketch, upper: Upper, color: Color, *, reach: float = 0.2, surface: Surface = Surface.SECOND
) -> None:
    """Draw the stiffener round the heel, `reach` long, as a part of its own."""
    collar = float(upper.back[-1, 1])
    inner = curve(
        (0.985 - reach * 0.35, collar * 0.92), (0.99 - reach * 0.75, collar * 0.5), (0.995 - reach * 1.2, 0.0)
    )
    sketch.canvas.fill(join(upper.back, inner), color, surface)
    sketch.canvas.line(inner, darken(color, 0.4), 0.009)


def draw_front(sketch: Sketch, *, end: float, throat: tuple[float, float], vamp: float) -> Upper:
    """Draw the front half of an upper, open behind u = `end`: mules, clogs, slingbacks."""
    canvas, scheme = sketch.canvas, sketch.scheme
    toe = [point for point in _toe_points(sketch, vamp) if point[0] < throat[0] - 0.03]
    front = curve(throat, *toe)
    middle = (end + throat[0]) / 2
    top = curve((end, 0.0), (end - 0.02, 0.06), (middle, throat[1] * 0.72), throat)
    far = curve((end + 0.02, 0.02), (middle + 0.05, throat[1] * 0.8), throat)
    canvas.fill(join(floor(throat[0], end, 0.0, 6), far), darken(scheme.lining, 0.4))
    canvas.fill(join(top, front[1:], floor(float(front[-1, 0]), end)), scheme.main, Surface.UPPER)
    canvas.line(top, darken(scheme.main, 0.4), 0.014)
    return Upper(back=top[:2], top=top, front=front)


def _underside(sketch: Sketch, start: float, stop: float, lift: float = 0.0) -> Points:
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
    toe = _underside(sketch, tip + 0.02, tip + 0.008, 0.008)
    bottom = _underside(sketch, back - 0.03, tip + 0.05)
    canvas.fill(join(top, heel, bottom, toe), color, Surface.SOLE, world=True)
    deep = min(0.026, thick * 0.4)
    strip = join(_underside(sketch, tip + 0.03, back - 0.02), _underside(sketch, back - 0.008, tip + 0.01, deep))
    canvas.tint(strip, tread, world=True)
    if stripe is not None:
        canvas.line(last.place(floor(tip + 0.02, back - 0.005, -thick * 0.28)), stripe, 0.014, world=True)
    canvas.line(last.place(floor(tip + 0.01, back - 0.01, 0.010)), darken(color, 0.35), 0.009, world=True)
    canvas.stand(0.05 * last.stretch, (back - 0.02) * last.stretch)


def draw_footbed(sketch: Sketch, color: Color, *, tip: float = -0.01) -> None:
    """Draw the upper face of the sole, seen at a shallow angle."""
    far = curve((0.99, 0.03), (0.8, 0.042), (0.45, 0.03), (0.16, 0.045), (tip + 0.01, 0.014))
    sketch.canvas.fill(join(floor(tip, 1.0, 0.004), far), color)


def draw_dress_sole(sketch: Sketch, color: Color, *, tip: float = -0.02, back: float = 1.0) -> None:
    """Draw a thin sole that follows the foot; a heel comes under it."""
    last, canvas = sketch.last, sketch.canvas
    thick = last.platform
    front = floor(tip + 0.02, 0.34, -thick)
    rear = floor(0.34, back - 0.01, -0.034)
    canvas.fill(join(floor(back, tip, 0.008), front, rear), color, Surface.SOLE)
    canvas.line(floor(tip + 0.01, back - 0.01, 0.004), lighten(color, 0.28), 0.008)
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


def heel_shape(sketch: Sketch) -> str:
    """Return the shape of heel that suits its height, one of those that `draw_heel` knows."""
    if sketch.facts.gender[0] in {"Men", "Boys"}:
        return "stack"
    shapes = {
        "1in - 1 3/4in": ("block", "stack", "kitten"),
        "2in - 2 3/4in": ("block", "kitten", "wedge", "cone", "flare"),
        "3in - 3 3/4in": ("stiletto", "block", "wedge", "cone"),
        "4in - 4 3/4in": ("stiletto", "stiletto", "block", "wedge"),
        "5in & over": ("stiletto", "block", "stiletto"),
    }.get(sketch.facts.heel, ("stack",))
    return shapes[int(sketch.rng.random() * len(shapes))]


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
            canvas.line(np.array([[left, y], [right, y]]), darken(color, 0.3), 0.006, world=True)
    lift = np.array([[left, 0.0], [left, 0.02], [right, 0.02], [right, 0.0]])
    canvas.tint(lift, darken(color, 0.6), world=True)
    canvas.stand(left, right)


def draw_lugs(sketch: Sketch, color: Color) -> None:
    """Cut a coarse tread into the underside of a unit sole."""
    for u in np.arange(0.07, 1.0, 0.075).tolist():
        x = u * sketch.last.stretch
        notch = np.array([[x, -0.004], [x + 0.012, 0.03], [x + 0.024, 0.03], [x + 0.034, -0.004]])
        sketch.canvas.tint(notch, color, world=True)


def draw_toe(sketch: Sketch, profile: Points, *, cap: Color | None = None) -> None:
    """Draw the cap, wings, perforations or apron that the toe style asks for.

    Args:
        sketch: the shoe.
        profile: the upper's edge from the throat over the toe to the sole, in (u, v).
        cap: colour of a toe cap; by default a shade of the upper.
    """
    canvas, scheme, toe = sketch.canvas, sketch.scheme, sketch.facts.toe
    color = cap or darken(scheme.main, 0.3)
    if "Capped Toe" in toe:
        tip = profile[profile[:, 0] < 0.17]
        top = tip[0]
        seam = curve((0.15, 0.0), (0.185, float(top[1]) * 0.55), (float(top[0]), float(top[1])))
        canvas.tint(join(tip, seam), color)
        canvas.line(seam, scheme.seam, 0.012)
        canvas.stitch(shift(seam, 0.018, 0.0), lighten(scheme.main, 0.4))
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
            canvas.tint(join(upper, apron[::-1]), lighten(scheme.main, 0.14))
        canvas.line(apron, scheme.seam, 0.018)
        canvas.stitch(shift(apron, 0.0, 0.014), lighten(scheme.main, 0.35), width=0.009)


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
        canvas.dots(end[None], darken(sketch.scheme.main, 0.5), 0.012)
        canvas.fill(band(np.stack([start, end]), 0.021), color)
        canvas.line(np.stack([start, end]) + along * 0.011, darken(color, 0.35), 0.005)
    _draw_lace_bow(sketch, edge[0])


def _draw_lace_bow(sketch: Sketch, at: Points) -> None:
    u, v = float(at[0]), float(at[1])
    canvas, color = sketch.canvas, sketch.scheme.lace
    for du, dv in ((0.085, 0.004), (0.05, -0.055)):
        near = loop((u, v), (u + du * 0.6, v + dv + 0.028), (u + du, v + dv), (u + du * 0.5, v + dv - 0.014))
        canvas.fill(near, color)
        canvas.line(near, darken(color, 0.4), 0.006)


def draw_hook_straps(sketch: Sketch, edge: Points, count: int, *, color: Color, width: float = 0.09) -> None:
    """Draw hook-and-loop straps from the front `edge` (top first) down the side, each with its stitched tab."""
    canvas = sketch.canvas
    places = np.linspace(0.12, 0.80, count) if count > 1 else np.array([0.25])
    for index in (places * (len(edge) - 1)).round().astype(int).tolist():
        top = edge[index]
        u, v = float(top[0]), float(top[1])
        center = curve((u - 0.016, v + 0.012), (u + 0.055, v - 0.03), (u + 0.13, v - 0.12))
        shape = band(center, width, width * 0.92)
        canvas.tint(shift(shape, 0.008, -0.012), darken(sketch.scheme.main, 0.45))
        canvas.fill(shape, color, Surface.SECOND)
        canvas.line(shape, darken(color, 0.4), 0.008)
        end = band(center[-5:], width * 0.62)
        canvas.line(np.concatenate([end, end[:1]]), lighten(color, 0.55), 0.007)


def draw_buckle(sketch: Sketch, u: float, v: float, size: float = 0.05) -> None:
    """Draw a metal buckle with its pin."""
    canvas, metal = sketch.canvas, sketch.scheme.metal
    frame = loop((u - size, v), (u - size * 0.8, v + size * 0.8), (u + size * 0.8, v + size * 0.8), (u + size, v),
                 (u + size * 0.8, v - size * 0.8), (u - size * 0.8, v - size * 0.8))  # fmt: skip
    canvas.line(np.concatenate([frame, frame[:1]]), darken(metal, 0.55), 0.034)
    canvas.line(np.concatenate([frame, frame[:1]]), metal, 0.022)
    canvas.line(np.array([[u - size, v], [u + size * 0.5, v]]), lighten(metal, 0.4), 0.014)


def draw_zip(sketch: Sketch, line: Points) -> None:
    """Draw a zip along `line` (top first): dark tape, metal teeth, a slider with its pull."""
    canvas, metal = sketch.canvas, sketch.scheme.metal
    canvas.line(line, darken(sketch.scheme.main, 0.62), 0.042)
    canvas.stitch(line, metal, width=0.022)
    u, v = float(line[0, 0]), float(line[0, 1])
    canvas.tint(band(np.array([[u, v], [u + 0.01, v - 0.10]]), 0.032, 0.042), metal)
    canvas.line(np.array([[u, v - 0.02], [u + 0.01, v - 0.09]]), darken(metal, 0.5), 0.01)


def draw_gore(sketch: Sketch, left: Points, right: Points) -> None:
    """Draw an elastic panel between two lines that run from its top down: dark, with fine ribs."""
    canvas = sketch.canvas
    color = mix(sketch.scheme.main, (40, 40, 44), 0.72)
    canvas.tint(join(left, right[::-1]), color)
    for share in (0.2, 0.4, 0.6, 0.8):
        canvas.line(left * (1 - share) + right * share, lighten(color, 0.3), 0.007)
    for edge in (left, right):
        canvas.line(edge, sketch.scheme.seam, 0.012)


def draw_pull_tab(sketch: Sketch, u: float, v: float, color: Color) -> None:
    """Draw the loop by which a boot is pulled on, standing over its collar."""
    tab = curve((u - 0.03, v - 0.07), (u - 0.032, v + 0.02), (u, v + 0.05), (u + 0.032, v + 0.02), (u + 0.03, v - 0.07))
    sketch.canvas.line(tab, darken(color, 0.45), 0.044)
    sketch.canvas.fill(band(tab, 0.028), color, Surface.PLAIN)


def draw_ankle_strap(sketch: Sketch, v: float, color: Color) -> None:
    """Draw a strap round the ankle at the height `v`: its far side, then its near side with the buckle."""
    canvas, front = sketch.canvas, 0.64
    far = curve((front, v), (front + 0.10, v + 0.045), (0.90, v + 0.045), (0.985, v + 0.01))
    near = curve((front, v), (front + 0.08, v - 0.035), (0.86, v - 0.045), (0.985, v + 0.01))
    canvas.fill(band(far, 0.028), darken(color, 0.45))
    canvas.fill(band(near, 0.042), color, Surface.UPPER)
    draw_buckle(sketch, front + 0.10, v - 0.036, 0.034)


def draw_sling(sketch: Sketch, height: float, *, start: float = 0.50, width: float = 0.04) -> None:
    """Draw a strap that runs from the sides of the foot round the heel at `height`: far side, then near side."""
    color = sketch.scheme.main
    far = curve((0.985, height), (0.82, height * 0.85), (start + 0.08, 0.04))
    sketch.canvas.line(far, darken(color, 0.5), width * 0.7)
    near = curve((start, 0.04), (start + 0.14, height * 0.45), (0.82, height * 0.78), (0.985, height))
    sketch.canvas.fill(band(near, width), color, Surface.UPPER)


def draw_bow(sketch: Sketch, u: float, v: float, size: float, color: Color) -> None:
    """Draw a flat bow."""
    canvas = sketch.canvas
    dark = darken(color, 0.35)
    for side in (-1, 1):
        edge = u + side * size
        wing = loop((u, v), (edge, v + size * 0.62), (u + side * size * 1.15, v), (edge, v - size * 0.55))
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
        canvas.dots(tufts[start::3], darken(color, dark), width * 0.30, Surface.SECOND)


def draw_motif(sketch: Sketch, u: float, v: float, size: float) -> None:
    """Draw what a child likes on its shoe: a flower for girls, a star for boys, a ball for both."""
    canvas, color = sketch.canvas, sketch.scheme.accent
    if len(sketch.facts.gender) > 1:
        canvas.dots(np.array([[u, v]]), color, size)
    elif sketch.facts.gender[0] == "Girls":
        angles = np.linspace(0, 5.03, 5)
        petals = np.array([u, v]) + 0.8 * size * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        canvas.dots(petals, color, size * 0.5)
        canvas.dots(np.array([[u, v]]), lighten(sketch.scheme.main, 0.5), size * 0.4)
    else:
        angles = np.arange(10) * np.pi / 5 + np.pi / 2
        radii = np.where(np.arange(10) % 2 == 0, 1.25, 0.55) * size
        canvas.tint(np.array([u, v]) + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1), color)
