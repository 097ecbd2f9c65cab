"""From a problem and data to what an objective is made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ..._model import read_at
from ..._parameters import Initial, plain, stored_name
from ..._problems import ODEProblem, remake
from ...errors import DataError, KindError, UnknownNameError, unknown_name
from .experiment import Experiment, SolveSettings, Spec
from .likelihood import Layout, OfData, Series
from .noise import LogNormal, Normal, noise_of
from .tables import BASE, Table, column_of


def experiments_of(
    problem: ODEProblem,
    free: tuple[str, ...],
    conditions: Mapping[str, Mapping[Any, object]],
    times: Mapping[str, np.ndarray],
    settings: SolveSettings,
) -> tuple[Experiment, ...]:
    """The solves of all conditions, those with the same equations together.

    **Arguments:**

    - `free`: the names of the vector's entries.
    - `conditions`: for each condition values by name.
    - `times`: for each condition the times to read, in the order of the solve.
    """
    unknowns = tuple(n for n, e in problem.model.states.entries.items() if e.bind is None)
    groups: dict[Any, list[tuple[str, ODEProblem, dict[str, Any]]]] = {}
    for condition, values in conditions.items():
        if condition not in times:
            continue
        stored = {stored_name(key, unknowns): value for key, value in values.items()}
        numbers = {n: x for n, x in stored.items() if not callable(x) or hasattr(x, "shape")}
        rules = {n: x for n, x in stored.items() if n not in numbers}
        try:
            member = remake(remake(problem, rules), numbers) if values else problem
        except Exception as error:
            error.add_note(f"This happened under the condition {condition!r}.")
            raise
        ruled = remake(problem, rules) if rules else problem
        groups.setdefault(jax.tree.structure(ruled), []).append((condition, member, numbers))
        del member
    experiments = []
    for members in groups.values():
        experiments.append(
            _experiment(problem, free, conditions, members, times, settings, unknowns)
        )
    return tuple(experiments)


def _experiment(
    problem: ODEProblem,
    free: tuple[str, ...],
    conditions: Mapping[str, Mapping[Any, object]],
    members: list[tuple[str, ODEProblem, dict[str, Any]]],
    times: Mapping[str, np.ndarray],
    settings: SolveSettings,
    unknowns: tuple[str, ...],
) -> Experiment:
    names = list(dict.fromkeys(n for _, _, numbers in members for n in numbers))
    first = conditions[members[0][0]]
    rules = {k: x for k, x in first.items() if callable(x) and not hasattr(x, "shape")}
    ruled = remake(problem, rules) if rules else problem
    # Entries that a rule of these conditions computes have no place in the problem.
    entries = [i for i, name in enumerate(free) if not _is_bound(ruled, name)]
    changes = {n: jnp.stack([jnp.asarray(member.p[n]) for _, member, _ in members]) for n in names}
    longest = max(times[condition].size for condition, _, _ in members)
    ts = np.stack([_padded(times[condition], longest) for condition, _, _ in members])
    return Experiment(
        problem=ruled,
        changes=changes,
        ts=jnp.asarray(ts, problem.t0.dtype),
        free=tuple(free[i] for i in entries),
        entries=None if len(entries) == len(free) else tuple(entries),
        conditions=tuple(condition for condition, _, _ in members),
        settings=settings,
    )


def _is_bound(problem: ODEProblem, label: str) -> bool:
    return problem.p.index.find(label).entry.bind is not None


def _padded(ts: np.ndarray, size: int) -> np.ndarray:
    return np.concatenate([ts, np.full(size - ts.size, ts[-1])])


def inside(tables: tuple[Table, ...], problem: ODEProblem) -> tuple[Table, ...]:
    """The tables with times in the problem's dtype, and an error for a time outside its span."""
    t0, t1 = float(problem.t0), float(problem.t1)
    low, high = min(t0, t1), max(t0, t1)
    dtype = problem.t0.dtype
    rounding = 8 * float(jnp.finfo(dtype).eps) * max(abs(low), abs(high))
    clipped = []
    for table in tables:
        outside = table.t[(table.t < low - rounding) | (table.t > high + rounding)]
        if outside.size:
            raise DataError(
                f"{table.name!r} has data at t = {outside[0]:g}, outside of the time span ({t0:g}, "
                f"{t1:g}) of the problem. Widen it with mtk.remake(problem, tspan=(...))."
            )
        t = np.clip(table.t, low, high).astype(dtype)
        clipped.append(dataclasses.replace(table, t=t))
    return tuple(clipped)


def times_of(tables: tuple[Table, ...], problem: ODEProblem) -> dict[str, np.ndarray]:
    """The times of all tables of each condition, once each, in the order of the solve."""
    times: dict[str, list[np.ndarray]] = {}
    for table in tables:
        times.setdefault(table.condition, []).append(table.t)
    order = 1 if float(problem.t1) >= float(problem.t0) else -1
    return {c: np.unique(np.concatenate(ts))[::order] for c, ts in times.items()}


def of_data(
    experiments: tuple[Experiment, ...],
    tables: tuple[Table, ...],
    noise: object,
    observe: Mapping[str, Spec],
    columns: tuple[str, ...] | None,
    names: tuple[str, ...],
) -> OfData:
    """Data against the experiments, with every column matched to what the model has for it."""
    used: set[str] = set()
    series = []
    for table in tables:
        for column in _columns_to_fit(table, noise, columns):
            used.add(column)
            series.append(_series(table, column, experiments, noise, observe, names))
    for what, mapping in (("noise", noise), ("observe", observe)):
        for name in mapping if isinstance(mapping, Mapping) else ():
            if name not in used:
                raise unknown_name(str(name), used, f"the data columns ({what}=)")
    if columns is not None:
        for name in columns:
            if name not in used:
                known = {c for table in tables for c in table.columns}
                raise unknown_name(name, known, "the columns of the data (columns=)")
    if not any(column_series.present.size for column_series in series):
        raise DataError("There are no data: every value is missing (NaN).")
    layout = Layout(tuple(series), len(experiments))
    dtype = experiments[0].problem.t0.dtype
    y, scale = (np.ones(sum(s.present.size for s in series)) for _ in range(2))
    for column_series, where in zip(layout.series, layout.where, strict=True):
        y[where] = column_series.y.ravel()[column_series.present]
        if isinstance(column_series.scale, np.ndarray):
            scale[where] = column_series.scale.ravel()[column_series.present]
    unknown = {column_series.scale is None for column_series in series}
    if len(unknown) == 2:
        bare = next(column_series.name for column_series in series if column_series.scale is None)
        raise DataError(
            f"{bare!r} has no scale, and other data have one: then their weights are not comparable. "
            "Give all of them a scale, a number or the name of a parameter that is estimated."
        )
    return OfData(
        experiments=experiments,
        y=jnp.asarray(y, dtype),
        scale=jnp.asarray(scale, dtype),
        layout=layout,
        known=unknown == {False},
    )


def _columns_to_fit(table: Table, noise: object, columns: tuple[str, ...] | None) -> list[str]:
    if columns is not None:
        return [name for name in table.columns if name in columns]
    kinds = noise.values() if isinstance(noise, Mapping) else [noise]
    scales = {
        kind.scale for kind in kinds if isinstance(kind, Normal) and isinstance(kind.scale, str)
    }
    return [name for name in table.columns if name not in scales]


def _series(
    table: Table,
    column: str,
    experiments: tuple[Experiment, ...],
    noise: object,
    observe: Mapping[str, Spec],
    names: tuple[str, ...],
) -> Series:
    number, experiment, row = _place_of(table.condition, experiments)
    spec = observe.get(column, column)
    shape = _shape_of(spec, experiment, column, table, names)
    y = column_of(table, column)
    where = f"{column!r} of {table.name!r}"
    if not experiment.has_times(spec):
        raise DataError(f"{where} is a parameter, and has no values in time to compare with data.")
    if y.shape[1:] != shape:
        raise DataError(f"{where} has entries of shape {y.shape[1:]}, the model has {shape}.")
    if np.isinf(y).any():
        raise DataError(f"{where} has an infinite value; write NaN for a missing one.")
    kind = noise_of(noise, column)
    log = isinstance(kind, LogNormal)
    if log and (y <= 0).any():
        raise DataError(
            f"{where} has the value {y[y <= 0][0]:g}, and LogNormal noise is of positive data. Use "
            "Normal, or mark what is below the detection limit as missing (NaN)."
        )
    ts = np.asarray(experiment.ts[row])
    order = np.argsort(ts, kind="stable")
    moment = order[np.searchsorted(ts[order], table.t)]
    size = int(np.prod(shape, dtype=int))
    at = (row * ts.size + moment)[:, None] * size + np.arange(size)
    scale = _scale(kind.scale, y, table, where)
    scale_at = None
    if scale is not None and not isinstance(scale, np.ndarray):
        scale_at = _scale_at(scale, experiment, row, moment, y, table, names)
    return Series(
        table=table.name,
        name=column,
        condition=table.condition,
        t=table.t,
        y=y,
        log=log,
        scale=scale,
        experiment=number,
        spec=spec,
        at=at.reshape(y.shape),
        scale_at=scale_at,
    )


def _place_of(condition: str, experiments: tuple[Experiment, ...]) -> tuple[int, Experiment, int]:
    for number, experiment in enumerate(experiments):
        if condition in experiment.conditions:
            return number, experiment, experiment.conditions.index(condition)
    raise AssertionError(condition)


def _shape_of(
    spec: Spec, experiment: Experiment, what: str, table: Table, names: tuple[str, ...]
) -> tuple[int, ...]:
    problem, model = experiment.problem, experiment.problem.model
    y = jax.ShapeDtypeStruct((sum(model.sizes),), problem.t0.dtype)
    try:
        read = lambda problem, y: jnp.asarray(read_at(model, problem.t0, y, problem.p, spec))
        value = jax.eval_shape(read, problem, y)
    except UnknownNameError:
        if not isinstance(spec, str | Initial):
            raise
        error = unknown_name(plain(spec), names, "the unknowns, observed and parameters")
        raise DataError(
            f"The column {what!r} of {table.name!r}: {error} Give observe={{{what!r}: ...}} for what "
            "it measures, or columns=[...] with those that are to be fitted."
        ) from None
    if not jnp.issubdtype(value.dtype, jnp.floating):
        raise KindError(f"{what!r} reads {value.dtype.name}, and data are compared with floats.")
    return value.shape


def _scale(
    scale: Spec | ArrayLike | Sequence[object] | None, y: np.ndarray, table: Table, where: str
) -> np.ndarray | Spec | None:
    """A given scale in the shape of the data, or what it is read from, or `None`."""
    if scale is None or callable(scale):
        return scale
    if isinstance(scale, str | Initial):
        if plain(scale) not in table.columns:
            return scale
        scale = column_of(table, plain(scale))
    values = np.asarray(scale, float)
    extra = y.ndim - values.ndim
    if values.ndim and values.shape[:1] == y.shape[:1] and extra > 0:
        values = values.reshape(values.shape + (1,) * extra)
    try:
        values = np.array(np.broadcast_to(values, y.shape))
    except ValueError as error:
        raise DataError(
            f"The scale of {where} has shape {values.shape}, the data {y.shape}."
        ) from error
    impossible = np.isfinite(y) & ~(np.isfinite(values) & (values > 0))
    if impossible.any():
        raise DataError(f"The scale of {where} is {values[impossible][0]:g}; scales are positive.")
    return values


def _scale_at(
    spec: Spec,
    experiment: Experiment,
    row: int,
    moment: np.ndarray,
    y: np.ndarray,
    table: Table,
    names: tuple[str, ...],
) -> np.ndarray:
    shape = _shape_of(spec, experiment, str(spec), table, names)
    if shape not in ((), y.shape[1:]):
        raise DataError(
            f"The scale {spec!r} has shape {shape}, the data of {table.name!r} {y.shape[1:]}."
        )
    size = int(np.prod(shape, dtype=int))
    lead = (
        row * experiment.ts.shape[1] + moment
        if experiment.has_times(spec)
        else np.full_like(moment, row)
    )
    at = lead[:, None] * size + np.arange(size)
    width = int(np.prod(y.shape[1:], dtype=int))
    return np.broadcast_to(at, (moment.size, width)).reshape(y.shape)


def base_conditions(
    conditions: Mapping[str, object] | None,
) -> dict[str, Mapping[Any, object]]:
    """Conditions by name, where none were given the one that changes nothing."""
    if conditions is None:
        return {BASE: {}}
    values_of = {}
    for name, values in conditions.items():
        if not isinstance(values, Mapping):
            raise KindError(
                f"The condition {name!r} is a dictionary of values by name, got {values!r}."
            )
        values_of[str(name)] = values
    return values_of
