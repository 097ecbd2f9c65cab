"""Newton's method on many small systems side by side, each with its own damping and verdict.

A system whose Newton step does not reduce its residual goes on by Levenberg and Marquardt until it
does again. The batch is the last axis throughout: it is the long one. Nothing here depends on the units
in which equations and unknowns are written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from .condition import close_bound, condition_of, quick_bound, row_scale, units_of
from .doubt import doubtful, rounding_level
from .settings import Tolerances
from .small_linear import inverse, solve_positive, times

SOLVED, FAILED, BLOCKED, SINGULAR, READS_SINGULAR = range(5)

_FIRST_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1e-3, 1e-6, 1e16
# Newton halves its distance to a double root, and squares it elsewhere: this lies well between.
_LINEAR = 0.1
_DOUBTS = 3
# Condition times precision, from which on three digits of a slope are not certain.
_WELL = 1e-3
# Most further steps of a linear solve; each gains about all digits of the precision.
_REFINEMENTS = 6


class Equations(NamedTuple):
    """The equations of a batch of systems, as functions of their unknowns `(m, batch)`.

    **Attributes:**

    - `both`: residual `(m, batch)` and Jacobian `(m, m, batch)`.
    - `residual`: that alone.
    - `sizes`: how large the terms of each equation are, `(m, batch)`.
    """

    both: Callable[[Array], tuple[Array, Array]]
    residual: Callable[[Array], Array]
    sizes: Callable[[Array], Array]


class Root(NamedTuple):
    """What was found for each of a batch of systems.

    **Attributes:**

    - `x`: the guess where the search failed: what reads it must not meet a point without sense.
    - `residual`: the largest entry where the search ended.
    """

    x: Float[Array, "m batch"]
    status: Int[Array, " batch"]
    iterations: Int[Array, " batch"]
    residual: Float[Array, " batch"]
    condition: Float[Array, " batch"]


class _Marks(NamedTuple):
    """What is noted of each system beside its numbers: integers and truth values `(batch,)`."""

    status: Array
    iterations: Array
    doubts: Array
    active: Array
    lag: Array  # whether the last accepted step converged linearly
    stalled: Array  # whether it ended where no step reduces anything
    short: Array  # whether the next step is within what rounding can make of one

    def packed(self) -> Int[Array, "marks batch"]:
        """As one array, since each that a loop carries takes kernels of its own."""
        return jnp.stack([mark.astype(jnp.int32) for mark in self])


def _unpacked(packed: Int[Array, "marks batch"]) -> _Marks:
    return _Marks(*packed[:3], *(packed[3:] != 0))


class _State(NamedTuple):
    x: Array  # the last accepted point, with its residual and Jacobian
    f: Array
    jacobian: Array
    sizes: Array  # of the terms of each equation
    scale: Array  # that makes equations comparable there
    step: Array  # what is subtracted from it next
    damping: Array
    condition: Array
    packed: Array  # the marks

    @property
    def marks(self) -> _Marks:
        return _unpacked(self.packed)


def solve_affine(
    equations: Equations,
    x0: Float[Array, "m batch"],
    active: Bool[Array, " batch"],
    tol: Tolerances,
    from_guess: bool = False,
) -> Root:
    """Roots of affine systems: one linear solve from zero, whatever the guess.

    They are never doubtful. Where the matrix is singular in this precision there is no root.

    **Arguments:**

    - `from_guess`: the equations can be evaluated near the guess only, as other systems are with them.
    """
    start = x0 if from_guess else jnp.zeros_like(x0)
    f, jacobian = equations.both(start)
    units = units_of(jacobian, tol)
    _, scale = row_scale(jacobian, units, tol)
    scaled = jacobian * scale[:, None]
    inverted = inverse(scaled)
    x = start - times(inverted, f * scale)
    if from_guess:
        again = lambda x: equations.residual(x) * scale
        x = _refined(again, inverted, x, active, tol)
    condition = condition_of(inverted, scaled, tol)
    solved = jnp.all(jnp.isfinite(x), 0) & (condition * tol.eps < _WELL)
    return Root(
        choose(solved & active, x, x0),
        jnp.where(active, jnp.where(solved, SOLVED, FAILED), BLOCKED).astype(jnp.int32),
        active.astype(jnp.int32),
        jnp.max(jnp.abs(f), 0),
        condition,
    )


def _refined(
    residual: Callable[[Array], Array], inverted: Array, x: Array, active: Array, tol: Tolerances
) -> Array:
    """Further steps with the same matrix: rounding at a guess may be larger than the root."""

    def step(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        x, going, count = carry
        step = choose(going, times(inverted, residual(x)), jnp.zeros_like(x))
        x = x - jnp.where(jnp.isfinite(step), step, 0)
        far = jnp.any(jnp.abs(step) > 4 * tol.eps * jnp.abs(x), 0)
        return x, going & far, count + 1

    more = lambda carry: jnp.any(carry[1]) & (carry[2] < _REFINEMENTS)
    going = active & jnp.all(jnp.isfinite(x), 0)
    return lax.while_loop(more, step, (x, going, jnp.zeros((), jnp.int32)))[0]


def solve_nonlinear(
    equations: Equations,
    x0: Float[Array, "m batch"],
    active: Bool[Array, " batch"],
    tol: Tolerances,
    guess: Float[Array, "m batch"] | None = None,
) -> Root:
    """Roots of nonlinear systems, from `x0`.

    **Arguments:**

    - `guess`: what was guessed, where another search led from there to `x0`.
    """
    m, batch = x0.shape
    zero = jnp.zeros((m, batch), x0.dtype)
    start = _State(
        x=x0,
        f=jnp.full_like(zero, jnp.inf),
        jacobian=jnp.zeros((m, m, batch), x0.dtype),
        sizes=zero,
        scale=zero,
        step=zero,
        damping=zero[0],
        condition=jnp.full(batch, jnp.nan, x0.dtype),
        packed=_Marks(
            status=jnp.where(active, FAILED, BLOCKED),
            iterations=jnp.zeros(batch, jnp.int32),
            doubts=jnp.zeros(batch, jnp.int32),
            active=active,
            lag=jnp.zeros(batch, bool),
            stalled=jnp.zeros(batch, bool),
            short=jnp.zeros(batch, bool),
        ).packed(),
    )
    guess = x0 if guess is None else guess

    final = lax.while_loop(
        lambda s: jnp.any(s.marks.active), lambda s: _iterate(equations, guess, s, tol), start
    )
    status, condition = final.marks.status, final.condition
    if tol.doubt:
        status, condition = _judged(equations, guess, final, tol)
    x = choose(status == FAILED, x0, final.x)
    return Root(x, status, final.marks.iterations, jnp.max(jnp.abs(final.f), 0), condition)


def _judged(
    equations: Equations, guess: Array, final: _State, tol: Tolerances
) -> tuple[Array, Array]:
    """Status and condition, with what rounding can do to the equations taken into account."""
    x, status = final.x, final.marks.status
    f, jacobian = equations.both(x)
    # What a root leaves of an unknown that is zero there is no unit of it.
    units = jnp.where(jnp.abs(x) > tol.eps * jnp.abs(guess), jnp.abs(x), jnp.abs(guess))
    _, scale = row_scale(jacobian, units, tol)
    scaled, f = jacobian * scale[:, None], f * scale
    level = rounding_level(final.sizes, tol) * scale
    inverted = inverse(scaled)
    condition = condition_of(inverted, scaled, tol)

    def pushed(at: Array, along: Array) -> Array:
        return jax.jvp(equations.residual, (at,), (along,))[1] * scale

    doubt = doubtful(pushed, inverted, scaled, x, units, f, level, tol)
    solved = status == SOLVED
    # A root is where no more than rounding, or than is asked for, is left. Where nothing got smaller any
    # more, it must be rounding.
    asked = jnp.where(final.marks.stalled, tol.eps, max(tol.rtol, tol.eps**0.5))[None] * units
    off, rounding = jnp.abs(times(inverted, f)), times(jnp.abs(inverted), level)
    missed = solved & ~jnp.all(off <= 4 * rounding + asked + tol.atol, 0)
    singular = solved & (doubt | ~(condition * tol.eps < _WELL))
    status = jnp.where(missed, FAILED, jnp.where(singular, SINGULAR, status)).astype(jnp.int32)
    return status, jnp.where(solved, condition, final.condition)


def _units(x: Array, guess: Array, tol: Tolerances) -> Array:
    """A length in which to measure each unknown, zero if there is none."""
    return jnp.where(jnp.abs(x) > tol.tiny**0.5, jnp.abs(x), jnp.abs(guess))


def _iterate(
    equations: Equations,
    guess: Array,
    s: _State,
    tol: Tolerances,
) -> _State:
    marks = s.marks
    first = marks.iterations == 0
    trial = s.x - s.step
    f, jacobian = equations.both(trial)
    finite = jnp.all(jnp.isfinite(f), 0) & jnp.all(jnp.isfinite(jacobian), (0, 1))
    moved = jnp.any(s.step != 0, 0)

    # What rounding leaves of an equation is nothing that a step could reduce.
    floor = 4 * tol.eps * s.sizes
    above = lambda f: jnp.sum((jnp.maximum(jnp.abs(f) - floor, 0) * s.scale) ** 2, 0)
    was, now = above(s.f), above(f)
    # A damped step promises less, and so less is asked of it.
    again = first | ~moved
    good = finite & (again | (now <= was * (1 - 1e-4 / (1 + s.damping))))
    # A Newton step within rounding that no longer reduces anything: this is as near as it gets.
    idle = ~good & ~first & marks.short
    stalled = idle & (s.damping == 0)

    change = choose(good & ~first, jacobian - s.jacobian, jnp.zeros_like(jacobian))
    x = choose(good, trial, s.x)
    f = choose(good, f, s.f)
    jacobian = choose(good, jacobian, s.jacobian)
    raised = jnp.where(s.damping == 0, _FIRST_DAMPING, s.damping * 10)
    lowered = jnp.where(s.damping < _LEAST_DAMPING, 0, s.damping * 0.1)
    # Damping in vain ends as well: only a step without it can tell whether this is a root.
    damping = jnp.where(good, lowered, jnp.where(idle, 0, raised))
    plain = damping == 0

    units = _units(x, guess, tol)
    bend = times(change, s.step)
    terms, scale = row_scale(jacobian, units, tol)
    # Without what the arguments give, where nobody asks for more.
    sizes = choose(good, equations.sizes(trial), s.sizes) if tol.doubt else terms
    scaled = jacobian * scale[:, None]
    residual, bend, rounding = f * scale, bend * scale, tol.eps * sizes * scale
    inverted = inverse(scaled)
    condition = quick_bound(inverted, scaled, units)
    rare = ~plain | ~(condition * tol.eps < _WELL)
    step, condition = lax.cond(
        jnp.any(marks.active & rare),
        lambda step, condition: _carefully(
            scaled, inverted, residual, step, condition, damping, units, tol
        ),
        lambda step, condition: (step, condition),
        times(inverted, residual),
        condition,
    )
    noise = times(jnp.abs(inverted), rounding)
    size = jnp.abs(step)
    # Sizes are a bound of what rounding does; without arguments they are not quite one.
    known = 1 if tol.doubt else 4
    # A root of zero is found when it is nothing beside the guess.
    least = tol.atol + tol.eps**2 * jnp.abs(guess)
    unit = jnp.maximum(jnp.abs(x), jnp.abs(guess))
    # An unknown that starts at zero has no unit before it moves.
    within = jnp.maximum(tol.eps**0.5 * unit, jnp.where(guess == 0, 100 * tol.eps, least))
    steady, small, short, at_root = _all(
        jnp.isfinite(step),
        size <= tol.rtol * jnp.abs(x) + least + known * noise,
        size <= within,
        # A root of a singular system is seen by its residual of no more than rounding.
        jnp.abs(residual) <= 4 * rounding,
    )
    usable = plain & steady & (condition * tol.eps < 0.1)
    small = small & usable
    measured = _contraction(inverted, bend, s.step, x, tol) > _LINEAR
    # A step of nothing measures nothing: where rounding hides the residual near a double root.
    lag = jnp.where(good & plain & moved, measured, marks.lag)

    near = finite & good & small
    doubts = marks.doubts + (near & lag).astype(jnp.int32)
    solved = (near & ~lag) | (stalled & usable)
    multiple = (near & (doubts >= _DOUBTS)) | (finite & plain & ~usable & at_root)
    iterations = marks.iterations + marks.active.astype(jnp.int32)
    spent = iterations >= tol.steps
    multiple = multiple | (spent & lag & good & usable & short)

    # A singular system goes on damped, from the same point.
    singular = plain & ~usable
    damping = jnp.where(singular, _FIRST_DAMPING, damping)
    lost = ~steady & ~singular
    lost = lost | (damping > _MOST_DAMPING) | (first & ~finite)
    step = choose(singular, jnp.zeros_like(step), step)

    # A step that rounding alone makes may lead anywhere.
    x = choose(solved & small & short, x - step, x)
    status = jnp.where(solved, SOLVED, jnp.where(multiple, SINGULAR, FAILED)).astype(jnp.int32)
    status = jnp.where((status == SOLVED) & ~(condition * tol.eps < _WELL), SINGULAR, status)
    going = marks.active & ~solved & ~multiple & ~lost & ~spent
    return _State(
        x=choose(marks.active, x, s.x),
        f=f,
        jacobian=jacobian,
        sizes=sizes,
        scale=scale,
        step=choose(going, step, jnp.zeros_like(step)),
        damping=damping,
        condition=jnp.where(marks.active & plain, condition, s.condition),
        packed=_Marks(
            status=jnp.where(marks.active, status, marks.status),
            iterations=iterations,
            doubts=doubts,
            active=going,
            lag=lag,
            stalled=jnp.where(marks.active, stalled & ~near, marks.stalled),
            short=short | singular,
        ).packed(),
    )


def _all(*conditions: Bool[Array, "m batch"]) -> Bool[Array, "conditions batch"]:
    """Which conditions hold for all unknowns: at once, as each reduction takes a kernel of its own."""
    return jnp.all(jnp.stack(conditions), axis=1)


def _contraction(inverted: Array, bend: Array, step: Array, x: Array, tol: Tolerances) -> Array:
    """How far the Jacobian changed along the last step, as seen from where it led."""
    weight = jnp.maximum(jnp.maximum(jnp.abs(x), jnp.abs(step)), tol.tiny**0.5)
    length = jnp.max(jnp.abs(step) / weight, 0)
    moved = jnp.max(jnp.abs(times(inverted, bend)) / weight, 0)
    return jnp.where(length > 0, moved / jnp.where(length > 0, length, 1), 0)


def _carefully(
    scaled: Array,
    inverted: Array,
    residual: Array,
    step: Array,
    condition: Array,
    damping: Array,
    units: Array,
    tol: Tolerances,
) -> tuple[Array, Array]:
    """Steps and condition numbers where a step is damped, or a matrix perhaps singular."""
    if len(scaled) > 1:
        condition = close_bound(inverted, scaled, tol)
    slow = _damped(scaled, residual, jnp.where(damping > 0, damping, 1), units)
    return choose(damping > 0, slow, step), condition


def _damped(jacobian: Array, residual: Array, damping: Array, units: Array) -> Array:
    """The step of Levenberg and Marquardt, in units of each unknown."""
    length = jnp.sqrt(jnp.sum(jacobian**2, 0))
    # An unknown that has next to no influence here is not sent far away for it.
    least = 1e-4 * jnp.max(length * units, 0, keepdims=True) / jnp.where(units > 0, units, jnp.inf)
    length = jnp.maximum(length, least)
    length = jnp.where(length > 0, length, 1)
    even = jacobian / length[None]
    slope = jnp.sum(even * residual[:, None], 0)
    eye = jnp.eye(len(jacobian), dtype=jacobian.dtype)[:, :, None]
    normal = jnp.sum(even[:, :, None] * even[:, None], 0) + eye * damping[None, None]
    return solve_positive(normal, slope) / length


def choose(mask: Bool[Array, " batch"], yes: Array, no: Array) -> Array:
    """Of each system `yes` where the mask holds, `no` elsewhere."""
    return jnp.where(mask[(None,) * (yes.ndim - 1)], yes, no)
