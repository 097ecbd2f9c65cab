"""The derivative of a solution: one application of the implicit function theorem to all blocks.

Where a block has none, because it failed, waits for one that failed, or is singular, the derivative
is NaN: in forward mode in its own entries, in reverse mode everywhere once somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, PyTree

from ..._failure import constant, nan_slope

# From unknowns and arguments to the residual.
Residual: TypeAlias = Callable[[Array, PyTree], Array]


class Solves(NamedTuple):
    """A linear solve with the Jacobian at the solution, and one with its transpose."""

    solve: Callable[[Array], Array]
    transposed: Callable[[Array], Array]


# From the solution, the arguments, and which blocks to leave out, to solves with the Jacobian there.
Factorize: TypeAlias = Callable[[Array, PyTree, Array], Solves]


def implicit(
    find: Callable[[Array, PyTree], tuple[Array, Array, PyTree]],
    residual: Residual,
    factorize: Factorize,
    guess: Float[Array, " n"],
    args: PyTree,
    reads_guess: bool = False,
) -> tuple[Float[Array, " n"], PyTree]:
    """The solution with its derivative, and what else `find` gives, as constants.

    **Arguments:**

    - `find`: from a guess and arguments to unknowns, finite ones also where it failed; which of them
      have no value (1) or a value without derivative (2), 0 elsewhere; and anything else.
    - `residual`: what is zero at the solution; its rows fall into the same blocks as the unknowns.
    - `factorize`: the solves that the derivative takes.
    - `reads_guess`: the residual's arguments are `(args, guess)`, and its derivative with respect to
      the guess counts.
    """
    arrays, rest = eqx.partition(args, eqx.is_inexact_array)
    leaves, treedef = jax.tree.flatten(arrays)
    others, others_def = jax.tree.flatten(rest)

    def whole(leaves: PyTree, others: PyTree) -> PyTree:
        return eqx.combine(treedef.unflatten(leaves), others_def.unflatten(others))

    def arguments(guess: Array, leaves: PyTree, others: PyTree) -> PyTree:
        tree = whole(leaves, others)
        return (tree, guess) if reads_guess else tree

    @jax.custom_jvp
    def solution(guess: Array, leaves: PyTree, others: PyTree) -> PyTree:
        u, lost, more = find(guess, whole(leaves, others))
        return jnp.where(lost == 1, jnp.nan, u), (u, lost, more)

    @solution.defjvp
    def _(primals: PyTree, tangents: PyTree) -> PyTree:
        guess, leaves, others = primals
        guess_dot, leaves_dot, _ = tangents
        u, (last, lost, more) = solution(guess, leaves, others)
        no_slope = lost > 0
        # Second derivatives go through `u` as a function of the arguments, where it is one.
        safe = jnp.where(no_slope, lax.stop_gradient(last), u)
        moved = lambda g, p: residual(safe, arguments(g, p, others))
        still = guess_dot if reads_guess else jnp.zeros_like(guess_dot)
        _, right = jax.jvp(moved, (guess, leaves), (still, leaves_dot))
        tree = arguments(guess, leaves, others)
        tangent = -_masked_solve(residual, factorize, safe, tree, no_slope, right)
        total = sum(
            (jnp.sum(t.real).astype(u.dtype) for t in leaves_dot),
            jnp.sum(guess_dot).astype(u.dtype),
        )
        tangent = tangent + nan_slope(no_slope, jnp.broadcast_to(total, u.shape))
        flat = (u, (last, lost, more))
        zeros = jax.tree.map(_no_tangent, (last, lost, more))
        return flat, (tangent, zeros)

    u, (_, _, more) = solution(guess, leaves, others)
    return u, jax.tree.map(lax.stop_gradient, more)


def _masked_solve(
    residual: Residual,
    factorize: Factorize,
    u: Array,
    args: PyTree,
    no_slope: Bool[Array, " n"],
    right: Array,
) -> Array:
    solves = factorize(lax.stop_gradient(u), constant(args), no_slope)

    def product(v: Array) -> Array:
        clean = jnp.where(no_slope, 0, v)
        _, out = jax.jvp(lambda u: residual(u, args), (u,), (clean,))
        return jnp.where(no_slope, v, out)

    def solved(transposed: Callable[[object, Array], Array] | None) -> Array:
        forward = lambda _, b: solves.solve(b)
        return lax.custom_linear_solve(product, jnp.where(no_slope, 0, right), forward, transposed)

    try:
        return solved(lambda _, c: solves.transposed(c))
    except ValueError:
        # JAX asks at once for the transpose of the product, and loops of unknown length have none.
        # Forward they have a derivative, and backward JAX says that there is none. Any other error
        # comes again.
        return solved(None)


def _no_tangent(x: Array) -> Array | np.ndarray:
    if jnp.issubdtype(x.dtype, jnp.inexact):
        return jnp.zeros_like(x)
    return np.zeros(x.shape, jax.dtypes.float0)
