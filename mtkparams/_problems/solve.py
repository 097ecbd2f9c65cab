"""The call that solves a problem."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Unpack, overload

import diffrax
import equinox as eqx
from jaxtyping import Array, Bool

from .._initialization import RootOptions
from .._parameters import fresh, own_copy
from .._results import RESULTS, choose
from .failure import nan_where_failed, raise_failure
from .initialize import Initialization, initialized, needs_initialization
from .integrate.constraint import Resolved, saves_unknowns
from .integrate.phases import Outcome, Settings, Span, explicit_then_stiff, one_solver
from .nonlinear import NonlinearProblem, NonlinearSolution, solve_nonlinear
from .option_names import check_names
from .options import Options, SolveOptions, Solver, check_nonlinear
from .problem import ODEProblem
from .solution.solution import Solution


@overload
def solve(
    problem: ODEProblem,
    solver: diffrax.AbstractSolver | Literal["auto"] = "auto",
    *,
    throw: bool = True,
    **options: Unpack[SolveOptions],
) -> Solution: ...


@overload
def solve(
    problem: NonlinearProblem, *, throw: bool = True, **options: Unpack[RootOptions]
) -> NonlinearSolution: ...


def solve(
    problem: ODEProblem | NonlinearProblem,
    solver: Solver = "auto",
    *,
    throw: bool = True,
    **options: Any,
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
    - `throw`: raise `SolveError` if the solve did not arrive. With `False`, `solution.succeeded` tells,
      `solution.report()` says why, and all values and derivatives of a failed solve are NaN, for each
      member of a batch alone.

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
    give the algebraic unknowns; `KindError` for arguments that do not fit, `UnknownOptionError` with the
    nearest name for those that there are not.

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
        check_nonlinear(solver, options)
        check_names(solve, options, RootOptions)
        return solve_nonlinear(problem, throw, RootOptions(**options))
    check_names(solve, options, SolveOptions)
    asked = Options.of(problem, solver, throw, SolveOptions(**options))
    start = None
    if needs_initialization(problem):
        start = initialized(problem, asked.initialization, throw)
        problem = start.problem
    started = None if start is None else start.succeeded
    inputs = _Inputs(problem, asked.settings, solver, started)
    if throw:
        outcome = raise_failure(_integrate(inputs), problem, asked.settings)
    else:
        outcome = nan_where_failed(_integrate, inputs, asked.settings.adjoint, asked.is_implicit)
    return _solution(outcome, problem, asked.settings, start)


class _Inputs(NamedTuple):
    """All that an integration reads; whether there is a start, where that had to be found."""

    problem: ODEProblem
    settings: Settings
    solver: Solver
    started: Bool[Array, ""] | None


def _integrate(inputs: Any, alive: Bool[Array, ""] | None = None) -> Outcome:
    """The outcome of an integration, of none at all where it is not `alive` or has no start."""
    problem, settings, solver, started = inputs
    if started is not None and alive is not None:
        alive = alive & started
    span = Span(problem.t0, problem.t1, alive)
    y0 = problem.model.start(problem.p)
    if isinstance(solver, str):
        outcome = explicit_then_stiff(problem.model, span, y0, problem.p, settings)
    else:
        outcome = one_solver(problem.model, solver, span, y0, problem.p, settings)
    if started is None:
        return outcome
    result = choose(started, outcome.result, RESULTS.no_consistent_start)
    return eqx.tree_at(lambda o: o.result, outcome, result)


def _solution(
    outcome: Outcome, problem: ODEProblem, settings: Settings, start: Initialization | None
) -> Solution:
    """An outcome with the names of its problem."""
    interpolation = outcome.interpolation
    if settings.constraint is not None and interpolation is not None:
        interpolation = Resolved(interpolation, problem.p, settings.constraint)
    return Solution(
        ts=outcome.ts,
        ys=outcome.ys,
        # Copies: a solution is good when its problem was donated.
        p=fresh(problem.p),
        t0=own_copy(problem.t0),
        t1=own_copy(problem.t1),
        result=outcome.result,
        stats=outcome.stats,
        interpolation=interpolation,
        initialization=None if start is None else fresh(start),
        model=problem.model,
        has_unknowns=_has_unknowns(settings.saveat),
    )


def _has_unknowns(saveat: diffrax.SaveAt) -> bool:
    """Whether what is saved can be read by name: one series of the unknowns themselves."""
    return isinstance(saveat.subs, diffrax.SubSaveAt) and saves_unknowns(saveat.subs)
