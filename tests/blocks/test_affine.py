"""Which blocks are affine in their own unknowns, and which are assignments."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from blocks import functions
from hypothesis import given, settings
from hypothesis import strategies as st


def block_of(last, n=3):
    """The last block of a system whose first unknowns are known: u[0], u[1] = sin(p)."""
    from mtkparams._blocks import analyze

    def residual(u, p):
        return jnp.concatenate([u[:2] - jnp.sin(p), jnp.atleast_1d(last(u, p))])

    structure = analyze(residual, jnp.ones(n), jnp.ones(2))
    assert len(structure.blocks) == 3
    return structure.blocks[2]


AFFINE = {
    "sum": lambda u, p: u[2] + u[0],
    "coefficients of arguments": lambda u, p: p[0] * u[2] - p[1],
    "coefficients of earlier unknowns": lambda u, p: jnp.exp(u[0]) * u[2] - u[1] * u[0],
    "quotient by earlier ones": lambda u, p: u[2] / u[0] - 1.0,
    "reduction": lambda u, p: jnp.sum(u * p[0]) + jnp.mean(u),
    "scalar product": lambda u, p: u @ jnp.concatenate([p, u[:1]]),
    "choice by an earlier one": lambda u, p: jnp.where(u[0] > 0.0, u[2], 2.0 * u[2]),
    "movement": lambda u, p: jnp.roll(u, 1)[0] - u[::-1][1],
    "cumulative sum": lambda u, p: jnp.cumsum(u)[2],
    "negative": lambda u, p: -(p[1] - u[2]) - p[0] ** 2,
    "conversion": lambda u, p: u[2].astype(jnp.float32).astype(jnp.float64) - 1.0,
    "products of constants": lambda u, p: jnp.array([1.0, 0.0, 2.0]) @ u,
    "convolution": lambda u, p: jnp.convolve(u, p, "valid")[1],
}

NONLINEAR = {
    "square": lambda u, p: u[2] ** 2 - p[0],
    "product with itself": lambda u, p: u[2] * (u[2] + 1.0),
    "function": lambda u, p: jnp.exp(u[2]) - p[0],
    "quotient": lambda u, p: p[0] / u[2] - 1.0,
    "scalar product with itself": lambda u, p: u @ u,
    "choice by itself": lambda u, p: jnp.where(u[2] > 0.0, u[2], 2.0 * u[2]),
    "absolute value": lambda u, p: jnp.abs(u[2]) - p[0],
    "largest": lambda u, p: jnp.max(u) - p[0],
    "a staircase": lambda u, p: u[2].astype(jnp.int32).astype(jnp.float64) + u[2],
    "stopped": lambda u, p: jax.lax.stop_gradient(u[2]) + u[2],
    "a loop": lambda u, p: jax.lax.fori_loop(0, 3, lambda i, x: x * u[2], 1.0) - p[0],
    "a rule of its own": lambda u, p: functions.straight(u[2]) - p[0],
    "an index": lambda u, p: p[jnp.int32(u[2])] + u[2],
}


@pytest.mark.parametrize("name", AFFINE)
def test_affine(name):
    assert block_of(AFFINE[name]).affine


@pytest.mark.parametrize("name", NONLINEAR)
def test_not_affine(name):
    block = block_of(NONLINEAR[name])
    assert not block.affine
    assert not block.explicit


@pytest.mark.parametrize(
    ("last", "coefficient"),
    [
        (lambda u, p: u[2] - jnp.exp(u[0]) * p[1], 1.0),
        (lambda u, p: jnp.tanh(u[1]) - u[2], -1.0),
        (lambda u, p: -(p[0] - u[2]), 1.0),
        (lambda u, p: 0.5 * (2.0 * u[2] + u[1]), 1.0),
        (lambda u, p: (3.0 * u[2] - p[0]) / -3.0, -1.0),
        (lambda u, p: 2.0 * u[2] - p[0] - u[2], 1.0),
        (lambda u, p: jnp.stack([u[2], p[0], -u[1]]).sum(), 1.0),
        (lambda u, p: jnp.array([3.0, 0.0, -1.0]) @ u, -1.0),
        (lambda u, p: jnp.where(p[0] > 0.0, u[2] - p[0], u[2] - p[1]), None),
        (lambda u, p: 2.0 * u[2] - p[0], None),
        (lambda u, p: p[0] * u[2] - p[1], None),
        (lambda u, p: u[0] * u[2] - p[1], None),
    ],
)
def test_explicit(last, coefficient):
    block = block_of(last)
    assert block.affine
    assert block.explicit == (coefficient is not None)
    assert block.coefficient == (coefficient or 0.0)


def test_affine_block_of_several():
    from mtkparams._blocks import analyze

    def residual(u, p):
        return jnp.concatenate(
            [(u[:1] ** 3 - p), (u[0] * jnp.ones((2, 2)) + jnp.eye(2)) @ u[1:] - p]
        )

    first, second = analyze(residual, jnp.ones(3), jnp.ones(())).blocks
    assert (first.affine, second.affine) == (False, True)
    assert second.unknowns == (1, 2)
    assert not second.explicit


def test_bilinear_in_one_block_is_not_affine():
    from mtkparams._blocks import analyze

    residual = lambda u, p: jnp.stack([u[0] * u[1] - p, u[0] + u[1]])
    (block,) = analyze(residual, jnp.ones(2), jnp.ones(())).blocks
    assert not block.affine


@given(
    st.lists(st.sampled_from(sorted(functions.PIECES)), min_size=1, max_size=3),
    st.integers(0, 99),
)
@settings(max_examples=12)
def test_affine_blocks_have_no_curvature(names, seed):
    from mtkparams._blocks import analyze

    rng = np.random.default_rng(seed)
    constants = jnp.asarray(rng.normal(size=functions.N))

    def f(u, p):
        v = u
        for name in names:
            v = functions.PIECES[name](v, constants)
        return v + 3.0 * u

    structure = analyze(f, jnp.zeros(functions.N), None)
    affine = [b for b in structure.blocks if b.affine]
    if not affine:
        return
    at = jnp.asarray(rng.normal(size=functions.N))
    curvature = np.asarray(jax.jit(jax.jacfwd(jax.jacfwd(f)))(at, None))
    for block in affine:
        assert not curvature[np.ix_(block.equations, block.unknowns, block.unknowns)].any()
