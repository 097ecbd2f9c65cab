"""How near to singular matrices are, in the best of all units of their equations and unknowns.

Scaling the rows of `A` leaves `|inverse(A)| |A|` as it is, and scaling its columns leaves the largest
eigenvalue of that product. It is the least condition number that scaling can reach (Bauer, Optimally scaled
matrices, 1963), and for block-triangular matrices the largest of those of the diagonal blocks.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from .settings import Tolerances
from .small_linear import times

# Condition times precision from which a bound is worth improving, and how many times at most.
_SUSPICIOUS, _IMPROVEMENTS = 1e-6, 40


def row_scale(
    jacobian: Float[Array, "m m batch"], units: Float[Array, "m batch"], tol: Tolerances
) -> tuple[Float[Array, "m batch"], Float[Array, "m batch"]]:
    """How large the terms of each equation are, and a factor that makes equations comparable.

    **Arguments:**

    - `units`: a length in which to measure each unknown; zero if there is none.
    """
    size = jnp.abs(jacobian)
    terms = times(size, units)
    return terms, 1 / jnp.maximum(jnp.where(terms > tol.tiny, terms, jnp.max(size, 1)), tol.tiny)


def units_of(jacobian: Float[Array, "m m batch"], tol: Tolerances) -> Float[Array, "m batch"]:
    """Units of the unknowns in which the entries of the Jacobian are as equal as they get."""
    _, scale = row_scale(jacobian, jnp.zeros_like(jacobian[0]), tol)
    return _weight(jacobian * scale[:, None], tol)


def equal_parts(
    matrix: Float[Array, "m m batch"], tol: Tolerances
) -> tuple[Float[Array, "m batch"], Float[Array, "m batch"]]:
    """Factors for rows and columns, after which the entries are as equal as they get.

    Elimination picks its pivots by how large they are, which says something in comparable units only.
    """
    columns = units_of(matrix, tol)
    terms = times(jnp.abs(matrix), columns)
    return 1 / jnp.where(terms > tol.tiny, terms, 1), columns


def condition_of(
    inverted: Float[Array, "m m batch"], matrix: Float[Array, "m m batch"], tol: Tolerances
) -> Float[Array, " batch"]:
    """A bound of the condition number of each matrix, and close to it where that is large."""
    bound = quick_bound(inverted, matrix, _weight(matrix, tol))
    if matrix.shape[0] == 1:
        return bound
    improve = lambda inverted, matrix, _: close_bound(inverted, matrix, tol)
    keep = lambda inverted, matrix, bound: bound
    suspicious = jnp.any(bound * tol.eps > _SUSPICIOUS)
    return lax.cond(suspicious, improve, keep, inverted, matrix, bound)


def quick_bound(
    inverted: Float[Array, "m m batch"],
    matrix: Float[Array, "m m batch"],
    units: Float[Array, "m batch"],
) -> Float[Array, " batch"]:
    """A bound of the condition number of each matrix, the better the righter the units."""
    # Any positive weights give a bound (Collatz).
    return _bound(jnp.abs(inverted), jnp.abs(matrix), jnp.where(units > 0, units, 1))[1]


def close_bound(
    inverted: Float[Array, "m m batch"], matrix: Float[Array, "m m batch"], tol: Tolerances
) -> Float[Array, " batch"]:
    """A bound of the condition number of each matrix that is close to it."""
    size = jnp.abs(inverted), jnp.abs(matrix)

    def again(_: Array, both: tuple[Array, Array]) -> tuple[Array, Array]:
        weight, bound = both
        weight = weight / jnp.max(weight, 0, keepdims=True)
        weight, now = _bound(*size, jnp.maximum(weight, tol.tiny**0.5))
        return weight, jnp.minimum(bound, now)

    first = _weight(matrix, tol)
    none = jnp.full_like(first[0], jnp.inf)
    return lax.fori_loop(0, 1 + _IMPROVEMENTS, again, (first, none))[1]


def _weight(matrix: Array, tol: Tolerances) -> Array:
    # Right where one entry rules a column.
    largest = jnp.max(jnp.abs(matrix), 0)
    return 1 / jnp.where(largest > tol.tiny, largest, 1)


def _bound(inverted: Array, size: Array, weight: Array) -> tuple[Array, Array]:
    moved = times(inverted, times(size, weight))
    bound = jnp.max(moved / weight, 0)
    return moved, jnp.where(jnp.isnan(bound), jnp.inf, bound)
