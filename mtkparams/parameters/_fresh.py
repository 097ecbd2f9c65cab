"""Buffers of one's own.

In JAX a buffer that two objects share dies for both when one of them is donated, and outside of
`jit` most operations that look like copies are none: `astype` to the same dtype, `reshape`,
`asarray`, a concatenation of one piece. `jnp.copy` is one, and inside `jit` it costs nothing.
"""

from __future__ import annotations

from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array

from ._portions import PORTIONS, Caches, Portion, Tunable
from ._reader import Buffers

T = TypeVar("T")


def fresh(tree: T) -> T:
    """`tree` with a copy of every array."""
    return jax.tree.map(jnp.copy, tree)


def fresh_buffers(buffers: Buffers) -> Buffers:
    """Copies of all buffers, with the caches in the dtype of the tunable vector.

    What a cache holds is carried along, and so is its derivative: a value that was written into a
    cache before this copy still depends on what it was computed from.
    """
    new = {portion: fresh(buffers[portion]) for portion in PORTIONS if portion is not Caches}
    (tunable,) = new[Tunable]
    dtype = tunable.dtype if tunable is not None and tunable.size else None
    new[Caches] = tuple(_fresh_cache(cache, dtype) for cache in buffers[Caches])
    return new


def _fresh_cache(cache: Array | None, dtype: DTypeLike | None) -> Array | None:
    if cache is None:
        return None
    if dtype is None or not jnp.issubdtype(cache.dtype, jnp.floating):
        return jnp.copy(cache)
    return jnp.copy(cache.astype(dtype))


def replaced(buffers: Buffers, portion: Portion, own: tuple[Array | None, ...]) -> Buffers:
    return {**buffers, portion: own}
