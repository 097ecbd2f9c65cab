"""Along a profile: one value is moved away from the fit, and the others follow to their best.

Each walk is a generator that yields vectors and is sent the loss and its gradient there, so that it
reads as the plain sequence of steps that it is, while the caller evaluates all walks in one batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from typing import TypeAlias

import numpy as np

from ..._text import counted

# What a generator is sent: the loss at the vector that it gave, and the gradient there.
Answer: TypeAlias = "tuple[float, np.ndarray]"
Walk: TypeAlias = "Generator[np.ndarray, Answer, Side]"

# The others count as at their best when a Newton step would lower the loss by less than this. Loss
# differences of 1.9 end a 95 % interval, so that its ends are good to about 1e-6 of its width.
_SETTLED = 1e-6
# Where rounding or the tolerance of a solve hides smaller gains, this much is no matter: it moves the
# end of an interval by a thousandth of its width.
_NEARLY = 1e-3
# The steps of a walk: this part of the distance to its end, in the root of the loss.
_STEPS = 4
_MOST_POINTS = 40
# Where the root of the loss still grows so little after so many times the first step, it has no end.
_FAR = 1e4


@dataclasses.dataclass(frozen=True, eq=False)
class Side:
    """One side of a profile: points away from the fit, in order, and where the interval ends."""

    vectors: list[np.ndarray]
    losses: list[float]
    end: float
    reason: str
    better: np.ndarray | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Place:
    """A vector with all that is known of the loss there; `curvature` is kept positive definite.

    `settled` says that no step would lower the loss by much.
    """

    x: np.ndarray
    loss: float
    slope: np.ndarray
    curvature: np.ndarray
    settled: bool = True


@dataclasses.dataclass(frozen=True, eq=False)
class Box:
    lower: np.ndarray
    upper: np.ndarray

    def inside(self, x: np.ndarray) -> np.ndarray:
        return np.clip(x, self.lower, self.upper)

    def stuck(self, x: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """Entries on a bound that the loss pushes against."""
        return ((x <= self.lower) & (slope > 0)) | ((x >= self.upper) & (slope < 0))


def walk(i: int, sign: int, best: Place, box: Box, height: float, first: float) -> Walk:
    """Entry `i` away from the fit until the loss has grown by `height**2 / 2`.

    **Arguments:**

    - `sign`: the side, -1 or 1.
    - `height`: the root of twice the difference in loss where the interval ends.
    - `first`: the length of the first step, positive.
    """
    bound = (box.lower if sign < 0 else box.upper)[i]
    places, heights = [best], [0.0]
    step = first

    def side(end: float, reason: str, better: np.ndarray | None = None) -> Side:
        open_points = sum(not p.settled for p in places)
        if open_points and not reason:
            reason = (
                f"may lie further out: at {counted(open_points, 'point')} the others did not settle"
            )
        return Side([p.x for p in places], [p.loss for p in places], end, reason, better)

    while len(places) < _MOST_POINTS:
        here = places[-1]
        target = here.x[i] + sign * step
        at_bound = sign * (target - bound) >= 0
        target = bound if at_bound else target
        if target == here.x[i]:
            return side(target, "at its bound")
        place = yield from _settled(_ahead(places, i, target, box), i, box)
        if place is None:
            step = abs(target - here.x[i]) / 4
            if step < 1e-4 * first:
                return side(np.nan, "the model cannot be solved further on this side")
            continue
        if place.loss < best.loss - 1e-3:
            return side(np.nan, "a better fit was met on this side", place.x)
        places.append(place)
        heights.append(float(np.sqrt(max(2 * (place.loss - best.loss), 0.0))))
        if heights[-1] >= height:
            end = yield from _crossing(places, heights, i, box, best.loss, height)
            return side(end, "" if np.isfinite(end) else "no end was found on this side")
        if at_bound:
            return side(bound, "at its bound")
        gone = abs(place.x[i] - best.x[i])
        if gone > _FAR * max(first, abs(best.x[i])):
            break
        last = abs(place.x[i] - here.x[i])
        rate = (heights[-1] - heights[-2]) / last
        wanted = min(height / _STEPS, (height - heights[-1]) * 1.02)
        # Longer steps would jump over another minimum behind a barrier.
        step = min(wanted / rate, 2 * last) if rate > 0 else 2 * last
    return side(sign * np.inf, "not determined on this side")


def _ahead(places: list[Place], i: int, target: float, box: Box) -> Place:
    """Where the others will be, by the last two points, or by the curvature at the fit."""
    here = places[-1]
    change = np.zeros_like(here.x)
    if len(places) > 1:
        last = places[-2]
        change = (here.x - last.x) / (here.x[i] - last.x[i])
    else:
        others = ~box.stuck(here.x, here.slope)
        others[i] = False
        inner = here.curvature[np.ix_(others, others)]
        change[others] = -_solved(inner, here.curvature[others, i])
    change[i] = 1.0
    x = box.inside(here.x + change * (target - here.x[i]))
    x[i] = target
    return dataclasses.replace(here, x=x)


def _settled(place: Place, i: int, box: Box) -> Generator[np.ndarray, Answer, Place | None]:
    """The best of the other entries from `place` on, or `None` where the loss is no number.

    Quasi-Newton steps (BFGS), cut off at the bounds. The curvature at the start is that at the last
    point, so that few steps are needed.
    """
    x, curvature = place.x, place.curvature
    loss, slope = yield x
    if not (np.isfinite(loss) and np.isfinite(slope).all()):
        return None
    for _ in range(100):
        others = ~box.stuck(x, slope)
        others[i] = False
        step = np.zeros_like(x)
        inner = curvature[np.ix_(others, others)]
        step[others] = -_solved(inner, slope[others])
        if -slope @ step / 2 <= _SETTLED:
            break
        part = 1.0
        while True:
            new = box.inside(x + part * step)
            new_loss, new_slope = yield new
            enough = loss + 1e-4 * slope @ (new - x)
            if np.isfinite(new_slope).all() and new_loss <= enough:
                break
            part /= 4
            if part < 1e-6:  # rounding hides what is left to gain
                return Place(x, loss, slope, curvature, bool(-slope @ step / 2 <= _NEARLY))
        curvature = _updated(curvature, new - x, new_slope - slope)
        x, loss, slope = new, new_loss, new_slope
    else:
        return Place(x, loss, slope, curvature, False)
    return Place(x, loss, slope, curvature)


def _solved(curvature: np.ndarray, right: np.ndarray) -> np.ndarray:
    """`inverse(curvature) @ right`, least where the curvature vanishes."""
    unit = np.sqrt(np.maximum(np.diag(curvature), np.finfo(float).tiny))
    scaled = curvature / np.outer(unit, unit)
    return np.linalg.lstsq(scaled, right / unit, rcond=1e-13)[0] / unit


def _updated(curvature: np.ndarray, step: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The BFGS update, damped so that the curvature stays positive (Powell 1978)."""
    seen = curvature @ step
    old = step @ seen
    if old <= 0:
        return curvature
    new = step @ change
    if new < 0.2 * old:
        part = 0.8 * old / (old - new)
        change = part * change + (1 - part) * seen
        new = step @ change
    return curvature - np.outer(seen, seen) / old + np.outer(change, change) / new


def _crossing(
    places: list[Place], heights: list[float], i: int, box: Box, least: float, height: float
) -> Generator[np.ndarray, Answer, float]:
    """Where the root of the loss, which is nearly linear, reaches `height`.

    By regula falsi (Illinois), and by halves where that is slow. The points on the way join the
    others, in order.
    """
    low, high = places[-2], places[-1]
    below, above = heights[-2] - height, heights[-1] - height
    widths = [np.inf, abs(high.x[i] - low.x[i])]
    for _ in range(60):
        part = below / (below - above) if widths[-1] <= widths[-2] / 2 else 0.5
        x = low.x + part * (high.x - low.x)
        place = yield from _settled(dataclasses.replace(low, x=box.inside(x)), i, box)
        if place is None:
            return np.nan
        reached = float(np.sqrt(max(2 * (place.loss - least), 0.0)))
        where = sum(h < reached for h in heights)
        places.insert(where, place)
        heights.insert(where, reached)
        if abs(reached - height) <= 1e-5 * height:
            return float(place.x[i])
        if reached > height:
            high, above, below = place, reached - height, below / 2
        else:
            low, below, above = place, reached - height, above / 2
        widths = [widths[-1], abs(high.x[i] - low.x[i])]
    return np.nan
