"""Solves block by block: values, verdicts, and derivatives against formulas worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from blocks.handmade import structure


def two_blocks(u, p):
    return jnp.stack([u[0] ** 2 - p[0], u[1] - u[0] * p[1]])


TWO = structure([[1, 0], [1, 1]], ([0], [0], False), ([1], [1], True))


@pytest.fixture(scope="module")
def two():
    from mtkparams.blocks import solve_blocks

    return jax.jit(lambda guess, p: solve_blocks(TWO, two_blocks, guess, p))


@pytest.fixture(scope="module")
def slopes(two):
    total = lambda guess, p: two(guess, p).u.sum()
    return jax.jit(lambda guess, p: (jax.grad(total, 1)(guess, p), jax.jacfwd(total, 1)(guess, p)))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_guess_decides_between_two_roots(two, slopes, sign):
    p, guess = jnp.array([4.0, 3.0]), jnp.full(2, sign)
    found = two(guess, p)
    np.testing.assert_allclose(found.u, sign * np.array([2.0, 6.0]), rtol=1e-14)
    assert found.status.tolist() == [0, 0]
    # u = (sqrt(p1), sqrt(p1) p2): the sum changes by (1 + p2)/(2 u1) and u1.
    for slope in slopes(guess, p):
        np.testing.assert_allclose(slope, sign * np.array([1.0, 2.0]), atol=1e-12)


def test_a_double_root_is_flagged_and_has_no_derivative(two, slopes):
    p, guess = jnp.array([0.0, 3.0]), jnp.ones(2)
    found = two(guess, p)
    assert found.status.tolist() == [3, 0]
    np.testing.assert_allclose(found.u, 0, atol=1e-12)
    for slope in slopes(guess, p):
        assert np.isnan(slope).all()


def test_a_small_root_is_no_double_root(two, slopes):
    p, guess = jnp.array([1e-20, 3.0]), jnp.ones(2)
    found = two(guess, p)
    assert found.status.tolist() == [0, 0]
    np.testing.assert_allclose(found.u, [1e-10, 3e-10], rtol=1e-12)
    np.testing.assert_allclose(slopes(guess, p)[0], [2e10, 1e-10], rtol=1e-10)


def failing(u, p):
    """The second block has no root, the third reads it, the others do not."""
    return jnp.stack(
        [u[0] ** 2 - p[0], u[1] ** 2 + p[1], u[2] - u[1] * p[0] - u[0], u[3] ** 3 - u[0] * p[2]]
    )


FAILING = structure(
    [[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 1]],
    ([0], [0], False), ([1], [1], False), ([2], [2], True), ([3], [3], False),
)  # fmt: skip


def test_a_failed_block_spoils_only_what_reads_it():
    from mtkparams.blocks import solve_blocks

    guess, p = jnp.ones(4), jnp.array([4.0, 1.0, 4.0])
    found = jax.jit(lambda p: solve_blocks(FAILING, failing, guess, p))
    u = lambda p: found(p).u
    got = found(p)
    assert got.status.tolist() == [0, 1, 2, 0]
    np.testing.assert_allclose(got.u, [2.0, np.nan, np.nan, 2.0], rtol=1e-14)
    nan = [np.nan] * 3
    slope = [[1 / 4, 0, 0], nan, nan, [1 / 12, 0, 1 / 6]]
    np.testing.assert_allclose(jax.jit(jax.jacfwd(u))(p), slope, rtol=1e-13)
    np.testing.assert_allclose(jax.jit(jax.jacrev(u))(p), slope, rtol=1e-13)
    good = jax.jit(jax.grad(lambda p: u(p)[0] + u(p)[3]))(p)
    np.testing.assert_allclose(good, [1 / 4 + 1 / 12, 0, 1 / 6], rtol=1e-13)
