"""The call that solves a problem. The solvers are imported when it is first made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, overload

import diffrax
import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from .._initialization import OverrideInit
from .._model import Model
from .._parameters import fresh, own_copy
from ..errors import KindError, unknown_name
from .each import depth_of
from .failure import honest, raise_failure
from .initialize import initialized, needs_initialization
from .integrate.constraint import Resolved, constraint_of, saves_unknowns
from .integrate.controller import Stopping
from .integrate.phases import Outcome, Settings, Span, in_one, in_two
from .nonlinear import NonlinearProblem, NonlinearSolution, solve_nonlinear
from .problem import ODEProblem
from .solution.solution import Solution

# `None` is a number of steps: as many as it takes.
_NOT_GIVEN = -1
_ATOL = 1e-9
_OF_CONSTRAINTS = (
    diffrax.RecursiveCheckpointAdjoint,
    diffrax.ForwardMode,
    diffrax.DirectAdjoint,
)


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

    rtol = 1e-6 if rtol is None else rtol
    atol = _ATOL if atol is None else atol
    max_steps = 100_000 if max_steps == _NOT_GIVEN else max_steps
    if not isinstance(problem, ODEProblem):
        raise KindError(f"solve takes an mtk.ODEProblem, got {type(problem).__name__}.")
    if depth_of(problem):
        raise KindError(
            "solve takes one problem, got a batch. Use jax.vmap, or mtk.solve_ensemble."
        )
    model = problem.model
    constraint = constraint_of(model, problem.t0, problem.p, blocks)
    start = None
    if needs_initialization(problem):
        start = initialized(problem, initialization or OverrideInit(blocks=blocks), throw)
        problem = start.problem
    adjoint = diffrax.RecursiveCheckpointAdjoint() if adjoint is None else adjoint
    if constraint is not None and not isinstance(adjoint, _OF_CONSTRAINTS):
        raise KindError(
            f"{type(adjoint).__name__} does not know of algebraic equations. With them adjoint= is "
            "diffrax.RecursiveCheckpointAdjoint(), ForwardMode() or DirectAdjoint()."
        )
    auto = isinstance(solver, str)
    if auto and solver != "auto":
        raise KindError(
            f"solver= is 'auto' or a diffrax solver such as diffrax.Tsit5(), got {solver!r}."
        )
    settings = Settings(
        saveat=_saveat(saveat, problem, dense),
        controller=stepsize_controller or _controller(problem, rtol, atol),
        adjoint=adjoint,
        max_steps=max_steps,
        dt0=dt0,
        event=event,
        progress=_progress(progress),
        to_saves=stepsize_controller is None,
        constraint=constraint,
    )

    def integrate(inputs: Any, alive: Any = None) -> Outcome:
        problem, settings, solver, started = inputs
        if started is not None and alive is not None:
            alive = alive & started
        span = Span(problem.t0, problem.t1, alive)
        y0 = model.start(problem.p)
        if auto:
            outcome = in_two(model, span, y0, problem.p, settings)
        else:
            outcome = in_one(model, solver, span, y0, problem.p, settings)
        return outcome if started is None else _not_started(outcome, started)

    started = None if start is None else start.found.is_whole
    inputs = (problem, settings, solver, started)
    if throw:
        outcome = raise_failure(integrate(inputs), problem, settings)
    else:
        implicit = auto or isinstance(solver, diffrax.AbstractImplicitSolver)
        outcome = honest(integrate, inputs, adjoint, implicit)
    interpolation = outcome.interpolation
    if constraint is not None and interpolation is not None:
        interpolation = Resolved(interpolation, problem.p, constraint)
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
        model=model,
        has_unknowns=_has_unknowns(settings.saveat),
    )


def _has_unknowns(saveat: diffrax.SaveAt) -> bool:
    """Whether what is saved can be read by name: one series of the unknowns themselves."""
    return isinstance(saveat.subs, diffrax.SubSaveAt) and saves_unknowns(saveat.subs)


def _not_started(outcome: Outcome, started: Array) -> Outcome:
    """`outcome`, as a failure in "phase" -1 where there was no consistent start."""
    results: Any = diffrax.RESULTS
    result = results.where(started, outcome.result, results.nonlinear_divergence)
    phase = jnp.where(started, outcome.stats["phase"], -1)
    return eqx.tree_at(lambda o: (o.result, o.stats["phase"]), outcome, (result, phase))


def _saveat(saveat: Any, problem: ODEProblem, dense: bool) -> diffrax.SaveAt:
    if isinstance(saveat, diffrax.SaveAt):
        return saveat
    if saveat is None:
        return diffrax.SaveAt(t0=True, t1=True, dense=dense)
    ts = jnp.asarray(saveat)
    if ts.ndim != 1 or not ts.size:
        raise KindError(f"saveat= is a vector of times or a diffrax.SaveAt, got shape {ts.shape}.")
    return diffrax.SaveAt(ts=ts.astype(problem.t0.dtype), dense=dense)


def _controller(problem: ODEProblem, rtol: float, atol: float | Mapping[str, Any]) -> Any:
    by_entry = _atol(problem.model, atol, problem.t0.dtype)
    return Stopping(diffrax.PIDController(rtol=rtol, atol=by_entry))


def _atol(model: Model, atol: float | Mapping[str, Any], dtype: Any) -> Any:
    if not isinstance(atol, Mapping):
        return atol
    for name in atol:
        if name in model.algebraic:
            raise KindError(
                f"{name!r} in atol= is algebraic: its equation holds at each step, and the step size is "
                "chosen for the differential unknowns. Leave it out."
            )
        if name not in model.differential:
            raise unknown_name(name, model.differential, "the unknowns")
    parts = []
    for name in model.differential:
        place = model.states.entries[name].leaves[0].place
        assert place is not None
        value = jnp.asarray(atol.get(name, _ATOL), dtype)
        parts.append(jnp.broadcast_to(value, place.shape).ravel())
    return jnp.concatenate(parts)


def _progress(progress: Any) -> Any:
    if progress is None or progress is False:
        return diffrax.NoProgressMeter()
    return diffrax.TextProgressMeter() if progress is True else progress
