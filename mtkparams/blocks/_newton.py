"""Newton's method on many small systems side by side, each with its own damping and verdict.

A system whose Newton step does not reduce its residual goes on by Levenberg and Marquardt until it
does again. The batch is the last axis throughout: it is the long one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from ._settings import Tolerances
from ._small_linear import inverse, times

# From the unknowns of each system to its residual and its Jacobian.
Evaluate: TypeAlias = Callable[[Array], tuple[Array, Array]]

SOLVED, FAILED, BLOCKED, SINGULAR = 0, 1, 2, 3

_FIRST_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1e-3, 1e-6, 1e16
# Newton halves its distance to a double root, and squares it elsewhere: this lies well between.
_LINEAR = 0.1
_DOUBTS = 3


class Root(NamedTuple):
    """What was found for each of a batch of systems."""

    x: Float[Array, "m batch"]
    status: Int[Array, " batch"]
    iterations: Int[Array, " batch"]
    condition: Float[Array, " batch"]


class _State(NamedTuple):
    x: Array  # the last accepted point, with its residual and Jacobian
    f: Array
    jacobian: Array
    step: Array  # what is subtracted from it next
    damping: Array
    active: Array
    status: Array
    iterations: Array
    condition: Array
    doubts: Array
    lag: Array  # whether the last accepted step converged linearly


def solve_affine(
    evaluate: Evaluate, x0: Float[Array, "m batch"], active: Bool[Array, " batch"], tol: Tolerances
) -> Root:
    """Roots of affine systems: one linear solve from zero, whatever the guess."""
    zero = jnp.zeros_like(x0)
    f, jacobian = evaluate(zero)
    scaled, (residual,) = _scaled(jacobian, tol, f)
    inverted = inverse(scaled)
    x = zero - times(inverted, residual)
    condition = _condition(inverted, scaled)
    found = jnp.all(jnp.isfinite(x), 0)
    well = found & (condition * tol.eps < 1e-3)
    status = jnp.where(well, SOLVED, jnp.where(found, SINGULAR, FAILED))
    return Root(
        choose(found & active, x, x0),
        jnp.where(active, status, BLOCKED).astype(jnp.int32),
        active.astype(jnp.int32),
        condition,
    )


def solve_nonlinear(
    evaluate: Evaluate, x0: Float[Array, "m batch"], active: Bool[Array, " batch"], tol: Tolerances
) -> Root:
    """Roots of nonlinear systems, from `x0`."""
    m, batch = x0.shape
    zero = jnp.zeros((m, batch), x0.dtype)
    start = _State(
        x=x0,
        f=jnp.full_like(zero, jnp.inf),
        jacobian=jnp.zeros((m, m, batch), x0.dtype),
        step=zero,
        damping=zero[0],
        active=active,
        status=jnp.where(active, FAILED, BLOCKED).astype(jnp.int32),
        iterations=jnp.zeros(batch, jnp.int32),
        condition=jnp.full(batch, jnp.nan, x0.dtype),
        doubts=jnp.zeros(batch, jnp.int32),
        lag=jnp.zeros(batch, bool),
    )
    final = lax.while_loop(
        lambda s: jnp.any(s.active), lambda s: _iterate(evaluate, x0, s, tol), start
    )
    return Root(final.x, final.status, final.iterations, final.condition)


def _iterate(evaluate: Evaluate, x0: Array, s: _State, tol: Tolerances) -> _State:
    first = s.iterations == 0
    trial = s.x - s.step
    f, jacobian = evaluate(trial)
    finite = jnp.all(jnp.isfinite(f), 0) & jnp.all(jnp.isfinite(jacobian), (0, 1))

    _, (before, after) = _scaled(s.jacobian, tol, s.f, f)
    was, now = jnp.sum(before**2, 0), jnp.sum(after**2, 0)
    # A damped step promises less, and so less is asked of it.
    again = first | jnp.all(s.step == 0, 0)
    good = finite & (again | (now <= was * (1 - 1e-4 / (1 + s.damping))))
    # A Newton step within rounding that no longer reduces anything: this is as near as it gets.
    size, scale = jnp.abs(s.step), jnp.maximum(jnp.abs(s.x), jnp.abs(x0))
    within = jnp.maximum(tol.eps**0.5 * scale, 100 * tol.eps * (1 + jnp.abs(s.x)))
    idle = ~good & ~first & jnp.all(size <= within, 0)
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

    scaled, (residual, bend) = _scaled(jacobian, tol, f, times(change, s.step))
    # One inverse serves both: where a step is damped, there is no verdict before it is not.
    matrix, right = lax.cond(
        jnp.any(s.active & ~plain), _damped, lambda j, r, d: (j, r), scaled, residual, damping
    )
    inverted = inverse(matrix)
    step = times(inverted, right)
    condition = _condition(inverted, scaled)
    usable = plain & jnp.all(jnp.isfinite(step), 0) & (condition * tol.eps < 0.1)
    rounding = times(jnp.abs(scaled), jnp.abs(x)) * tol.eps
    noise = times(jnp.abs(inverted), rounding)
    size = jnp.abs(step)
    small = usable & jnp.all(size <= tol.rtol * jnp.abs(x) + tol.atol + 4 * noise, 0)
    measured = _contraction(inverted, bend, s.step, x, tol) > _LINEAR
    # A step of nothing measures nothing: where rounding hides the residual near a double root.
    moved = jnp.any(s.step != 0, 0)
    lag = jnp.where(good & plain & moved, measured, s.lag)

    near = finite & good & small
    doubts = s.doubts + (near & lag).astype(jnp.int32)
    solved = (near & ~lag) | (stalled & usable)
    # A root of a singular system: seen by its rounding-level residual, or by the slow approach.
    at_root = jnp.all(jnp.abs(residual) <= 4 * rounding, 0)
    multiple = (near & (doubts >= _DOUBTS)) | (finite & plain & ~usable & at_root)
    iterations = s.iterations + s.active.astype(jnp.int32)
    spent = iterations >= tol.steps
    approached = jnp.all(size <= tol.eps**0.5 * jnp.maximum(jnp.abs(x0), scale), 0)
    multiple = multiple | (spent & lag & good & usable & approached)

    # A singular system goes on damped, from the same point.
    singular = plain & ~usable
    damping = jnp.where(singular, _FIRST_DAMPING, damping)
    lost = ~jnp.all(jnp.isfinite(step), 0) & ~singular
    lost = lost | (damping > _MOST_DAMPING) | (first & ~finite)
    step = choose(singular, jnp.zeros_like(step), step)

    x = choose(solved & small, x - step, x)
    status = jnp.where(solved, SOLVED, jnp.where(multiple, SINGULAR, FAILED)).astype(jnp.int32)
    status = jnp.where((status == SOLVED) & (condition * tol.eps >= 1e-3), SINGULAR, status)
    going = s.active & ~solved & ~multiple & ~lost & ~spent
    return _State(
        x=choose(s.active, x, s.x),
        f=f,
        jacobian=jacobian,
        step=choose(going, step, jnp.zeros_like(step)),
        damping=damping,
        active=going,
        status=jnp.where(s.active, status, s.status),
        iterations=iterations,
        condition=jnp.where(s.active & plain, condition, s.condition),
        doubts=doubts,
        lag=lag,
    )


def _scaled(jacobian: Array, tol: Tolerances, *vectors: Array) -> tuple[Array, list[Array]]:
    """The Jacobian with its largest entry in each row one, and vectors of equations likewise."""
    scale = 1 / jnp.maximum(jnp.max(jnp.abs(jacobian), 1), tol.tiny**0.5)
    return jacobian * scale[:, None], [v * scale for v in vectors]


def _condition(inverted: Array, scaled: Array) -> Array:
    """Skeel's condition number: the same in whatever units an equation is written."""
    rows = jnp.sum(jnp.abs(scaled), 1)
    condition = jnp.max(times(jnp.abs(inverted), rows), 0)
    return jnp.where(jnp.isnan(condition), jnp.inf, condition)


def _contraction(inverted: Array, bend: Array, step: Array, x: Array, tol: Tolerances) -> Array:
    """How far the Jacobian changed along the last step, as seen from where it led."""
    weight = jnp.maximum(jnp.maximum(jnp.abs(x), jnp.abs(step)), tol.tiny**0.5)
    length = jnp.max(jnp.abs(step) / weight, 0)
    moved = jnp.max(jnp.abs(times(inverted, bend)) / weight, 0)
    return jnp.where(length > 0, moved / jnp.where(length > 0, length, 1), 0)


def _damped(jacobian: Array, residual: Array, damping: Array) -> tuple[Array, Array]:
    """The system of Levenberg and Marquardt where there is damping, in units of each unknown."""
    normal = jnp.einsum("kib,kjb->ijb", jacobian, jacobian)
    slope = jnp.sum(jacobian * residual[:, None], 0)
    diagonal = jnp.sum(jacobian**2, 0)
    diagonal = jnp.maximum(diagonal, 1e-8 * jnp.max(diagonal, 0, keepdims=True))
    diagonal = jnp.where(diagonal > 0, diagonal, 1)
    eye = jnp.eye(normal.shape[0], dtype=normal.dtype)[:, :, None]
    matrix = normal + eye * (damping[None] * diagonal)[None]
    return choose(damping > 0, matrix, jacobian), choose(damping > 0, slope, residual)


def choose(mask: Bool[Array, " batch"], yes: Array, no: Array) -> Array:
    """Of each system `yes` where the mask holds, `no` elsewhere."""
    return jnp.where(mask[(None,) * (yes.ndim - 1)], yes, no)
