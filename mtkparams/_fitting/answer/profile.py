"""Confidence intervals by profile likelihood, and the profiles themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy import stats

from ..._parameters import Initial, plain
from ..._text import text_table
from ...errors import KindError, unknown_name
from ..objective.objective import Objective
from .estimate import curvature
from .plots import profile_panels
from .uncertainty import Uncertainty
from .walk import Answer, Box, Place, Side, Walk, walk

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Vectors of shape (walks, entries) to losses (walks,) and gradients (walks, entries).
Evaluate: TypeAlias = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class Profile(eqx.Module):
    """How good the fit can be with one value held away from its estimate.

    **Attributes:**

    - `label`: the entry that was moved.
    - `values`: where it was held, increasing, shape `(points,)`.
    - `losses`: the least negative log-likelihood there above that of the fit, shape `(points,)`.
    - `vectors`: all entries there, shape `(points, entries)`.
    - `estimate`: its value in the fit.
    - `interval`: the two ends of its confidence interval. Infinite where the data set no limit, NaN
      where none was found.
    - `reasons`: for each end why it is not a plain one: `"at its bound"`, `"not determined on this
      side"`, ...; empty where it is one.
    - `height`: the root of twice the loss difference at the ends: 1.96 for 95 % of a likelihood.
    """

    label: str = eqx.field(static=True)
    values: np.ndarray
    losses: np.ndarray
    vectors: np.ndarray
    estimate: float
    interval: tuple[float, float]
    reasons: tuple[str, str] = eqx.field(static=True)
    height: float


class Profiles(eqx.Module, Mapping):
    """The profiles of several entries, by name.

    **Attributes:**

    - `level`: of the confidence intervals, such as 0.95.
    - `better`: a vector with a smaller loss than the fit's, if one was met; the fit had then not
      arrived, and no interval is complete. `None` otherwise.
    """

    profiles: dict[str, Profile]
    level: float
    better: np.ndarray | None

    def __getitem__(self, label: str) -> Profile:
        return self.profiles[label]

    def __iter__(self) -> Iterator[str]:
        return iter(self.profiles)

    def __len__(self) -> int:
        return len(self.profiles)

    @property
    def interval(self) -> dict[str, tuple[float, float]]:
        """The two ends of each confidence interval, by name."""
        return {label: profile.interval for label, profile in self.profiles.items()}

    def plot(self) -> Figure:
        """A picture of the profiles, with the ends of the confidence intervals.

        **Returns:** a `matplotlib.figure.Figure`; `ModuleNotFoundError` without matplotlib.
        """
        return profile_panels(tuple(self.profiles.values()))

    def __str__(self) -> str:
        rows = [("", f"{self.level:.4g} from", "to", "")]
        for label, profile in self.profiles.items():
            low, high = (f"{end:.6g}" for end in profile.interval)
            sides = zip(("lower end", "upper end"), profile.reasons, strict=True)
            notes = "; ".join(f"{side} {reason}" for side, reason in sides if reason)
            rows.append((label, low, high, notes))
        lines = text_table(rows, right=(1, 2))
        if self.better is not None:
            lines.append("A better fit was met on the way: fit again from `better`.")
        return "\n".join(lines)


def profiles(
    evaluate: Evaluate,
    best: np.ndarray,
    curvature: np.ndarray,
    labels: Sequence[str],
    which: Sequence[int],
    lower: np.ndarray,
    upper: np.ndarray,
    level: float,
    freedom: int | float = np.inf,
) -> Profiles:
    """Profiles of the entries `which`, all sides walked at the same time.

    **Arguments:**

    - `evaluate`: negative log-likelihoods and their gradients at a batch of `2 * len(which)` vectors.
    - `best`: the fit, shape `(entries,)`; `curvature`: the Hessian there, or what stands for it.
    - `level`: of the intervals.
    - `freedom`: degrees of freedom that the noise was estimated from, infinite where it is known or
      one of the entries. The end is then the quantile of Student's t.
    """
    # The walk is in double precision, whatever the model's is.
    best, curvature, lower, upper = (np.asarray(x, float) for x in (best, curvature, lower, upper))
    middle = 0.5 + level / 2
    height = float(stats.norm.ppf(middle) if np.isinf(freedom) else stats.t.ppf(middle, freedom))
    sides = [(i, sign) for i in which for sign in (-1, 1)]
    losses, slopes = evaluate(np.tile(best, (len(sides), 1)))
    safe = _positive(curvature, best)
    place = Place(best, float(losses[0]), slopes[0], safe)
    box = Box(lower, upper)
    steps = height / 4 * _first_steps(safe, best)
    walks = [walk(i, sign, place, box, height, float(steps[i])) for i, sign in sides]
    done = _all_at_once(walks, evaluate, best)
    profile_of = {}
    for k, i in enumerate(which):
        low, high = done[2 * k], done[2 * k + 1]
        vectors = np.asarray([*low.vectors[:0:-1], *high.vectors])
        heights = np.asarray([*low.losses[:0:-1], *high.losses]) - place.loss
        profile_of[labels[i]] = Profile(
            labels[i],
            vectors[:, i],
            heights,
            vectors,
            float(best[i]),
            (low.end, high.end),
            (low.reason, high.reason),
            height,
        )
    better = [side for side in done if side.better is not None]
    return Profiles(profile_of, level, better[0].better if better else None)


def _all_at_once(walks: list[Walk], evaluate: Evaluate, best: np.ndarray) -> list[Side]:
    """Runs all walks to their ends. The batch keeps its size, so that it is compiled once."""
    asked = np.tile(best, (len(walks), 1))
    done: dict[int, Side] = {}

    def go(k: int, answer: Answer | None) -> None:
        try:
            asked[k] = next(walks[k]) if answer is None else walks[k].send(answer)
        except StopIteration as end:
            done[k] = end.value

    for k in range(len(walks)):
        go(k, None)
    while len(done) < len(walks):
        losses, slopes = evaluate(asked)
        for k in set(range(len(walks))) - set(done):
            go(k, (float(losses[k]), slopes[k]))
    return [done[k] for k in range(len(walks))]


def _positive(curvature: np.ndarray, best: np.ndarray) -> np.ndarray:
    """The curvature with a little in place of what is zero or negative in it."""
    unit = np.sqrt(np.abs(np.diag(curvature)))
    # An entry without influence: any step will do, a tenth of its value is one.
    nothing = 10.0 / np.where(best == 0, 1.0, np.abs(best))
    unit = np.where(unit == 0, nothing, unit)
    powers, axes = np.linalg.eigh(curvature / np.outer(unit, unit))
    powers = np.maximum(powers, 1e-9 * max(powers.max(), 1.0))
    return unit[:, None] * ((axes * powers) @ axes.T) * unit


def _first_steps(curvature: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Standard errors; for entries that are hardly determined, something to start from."""
    errors = np.sqrt(np.diag(np.linalg.inv(curvature)))
    alone = 1 / np.sqrt(np.diag(curvature))
    return np.minimum(errors, np.maximum(alone, 0.1 * np.abs(best)))


def profile(
    objective: Objective,
    v: np.ndarray,
    names: str | Initial | Iterable[str | Initial] | None,
    level: float,
    errors: Uncertainty,
) -> Profiles:
    """What `FitResult.profile` says."""
    if not 0 < level < 1:
        raise KindError(f"level= is a probability such as 0.95, got {level!r}.")
    labels = objective.labels
    asked = [names] if isinstance(names, str | Initial) else names
    wanted = labels if asked is None else [plain(name) for name in asked]
    for name in wanted:
        if name not in labels:
            raise unknown_name(name, labels, "the free values")
    variance = errors.variance
    if not (np.isfinite(variance) and variance > 0):
        raise KindError(
            f"There is no profile likelihood: the variance of the residuals is {variance}, "
            "as of data that are met exactly or are as few as the values."
        )

    bent = curvature(objective, v) / variance
    if not np.isfinite(bent).all():
        raise KindError("There is no profile: the objective or its curvature is not finite here.")

    def evaluate(vs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        losses, slopes = _batch(objective, jnp.asarray(vs))
        return np.asarray(losses, float) / variance, np.asarray(slopes, float) / variance

    return profiles(
        evaluate,
        v,
        bent,
        labels,
        [labels.index(name) for name in wanted],
        objective.lower,
        objective.upper,
        level,
        errors.freedom if errors.scaled else np.inf,
    )


@eqx.filter_jit
def _batch(objective: Objective, vs: Array) -> tuple[Array, Array]:
    return jax.vmap(objective.value_and_grad)(vs)
