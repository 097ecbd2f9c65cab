"""The calls that fit."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._parameters import MTKParameters, Tunable
from .._problems import ODEProblem
from .._text import counted
from ..errors import FitError, KindError
from .answer.result import FitResult
from .objective.objective import Mode, Objective, objective, of_loss, of_residuals
from .search.checkpoint import Checkpoint, about_run
from .search.coordinates import Coordinates, Landscape
from .search.host_loop import Status, Watch
from .search.loop import MESSAGES, START_FAILED
from .search.methods import describe, method_of
from .search.progress import progress_bar
from .search.search import Search
from .search.starts import Starts, starting_values

_STEPS = 1000


def fit(
    problem: ODEProblem | Objective,
    data: Any = None,
    *,
    free: Any = Tunable,
    method: Any = None,
    steps: int | None = None,
    coordinates: str = "free",
    tol: float | None = None,
    patience: int | None = None,
    progress: bool = False,
    callback: Callable[[Status], Any] | None = None,
    every: int = 1,
    starts: Any = None,
    seed: int = 0,
    sampler: str = "sobol",
    batch: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 100,
    throw: bool = True,
    **options: Any,
) -> FitResult:
    """The values of free parameters that fit data best, from the values that the problem has.

    **Main arguments:**

    - `problem`: the model, or an objective made before.
    - `data`, `free`, and all other options: as in `mtk.fitting.objective`.
    - `method`: how to search. `None`: Levenberg-Marquardt for least squares, BFGS otherwise. Or a
      transformation of optax; `{name: learning rate}` with `...` for the others; a solver of
      optimistix; the name of a method of `scipy.optimize`, such as `"L-BFGS-B"` or `"trf"`.
    - `steps`: at most so many, of scipy evaluations; 1000 by default.
    - `starts`: fit from many starts at once, `result.starts` being the table of all. A number, the
      first being the present values and the others drawn from priors, or from bounds (of their
      logarithm where the scale is logarithmic, or bounds are more than a factor of 100 apart);
      values by name, arrays of shape `(starts, ...)`; or an array of shape `(starts, n)`.

    **Other arguments:**

    - `coordinates`: where the method works: `"free"`, the declared free coordinates, which keep
      bounds by themselves, or `"natural"`, the values; optax then projects onto bounds, and the
      methods of scipy get them.
    - `tol`: where the default methods stop; by default the root of the float's precision.
    - `patience`: stop after so many steps without improvement.
    - `progress`: show a bar with the loss and the least loss (needs tqdm).
    - `callback`: called with a `Status` after every `every` steps; it stops the fit by returning
      `True`.
    - `seed`, `sampler`: of drawn starts, `"sobol"` or `"latin"` (hypercube).
    - `batch`: how many starts are computed at once, 256 by default: memory grows with it.
    - `checkpoint`: a folder in which the fit keeps itself after every `checkpoint_every` steps. The
      same call goes on from there, after a kill too, and ends with the same bits as without it.
    - `throw`: raise `FitError` if the objective cannot be computed at the start. Whatever fails
      later is a step not made, and counted.

    Ctrl-C ends the fit, and what was found so far is the result.

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
    if isinstance(problem, Objective):
        if data is not None or options or free is not Tunable:
            raise KindError("An objective has its data and names: give those to objective(...).")
        found = problem
    else:
        found = objective(problem, data, free=free, **options)
    return run_fit(
        found,
        method=method,
        steps=steps,
        coordinates=coordinates,
        tol=tol,
        patience=patience,
        progress=progress,
        callback=callback,
        every=every,
        starts=starts,
        seed=seed,
        sampler=sampler,
        batch=batch,
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        throw=throw,
    )


def least_squares(
    residuals: Callable[[MTKParameters], Any],
    p: MTKParameters,
    *,
    free: Any = Tunable,
    mode: Mode | None = None,
    **options: Any,
) -> FitResult:
    """The values of free parameters that make the sum of squared residuals least.

    **Arguments:**

    - `residuals`: a function of a parameter object that returns an array of floats.
    - `p`: the parameters, at the values where the fit starts.
    - `free`: what may change: names and portions.
    - `mode`: how to differentiate, `"forward"` (default) or `"reverse"`.
    - `options`: as in `mtk.fitting.fit`.

    !!! Example

        >>> import jax.numpy as jnp, mtkparams as mtk
        >>> x, y = jnp.arange(4.0), jnp.asarray([1.0, 3.0, 5.0, 7.0])
        >>> p = mtk.parameters({"slope": 1.0, "start": 0.0})
        >>> result = mtk.fitting.least_squares(lambda p: p["slope"] * x + p["start"] - y, p)
        >>> [round(value, 4) for value in result.v.tolist()]
        [2.0, 1.0]
    """
    return run_fit(of_residuals(residuals, p, free, mode), **options)


def minimise(
    loss: Callable[[MTKParameters], Any],
    p: MTKParameters,
    *,
    free: Any = Tunable,
    mode: Mode | None = None,
    **options: Any,
) -> FitResult:
    """The values of free parameters that make a loss least.

    **Arguments:**

    - `loss`: a function of a parameter object that returns one float.
    - `p`: the parameters, at the values where the fit starts.
    - `free`: what may change: names and portions.
    - `mode`: how to differentiate, `"reverse"` (default) or `"forward"`.
    - `options`: as in `mtk.fitting.fit`.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"a": 1.0, "b": 5.0})
        >>> result = mtk.fitting.minimise(lambda p: (p["a"] - 3) ** 2 + p["b"] ** 2, p, free=["a"])
        >>> round(result["a"].item(), 4), result["b"].item()
        (3.0, 5.0)
    """
    return run_fit(of_loss(loss, p, free, mode), **options)


def run_fit(
    objective: Objective,
    *,
    method: Any = None,
    steps: int | None = None,
    coordinates: str = "free",
    tol: float | None = None,
    patience: int | None = None,
    progress: bool = False,
    callback: Callable[[Status], Any] | None = None,
    every: int = 1,
    starts: Any = None,
    seed: int = 0,
    sampler: str = "sobol",
    batch: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 100,
    throw: bool = True,
) -> FitResult:
    """What `fit` says, for any objective."""
    began = time.perf_counter()
    if tol is None:
        tol = float(np.sqrt(np.finfo(objective.start.dtype).eps))
    limit = _STEPS if steps is None else steps
    if not isinstance(limit, int) or limit < 1:
        raise KindError(f"steps= is a positive number of steps, got {steps!r}.")
    landscape = Landscape(objective, Coordinates.of(objective, coordinates))
    chosen = method_of(method, objective, tol)
    kept = None
    if checkpoint is not None:
        about = about_run(chosen, describe(chosen, method), landscape, limit, patience)
        kept = Checkpoint(checkpoint, checkpoint_every, about)
    bar = progress_bar(limit) if progress else None
    search = Search(
        method=chosen,
        landscape=landscape,
        limit=limit,
        patience=patience,
        tol=tol,
        watch=Watch(callback, every, bar, kept),
    )
    with contextlib.nullcontext() if kept is None else kept:
        if starts is None:
            v = np.asarray(objective.start)[None]
            run, losses = search.one(v[0])
            runs = jax.tree.map(lambda x: np.asarray(x)[None], eqx.filter(run, eqx.is_array))
            losses = losses[None]
        else:
            v = starting_values(objective, starts, seed, sampler)
            runs, losses = search.many(v, 256 if batch is None else batch)
    result = _result(search, v, runs, losses, method, starts is not None, began)
    if throw and result.code == START_FAILED:
        raise FitError(_why(result))
    return result


def _result(
    search: Search,
    v: np.ndarray,
    runs: Any,
    losses: np.ndarray,
    method: Any,
    many: bool,
    began: float,
) -> FitResult:
    landscape, objective = search.landscape, search.landscape.objective
    back = lambda z: np.asarray(landscape.coordinates.back(jnp.asarray(z)))
    ends = np.where(np.isfinite(runs.best_loss)[:, None], back(runs.best), v)
    best = int(np.argmin(runs.best_loss))
    first = np.arange(runs.failed_at.shape[1])[None] < runs.failures[:, None]
    table = None
    if many:
        table = Starts.ranked(
            v=ends,
            start=v,
            loss=runs.best_loss,
            code=runs.code,
            evaluations=runs.evaluations,
            failures=runs.failures,
            z=runs.best,
            labels=objective.labels,
        )
    return FitResult(
        objective=objective,
        v=ends[best],
        start=v[best],
        loss=float(runs.best_loss[best]),
        losses=losses[best][: int(runs.steps[best])],
        evaluations=int(runs.evaluations.sum()),
        failures=int(runs.failures.sum()),
        failed_at=back(runs.failed_at[first][: runs.failed_at.shape[1]]),
        method=describe(search.method, method),
        code=int(runs.code[best]),
        seconds=time.perf_counter() - began,
        starts=table,
    )


def _why(result: FitResult) -> str:
    if result.starts is not None:
        return f"The objective cannot be computed at any of the {counted(len(result.starts), 'start')}."
    values = ", ".join(f"{name} = {x:.6g}" for name, x in result.values.items())
    return (
        f"{MESSAGES[START_FAILED]} It is {values}: solve there with mtk.solve to see why, or start "
        "elsewhere."
    )
