"""Small least-squares problems by Householder reflections, in operations that XLA batches itself.

LAPACK through JAX may stop for ever: with as few cores as there are batched factorizations in one
program, each waits for a thread that another one holds (seen with jaxlib 0.10.2 on two cores).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def triangular(
    a: Float[Array, "m n"], b: Float[Array, " m"]
) -> tuple[Float[Array, "n n"], Float[Array, " n"]]:
    """`R` and `Q^T b` of `a = Q R`: what is left of a least-squares problem of any height.

    **Arguments:**

    - `a`, `b`: matrix and right-hand side; rows of zeros are added where there are too few.
    """
    m, n = a.shape
    if m < n:
        a = jnp.concatenate([a, jnp.zeros((n - m, n), a.dtype)])
        b = jnp.concatenate([b, jnp.zeros(n - m, b.dtype)])
    rows = jnp.arange(a.shape[0])

    def reflect(j: Array, both: Array) -> Array:
        x = jnp.where(rows >= j, both[:, j], 0.0)
        norm = jnp.sqrt(jnp.sum(x**2))
        v = jnp.where(rows == j, x + jnp.where(x[j] < 0, -norm, norm), x)
        square = jnp.sum(v**2)
        factor = jnp.where(square > 0, 2 / jnp.where(square > 0, square, 1.0), 0.0)
        return both - factor * (v[:, None] * (v @ both)[None])

    both = jax.lax.fori_loop(0, n, reflect, jnp.concatenate([a, b[:, None]], axis=1))
    return jnp.triu(both[:n, :n]), both[:n, n]


def back_substitute(r: Float[Array, "n n"], y: Float[Array, " n"]) -> Float[Array, " n"]:
    """The solution of `r x = y` for an upper triangular `r`."""
    n = y.size
    index = jnp.arange(n)

    def solve(i: Array, x: Array) -> Array:
        j = n - 1 - i
        return jnp.where(index == j, (y[j] - r[j] @ x) / r[j, j], x)

    return jax.lax.fori_loop(0, n, solve, jnp.zeros_like(y))
