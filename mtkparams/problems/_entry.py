"""The call that solves a problem. The solvers are imported when it is first made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._problem import ODEProblem
from ._solution import Solution


def solve(
    problem: ODEProblem,
    solver: Any = "auto",
    *,
    saveat: Any = None,
    rtol: float = 1e-6,
    atol: float | Mapping[str, Any] = 1e-9,
    adjoint: Any = None,
    max_steps: int | None = 100_000,
    throw: bool = True,
    dense: bool = False,
    dt0: Any = None,
    stepsize_controller: Any = None,
    event: Any = None,
    progress: Any = None,
) -> Solution:
    """The solution of a problem, by name, integrated by diffrax.

    **Main arguments:**

    - `problem`: the problem.
    - `solver`: a diffrax solver, or `"auto"`: Tsit5 for up to 1,000 steps, and where it has not arrived
      by then Kvaerno5 with a chord iteration from there on. `solution.stats["phase"]` tells which one
      ended the solve (0 or 1).
    - `saveat`: times inside the time span, or a `diffrax.SaveAt`. By default its two ends.
    - `rtol`, `atol`: tolerances of the step size control; `atol` may be given by name, in the unit of
      each unknown, the others then have 1e-9.
    - `adjoint`: how it is differentiated: `diffrax.RecursiveCheckpointAdjoint()` (default, reverse
      mode), `diffrax.ForwardMode()`, `diffrax.DirectAdjoint()` (both modes and second derivatives).
    - `throw`: raise `SolveError` if the solve did not arrive. With `False`, `solution.result` tells, and
      all values and derivatives of a failed solve are NaN, for each member of a batch alone.

    **Other arguments:**

    - `max_steps`: of each solver; `dt0`: the first step.
    - `dense`: keep the interpolation, for `solution(t, "x")`. It takes memory for `max_steps` steps.
    - `stepsize_controller`: in place of a PID controller with `rtol` and `atol`.
    - `event`: a `diffrax.Event` that ends the solve; its condition is called with the vector of
      unknowns. A solve that an event ended did arrive.
    - `progress`: `True` or a diffrax progress meter.

    **Raises:** `SolveError` with the reason and advice; `KindError` for arguments that do not fit.

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
    from ._run import run

    return run(
        problem,
        solver,
        saveat=saveat,
        rtol=rtol,
        atol=atol,
        adjoint=adjoint,
        max_steps=max_steps,
        throw=throw,
        dense=dense,
        dt0=dt0,
        stepsize_controller=stepsize_controller,
        event=event,
        progress=progress,
    )
