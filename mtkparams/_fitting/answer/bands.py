"""What a fitted model says between and beyond the data, with the spread that the fit leaves."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy import stats

from ...errors import KindError
from ..objective.experiment import Experiment, Spec
from ..objective.forward import Vector
from ..objective.likelihood import OfData
from ..objective.objective import Objective
from .uncertainty import Uncertainty


class Band(eqx.Module):
    """A predicted curve with its confidence band.

    **Attributes:**

    - `ts`: times, shape `(times,)`.
    - `value`: the prediction, shape `(times, ...)`; `stderr`: its standard error.
    - `low`, `high`: ends of the confidence band at each time, for the curve and not for new data.
    - `level`: of the band, for each time alone.
    """

    ts: np.ndarray
    value: np.ndarray
    stderr: np.ndarray
    low: np.ndarray
    high: np.ndarray
    level: float


def bands(
    objective: Objective,
    v: np.ndarray,
    errors: Uncertainty,
    ts: Vector | None,
    level: float,
) -> dict[str, dict[str, Band]]:
    """What `FitResult.bands` says."""
    target = objective.target
    if not isinstance(target, OfData):
        raise KindError("Bands are those of a model with data in time, mtk.fitting.objective(...).")
    middle = 0.5 + level / 2
    wide = stats.t.ppf(middle, errors.freedom) if errors.scaled else stats.norm.ppf(middle)
    band_of: dict[str, dict[str, Band]] = {}
    for number, experiment in enumerate(target.experiments):
        asked = _times(experiment, ts)
        there = eqx.tree_at(lambda e: e.ts, experiment, jnp.asarray(asked, experiment.ts.dtype))
        values, slopes = _curves(there, target.layout.specs[number], jnp.asarray(v))
        for series in target.layout.series:
            if series.experiment != number:
                continue
            row = experiment.conditions.index(series.condition)
            spec = target.layout.specs[number].index(series.spec)
            value = np.asarray(values[spec][row])
            stderr = errors.errors(np.asarray(slopes[spec][row]))
            low, high = value - wide * stderr, value + wide * stderr
            if series.log:  # the band of the logarithm: no curve below zero
                with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
                    factor = np.exp(wide * stderr / value)
                low, high = value / factor, value * factor
            band = Band(np.asarray(asked[row]), value, stderr, low, high, level)
            band_of.setdefault(series.condition, {})[series.name] = band
    return band_of


def _times(experiment: Experiment, ts: Vector | None) -> np.ndarray:
    conditions = len(experiment.conditions)
    if ts is not None:
        return np.tile(np.asarray(ts, float), (conditions, 1))
    t0, ends = float(experiment.problem.t0), np.asarray(experiment.ts[:, -1])
    return np.stack([np.linspace(t0, end, 200) for end in ends])


@eqx.filter_jit
def _curves(
    experiment: Experiment, specs: tuple[Spec, ...], v: Array
) -> tuple[list[Array], list[Array]]:
    def read(v: Array) -> list[Array]:
        return experiment.read(v, specs, True)

    return read(v), jax.jacfwd(read)(v)
