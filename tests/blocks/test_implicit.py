"""Derivatives of solutions, of both orders and in every mode, against formulas and differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest


def cubic(u, p):
    """0 = y^3 + y - b x and 0 = z^3 + z - c y, with p = (b, c, x)."""
    (y, z), (b, c, x) = u, p
    return jnp.stack([y**3 + y - b * x, z**3 + z - c * y])


P, GUESS = np.array([2.0, 1.5, 1.0]), np.array([1.0, 0.5])
# y = 1 there, and by the implicit function theorem dy = d(b x) / 4, dz = d(c y) / (3 z^2 + 1).
Z = 0.8612240997395735
SLOPE = [0.3662747126234618, 0.3100659003292309, 0.7325494252469236]


@pytest.fixture(params=["blocks", "whole residual", "all at once"], scope="module")
def found(request):
    from mtkparams._blocks import Settings, analyze, solve_blocks, solve_whole

    if request.param == "all at once":
        return lambda p: solve_whole(cubic, jnp.array(GUESS), p)
    structure = analyze(cubic, jnp.array(GUESS), jnp.array(P))
    settings = Settings(sliced=request.param == "blocks")
    return lambda p: solve_blocks(structure, cubic, jnp.array(GUESS), p, settings)


@pytest.fixture(scope="module")
def derivatives(found):
    total = lambda p: found(p).u.sum()
    return jax.jit(
        lambda p: {
            "u": found(p).u,
            "total": total(p),
            "forward": jax.jacfwd(total)(p),
            "reverse": jax.jacrev(total)(p),
            "forward over reverse": jax.jacfwd(jax.jacrev(total))(p),
            "reverse over forward": jax.jacrev(jax.jacfwd(total))(p),
            "reverse over reverse": jax.jacrev(jax.jacrev(total))(p),
            "forward over forward": jax.jacfwd(jax.jacfwd(total))(p),
        }
    )


def test_gradients_of_the_cubic_chain(derivatives):
    got = derivatives(jnp.array(P))
    np.testing.assert_allclose(got["u"], [1.0, Z], rtol=1e-15)
    np.testing.assert_allclose(got["forward"], SLOPE, atol=1e-10)
    np.testing.assert_allclose(got["reverse"], SLOPE, atol=1e-10)


def test_gradients_and_hessians_are_what_differences_say(derivatives):
    # Fourth-order differences with h = 1e-3: truncation about 1e-12, rounding about 1e-13 and, for
    # the Hessian from exact gradients, the same.
    h, n = 1e-3, 3
    steps = h * np.eye(n)
    at = [[derivatives(jnp.array(P + k * steps[i])) for k in (-2, -1, 1, 2)] for i in range(n)]

    def difference(name):
        weights = np.array([1, -8, 8, -1]) / (12 * h)
        return np.stack([sum(w * a[name] for w, a in zip(weights, row, strict=True)) for row in at])

    got = derivatives(jnp.array(P))
    np.testing.assert_allclose(got["forward"], difference("total"), rtol=1e-9)
    hessian = difference("forward")
    for name, value in got.items():
        if "over" in name:
            np.testing.assert_allclose(value, hessian, rtol=1e-8, err_msg=name)


def mixed(u, args):
    """Integers, flags and a table among the arguments; only floats have derivatives."""
    order, flag, table = args["order"], args["flag"], args["table"]
    scale = jnp.where(flag, table[order], 1.0)
    return jnp.stack([u[0] ** 3 + u[0] - scale, u[1] - u[0] * table[0] * order.astype(float)])


def test_arguments_without_derivatives():
    from mtkparams._blocks import analyze, solve_blocks

    args = {"order": jnp.array(2), "flag": jnp.array(True), "table": jnp.array([3.0, 0.0, 2.0])}
    structure = analyze(mixed, jnp.ones(2), args)
    found = lambda args: solve_blocks(structure, mixed, jnp.ones(2), args).u

    def slope(table):
        return found({**args, "table": table})

    value, forward, backward, allowed = jax.jit(
        lambda t: (
            slope(t),
            jax.jacfwd(slope)(t),
            jax.jacrev(slope)(t),
            jax.grad(lambda a: found(a).sum(), allow_int=True)({**args, "table": t})["table"],
        )
    )(args["table"])
    # u0 = 1 and du0 = d(table[2]) / (3 u0^2 + 1); u1 = 2 u0 table[0].
    want = np.array([[0, 0, 1 / 4], [2, 0, 6 / 4]])
    np.testing.assert_allclose(value, [1, 6], rtol=1e-15)
    for got in (forward, backward):
        np.testing.assert_allclose(got, want, atol=1e-14)
    np.testing.assert_allclose(allowed, want.sum(0), atol=1e-14)


@pytest.mark.slow
def test_the_guess_of_a_determined_system_does_not_matter():
    from mtkparams._blocks import analyze, solve_blocks

    structure = analyze(cubic, jnp.array(GUESS), jnp.array(P))
    found = lambda guess: solve_blocks(structure, cubic, guess, jnp.array(P)).u
    slope = jax.jit(lambda g: (jax.jacfwd(found)(g), jax.jacrev(found)(g)))(jnp.array(GUESS))
    np.testing.assert_array_equal(slope, np.zeros((2, 2, 2)))


def test_a_residual_that_closes_over_what_is_differentiated_raises():
    from mtkparams._blocks import analyze, solve_blocks

    def through(b):
        fn = lambda u, p: jnp.stack([u[0] - b * p, u[1] ** 3 - u[0]])
        structure = analyze(fn, jnp.ones(2), jnp.ones(()))
        return solve_blocks(structure, fn, jnp.ones(2), jnp.ones(())).u.sum()

    with pytest.raises(jax.errors.UnexpectedTracerError):
        jax.grad(through)(2.0)
