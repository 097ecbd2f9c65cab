"""Roots that rounding moves so far that the slope there is another one: double roots, in disguise.

Newton's method tells a double root by how slowly it comes near. A search that starts within rounding of
one makes no step to tell by: the residual is zero, and the slope whatever the start makes of it.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .settings import Tolerances
from .small_linear import times

# What rounding may do to a residual, in units of the size of its terms times the precision. An equation
# of a few operations is known to about one such unit, and each operation more adds one at most.
_ROUNDING = 16.0
# Slopes are asked for no farther away than this part of an unknown: the equations may end there.
_NEAR = 0.01
# At a double root the Jacobian changes by half of what it is with each step, at others by more.
_STEADY = 0.25


def rounding_level(sizes: Float[Array, "m batch"], tol: Tolerances) -> Float[Array, "m batch"]:
    """What rounding may do to equations whose terms are that large."""
    return _ROUNDING * tol.eps * sizes


def doubtful(
    pushed: Callable[[Array, Array], Array],
    inverted: Float[Array, "m m batch"],
    jacobian: Float[Array, "m m batch"],
    x: Float[Array, "m batch"],
    units: Float[Array, "m batch"],
    residual: Float[Array, "m batch"],
    level: Float[Array, "m batch"],
    tol: Tolerances,
) -> Bool[Array, " batch"]:
    """Which systems have another slope where rounding, or one more Newton step, can move their root to.

    For each unknown it looks where the worst of all roundings moves that one farthest. By Newton and
    Kantorovich there is one root, and a simple one, as long as the Jacobian changes by less than half on
    the way; a double root is twice as far as where it changes by as much as it is.

    **Arguments:**

    - `pushed`: the Jacobian at a point times a vector.
    - `inverted`, `jacobian`: the Jacobian at `x`, and its inverse.
    - `units`: a length in which to measure each unknown; zero if there is none.
    - `residual`, `level`: that of each equation at `x`, and what rounding may do to it.
    """

    def moved(by: Array) -> Array:
        return times(jnp.abs(inverted), by)

    def unclear(step: Array) -> Array:
        # What rounding does to a step through the Jacobian and back: all there is of affine equations.
        return 8 * (1 + len(x)) * tol.eps * moved(times(jnp.abs(jacobian), step))

    def change(at: Array, step: Array, image: Array) -> Array:
        # By how much a step that leads to `image` here leads elsewhere from another point.
        return jnp.abs(times(inverted, pushed(at, step) - image))

    farthest = moved(level)
    clearly = unclear(farthest)

    def turned(row: Float[Array, "m batch"]) -> Bool[Array, " batch"]:
        push = jnp.where(row < 0, -level, level)
        step = times(inverted, push)
        room = jnp.where(units > 0, _NEAR * units / jnp.abs(step), jnp.inf)
        part = jnp.minimum(1, jnp.min(jnp.where(jnp.isnan(room), jnp.inf, room), 0))[None]
        # The change is as good as proportional to the distance.
        return jnp.any(~(change(x + part * step, step, push) <= part * farthest + clearly), 0)

    # A search may start so near to a double root that it ends before it shows how slowly it goes on.
    step = times(inverted, residual)
    more = change(x - step, step, residual) - unclear(moved(jnp.abs(residual)))
    share = lambda v: jnp.max(v / jnp.where(units > 0, units, 1), 0)
    # Of less than a quarter of what rounding can do, the roundings above are four steps and more.
    clear = jnp.any(jnp.abs(residual) > level / 4, 0)
    unsteady = clear & ~(share(more) <= _STEADY * share(jnp.abs(step)))
    return unsteady | jnp.any(jax.vmap(turned)(inverted), 0)
