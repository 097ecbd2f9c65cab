"""Buffers of one's own.

In JAX a buffer that two objects share dies for both when one of them is donated, and outside of
`jit` most operations that look like copies are none: `astype` to the same dtype, `reshape`,
`asarray`, a concatenation of one piece. `jnp.array(copy=True)` is one, and inside `jit` it costs
nothing. With its dtype given it also makes a weak type strong: what was written as Python numbers
must not make a compiled function trace again.
"""

from __future__ import annotations

from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array

from ..names.names import PORTIONS, Caches, Tunable
from .reader import Buffers

T = TypeVar("T")


def own_copy(x: Array) -> Array:
    """A copy of `x` in a buffer that nothing else uses."""
    return jnp.array(x, dtype=x.dtype, copy=True)


def fresh(tree: T) -> T:
    """`tree` with a copy of every array."""
    return jax.tree.map(lambda x: own_copy(x) if eqx.is_array(x) else x, tree)


def fresh_buffers(buffers: Buffers) -> Buffers:
    """Copies of all buffers, with the caches in the dtype of the tunable vector.

    What a cache holds is carried along, and so is its derivative: a value that was written into a
    cache before this copy still depends on what it was computed from.
    """
    new = {portion: fresh(buffers[portion]) for portion in PORTIONS if portion is not Caches}
    (tunable,) = new[Tunable]
    dtype = tunable.dtype if eqx.is_array(tunable) and tunable.size else None
    new[Caches] = tuple(_fresh_cache(cache, dtype) for cache in buffers[Caches])
    return new


def _fresh_cache(cache: Any, dtype: DTypeLike | None) -> Any:
    if not eqx.is_array(cache):
        return cache
    if dtype is None or not jnp.issubdtype(cache.dtype, jnp.floating):
        return own_copy(cache)
    return own_copy(cache.astype(dtype))
