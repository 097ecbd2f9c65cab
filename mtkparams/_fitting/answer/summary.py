"""All that a report says, as plain data: what is printed, saved and compared is this."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..._parameters import Initial, Initials, Tunable, describe, short_bounds
from ..._text import number
from ..objective.objective import Objective
from .estimate import propagate
from .uncertainty import Uncertainty

if TYPE_CHECKING:
    from .result import FitResult

_NAN = math.nan


@dataclasses.dataclass(frozen=True)
class Row:
    """One value of the table.

    - `error`: its standard error; NaN where it has none.
    - `note`: `"fixed"`, `"dependent"`, `"at lower bound"`, `"not identifiable"`, `"never moved"`, ...
    """

    name: str
    value: float
    error: float
    start: float
    bounds: str
    unit: str
    note: str


@dataclasses.dataclass(frozen=True)
class Summary:
    """A fit in numbers and words.

    - `statistics`: names and numbers, in order: data, chi-squared, AIC, ...
    - `correlations`: pairs of free values by the size of their correlation.
    - `notes`: sentences.
    """

    title: str
    message: str
    succeeded: bool
    counts: tuple[tuple[str, int | float], ...]
    statistics: tuple[tuple[str, int | float], ...]
    rows: tuple[Row, ...]
    correlations: tuple[tuple[str, str, float], ...]
    notes: tuple[str, ...]


_KINDS = {
    "least_squares": "least squares",
    "likelihood": "maximum likelihood",
    "loss": "least loss",
}


def summarize(result: FitResult, errors: Uncertainty | None) -> Summary:
    """The summary of a fit.

    **Arguments:**

    - `errors`: its uncertainty; `None` for a loss, which has none.
    """
    objective = result.objective
    kind = "maximum of the posterior" if _has_priors(objective) else _KINDS[result.kind]
    return Summary(
        title=f"{kind[0].upper()}{kind[1:]} by {result.method}",
        message=result.message,
        succeeded=result.succeeded,
        counts=(
            *_starts(result),
            ("steps", int(np.size(result.losses))),
            ("evaluations", result.evaluations),
            ("failed evaluations", result.failures),
            ("seconds", result.seconds),
        ),
        statistics=tuple(_statistics(result, errors).items()),
        rows=(*_free_rows(result, errors), *_other_rows(result, errors)),
        correlations=_correlations(errors),
        notes=(*_failures(result), *(errors.notes if errors is not None else ())),
    )


def _starts(result: FitResult) -> list[tuple[str, int | float]]:
    if result.starts is None:
        return []
    cluster = np.asarray(result.starts.cluster)
    return [
        ("starts", int(cluster.size)),
        ("starts at the best", int((cluster == 0).sum())),
        ("failed starts", int((cluster < 0).sum())),
    ]


def _has_priors(objective: Objective) -> bool:
    return any(prior is not None for prior in objective.priors)


def _statistics(result: FitResult, errors: Uncertainty | None) -> dict[str, int | float]:
    objective, count = result.objective, result.v.size
    statistics: dict[str, int | float] = {}
    if errors is None:
        return {"free values": count, "loss": result.loss}
    data = objective.data
    statistics |= {"data": data, "free values": count, "degrees of freedom": errors.freedom}
    if result.kind == "least_squares":
        statistics["chi2"] = 2 * result.loss
        statistics["reduced chi2"] = (
            2 * result.loss / errors.freedom if errors.freedom > 0 else _NAN
        )
    likelihood = -result.loss
    if _has_priors(objective) or result.kind == "least_squares":
        likelihood, prior = map(float, _log_densities(objective, jnp.asarray(result.v)))
        statistics |= {"log prior": prior} if _has_priors(objective) else {}
    statistics["log likelihood"] = likelihood
    # A scatter that was read off the residuals is one more value that was estimated.
    estimated = errors.spread.rank + errors.scaled
    statistics["AIC"] = 2 * estimated - 2 * likelihood
    if data:
        statistics["BIC"] = math.log(data) * estimated - 2 * likelihood
    return statistics


@eqx.filter_jit
def _log_densities(objective: Objective, v: Array) -> tuple[Array, Array]:
    return objective.log_likelihood(v), objective.log_prior(v)


def _free_rows(result: FitResult, errors: Uncertainty | None) -> list[Row]:
    stderr = errors.stderr if errors is not None else {}
    status = errors.status if errors is not None else {}
    ends = zip(result.lower.tolist(), result.upper.tolist(), strict=True)
    units = result.objective.units
    rows = []
    for label, value, start, bounds, unit in zip(
        result.labels, result.v.tolist(), result.start.tolist(), ends, units, strict=True
    ):
        note = status.get(label, "")
        if not note and value == start and not np.isnan(value):
            note = "never moved"
        rows.append(
            Row(
                label, value, stderr.get(label, _NAN), start, short_bounds(bounds), unit or "", note
            )
        )
    return rows


def _other_rows(result: FitResult, errors: Uncertainty | None) -> list[Row]:
    """Dependent values with propagated errors, and numbers that a fit could have moved."""
    start = result.objective.parameters(result.start)
    free = set(result.labels) | {label.split("[")[0] for label in result.labels}
    # What an algebraic unknown has here is a guess, which no fit moves.
    experiments = getattr(result.objective.target, "experiments", ())
    free |= {
        str(Initial(n)) for experiment in experiments for n in experiment.problem.model.algebraic
    }
    rows = []
    for row in describe(result.p):
        name, value = row["name"], row["value"]
        is_bound = row["portion"] is None and row["reads"]
        could_move = row["portion"] in (Tunable, Initials) and name not in free
        if not (is_bound or could_move) or not _is_float(value):
            continue
        error, note = _NAN, "fixed"
        if is_bound and errors is not None:
            error = propagate(result.objective, result.v, errors, name).stderr
        if is_bound and error != 0.0:
            note = "dependent"
        error = error if note == "dependent" else _NAN
        bounds, unit = short_bounds(row["bounds"]), row["unit"] or ""
        rows.append(Row(name, float(value), error, start[name].item(), bounds, unit, note))
    return rows


def _is_float(value: object) -> bool:
    is_array = isinstance(value, jax.Array | np.ndarray)
    return is_array and value.shape == () and jnp.issubdtype(value.dtype, jnp.floating)


def _correlations(errors: Uncertainty | None) -> tuple[tuple[str, str, float], ...]:
    if errors is None:
        return ()
    matrix = errors.correlation
    pairs = [
        (errors.labels[i], errors.labels[j], float(matrix[i, j]))
        for i in range(matrix.shape[0])
        for j in range(i + 1, matrix.shape[0])
        if np.isfinite(matrix[i, j])
    ]
    return tuple(sorted(pairs, key=lambda pair: -abs(pair[2])))


def _failures(result: FitResult) -> list[str]:
    if not result.failures:
        return []
    shown = []
    for where in result.failed_at[:3]:
        values = zip(result.labels, where.tolist(), strict=True)
        shown.append(", ".join(f"{name} = {number(x)}" for name, x in values))
    count = result.failures
    times = "once" if count == 1 else f"{count} times"
    more = "; ..." if count > len(shown) else ""
    return [f"the objective could not be computed {times}, at {'; at '.join(shown)}{more}"]
