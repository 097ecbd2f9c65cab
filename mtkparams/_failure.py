"""What failed: NaN in its value and in its slope, or an error; one law for all chapters.

Masking values alone is not enough. `where(failed, nan, x)` has the derivative zero where it failed,
and zero is a number that an optimizer believes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

T = TypeVar("T")


def constant(tree: T) -> T:
    """The same tree, whose real and complex numbers have no derivative."""
    return jax.tree.map(lambda x: lax.stop_gradient(x) if eqx.is_inexact_array(x) else x, tree)


def nan_slope(failed: Bool[Array, ...], x: Float[Array, ...]) -> Float[Array, ...]:
    """NaN where `failed`, and zero elsewhere; linear in `x`, to be added to a tangent.

    As a solve with the identity, because that lets the transpose be chosen: NaN only where the
    cotangent is not zero. NaN times zero would be NaN for all who do not look at what failed.
    """
    nan = lambda b: jnp.where(failed, jnp.nan * b, 0)
    return lax.custom_linear_solve(
        lambda v: v,
        x,
        solve=lambda _, b: nan(b),
        transpose_solve=lambda _, c: jnp.where(failed & (c != 0), jnp.nan, 0).astype(c.dtype),
    )


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def nan_where(
    failed: Bool[Array, ...], x: Float[Array, ...], value: float = float("nan")
) -> Float[Array, ...]:
    """`x`, or NaN where `failed`, with a derivative that is NaN as well and not zero.

    **Arguments:**

    - `value`: what stands there in place of NaN; the derivative is NaN all the same.
    """
    return jnp.where(failed, value, x)


@nan_where.defjvp
def _(value: float, primals: Any, tangents: Any) -> Any:
    failed, x = primals
    slope = jnp.where(failed, 0, tangents[1])
    return nan_where(failed, x, value), slope + nan_slope(
        jnp.broadcast_to(failed, x.shape), tangents[1]
    )


@jax.custom_jvp
def no_slope_where(failed: Bool[Array, ""], inputs: list[Array]) -> Float[Array, ""]:
    """Zero, with a derivative of NaN with respect to every one of the `inputs` where `failed`."""
    del inputs
    # Made of `failed`, so that under `vmap` it has a batch where its derivative has one. Zeros have
    # none, and a derivative taken around a compiled function then meets two shapes.
    return jnp.where(failed, 0.0, 0.0)


@no_slope_where.defjvp
def _(primals: Any, tangents: Any) -> Any:
    failed, inputs = primals
    total = sum(jnp.sum(t).real.astype(float) for t in tangents[1])
    return no_slope_where(failed, inputs), jnp.where(failed, jnp.nan, 0.0) * total


def nan_values_where(failed: Bool[Array, ""], tree: T) -> T:
    """The tree with NaN for all its numbers where `failed`; its derivative is left to the caller."""
    return jax.tree.map(
        lambda x: jnp.where(failed, jnp.nan, x) if eqx.is_inexact_array(x) else x, tree
    )


def raise_where(
    failed: Bool[Array, ...],
    tree: T,
    error: Callable[[], Exception],
    texts: Callable[[], tuple[Int[Array, ""], Sequence[str]]],
) -> T:
    """The tree, or an error where anything `failed`: now, or when a traced program runs.

    **Arguments:**

    - `error`: what is raised now, where values are known.
    - `texts`: for a traced program, which of its texts applies, and these.
    """
    if not isinstance(failed, Tracer):
        if failed.any():
            raise error()
        return tree
    number, messages = texts()
    # A factor, and not a check of the values: so who needs only their derivative, or only a part of
    # the tree, meets the error as well.
    unit = eqx.branched_error_if(jnp.ones(()), failed, number, messages)
    return jax.tree.map(lambda x: x * unit.astype(x.dtype) if eqx.is_inexact_array(x) else x, tree)
