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
    from mtkparams._blocks import Settings, analyze, solve_blocks

    settings = Settings(sliced=request.param == "programs")

    def made(fn, u, args):
        structure = analyze(fn, u, args)
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
    assert found.status.tolist() == [3, 4]
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


@pytest.mark.slow
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


def eight(u, p):
    """Two blocks of two and three nonlinear equations, and three affine ones that read both."""
    u1, u2, u3, u4, u5, u6, u7, u8 = u
    return jnp.stack(
        [
            u1 - jnp.cos(u2),
            u2 + jnp.sin(u1 + u2),
            2 * u4 + u3 + p,
            u5**2 + u4,
            u3**2 + u5,
            u1 + u2 + u3 + u4 + u5 + 2.0 * u6 + 2.5 * u7 + 1.5 * u8,
            u1 + u2 + u3 + 2.0 * u4 + u5 + 4.0 * u6 - 1.5 * u7 + 1.5 * u8,
            u1 + 2.0 * u2 + 3.0 * u3 + 5.0 * u4 + 6.0 * u5 + u6 - u7 - u8,
        ]
    )


# The solution of ModelingToolkit's test of its block solver (test/scc_nonlinear_problem.jl), from a
# start at zero, by an independent solve of the three blocks.
EIGHT = [
    0.903212274316663, -0.44360034333363063, -0.6477988712610424, -0.17610056436947885,
    -0.4196433776070806, 2.2041445484455866, 1.0580471331304235, -4.179650698308441,
]  # fmt: skip


def test_eight_equations_in_three_blocks(solver):
    guess = jnp.zeros(8)
    found = solver(eight, guess, jnp.ones(()))(guess, jnp.ones(()))
    np.testing.assert_allclose(found.u, EIGHT, rtol=1e-12)
    assert found.status.tolist() == [0, 0, 0]
    assert found.iterations[2] == 1
    assert (found.residual < 1e-14).all()


def hard(u, p):
    """Newton alone fails on all of these but the third, and the last has a root that is not near."""
    return jnp.stack(
        [
            jnp.arctan(u[0]) + 0.0 * p,
            jnp.exp(u[1]) - p,
            1 - u[2],
            10 * (u[3] - u[2] ** 2),
            u[4] ** 3 - 2 * u[4] + 2,
        ]
    )


def test_damping_finds_what_newton_does_not(solver):
    guess, p = jnp.array([20.0, -30.0, -1.2, 1.0, 0.0]), jnp.ones(())
    found = solver(hard, guess, p)(guess, p)
    # The cubic has a local minimum of its residual between the guess and its root.
    np.testing.assert_allclose(found.u, [0, 0, 1, 1, np.nan], atol=1e-12)
    failed = np.isnan(found.u)
    assert (np.asarray(found.status) == 1).sum() == failed.sum() == 1


def hydraulic(u, p):
    """Pressures of 1e7 and flows of 1e-3 in one system: no absolute tolerance fits both."""
    flow, inlet, outlet, low, high = u
    turbulent = lambda x, a, d=0.01: x * (x * x + d * d) ** ((a - 1) / 2)
    return jnp.stack(
        [
            flow - 1e-3 * p,
            1e-4 * turbulent(inlet - 1e7 * p, 0.5) - flow + 1e-12 * outlet,
            outlet - inlet - 1e4 * turbulent(flow, 1.75),
            low + high - outlet,
            low * high - 1e13,
        ]
    )


def test_unknowns_of_very_different_size(solver):
    guess, p = jnp.array([0.0, 1e7, 1e7, 1e5, 1e7]), jnp.ones(())
    found = solver(hydraulic, guess, p)(guess, p)
    assert found.status.max() == 0
    low, high = found.u[3:]
    np.testing.assert_allclose([low * high, low + high], [1e13, found.u[2]], rtol=1e-14)


@pytest.mark.parametrize("distance", [0.0, 1e-8])
def test_two_unknowns_at_a_double_root(distance):
    from mtkparams._blocks import analyze, solve_blocks

    # u1 + u2 = 2, u1 u2 = p: the roots 1 +- sqrt(1 - p) meet at p = 1.
    fn = lambda u, p: jnp.stack([u[0] + u[1] - 2, u[0] * u[1] - p, u[2] - u[0]])
    guess, p = jnp.array([3.0, 0.2, 0.0]), jnp.array(1 - distance)
    structure = analyze(fn, guess, p)
    found = jax.jit(lambda p: solve_blocks(structure, fn, guess, p))
    slope = jax.jacfwd(lambda p: found(p).u)(p)
    if distance:
        assert found(p).status.tolist() == [0, 0]
        half = 0.5 / np.sqrt(distance)
        np.testing.assert_allclose(slope, [-half, half, -half], rtol=1e-6)
    else:
        assert found(p).status.tolist() == [3, 4]
        assert np.isnan(slope).all()


def test_a_singular_affine_block_has_failed_whether_it_has_solutions_or_not(solver):
    fn = lambda u, p: jnp.stack([u[0] + u[1] - 1, 2 * u[0] + 2 * u[1] - p, u[2] - u[0]])
    found = solver(fn, jnp.zeros(3), jnp.ones(()))
    for p in (2.0, 3.0):
        got = found(jnp.zeros(3), jnp.array(p))
        assert got.status.tolist() == [1, 2]
        assert np.isinf(got.condition[0])
        assert np.isnan(got.u).all()


def test_single_precision():
    from mtkparams._blocks import analyze, solve_blocks

    guess, p = jnp.zeros(8, jnp.float32), jnp.ones((), jnp.float32)
    structure = analyze(eight, guess, p)
    found = jax.jit(lambda p: solve_blocks(structure, eight, guess, p))(p)
    assert found.u.dtype == jnp.float32
    assert found.status.max() == 0
    assert found.iterations.max() < 30
    np.testing.assert_allclose(found.u, EIGHT, rtol=2e-6)


@pytest.mark.slow
def test_a_hard_member_of_a_batch_leaves_the_others_alone():
    from mtkparams._blocks import analyze, solve_blocks

    guess = jnp.ones(4)
    structure = analyze(failing, guess, jnp.ones(3))
    found = lambda p: solve_blocks(structure, failing, guess, p)
    # The second has no root in its second block, the last a double root in its first.
    p = jnp.array([[4.0, -1.0, 4.0], [4.0, 1.0, 4.0], [9.0, -4.0, 9.0], [0.0, -4.0, 9.0]])
    total = lambda p: jnp.sum(found(p).u)

    def carried(total, p):
        return total + found(p).u[0], found(p).u

    got, slope, scanned = jax.jit(
        lambda p: (jax.vmap(found)(p), jax.vmap(jax.grad(total))(p), jax.lax.scan(carried, 0.0, p))
    )(p)
    assert got.status.tolist() == [[0] * 4, [0, 1, 2, 0], [0] * 4, [3, 0, 4, 4]]
    u1 = np.array([2.0, 3.0])
    # u = (sqrt(p1), sqrt(-p2), u1 + u2 p1, cbrt(u1 p3)), and dp3 of it.
    np.testing.assert_allclose(got.u[::2, 3], np.cbrt(u1 * np.array([4.0, 9.0])), rtol=1e-14)
    np.testing.assert_allclose(slope[::2, 2], u1 / 3 / np.cbrt(u1 * u1**2) ** 2, rtol=1e-12)
    assert np.isnan(slope[1]).all()
    np.testing.assert_array_equal(np.isnan(slope[3]), [True, True, True])
    np.testing.assert_array_equal(scanned[1], got.u)
