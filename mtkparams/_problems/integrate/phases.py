"""One solver, or an explicit one and then a stiff one that goes on from where it stopped."""

from __future__ import annotations

import dataclasses
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array

from ..._model import Model
from ..._parameters import MTKParameters
from ..._results import RESULTS, choose, succeeded
from .constraint import Constraint, saves_unknowns
from .controller import DifferentialController
from .dae_solver import DAESolver
from .results import of_diffrax

# More steps than smooth problems need, few enough to be cheap where the problem is stiff.
_EXPLICIT_STEPS = 1000


class Settings(eqx.Module):
    """What the caller asked of a solve; its arrays, such as save times, can be differentiated.

    **Attributes:**

    - `constraint`: how algebraic unknowns are found, of a system that has any.
    - `to_saves`: implicit solvers step to the save times. Between steps they have a cubic
      interpolation, which is much less accurate than the steps that their tolerances give.
    """

    saveat: diffrax.SaveAt
    controller: Any
    adjoint: Any
    max_steps: int | None
    dt0: Any
    event: Any
    progress: Any
    to_saves: bool = eqx.field(static=True)
    constraint: Constraint | None = eqx.field(static=True)


@dataclasses.dataclass(frozen=True)
class Span:
    """From where to where; where it is not `alive`, it ends where it starts, and saves there."""

    t0: Array
    t1: Array
    alive: Array | None = None

    @property
    def end(self) -> Array:
        return self.t1 if self.alive is None else jnp.where(self.alive, self.t1, self.t0)

    def times(self, ts: Array) -> Array:
        return ts if self.alive is None else jnp.where(self.alive, ts, self.t0)

    def saveat(self, saveat: diffrax.SaveAt) -> diffrax.SaveAt:
        if self.alive is None:
            return saveat
        return jax.tree.map(
            lambda sub: (
                sub
                if not isinstance(sub, diffrax.SubSaveAt) or sub.ts is None
                else eqx.tree_at(
                    lambda s: s.ts, sub, self.times(jnp.asarray(sub.ts, self.t0.dtype))
                )
            ),
            saveat,
            is_leaf=_is_sub,
        )


class Outcome(eqx.Module):
    """What a solve gives before anybody judges it.

    `last`: time and unknowns where it ended, of a system with algebraic unknowns.
    """

    ts: Any  # one array each, or a pytree of them for several SubSaveAt
    ys: Any
    result: RESULTS
    stats: dict[str, Any]
    interpolation: Any
    last: Any = None


def one_solver(
    model: Model, solver: Any, span: Span, y0: Array, p: MTKParameters, settings: Settings
) -> Outcome:
    """The outcome of one solver."""
    saveat = span.saveat(settings.saveat)
    if settings.constraint is not None:
        saveat = eqx.tree_at(lambda s: s.subs, saveat, (saveat.subs, _END))
    s = _diffeqsolve(model, solver, span.t0, span.end, y0, p, settings, saveat, settings.max_steps)
    ts: Any = s.ts
    ys: Any = s.ys
    last = None
    if settings.constraint is not None:
        (ts, (end,)), (ys, (at_end,)) = ts, ys
        last = jax.lax.stop_gradient((end, at_end))
    stats = {**s.stats, "phase": jnp.zeros((), int)}
    outcome = Outcome(ts, ys, of_diffrax(s.result), stats, s.interpolation, last)
    return _resolved(outcome, settings.saveat.subs, p, settings.constraint)


class _Stiff(diffrax.Kvaerno5):
    """Kvaerno5 in a batch of which some members have nothing to do, for they have arrived already.

    Those would wait for their first step for ever. As long as any member does, diffrax computes the
    first stage of all anew from the unknowns, where it is the last one of the step before: less
    accurately, by much in a stiff problem, and a member's values would depend on its neighbors.
    """

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> Any:
        state: Any = super().init(terms, t0, t1, y0, args)
        first, stage = state
        return first & (t0 != t1), stage


def explicit_then_stiff(
    model: Model, span: Span, y0: Array, p: MTKParameters, settings: Settings
) -> Outcome:
    """The outcome of Tsit5, and where its steps did not suffice of Kvaerno5 from there on.

    Both run always: where the first arrived or failed, the second has nothing to do and takes no step.
    So there is no branch, and a batch has members of both kinds.
    """
    saveat = settings.saveat
    (sub,) = saveat.subs if isinstance(saveat.subs, tuple | list) else (saveat.subs,)
    t0, t1 = span.t0, span.end
    ts = span.times(_times(sub, t0, t1))
    both = diffrax.SaveAt(subs=(diffrax.SubSaveAt(ts=ts), _END))
    limit = min(_EXPLICIT_STEPS, settings.max_steps or _EXPLICIT_STEPS)
    first = _diffeqsolve(model, diffrax.Tsit5(), t0, t1, y0, p, settings, both, limit)
    first_ts: Any = first.ts
    first_ys: Any = first.ys
    early, (reached,), (last,) = first_ys[0], first_ts[1], first_ys[1]
    arrived = diffrax.is_okay(first.result)
    slow = first.result == diffrax.RESULTS.max_steps_reached
    reached = jnp.where(arrived, t1, jax.lax.stop_gradient(reached))
    end = jnp.where(slow, t1, reached)
    late_ts = jnp.where(t1 >= t0, jnp.maximum(ts, reached), jnp.minimum(ts, reached))
    late_ts = jnp.where(slow, late_ts, reached)
    stiff = _Stiff(root_finder=diffrax.with_stepsize_controller_tols(optx.Chord)())
    second = _diffeqsolve(
        model,
        stiff,
        reached,
        end,
        last,
        p,
        settings,
        diffrax.SaveAt(subs=(diffrax.SubSaveAt(ts=late_ts), _END)),
        settings.max_steps,
    )
    second_ts: Any = second.ts
    second_ys: Any = second.ys
    done = arrived | jnp.where(t1 >= t0, ts <= reached, ts >= reached)
    ys = jnp.where(jnp.broadcast_to(done, ts.shape)[:, None], early, second_ys[0])
    result = diffrax.RESULTS.where(slow, second.result, first.result)
    stats = {key: first.stats[key] + second.stats[key] for key in first.stats if "max" not in key}
    stats["phase"] = jnp.where(slow, 1, 0)
    last = jax.lax.stop_gradient((second_ts[1][0], second_ys[1][0]))
    outcome = Outcome(ts, ys, of_diffrax(result), stats, None, last)
    return _resolved(outcome, sub, p, settings.constraint)


def _resolved(
    outcome: Outcome, subs: Any, p: MTKParameters, constraint: Constraint | None
) -> Outcome:
    """`outcome` with its algebraic unknowns solved at each save time."""
    if constraint is None:
        return outcome
    solved = jnp.array(True)

    def save(sub: diffrax.SubSaveAt, ts: Array, ys: Any) -> Any:
        nonlocal solved
        if not saves_unknowns(sub):
            return ys
        ys, here = constraint.saved(ts, ys, p)
        solved = solved & here
        return ys

    ys = jax.tree.map(save, subs, outcome.ts, outcome.ys, is_leaf=_is_sub)
    lost = succeeded(outcome.result) & ~solved
    result = choose(lost, RESULTS.algebraic_equations_failed, outcome.result)
    return eqx.tree_at(lambda o: (o.ys, o.result), outcome, (ys, result))


def _is_sub(x: object) -> bool:
    return isinstance(x, diffrax.SubSaveAt)


def _times(sub: Any, t0: Array, t1: Array) -> Array:
    parts = [t0[None]] if sub.t0 else []
    parts += [] if sub.ts is None else [jnp.asarray(sub.ts).astype(t0.dtype)]
    parts += [t1[None]] if sub.t1 else []
    return jnp.concatenate(parts)


_END = diffrax.SubSaveAt(t1=True)


def _diffeqsolve(
    model: Model,
    solver: Any,
    t0: Array,
    t1: Array,
    y0: Array,
    p: MTKParameters,
    settings: Settings,
    saveat: diffrax.SaveAt,
    max_steps: int | None,
) -> diffrax.Solution:
    controller, event, args = settings.controller, settings.event, p
    if settings.to_saves and isinstance(solver, diffrax.AbstractImplicitSolver):
        controller = _to_saves(controller, saveat)
    constraint = settings.constraint
    if constraint is None:
        term = diffrax.ODETerm(model.derivative)
    else:
        term = diffrax.ODETerm(constraint.field)
        span = jax.lax.stop_gradient(jnp.abs(t1 - t0))
        solver = DAESolver(solver, constraint, jnp.where(t0 < t1, 1, -1), span)
        if isinstance(controller, diffrax.AbstractAdaptiveStepSizeController):
            controller = DifferentialController(controller, model.sizes[0])
        event, saveat, args = constraint.event(event), constraint.saveat(saveat), (p, y0)
    return diffrax.diffeqsolve(
        term,
        solver,
        t0,
        t1,
        settings.dt0,
        y0,
        args,
        saveat=saveat,
        stepsize_controller=controller,
        adjoint=settings.adjoint,
        event=event,
        max_steps=max_steps,
        throw=False,
        progress_meter=settings.progress,
    )


def _to_saves(controller: Any, saveat: diffrax.SaveAt) -> Any:
    subs = jax.tree.leaves(saveat.subs, is_leaf=_is_sub)
    ts = [sub.ts for sub in subs if sub.ts is not None]
    return (
        diffrax.ClipStepSizeController(controller, step_ts=jnp.concatenate(ts))
        if ts
        else controller
    )
