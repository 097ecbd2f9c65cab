"""Gathers, scatters and slices at random: their patterns are those of dense Jacobians."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

MODES = [
    lax.GatherScatterMode.CLIP,
    lax.GatherScatterMode.FILL_OR_DROP,
    lax.GatherScatterMode.PROMISE_IN_BOUNDS,
]


def drawn(seed):
    """Shape, indices (some outside), slice sizes and dimension numbers, and the shape of the slices."""
    rng = np.random.default_rng(seed)
    ints = lambda low, high, size=None: rng.integers(low, high, size).tolist()
    shape = ints(1, 5, ints(1, 5))
    axes = rng.permutation(len(shape)).tolist()
    batching = axes[: ints(0, 2)] if len(shape) > 1 else []
    rest = axes[len(batching) :]
    indexed = rest[: ints(1, len(rest) + 1)]
    sizes = [1 if axis in batching else ints(1, size + 1) for axis, size in enumerate(shape)]
    collapsed = sorted(axis for axis in rest if sizes[axis] == 1 and rng.random() < 0.6)
    batch = ints(1, 4, ints(0, 3))
    along = []
    for axis in batching:
        along = [ints(0, len(batch) + 1)]
        batch.insert(along[0], shape[axis])
    indices = rng.integers(-2, 6, (*batch, len(indexed)))
    window = [s for axis, s in enumerate(sizes) if axis not in (*collapsed, *batching)]
    offset = sorted(rng.permutation(len(batch) + len(window))[: len(window)].tolist())
    numbers = [tuple(n) for n in (offset, collapsed, indexed, batching, along)]
    inside, outside = iter(window), iter(batch)
    slices = [
        next(inside) if axis in offset else next(outside) for axis in range(len(batch + window))
    ]
    return rng, tuple(shape), indices, tuple(sizes), numbers, tuple(slices)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "seed", [pytest.param(k, marks=[pytest.mark.slow] if k > 3 else []) for k in range(24)]
)
def test_patterns_are_those_of_dense_jacobians(seed, mode):
    from mtkparams._blocks import incidence

    rng, shape, indices, sizes, numbers, slices = drawn(seed)
    size, updates = int(np.prod(shape)), int(np.prod(slices))
    starts = rng.integers(-3, 6, len(shape)).tolist()
    gathers = lax.GatherDimensionNumbers(*numbers)
    scatters = lax.ScatterDimensionNumbers(*numbers)

    def f(u, p):
        x, new = u[:size].reshape(shape), u[size:].reshape(slices)
        window = jnp.broadcast_to(u[-1], sizes)
        parts = [
            lax.gather(x, indices, gathers, sizes, mode=mode),
            lax.scatter_add(x, indices, new, scatters, mode=mode),
            lax.dynamic_slice(x, starts, sizes),
            lax.dynamic_update_slice(x, window, starts),
        ]
        return jnp.concatenate([jnp.ravel(part) for part in parts])

    point = rng.normal(size=size + updates)
    jacobian = np.asarray(jax.jit(jax.jacfwd(lambda u: f(u, None)))(point))
    pattern = incidence(f, point, None).toarray()
    assert pattern[jacobian != 0].all()
    if mode != lax.GatherScatterMode.PROMISE_IN_BOUNDS:  # which these indices break
        np.testing.assert_array_equal(pattern, jacobian != 0)


@pytest.mark.parametrize("dtype", [float, np.float32, int, np.uint8, bool])
def test_fillers_are_those_of_jax(dtype):
    from blocks.evaluation import evaluate

    from mtkparams._blocks.trace.graph import element_graph

    f = lambda u, p: jnp.asarray(u, dtype).at[jnp.array([9, 1])].get(mode="fill")
    u = jnp.array([0.0, 1.0, 2.0])
    graph = element_graph(f, u, None)
    values = evaluate(graph, u, None)
    np.testing.assert_array_equal(
        np.array([values[i] for i in graph.residual.tolist()]), f(u, None)
    )
