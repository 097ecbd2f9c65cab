"""NaN in a value and in its derivative."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._blocks import nan_where


@jax.custom_jvp
def spoil(x: Float[Array, " n"], bad: Bool[Array, ""]) -> Float[Array, " n"]:
    """`x`, or NaN where `bad`, with a derivative that is NaN as well and not zero."""
    return jnp.where(bad, jnp.nan, x)


@spoil.defjvp
def _(primals: Any, tangents: Any) -> Any:
    x, bad = primals
    tangent = jnp.where(bad, 0, tangents[0])
    return spoil(x, bad), tangent + nan_where(jnp.broadcast_to(bad, x.shape), tangents[0])
