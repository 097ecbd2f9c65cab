"""Roots that rounding moves so far that the slope there is another one: double roots, in disguise.

Newton's method tells a double root by how slowly it comes near. A search that starts within rounding of
one makes no step to tell by: the residual is zero, and the slope whatever the start makes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from ._implicit import Residual

# Directions in which the size of an equation's terms is looked for.
_PROBES = 4
# What rounding may do to a residual, in units of its largest term times the precision.
_ROUNDING = 30.0


def doubtful(
    residual: Residual, solve: Callable[[Array], Array], u: Float[Array, " n"], args: Any
) -> Bool[Array, " n"]:
    """Which equations are far from straight over the distance that rounding can move the root.

    **Arguments:**

    - `residual`: what is zero at `u`.
    - `solve`: a solve with its Jacobian there.
    """
    u, args = jax.tree.map(
        lambda x: lax.stop_gradient(x) if eqx.is_inexact_array(x) else x, (u, args)
    )
    smooth, rest = eqx.partition(args, eqx.is_inexact_array)
    f = lambda u, smooth: residual(u, eqx.combine(smooth, rest))
    value, push = jax.linearize(f, u, smooth)
    # How much an equation changes with all that it reads, each times what it is. With all signs, so
    # that terms which cancel do not cancel here.
    random = np.random.default_rng(0)
    signs = jax.tree.map(
        lambda x: jnp.asarray(random.choice([-1.0, 1.0], (_PROBES, *x.shape)), x.dtype), (u, smooth)
    )
    along = lambda s: push(*jax.tree.map(jnp.multiply, s, (u, smooth)))
    size = jnp.max(jnp.abs(jax.vmap(along)(signs)), axis=0)
    noise = _ROUNDING * float(jnp.finfo(u.dtype).eps) * jnp.where(jnp.isfinite(size), size, 0)
    moved = f(u + solve(noise), smooth)
    return jnp.abs(moved - value - noise) > 0.5 * noise
