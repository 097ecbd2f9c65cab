"""The call that solves a problem. The solvers are imported when it is first made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, overload

from ..errors import KindError
from ..initialization import OverrideInit
from ._nonlinear import NonlinearProblem, NonlinearSolution, solve_nonlinear
from ._problem import ODEProblem
from ._solution import Solution

# `None` is a number of steps: as many as it takes.
_NOT_GIVEN = -1


@overload
def solve(
    problem: ODEProblem,
    solver: Any = "auto",
    *,
    saveat: Any = None,
    rtol: float | None = None,
    atol: float | Mapping[str, Any] | None = None,
    adjoint: Any = None,
    max_steps: int | None = _NOT_GIVEN,
    throw: bool = True,
    dense: bool = False,
    dt0: Any = None,
    stepsize_controller: Any = None,
    event: Any = None,
    progress: Any = None,
    blocks: bool = True,
    initialization: Any = None,
) -> Solution: ...


@overload
def solve(
    problem: NonlinearProblem,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    max_steps: int | None = _NOT_GIVEN,
    throw: bool = True,
    blocks: bool = True,
) -> NonlinearSolution: ...


def solve(
    problem: ODEProblem | NonlinearProblem,
    solver: Any = "auto",
    *,
    saveat: Any = None,
    rtol: float | None = None,
    atol: float | Mapping[str, Any] | None = None,
    adjoint: Any = None,
    max_steps: int | None = _NOT_GIVEN,
    throw: bool = True,
    dense: bool = False,
    dt0: Any = None,
    stepsize_controller: Any = None,
    event: Any = None,
    progress: Any = None,
    blocks: bool = True,
    initialization: Any = None,
) -> Solution | NonlinearSolution:
    """The solution of a problem, by name: integrated by diffrax, or a root found block by block.

    **Main arguments:**

    - `problem`: an `mtk.ODEProblem`, or an `mtk.NonlinearProblem`, which takes `rtol`, `atol`,
      `max_steps`, `blocks` and `throw` alone, as `mtk.OverrideInit` describes them.
    - `solver`: a diffrax solver, or `"auto"`: Tsit5 for up to 1,000 steps, and where it has not arrived
      by then Kvaerno5 with a chord iteration from there on. `solution.stats["phase"]` tells which one
      ended the solve (0 or 1).
    - `saveat`: times inside the time span, or a `diffrax.SaveAt`. By default its two ends. Implicit
      solvers step to those times, unless you give a `stepsize_controller`: in between they are
      interpolated less accurately.
    - `rtol`, `atol`: tolerances of the step size control, by default 1e-6 and 1e-9; `atol` may be given
      by name, in the unit of each unknown, the others then have 1e-9.
    - `adjoint`: how it is differentiated: `diffrax.RecursiveCheckpointAdjoint()` (default, reverse
      mode), `diffrax.ForwardMode()`, `diffrax.DirectAdjoint()` (both modes and second derivatives).
    - `throw`: raise `SolveError` if the solve did not arrive. With `False`, `solution.result` tells, and
      all values and derivatives of a failed solve are NaN, for each member of a batch alone.

    **Other arguments:**

    - `max_steps`: of each solver, by default 100,000; `dt0`: the first step.
    - `dense`: keep the interpolation, for `solution(t, "x")`. It takes memory for `max_steps` steps.
    - `stepsize_controller`: in place of a PID controller with `rtol` and `atol`.
    - `event`: a `diffrax.Event` that ends the solve; its condition is called with the vector of
      unknowns. A solve that an event ended did arrive.
    - `progress`: `True` or a diffrax progress meter.
    - `blocks`: solve algebraic equations block after block, rather than all at once.
    - `initialization`: how a consistent start is found where not all of it is given:
      `mtk.OverrideInit(...)` (the default), or what else `mtk.initialize` takes.

    **Raises:** `InitializationError` (a `SolveError`) if there is no consistent start, `SolveError` with the
    reason and advice if the solve does not arrive; `HigherIndexError` where algebraic equations cannot
    give the algebraic unknowns; `KindError` for arguments that do not fit.

    !!! Example

        >>> import mtkparams as mtk
        >>> decay = mtk.System(
        ...     parameters={"k": 0.5},
        ...     unknowns={"x": 1.0},
        ...     derivatives=lambda t, u, p: {"x": -p.k * u.x},
        ... )
        >>> solution = mtk.solve(mtk.ODEProblem(decay, {}, (0.0, 2.0)), saveat=[1.0, 2.0])
        >>> [round(float(x), 4) for x in solution["x"]]
        [0.6065, 0.3679]
    """
    if isinstance(problem, NonlinearProblem):
        others = (saveat, adjoint, dt0, stepsize_controller, event, progress, initialization)
        if solver != "auto" or dense or any(x is not None for x in others):
            raise KindError(
                "A nonlinear problem takes rtol, atol, max_steps, blocks and throw: it has no times."
            )
        if isinstance(atol, Mapping):
            raise KindError("atol= of a nonlinear problem is one number.")
        steps = 60 if max_steps is None or max_steps == _NOT_GIVEN else max_steps
        options = OverrideInit(rtol, atol, max_steps=steps, blocks=blocks)
        return solve_nonlinear(problem, options, throw)
    from ._run import run

    return run(
        problem,
        solver,
        saveat=saveat,
        rtol=1e-6 if rtol is None else rtol,
        atol=1e-9 if atol is None else atol,
        adjoint=adjoint,
        max_steps=100_000 if max_steps == _NOT_GIVEN else max_steps,
        throw=throw,
        dense=dense,
        dt0=dt0,
        stepsize_controller=stepsize_controller,
        event=event,
        progress=progress,
        blocks=blocks,
        initialization=initialization,
    )
