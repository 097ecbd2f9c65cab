"""The calls that fit."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import TypedDict, Unpack

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from .._parameters import MTKParameters, Tunable
from .._problems import ODEProblem
from .._text import counted
from ..errors import FitError, KindError
from .answer.result import FitResult
from .objective.objective import (
    Free,
    Mode,
    Objective,
    ObjectiveOptions,
    objective,
    of_loss,
    of_residuals,
)
from .options import (
    Checkpoint,
    Starts,
    StartValues,
    Status,
    Watch,
    check_positive,
    names_checked,
)
from .search.checkpoint import CheckpointFolder, about_run
from .search.coordinates import Coordinates, Kind, Landscape
from .search.host_loop import Listeners
from .search.loop import START_FAILED, Run
from .search.methods import Method, describe, method_of
from .search.progress import progress_bar
from .search.search import Search
from .search.starts import StartTable, starting_values


class SearchOptions(TypedDict, total=False):
    """How to search, as `mtk.fitting.fit` describes it."""

    method: Method | None
    steps: int
    coordinates: Kind
    tol: float | int | None
    patience: int | None
    starts: Starts | int | StartValues | None
    checkpoint: Checkpoint | str | os.PathLike[str] | None
    watch: Watch | Callable[[Status], object] | None
    progress: bool
    throw: bool


@names_checked(ObjectiveOptions)
def fit(
    problem: ODEProblem | Objective,
    data: object = None,
    *,
    method: Method | None = None,
    steps: int = 1000,
    coordinates: Kind = "free",
    tol: float | int | None = None,
    patience: int | None = None,
    starts: Starts | int | StartValues | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    watch: Watch | Callable[[Status], object] | None = None,
    progress: bool = False,
    throw: bool = True,
    **options: Unpack[ObjectiveOptions],
) -> FitResult:
    """The values of free parameters that fit data best, from the values that the problem has.

    **Main arguments:**

    - `problem`: the model, or an objective made before.
    - `data`, `free`, `noise` and all other options: as in `mtk.fitting.objective`.
    - `method`: how to search. `None`: Levenberg-Marquardt for least squares, BFGS otherwise. Or a
      transformation of optax; `{name: learning rate}` with `...` for the others; a solver of
      optimistix; the name of a method of `scipy.optimize`, such as `"L-BFGS-B"` or `"trf"`.
    - `steps`: at most so many, of scipy evaluations.
    - `starts`: fit from many starts at once, `result.starts` being the table of all: a number, values
      by name, an array of shape `(starts, n)`, or `mtk.fitting.Starts(..., seed=1)`.

    **Other arguments:**

    - `coordinates`: where the method works: `"free"`, the declared free coordinates, which keep
      bounds by themselves, or `"natural"`, the values; optax then projects onto bounds, and the
      methods of scipy get them.
    - `tol`: where the default methods stop; by default the root of the float's precision.
    - `patience`: stop after so many steps without improvement.
    - `checkpoint`: a folder in which the fit keeps itself, or `mtk.fitting.Checkpoint(folder, every=20)`.
      The same call goes on from there, after a kill too, and ends with the same bits as without it.
    - `watch`: a function that is called with a `Status` after every step and stops the fit by
      returning `True`, or `mtk.fitting.Watch(function, every=10)`.
    - `progress`: show a bar with the loss and the least loss (needs tqdm).
    - `throw`: raise `FitError` if the objective cannot be computed at the start. Whatever fails
      later is a step not made, and counted.

    Ctrl-C ends the fit, and what was found so far is the result.

    **Raises:** `KindError` for an option that there is not, with the nearest one.

    !!! Example

        >>> import jax.numpy as jnp, mtkparams as mtk
        >>> decay = mtk.System(
        ...     parameters={"k": 0.5},
        ...     unknowns={"x": 1.0},
        ...     derivatives=lambda t, u, p: {"x": -p.k * u.x},
        ... )
        >>> problem = mtk.ODEProblem(decay, {}, (0.0, 2.0))
        >>> ts = jnp.linspace(0.0, 2.0, 11)
        >>> result = mtk.fitting.fit(problem, {"t": ts, "x": jnp.exp(-2.5 * ts)})
        >>> round(result["k"].item(), 4)
        2.5
    """
    began = time.perf_counter()
    check_positive("steps=", steps, "steps")
    if patience is not None:
        check_positive("patience=", patience, "steps")
    starts, checkpoint = Starts.of(starts), Checkpoint.of(checkpoint)
    watch = Watch.of(watch, progress)
    if not isinstance(problem, Objective):
        problem = objective(problem, data, **options)
    elif data is not None or options:
        raise KindError("An objective has its data and names: give those to objective(...).")
    if tol is None:
        tol = float(np.sqrt(np.finfo(problem.start.dtype).eps))
    landscape = Landscape(problem, Coordinates.of(problem, coordinates))
    optimizer = method_of(method, problem, tol)
    folder = None
    if checkpoint is not None:
        about = about_run(optimizer, describe(optimizer, method), landscape, steps, patience)
        folder = CheckpointFolder(checkpoint.folder, checkpoint.every, about)
    search = Search(
        method=optimizer,
        landscape=landscape,
        limit=steps,
        patience=patience,
        tol=tol,
        listeners=Listeners(watch, progress_bar(steps) if watch.progress else None, folder),
    )
    with contextlib.nullcontext() if folder is None else folder:
        if starts is None:
            v = np.asarray(problem.start)[None]
            run, losses = search.from_one(v[0])
            runs = jax.tree.map(lambda x: np.asarray(x)[None], eqx.filter(run, eqx.is_array))
            losses = losses[None]
        else:
            v = starting_values(problem, starts)
            runs, losses = search.from_many(v, starts.batch)
    result = _result(
        search, v, runs, losses, describe(optimizer, method), starts is not None, began
    )
    if throw and result.code == START_FAILED:
        raise FitError(_why(result))
    return result


@names_checked(SearchOptions)
def least_squares(
    residuals: Callable[[MTKParameters], ArrayLike],
    p: MTKParameters,
    *,
    free: Free = Tunable,
    mode: Mode | None = None,
    **options: Unpack[SearchOptions],
) -> FitResult:
    """The values of free parameters that make the sum of squared residuals least.

    **Arguments:**

    - `residuals`: a function of a parameter object that returns an array of floats.
    - `p`: the parameters, at the values where the fit starts.
    - `free`: what may change: names and portions.
    - `mode`: how to differentiate, `"forward"` (default) or `"reverse"`.
    - `options`: `method`, `steps`, `starts` and all others of `mtk.fitting.fit` that say how to search.

    !!! Example

        >>> import jax.numpy as jnp, mtkparams as mtk
        >>> x, y = jnp.arange(4.0), jnp.asarray([1.0, 3.0, 5.0, 7.0])
        >>> p = mtk.parameters({"slope": 1.0, "start": 0.0})
        >>> result = mtk.fitting.least_squares(lambda p: p["slope"] * x + p["start"] - y, p)
        >>> [round(value, 4) for value in result.v.tolist()]
        [2.0, 1.0]
    """
    return fit(of_residuals(residuals, p, free, mode), **options)


@names_checked(SearchOptions)
def minimise(
    loss: Callable[[MTKParameters], ArrayLike],
    p: MTKParameters,
    *,
    free: Free = Tunable,
    mode: Mode | None = None,
    **options: Unpack[SearchOptions],
) -> FitResult:
    """The values of free parameters that make a loss least.

    **Arguments:**

    - `loss`: a function of a parameter object that returns one float.
    - `p`: the parameters, at the values where the fit starts.
    - `free`: what may change: names and portions.
    - `mode`: how to differentiate, `"reverse"` (default) or `"forward"`.
    - `options`: `method`, `steps`, `starts` and all others of `mtk.fitting.fit` that say how to search.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"a": 1.0, "b": 5.0})
        >>> result = mtk.fitting.minimise(lambda p: (p["a"] - 3) ** 2 + p["b"] ** 2, p, free=["a"])
        >>> round(result["a"].item(), 4), result["b"].item()
        (3.0, 5.0)
    """
    return fit(of_loss(loss, p, free, mode), **options)


def _result(
    search: Search,
    v: np.ndarray,
    runs: Run,
    losses: np.ndarray,
    method: str,
    many: bool,
    began: float,
) -> FitResult:
    """The result of runs with a leading axis, those that began at the natural values `v`."""
    landscape, objective = search.landscape, search.landscape.objective
    back = lambda z: np.asarray(landscape.coordinates.back(jnp.asarray(z)))
    ends = np.where(np.isfinite(runs.best_loss)[:, None], back(runs.best), v)
    best = int(np.argmin(runs.best_loss))
    first = np.arange(runs.failed_at.shape[1])[None] < runs.failures[:, None]
    table = None
    if many:
        table = StartTable.ranked(ends, v, runs, objective.labels)
    return FitResult(
        objective=objective,
        v=ends[best],
        start=v[best],
        loss=float(runs.best_loss[best]),
        losses=losses[best][: int(runs.steps[best])],
        evaluations=int(runs.evaluations.sum()),
        failures=int(runs.failures.sum()),
        failed_at=back(runs.failed_at[first][: runs.failed_at.shape[1]]),
        method=method,
        code=int(runs.code[best]),
        seconds=time.perf_counter() - began,
        starts=table,
    )


def _why(result: FitResult) -> str:
    if result.starts is not None:
        return f"The objective cannot be computed at any of the {counted(len(result.starts), 'start')}."
    values = ", ".join(f"{name} = {x:.6g}" for name, x in result.values.items())
    return (
        f"{result.message} It is {values}: solve there with mtk.solve to see why, or start "
        "elsewhere."
    )
