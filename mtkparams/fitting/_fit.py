"""The calls that fit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..errors import FitError, KindError
from ..parameters import MTKParameters, Tunable
from ..problems import ODEProblem
from ._coordinates import Coordinates, Landscape
from ._drive import Status, Watch, drive
from ._methods import describe, method_of
from ._objective import Mode, Objective, objective, of_loss, of_residuals
from ._progress import progress_bar
from ._result import FitResult
from ._run import MESSAGES, START_FAILED, AbstractMethod, begin_one

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
    - `steps`: at most so many; 1000 by default.

    **Other arguments:**

    - `coordinates`: where the method works: `"free"`, the declared free coordinates, which keep
      bounds by themselves, or `"natural"`, the values; optax then projects onto bounds, and the
      methods of scipy get them.
    - `tol`: where the default methods stop; by default the root of the float's precision.
    - `patience`: stop after so many steps without improvement.
    - `progress`: show a bar with the loss and the least loss (needs tqdm).
    - `callback`: called with a `Status` after every `every` steps; it stops the fit by returning
      `True`.
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
    throw: bool = True,
) -> FitResult:
    """What `fit` says, for any objective."""
    began = time.perf_counter()
    if tol is None:
        tol = float(np.sqrt(np.finfo(objective.start.dtype).eps))
    chosen = method_of(method, objective, tol)
    limit = _STEPS if steps is None else steps
    if not isinstance(limit, int) or limit < 1:
        raise KindError(f"steps= is a positive number of steps, got {steps!r}.")
    landscape = Landscape(objective, Coordinates.of(objective, coordinates))
    watch = Watch(callback=callback, every=every, bar=progress_bar(limit) if progress else None)
    assert isinstance(chosen, AbstractMethod)
    z = landscape.coordinates.into(objective.start)
    run, losses = drive(
        chosen,
        landscape,
        begin_one(chosen, landscape, z),
        limit=limit,
        patience=patience,
        watch=watch,
    )
    few = min(int(run.failures), run.failed_at.shape[0])
    result = FitResult(
        objective=objective,
        v=_back(landscape, run.best),
        start=np.asarray(objective.start),
        loss=float(run.best_loss),
        losses=losses,
        evaluations=int(run.evaluations),
        failures=int(run.failures),
        failed_at=_back(landscape, run.failed_at[:few]),
        method=describe(chosen, method),
        code=int(run.code),
        seconds=time.perf_counter() - began,
    )
    if throw and result.code == START_FAILED:
        values = ", ".join(f"{name} = {x:.6g}" for name, x in result.values.items())
        raise FitError(
            f"{MESSAGES[START_FAILED]} It is {values}: solve there with mtk.solve to see why, or start "
            "elsewhere."
        )
    return result


def _back(landscape: Landscape, z: Array) -> np.ndarray:
    return np.asarray(landscape.coordinates.back(jnp.asarray(z)))
