"""Functions of one vector whose derivatives come from forward mode, whoever asks for them.

An objective with few parameters is cheapest to differentiate forward, and an optimizer, a sampler
or a user may still write `jax.grad`. So the first two derivatives are computed forward as whole
arrays, and what JAX differentiates is a product with them, which it can also transpose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, PyTree

from ..._failure import nan_where

OfVector: TypeAlias = Callable[[Any, Array], Any]
# What a user may write for a vector.
Vector: TypeAlias = ArrayLike | Sequence[ArrayLike]


def by_forward_mode(f: OfVector, orders: int = 2) -> OfVector:
    """`f(rest, v)`, with derivatives in `v` that forward mode computes and any mode may ask for.

    **Arguments:**

    - `f`: a function of a pytree and a vector of shape `(n,)`, which returns a pytree of floats.
    - `orders`: how many derivatives reverse mode may take. Beyond them `f` itself is differentiated.

    A derivative in `rest` is that of `f` itself.
    """
    if not orders:
        return f

    @eqx.filter_custom_jvp
    def differentiable(rest: PyTree, v: Array) -> PyTree:
        return f(rest, v)

    @differentiable.def_jvp
    def _(primals: tuple[PyTree, Array], tangents: tuple[PyTree, Array]) -> tuple[PyTree, PyTree]:
        rest, v = primals
        in_rest, in_v = tangents
        if jax.tree.leaves(in_rest):
            return eqx.filter_jvp(f, primals, tangents)
        value, slopes = by_forward_mode(with_jacobian(f), orders - 1)(rest, v)
        return value, jax.tree.map(lambda slope: jnp.tensordot(slope, in_v, 1), slopes)

    return differentiable


def with_jacobian(f: OfVector) -> OfVector:
    """`f(rest, v)` and its Jacobian, shapes `(...)` and `(..., n)`, in one forward pass."""

    def both(rest: PyTree, v: Array) -> tuple[PyTree, PyTree]:
        def twice(v: Array) -> tuple[PyTree, PyTree]:
            value = f(rest, v)
            return value, value  # the second comes out as it is: no pass of its own for the value

        slopes, value = jax.jacfwd(twice, has_aux=True)(v)
        return value, slopes

    return both


def infinite_where_failed(loss: Array) -> Array:
    """`loss`, or infinity where it is no finite number; its derivative is NaN there."""
    return nan_where(~jnp.isfinite(loss), loss, float("inf"))
