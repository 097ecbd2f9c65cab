"""Inverses of many small matrices at once, with the batch in the last axis.

Up to three rows they are written out: a call of LAPACK for a matrix of one or two numbers costs
more than everything else in a Newton step.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

_WRITTEN_OUT = 3


def inverse(a: Array) -> Array:
    """The inverses of `a`, shape `(m, m, batch)`; not finite where there is none."""
    m = a.shape[0]
    if m == 1:
        return 1 / a
    if m <= _WRITTEN_OUT:
        return _eliminate(a)
    return jnp.moveaxis(jnp.linalg.inv(jnp.moveaxis(a, -1, 0)), 0, -1)


def _eliminate(a: Array) -> Array:
    """Gauss and Jordan with partial pivoting, row by row, with the unit matrix at the right."""
    m, _, batch = a.shape
    unit = jnp.broadcast_to(jnp.eye(m, dtype=a.dtype)[:, :, None], (m, m, batch))
    rows = [*jnp.concatenate([a, unit], axis=1)]
    for k in range(m):
        for i in range(k + 1, m):
            swap = (jnp.abs(rows[i][k]) > jnp.abs(rows[k][k]))[None]
            upper, lower = rows[k], rows[i]
            rows[k] = jnp.where(swap, lower, upper)
            rows[i] = jnp.where(swap, upper, lower)
        rows[k] = rows[k] / rows[k][k][None]
        for i in range(m):
            if i != k:
                rows[i] = rows[i] - rows[i][k][None] * rows[k]
    return jnp.stack([row[m:] for row in rows])


def solve_positive(a: Array, x: Array) -> Array:
    """The solutions for positive definite `a`, by LAPACK: it compiles sooner, and is asked for rarely."""
    if len(a) == 1:
        return x / a[0]
    half = lax.linalg.cholesky(jnp.moveaxis(a, -1, 0), symmetrize_input=False)
    forth = lax.linalg.triangular_solve(half, x.T[..., None], left_side=True, lower=True)
    back = lax.linalg.triangular_solve(half, forth, left_side=True, lower=True, transpose_a=True)
    return back[..., 0].T


def refined(inverted: Array, a: Array) -> Array:
    """Inverses of `a` to rounding in each entry, from such as are good for the largest ones only.

    Elimination loses small entries beside large ones, and which are small is a matter of units. One step
    by Newton and Schulz gives them back.
    """
    if a.shape[0] == 1:
        return inverted
    product = jnp.einsum("ikb,kjb->ijb", a, inverted)
    defect = jnp.eye(a.shape[0], dtype=a.dtype)[:, :, None] - product
    return inverted + jnp.einsum("ikb,kjb->ijb", inverted, defect)


def times(a: Array, x: Array) -> Array:
    """Matrices times vectors: `(m, k, batch)` and `(k, batch)` to `(m, batch)`."""
    return jnp.sum(a * x[None], axis=1)
