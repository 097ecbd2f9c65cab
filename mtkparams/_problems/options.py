"""What a caller may ask of a solve: each option once, its default once, and every complaint about one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypedDict

import diffrax
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array

from .._initialization import Algorithm, OverrideInit, RootOptions
from .._model import Model
from ..errors import KindError, UnknownOptionError, unknown_name
from .each import depth_of
from .integrate.constraint import Constraint, constraint_of, saves_unknowns
from .integrate.controller import Stopping
from .integrate.phases import Settings
from .problem import ODEProblem

Solver: TypeAlias = "diffrax.AbstractSolver | str"

_RTOL, _ATOL = 1e-6, 1e-9
_MAX_STEPS = 100_000
_OF_CONSTRAINTS = (
    diffrax.RecursiveCheckpointAdjoint,
    diffrax.ForwardMode,
    diffrax.DirectAdjoint,
)


class SolveOptions(TypedDict, total=False):
    """What `mtk.solve` takes for an `mtk.ODEProblem`; its page says what each does."""

    saveat: ArrayLike | Sequence[ArrayLike] | diffrax.SaveAt | None
    rtol: float | None
    atol: float | Mapping[str, ArrayLike] | None
    adjoint: diffrax.AbstractAdjoint | None
    max_steps: int | None
    dense: bool
    dt0: ArrayLike | None
    stepsize_controller: diffrax.AbstractStepSizeController[Any, Any] | None
    event: diffrax.Event | None
    progress: diffrax.AbstractProgressMeter | bool | None
    blocks: bool
    initialization: Algorithm | None


@dataclasses.dataclass(frozen=True, eq=False)
class Options:
    """What was asked of a solve, complete and checked.

    **Attributes:**

    - `solver`: a solver of diffrax, or `"auto"`.
    - `settings`: what the integration reads.
    - `initialization`: how a start is found where not all of it is given.
    - `throw`: whether a failure is an error, rather than NaN.
    """

    solver: Solver
    settings: Settings
    initialization: Algorithm
    throw: bool

    @staticmethod
    def of(problem: ODEProblem, solver: Solver, throw: bool, options: SolveOptions) -> Options:
        """The options of one solve, `None` standing for a default; raises for what does not fit."""
        if not isinstance(problem, ODEProblem):
            raise KindError(f"solve takes an mtk.ODEProblem, got {type(problem).__name__}.")
        if depth_of(problem):
            raise KindError(
                "solve takes one problem, got a batch. Use jax.vmap, or mtk.solve_ensemble."
            )
        if isinstance(solver, str) and solver != "auto":
            raise KindError(
                f"solver= is 'auto' or a diffrax solver such as diffrax.Tsit5(), got {solver!r}."
            )
        saveat = _saveat(options.get("saveat"), problem, options.get("dense", False))
        _check_saves(saveat, solver)
        blocks = options.get("blocks", True)
        constraint = constraint_of(problem.model, problem.t0, problem.p, blocks)
        controller = options.get("stepsize_controller")
        settings = Settings(
            saveat=saveat,
            controller=controller or _controller(problem, options.get("rtol"), options.get("atol")),
            adjoint=_adjoint(options.get("adjoint"), constraint),
            max_steps=max_steps_of(options),
            dt0=options.get("dt0"),
            event=options.get("event"),
            progress=_progress(options.get("progress")),
            to_saves=controller is None,
            constraint=constraint,
        )
        initialization = options.get("initialization") or OverrideInit(blocks=blocks)
        return Options(solver, settings, initialization, throw)

    @property
    def is_implicit(self) -> bool:
        """Whether an implicit solver takes part."""
        return isinstance(self.solver, str | diffrax.AbstractImplicitSolver)


def check_nonlinear(solver: Solver, options: Mapping[str, object]) -> None:
    """Raises for what a nonlinear problem cannot be asked."""
    if not isinstance(solver, str) or solver != "auto":
        raise KindError(
            f"A nonlinear problem is solved block by block: solver= is 'auto', got {solver!r}."
        )
    names = ", ".join(RootOptions.__annotations__)
    for name in options:
        if name in SolveOptions.__annotations__ and name not in RootOptions.__annotations__:
            raise UnknownOptionError(
                f"mtk.solve has no option {name!r} for a nonlinear problem, which has no times: its "
                f"options are {names} and throw."
            )
    if isinstance(options.get("atol"), Mapping):
        raise KindError("atol= of a nonlinear problem is one number.")


def max_steps_of(options: SolveOptions) -> int | None:
    """The number of steps that each solver may take; `None` is as many as it takes."""
    return options.get("max_steps", _MAX_STEPS)


def _saveat(saveat: Any, problem: ODEProblem, dense: bool) -> diffrax.SaveAt:
    if isinstance(saveat, diffrax.SaveAt):
        return saveat
    if saveat is None:
        return diffrax.SaveAt(t0=True, t1=True, dense=dense)
    ts = jnp.asarray(saveat)
    if ts.ndim != 1 or not ts.size:
        raise KindError(f"saveat= is a vector of times or a diffrax.SaveAt, got shape {ts.shape}.")
    return diffrax.SaveAt(ts=ts.astype(problem.t0.dtype), dense=dense)


def _check_saves(saveat: diffrax.SaveAt, solver: Solver) -> None:
    """Raises where nothing would be saved, or where two solvers cannot share what is."""
    is_sub = lambda x: isinstance(x, diffrax.SubSaveAt)
    subs = jax.tree.leaves(saveat.subs, is_leaf=is_sub)
    if not isinstance(solver, str):
        if not subs:
            raise KindError("Nothing would be saved: give saveat= times, or SaveAt(t1=True).")
        return
    plain = len(subs) == 1 and is_sub(subs[0]) and not subs[0].steps and saves_unknowns(subs[0])
    if not plain or saveat.dense:
        raise KindError(
            "solver='auto' saves at given times; for steps=True, dense=True, fn= or several SubSaveAt "
            "choose one solver, such as diffrax.Tsit5() or diffrax.Kvaerno5()."
        )


def _adjoint(
    adjoint: diffrax.AbstractAdjoint | None, constraint: Constraint | None
) -> diffrax.AbstractAdjoint:
    adjoint = diffrax.RecursiveCheckpointAdjoint() if adjoint is None else adjoint
    if constraint is not None and not isinstance(adjoint, _OF_CONSTRAINTS):
        raise KindError(
            f"{type(adjoint).__name__} does not know of algebraic equations. With them adjoint= is "
            "diffrax.RecursiveCheckpointAdjoint(), ForwardMode() or DirectAdjoint()."
        )
    return adjoint


def _controller(problem: ODEProblem, rtol: Any, atol: Any) -> Stopping:
    rtol = _RTOL if rtol is None else rtol
    atol = _by_entry(problem.model, _ATOL if atol is None else atol, problem.t0.dtype)
    return Stopping(diffrax.PIDController(rtol=rtol, atol=atol))


def _by_entry(
    model: Model, atol: ArrayLike | Mapping[str, ArrayLike], dtype: DTypeLike
) -> ArrayLike:
    """The absolute tolerance of each differential unknown, where some have one by name."""
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
    parts: list[Array] = []
    for name in model.differential:
        place = model.states.entries[name].leaves[0].place
        assert place is not None
        value = jnp.asarray(atol.get(name, _ATOL), dtype)
        parts.append(jnp.broadcast_to(value, place.shape).ravel())
    return jnp.concatenate(parts)


def _progress(
    progress: diffrax.AbstractProgressMeter | bool | None,
) -> diffrax.AbstractProgressMeter:
    if isinstance(progress, bool) or progress is None:
        return diffrax.TextProgressMeter() if progress else diffrax.NoProgressMeter()
    return progress
