"""From a problem to diffrax and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import diffrax
import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ..errors import KindError, unknown_name
from ..initialization import OverrideInit
from ..model import Model
from ..parameters._fresh import fresh, own_copy
from ._controller import Stopping
from ._dae import Resolved, saves_unknowns
from ._dae_index import constraint_of
from ._each import depth_of
from ._failure import honest, raise_failure
from ._initialize import initialized, needs_initialization
from ._phases import Outcome, Settings, Span, in_one, in_two
from ._problem import ODEProblem
from ._solution import Solution

_ATOL = 1e-9
_OF_CONSTRAINTS = (
    diffrax.RecursiveCheckpointAdjoint,
    diffrax.ForwardMode,
    diffrax.DirectAdjoint,
)


def run(
    problem: ODEProblem,
    solver: Any,
    *,
    saveat: Any,
    rtol: float,
    atol: float | Mapping[str, Any],
    adjoint: Any,
    max_steps: int | None,
    throw: bool,
    dense: bool,
    dt0: Any,
    stepsize_controller: Any,
    event: Any,
    progress: Any,
    blocks: bool,
    initialization: Any,
) -> Solution:
    """What `mtk.solve` says."""
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
