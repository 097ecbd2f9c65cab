"""Solves block by block: values, verdicts, and derivatives against formulas worked out by hand.

Each is solved twice: by the programs of its blocks, and by the whole residual, as any function can be.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest


@pytest.fixture(params=["programs", "whole"], scope="module")
def solver(request):
    """From a residual and examples of its inputs to a solve with the residual's structure."""
    from mtkparams.blocks import Settings, analyse, solve_blocks

    settings = Settings(sliced=request.param == "programs")

    def made(fn, u, args):
        structure = analyse(fn, u, args)
        return jax.jit(lambda guess, args: solve_blocks(structure, fn, guess, args, settings))

    return made


def two_blocks(u, p):
    return jnp.stack([u[0] ** 2 - p[0], u[1] - u[0] * p[1]])


@pytest.fixture(scope="module")
def two(solver):
    found = solver(two_blocks, jnp.ones(2), jnp.ones(2))
    total = lambda guess, p: found(guess, p).u.sum()
    slopes = lambda guess, p: (jax.grad(total, 1)(guess, p), jax.jacfwd(total, 1)(guess, p))
    return jax.jit(lambda guess, p: (found(guess, p), slopes(guess, p)))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_guess_decides_between_two_roots(two, sign):
    found, slopes = two(sign * jnp.ones(2), jnp.array([4.0, 3.0]))
    np.testing.assert_allclose(found.u, sign * np.array([2.0, 6.0]), rtol=1e-14)
    assert found.status.tolist() == [0, 0]
    # u = (sqrt(p1), sqrt(p1) p2): the sum changes by (1 + p2)/(2 u1) and u1.
    for slope in slopes:
        np.testing.assert_allclose(slope, sign * np.array([1.0, 2.0]), atol=1e-12)


def test_a_double_root_is_flagged_and_has_no_derivative(two):
    found, slopes = two(jnp.ones(2), jnp.array([0.0, 3.0]))
    assert found.status.tolist() == [3, 0]
    np.testing.assert_allclose(found.u, 0, atol=1e-12)
    for slope in slopes:
        assert np.isnan(slope).all()


def test_a_small_root_is_no_double_root(two):
    found, slopes = two(jnp.ones(2), jnp.array([1e-20, 3.0]))
    assert found.status.tolist() == [0, 0]
    np.testing.assert_allclose(found.u, [1e-10, 3e-10], rtol=1e-12)
    np.testing.assert_allclose(slopes[0], [2e10, 1e-10], rtol=1e-10)


def failing(u, p):
    """The second block has no root, the third reads it, the others do not."""
    return jnp.stack(
        [u[0] ** 2 - p[0], u[1] ** 2 + p[1], u[2] - u[1] * p[0] - u[0], u[3] ** 3 - u[0] * p[2]]
    )


def test_a_failed_block_spoils_only_what_reads_it(solver):
    guess, p = jnp.ones(4), jnp.array([4.0, 1.0, 4.0])
    found = solver(failing, guess, p)
    u = lambda p: found(guess, p).u
    good = lambda p: u(p)[0] + u(p)[3]
    got, forward, backward, gradient = jax.jit(
        lambda p: (found(guess, p), jax.jacfwd(u)(p), jax.jacrev(u)(p), jax.grad(good)(p))
    )(p)
    assert got.status.tolist() == [0, 1, 2, 0]
    np.testing.assert_allclose(got.u, [2.0, np.nan, np.nan, 2.0], rtol=1e-14)
    nan = [np.nan] * 3
    slope = [[1 / 4, 0, 0], nan, nan, [1 / 12, 0, 1 / 6]]
    np.testing.assert_allclose(forward, slope, rtol=1e-13)
    np.testing.assert_allclose(backward, slope, rtol=1e-13)
    np.testing.assert_allclose(gradient, [1 / 4 + 1 / 12, 0, 1 / 6], rtol=1e-13)
