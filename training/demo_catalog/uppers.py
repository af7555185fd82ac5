"""The upper of a closed shoe: the outline that sneakers, pumps and boots share, with the lining seen in its opening."""

from dataclasses import dataclass

import numpy as np

from training.demo_catalog.outline import Points, curve, floor, join, shift
from training.demo_catalog.paint import Color, Surface, mix
from training.demo_catalog.parts import toe_points
from training.demo_catalog.sketch import Sketch

__all__ = ["Upper", "draw_counter", "draw_front", "draw_upper", "light_up"]

_BLACK = (0, 0, 0)
_WHITE = (255, 255, 255)


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


def draw_upper(
    sketch: Sketch,
    *,
    collar: float,
    dip: float,
    throat: tuple[float, float],
    vamp: float = 1.0,
    dip_at: float = 0.78,
    bulge: float = 0.02,
    color: Color | None = None,
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
        color: of the upper, instead of the main colour.
        lining: colour of the lining, instead of the insole's.
    """
    canvas = sketch.canvas
    main = color or sketch.scheme.main
    toe = toe_points(sketch, vamp)
    back = curve((0.995, 0.0), (1.0 + bulge, collar * 0.3), (1.0 + bulge * 0.4, collar * 0.65), (0.985, collar))
    top = curve((0.985, collar), (0.93, collar - 0.3 * (collar - dip)), (dip_at, dip),
                (throat[0] + 0.3 * (dip_at - throat[0]), dip + 0.35 * (throat[1] - dip)), throat)  # fmt: skip
    knee = ((throat[0] + 0.24) / 2, (throat[1] + toe[0][1]) / 2 - 0.004)
    front = (
        curve(throat, knee, *toe) if throat[0] > 0.3 else curve(throat, *[p for p in toe if p[0] < throat[0] - 0.03])
    )
    far = curve((0.985, collar), (0.86, max(collar, dip + 0.03) - 0.004), (dip_at - 0.04, dip + 0.045), throat)
    inside = lining or sketch.scheme.lining
    canvas.fill(join(top, far[::-1]), mix(inside, _BLACK, 0.28))
    canvas.fill(join(back, top[1:], front[1:], floor(float(front[-1, 0]), 0.995)), main, Surface.UPPER)
    canvas.line(top, mix(main, _BLACK, 0.4), 0.014)
    canvas.line(shift(top, 0.0, 0.004), mix(main, _WHITE, 0.2), 0.006)
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
    sketch.canvas.line(inner, mix(color, _BLACK, 0.4), 0.009)


def draw_front(sketch: Sketch, *, end: float, throat: tuple[float, float], vamp: float) -> Upper:
    """Draw the front half of an upper, open behind u = `end`: mules, clogs, slingbacks."""
    canvas, scheme = sketch.canvas, sketch.scheme
    toe = [point for point in toe_points(sketch, vamp) if point[0] < throat[0] - 0.03]
    front = curve(throat, *toe)
    middle = (end + throat[0]) / 2
    top = curve((end, 0.0), (end - 0.02, 0.06), (middle, throat[1] * 0.72), throat)
    far = curve((end + 0.02, 0.02), (middle + 0.05, throat[1] * 0.8), throat)
    canvas.fill(join(floor(throat[0], end, 0.0, 6), far), mix(scheme.lining, _BLACK, 0.4))
    canvas.fill(join(top, front[1:], floor(float(front[-1, 0]), end)), scheme.main, Surface.UPPER)
    canvas.line(top, mix(scheme.main, _BLACK, 0.4), 0.014)
    return Upper(back=top[:2], top=top, front=front)
