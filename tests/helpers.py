"""Declarations as data, comparisons and finite differences that several test files share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import mtkparams as mtk


class Spring(eqx.Module):
    """A Module with everything that one can hold: floats, integers, settings and a function."""

    stiffness: Array
    coils: Array
    damping: float
    law: Callable[[Array], Array]

    def __call__(self, x: Array) -> Array:
        return self.law(self.stiffness * x) * self.damping


def spring(stiffness: Any = (1.0, 2.0), law: Callable[[Array], Array] = jnp.tanh) -> Spring:
    return Spring(jnp.asarray(stiffness, dtype=float), jnp.asarray(7), 0.5, law)


def everything() -> dict[Any, Any]:
    """One declaration of each kind of value, a name for each portion but the caches."""
    return {
        "alpha": 0.55,
        "tau": [1.0, 2.0, 3.0],
        "f": np.arange(6.0).reshape(2, 3),
        "gain": mtk.Parameter(bind=lambda p: 2 * p.alpha),
        "tank.k": mtk.Parameter(0.3, tunable=False),
        "tank.area": 2.0,
        "mode": mtk.Parameter(1.0, discrete=True),
        "switch": mtk.Parameter(True, discrete=True),
        "order": 3,
        "on": True,
        "z": 1.0 + 2.0j,
        "spring": spring(),
        "pair": {"w": jnp.asarray([1.0, -1.0]), "b": 0.25},
        "label": "run 7",
        "curve": jnp.sin,
        "table": mtk.Parameter(spring([5.0]), tunable=False),
        "seed": jax.random.key(7),
        mtk.Initial("x"): 1.5,
        mtk.Initial("tank.h"): [0.1, 0.2],
        "twice": mtk.Parameter(bind=lambda p: 2 * p.gain + p.tank.area),
    }


def with_caches(p: mtk.MTKParameters, *caches: Any) -> mtk.MTKParameters:
    """`p` with `caches` as they are, not copied."""
    return p.from_buffers({**p.buffers, mtk.Caches: tuple(map(jnp.asarray, caches))})


def pointers(tree: Any) -> list[int]:
    """The addresses of all buffers in `tree`."""
    leaves = [x for x in jax.tree.leaves(tree) if isinstance(x, jax.Array)]
    plain = [jax.random.key_data(x) if is_key(x) else x for x in leaves]
    return [x.unsafe_buffer_pointer() for x in plain]


def is_key(x: Array) -> bool:
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def assert_own_buffers(new: Any, *others: Any) -> None:
    """Every buffer of `new` is its own: not that of another leaf, and none of the `others`'."""
    mine = pointers(new)
    assert len(set(mine)) == len(mine), "two leaves share a buffer"
    shared = set(mine) & {address for other in others for address in pointers(other)}
    assert not shared, f"{len(shared)} buffers are shared"


STEP = (
    1e-5  # the error of a central difference is about 1e-10 from its step and 1e-11 from rounding
)


def derivatives(f: Callable[[Array], Array], v: Array) -> tuple[np.ndarray, np.ndarray]:
    """The gradient and the Hessian of `f`, after forward, reverse and finite differences agree."""

    def in_all_ways(v: Array) -> Any:
        ways = STEP * jnp.eye(v.size)
        around = lambda g: (jax.vmap(g)(v[None] + ways) - jax.vmap(g)(v[None] - ways)) / (2 * STEP)
        gradient = jax.grad(f)
        first = (gradient(v), jax.jacfwd(f)(v), around(f))
        return first, (jax.jacrev(gradient)(v), jax.jacfwd(gradient)(v), around(gradient))

    first, second = jax.jit(in_all_ways)(v)
    for reverse, forward, finite in (first, second):
        np.testing.assert_allclose(forward, reverse, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(finite, reverse, rtol=1e-6, atol=1e-7)
    return np.asarray(first[0]), np.asarray(second[0])


def equal(x: Any, y: Any) -> bool:
    """Whether two pytrees are equal in structure, kind and value."""
    return bool(eqx.tree_equal(x, y))
