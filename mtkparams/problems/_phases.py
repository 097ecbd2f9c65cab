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

from ..errors import KindError
from ..parameters import MTKParameters

# More steps than smooth problems need, few enough to be cheap where the problem is stiff.
_EXPLICIT_STEPS = 1000


class Settings(eqx.Module):
    """What the caller asked of a solve; its arrays, such as save times, can be differentiated."""

    saveat: diffrax.SaveAt
    controller: Any
    adjoint: Any
    max_steps: int | None
    dt0: Any
    event: Any
    progress: Any


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
            is_leaf=lambda x: isinstance(x, diffrax.SubSaveAt),
        )


class Outcome(eqx.Module):
    """What a solve gives before anybody judges it."""

    ts: Array
    ys: Array
    result: Any
    stats: dict[str, Any]
    interpolation: Any


def in_one(
    term: Any, solver: Any, span: Span, y0: Array, p: MTKParameters, settings: Settings
) -> Outcome:
    """The outcome of one solver."""
    saveat = span.saveat(settings.saveat)
    s = _diffeqsolve(term, solver, span.t0, span.end, y0, p, settings, saveat, settings.max_steps)
    ts, ys = _flat(s.ts, s.ys, settings.saveat)
    stats = {**s.stats, "phase": jnp.zeros((), int)}
    return Outcome(ts, ys, s.result, stats, s.interpolation)


def in_two(term: Any, span: Span, y0: Array, p: MTKParameters, settings: Settings) -> Outcome:
    """The outcome of Tsit5, and where it did not arrive of Kvaerno5 from there on.

    Both run always: where the first arrived, the second has nothing to do and takes no step. So
    there is no branch, and a batch has members of both kinds.
    """
    saveat = settings.saveat
    (sub,) = saveat.subs if isinstance(saveat.subs, tuple | list) else (saveat.subs,)
    if not isinstance(sub, diffrax.SubSaveAt) or sub.steps or saveat.dense:
        raise KindError(
            "solver='auto' saves at given times; for steps=True, dense=True or several SubSaveAt "
            "choose one solver, such as diffrax.Tsit5() or diffrax.Kvaerno5()."
        )
    t0, t1 = span.t0, span.end
    ts = span.times(_times(sub, t0, t1))
    both = diffrax.SaveAt(subs=(diffrax.SubSaveAt(ts=ts), diffrax.SubSaveAt(t1=True)))
    limit = min(_EXPLICIT_STEPS, settings.max_steps or _EXPLICIT_STEPS)
    first = _diffeqsolve(term, diffrax.Tsit5(), t0, t1, y0, p, settings, both, limit)
    first_ts: Any = first.ts
    first_ys: Any = first.ys
    early, (reached,), (last,) = first_ys[0], first_ts[1], first_ys[1]
    arrived = diffrax.is_okay(first.result)
    reached = jnp.where(arrived, t1, jax.lax.stop_gradient(reached))
    late_ts = jnp.where(t1 >= t0, jnp.maximum(ts, reached), jnp.minimum(ts, reached))
    stiff = diffrax.Kvaerno5(root_finder=diffrax.with_stepsize_controller_tols(optx.Chord)())
    second = _diffeqsolve(
        term,
        stiff,
        reached,
        t1,
        last,
        p,
        settings,
        diffrax.SaveAt(ts=late_ts),
        settings.max_steps,
    )
    done = arrived | jnp.where(t1 >= t0, ts <= reached, ts >= reached)
    late: Any = second.ys
    ys = jnp.where(jnp.broadcast_to(done, ts.shape)[:, None], early, late)
    result = diffrax.RESULTS.where(arrived, first.result, second.result)
    stats = {key: first.stats[key] + second.stats[key] for key in first.stats if "max" not in key}
    stats["phase"] = jnp.where(arrived, 0, 1)
    return Outcome(ts, ys, result, stats, None)


def _times(sub: Any, t0: Array, t1: Array) -> Array:
    parts = [t0[None]] if sub.t0 else []
    parts += [] if sub.ts is None else [jnp.asarray(sub.ts).astype(t0.dtype)]
    parts += [t1[None]] if sub.t1 else []
    return jnp.concatenate(parts)


def _flat(ts: Any, ys: Any, saveat: diffrax.SaveAt) -> tuple[Any, Any]:
    if ts is None:
        raise KindError("Nothing would be saved: give saveat= times, or SaveAt(t1=True).")
    return ts, ys


def _diffeqsolve(
    term: Any,
    solver: Any,
    t0: Array,
    t1: Array,
    y0: Array,
    p: MTKParameters,
    settings: Settings,
    saveat: diffrax.SaveAt,
    max_steps: int | None,
) -> diffrax.Solution:
    return diffrax.diffeqsolve(
        term,
        solver,
        t0,
        t1,
        settings.dt0,
        y0,
        p,
        saveat=saveat,
        stepsize_controller=settings.controller,
        adjoint=settings.adjoint,
        event=settings.event,
        max_steps=max_steps,
        throw=False,
        progress_meter=settings.progress,
    )
