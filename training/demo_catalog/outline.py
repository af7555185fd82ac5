"""Splines for outlines, and the last: the form of a foot on a heel that every component of a shoe is placed on.

Parts are described in the coordinates of the last: `u` runs along the foot from the toe (0) to the heel (1), `v` is
the height above the foot's sole, both in foot lengths. `Last.place` bends them onto the heel, so one description of a
vamp serves a slipper and a stiletto alike. World coordinates are foot lengths too, with y = 0 on the ground.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""(N, 2) coordinates."""

_Pair = tuple[float, float]

_GRID = np.linspace(-0.2, 1.2, 113)
_ANKLE = 0.16  # v from which the upper leaves the line of the sole and stands upright


@lru_cache(maxsize=8)
def _basis(steps: int) -> NDArray[np.float64]:
    """Return the (steps, 4) Catmull-Rom weights of four neighbouring control points."""
    t = np.arange(steps, dtype=np.float64) / steps
    return 0.5 * np.stack(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3], axis=1
    )


def _spline(padded: Points, steps: int) -> Points:
    windows = np.stack([padded[:-3], padded[1:-2], padded[2:-1], padded[3:]], axis=1)
    return (_basis(steps) @ windows).reshape(-1, 2)


def curve(*points: _Pair, steps: int = 7) -> Points:
    """Return a smooth open curve through two or more `points`: ((n - 1) * steps + 1, 2)."""
    control = np.array(points, dtype=np.float64)
    padded = np.concatenate([control[:1], control, control[-1:]])
    return np.concatenate([_spline(padded, steps), control[-1:]])


def loop(*points: _Pair, steps: int = 6) -> Points:
    """Return a smooth closed curve through three or more `points`: (n * steps, 2)."""
    control = np.array(points, dtype=np.float64)
    return _spline(np.concatenate([control[-1:], control, control[:2]]), steps)


def join(*parts: Points | Sequence[_Pair]) -> Points:
    """Return one polygon from curves laid end to end; a corner stands where two of them meet."""
    return np.concatenate([np.asarray(part, dtype=np.float64) for part in parts])


def floor(start: float, stop: float, v: float = 0.0, count: int = 18) -> Points:
    """Return `count` points along the foot from u = `start` to `stop`, all at the height `v`."""
    return np.stack([np.linspace(start, stop, count), np.full(count, v)], axis=1)


def shift(points: Points, du: float, dv: float) -> Points:
    """Return `points` moved by (`du`, `dv`)."""
    moved: Points = points + np.array([du, dv])
    return moved


def band(center: Points, start: float, stop: float | None = None) -> Points:
    """Return the outline of a strap along `center`, whose width goes from `start` to `stop` (by default the same)."""
    tangent = np.empty_like(center)
    tangent[1:-1] = center[2:] - center[:-2]
    tangent[0], tangent[-1] = center[1] - center[0], center[-1] - center[-2]
    length = np.maximum(np.hypot(tangent[:, 0], tangent[:, 1]), 1e-9)
    share = np.arange(len(center)) / (len(center) - 1)
    half = (start + ((start if stop is None else stop) - start) * share) / 2
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1) * (half / length)[:, None]
    return np.concatenate([center + normal, (center - normal)[::-1]])


@dataclass(frozen=True)
class Last:
    """The form that a shoe is built on; all lengths in foot lengths.

    Attributes:
        heel: height of the heel seat over the ball of the foot.
        platform: thickness of the sole under the ball.
        girth: how tall the parts on the foot are, against an average adult shoe.
        spring: how far the tip of the toe is lifted from the ground.
    """

    heel: float
    platform: float
    girth: float = 1.0
    spring: float = 0.02

    @cached_property
    def stretch(self) -> float:
        """Length of the shoe along the ground: a foot on a high heel stands steeper, so it reaches less far."""
        return float(np.sqrt(max(1.0 - self.heel**2 * 1.2, 0.5)))

    def base(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the height of the foot's sole over the ground at the positions `u`."""
        return np.interp(u, _GRID, self._heights)

    @cached_property
    def _heights(self) -> NDArray[np.float64]:
        rise = np.clip((_GRID - 0.30) / 0.56, 0.0, 1.0)
        toe = np.clip((0.2 - _GRID) / 0.2, 0.0, 1.5)
        return self.platform + self.heel * rise * rise * (3 - 2 * rise) + self.spring * toe * toe

    def place(self, points: Points) -> Points:
        """Return `points` (u, v) of the last in world coordinates.

        Low parts follow the sole; from the ankle up they stand upright over the heel seat, as a leg does.
        """
        u, v = points[:, 0], points[:, 1]
        base = self.base(u)
        if v.max() > _ANKLE:
            upright = np.minimum(np.maximum((v - _ANKLE) / 0.3, 0.0), 1.0)
            base += (self.platform + self.heel - base) * upright
        world = np.empty_like(points)
        world[:, 0] = u * self.stretch
        world[:, 1] = v * self.girth + base
        return world
