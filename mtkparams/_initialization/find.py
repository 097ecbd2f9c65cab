"""The search for a start, for traced values as well."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from .._blocks import Found, Settings, least_squares, sizes, solve_blocks, solve_whole
from .._failure import constant, nan_where
from .._model import Model
from .._parameters import Caches, Initials, MTKParameters
from .._results import RESULTS, choose, succeeded
from ..errors import KindError
from .algorithms import BrownFullBasicInit, CheckInit, NoInit, OverrideInit
from .conditions import Conditions
from .determined import check_determined
from .listing import NamedBlock, listing
from .plan import Plan, Question, plan, without_caches


class Start(eqx.Module):
    """What a search found.

    **Attributes:**

    - `p`: the parameters with what was found in its slots; NaN, also in every derivative, where a
      block failed, and in all initial values where what is given contradicts the equations.
    - `y`: all unknowns.
    - `status`: of each block, as in `Found` of the blocks; `iterations`, `residual`,
      `condition`: the same.
    - `violation`: for each equation that reads nothing that is found, how far it is from zero in
      units of what is tolerated.
    - `guess`: where the search started.
    - `plan`: what was asked; `whole`: all at once, without blocks; static.
    """

    p: MTKParameters
    y: Float[Array, "*batch n"]
    status: Int[Array, "*batch blocks"]
    iterations: Int[Array, "*batch blocks"]
    residual: Float[Array, "*batch blocks"]
    condition: Float[Array, "*batch blocks"]
    violation: Float[Array, "*batch left_over"]
    guess: Float[Array, "*batch found"]
    plan: Plan = eqx.field(static=True)
    whole: bool = eqx.field(static=True, default=False)

    @property
    def blocks(self) -> tuple[NamedBlock, ...]:
        """The blocks by name, in the order of `status`."""
        return listing(self.plan, self.whole)

    @property
    def result(self) -> RESULTS:
        """How the search ended, the worst that any block or equation says."""
        some = lambda condition: jnp.any(condition, axis=-1)
        worst = choose(some(self.violation > 1), RESULTS.inconsistent, RESULTS.successful)
        worst = choose(some(self.status == 3), RESULTS.singular, worst)
        return choose(some(self.status == 1), RESULTS.not_converged, worst)

    @property
    def succeeded(self) -> Bool[Array, "*batch"]:
        """Whether everything was found and nothing contradicts it."""
        # Blocks that wait for another, or read a singular one, are never the only ones to fail.
        return succeeded(self.result)


def find_answer(
    model: Model,
    conditions: Conditions,
    question: Question,
    t: Array,
    p: MTKParameters,
    options: OverrideInit,
) -> Start:
    """A root of the residuals, or a steady state; never raises for values."""
    return find(model, conditions, question, t, p, options)


def find_start(
    model: Model, conditions: Conditions, t: Array, p: MTKParameters, algorithm: object
) -> Start:
    """A start by one of the algorithms; never raises for values, `Start.result` tells."""
    if isinstance(algorithm, OverrideInit):
        return find(model, conditions, "start", t, p, algorithm)
    if isinstance(algorithm, BrownFullBasicInit):
        return find(model, conditions, "algebraic", t, p, algorithm)
    if isinstance(algorithm, CheckInit | NoInit):
        return _as_given(plan(model, conditions, "check", t, p), t, p, algorithm)
    raise KindError(
        "The algorithm of an initialization is mtk.OverrideInit(), mtk.BrownFullBasicInit(), "
        f"mtk.CheckInit() or mtk.NoInit(), got {algorithm!r}."
    )


def find(
    model: Model,
    conditions: Conditions,
    question: Question,
    t: Array,
    p: MTKParameters,
    options: OverrideInit | BrownFullBasicInit,
) -> Start:
    """The answer to a question."""
    planned = plan(model, conditions, question, t, p)
    # Here, and not in what is compiled: a warning comes with each call.
    check_determined(planned, getattr(options, "fully_determined", None))
    return _search(planned, t, p, options)


@eqx.filter_jit
def _search(
    planned: Plan, t: Array, p: MTKParameters, options: OverrideInit | BrownFullBasicInit
) -> Start:
    args = (t, without_caches(p))
    guess = planned.guess(p)
    roots = _solve(planned, guess, args, options)
    y, p_new = planned.split(roots.u, p)
    violation = _violations(planned, roots.u, args, options)
    if planned.left_over.size:
        failed = jnp.any(violation > 1)
        y, p_new = nan_where(failed, y), _without_start(p_new, failed)
    return Start(
        p=_with_caches(p_new, roots.u),
        y=y,
        status=roots.status,
        iterations=roots.iterations,
        residual=roots.residual,
        condition=roots.condition,
        violation=violation,
        guess=guess,
        plan=planned,
        whole=not options.blocks,
    )


def _solve(
    planned: Plan,
    guess: Array,
    args: tuple[Array, MTKParameters],
    options: OverrideInit | BrownFullBasicInit,
) -> Found:
    settings = Settings(
        rtol=options.rtol,
        atol=options.atol,
        residual=options.rtol,
        max_steps=options.max_steps,
        doubt=True,
    )
    if planned.structure is None:
        return Found(guess, *_nothing(guess.dtype), caches=())
    if not planned.structure.parts.is_square:
        return least_squares(planned.determining, guess, args, settings)
    if options.blocks:
        return solve_blocks(planned.structure, planned.determining, guess, args, settings)
    return solve_whole(planned.determining, guess, args, settings)


def _nothing(dtype: DTypeLike) -> tuple[Array, Array, Array, Array]:
    none = jnp.zeros(0, dtype)
    return jnp.zeros(0, jnp.int32), jnp.zeros(0, jnp.int32), none, none


@eqx.filter_jit
def _as_given(planned: Plan, t: Array, p: MTKParameters, check: CheckInit | NoInit) -> Start:
    """The values as they are, and for a check how far they are from fulfilling the equations."""
    nothing = jnp.zeros(0, p.initials.dtype)
    y = planned.model.start(p)
    violation = nothing
    if isinstance(check, CheckInit):
        violation = _violations(planned, nothing, (t, without_caches(p)), check)
        failed = jnp.any(violation > 1)
        y, p = nan_where(failed, y), _without_start(p, failed)
    status, iterations, residual, condition = _nothing(nothing.dtype)
    return Start(
        p.with_buffers(p.buffers),
        y,
        status,
        iterations,
        residual,
        condition,
        violation,
        nothing,
        planned,
    )


def _violations(
    planned: Plan,
    v: Array,
    args: tuple[Array, MTKParameters],
    options: OverrideInit | BrownFullBasicInit | CheckInit,
) -> Array:
    """How far each equation that is left over is from zero, in units of what is tolerated."""
    if not planned.left_over.size:
        return jnp.zeros(0, v.dtype)
    v, args = constant((v, args))
    t, p = args
    y, p = planned.split(v, p)

    value, size = planned.remaining(y, (t, p)), sizes(planned.remaining, y, (t, p))
    least = float(jnp.finfo(v.dtype).eps) ** 0.5
    rtol = least if options.rtol is None else options.rtol
    atol = least if options.atol is None else options.atol
    ratio = jnp.abs(value) / (atol + rtol * size)
    return jnp.where(jnp.isfinite(ratio), ratio, jnp.inf)


def _without_start(p: MTKParameters, failed: Bool[Array, ""]) -> MTKParameters:
    """`p` with no initial value at all where they contradict each other."""
    return p.from_buffers({**p.buffers, Initials: (nan_where(failed, p.initials),)})


def _with_caches(p: MTKParameters, u: Array) -> MTKParameters:
    """`p` in buffers of its own, with what the blocks found where a problem keeps room for it."""
    room = p.buffers[Caches]
    if len(room) == 1 and room[0].shape == u.shape:
        return p.with_buffers({**p.buffers, Caches: (u,)})
    return p.with_buffers(p.buffers)
