"""What is written in equations: it meets only points that it is made for, and keeps its derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from jax import lax
from jax.scipy import special
from speed.counts import equations


def solver(fn, guess, p, **settings):
    from mtkparams._blocks import Settings, analyze, solve_blocks

    structure = analyze(fn, guess, p)
    return lambda p: solve_blocks(structure, fn, guess, p, Settings(doubt=True, **settings))


def grown(x):
    """Multiplied by `1 + x` until it is 2 or more, which it never is from zero."""
    return lax.while_loop(lambda s: s < 2.0, lambda s: s * (1 + x), x)


@pytest.mark.parametrize("sliced", [True, False])
@pytest.mark.parametrize("n", [2, 3, 5])
def test_functions_meet_only_what_the_guess_or_a_root_gives(n, sliced):
    """Also where a step has room for more blocks than there are."""
    met = []

    def noted(x):
        jax.debug.callback(lambda x: met.extend(np.ravel(x).tolist()), x)
        return jnp.sqrt(x)

    def fn(u, p):
        x, y = u[:n], u[n:]
        return jnp.concatenate([x - p * (1 + 0.1 * x**2), y + 0.1 * y**3 - lax.map(noted, x)])

    p = jnp.linspace(0.3, 0.7, n)
    guess = jnp.concatenate([1.02 * p, jnp.ones(n)])
    found = jax.jit(solver(fn, guess, p, sliced=sliced))(p)
    jax.block_until_ready(found.u)
    jax.effects_barrier()
    assert not found.status.any()
    # x solves x = p (1 + x^2 / 10), and no guess is below 0.3.
    assert min(met) > 0.3
    x = (1 - np.sqrt(1 - 0.4 * np.asarray(p) ** 2)) / (0.2 * np.asarray(p))
    np.testing.assert_allclose(found.u[:n], x, rtol=1e-12)


def mapped(u, p):
    x, y = u[:2], u[2:]
    return jnp.concatenate([x - p * (1 + 0.1 * x**2), y - lax.map(grown, x)])


def inside(u, p):
    return jnp.stack([u[0] - p[0], u[1] ** 3 + u[1] - grown(u[0]) * p[1]])


def of_the_unknown(u, p):
    return jnp.stack([u[0] + 0.1 * grown(u[0]) - p[0], u[1] - u[0] * p[1]])


@pytest.mark.parametrize("fn", [mapped, inside, of_the_unknown])
def test_loops_of_unknown_length_have_a_derivative_forward_and_an_error_backward(fn):
    p = jnp.array([0.5, 0.7])
    guess = jnp.array([0.5, 0.7, 2.0, 2.0])[: 4 if fn is mapped else 2]
    solve = lambda p: solver(fn, guess, p)(p).u
    u, slope = jax.jit(lambda p: (solve(p), jax.jacfwd(solve)(p)))(p)
    np.testing.assert_allclose(fn(u, p), 0, atol=1e-12)
    of_u, of_p = jax.jit(jax.jacfwd(fn, (0, 1)))(u, p)
    np.testing.assert_allclose(slope, -np.linalg.solve(of_u, of_p), rtol=1e-10, atol=1e-12)
    with pytest.raises((TypeError, ValueError), match=r"[Rr]everse-mode|backwards mode"):
        jax.eval_shape(jax.jacrev(solve), p)


def test_a_function_with_a_derivative_by_some_of_its_arguments_only():
    """`betainc` has none by its first two, which are constants that differ from block to block."""

    def fn(u, p):
        x, y = u[:3], u[3:]
        values = [special.betainc(0.5 + 0.3 * i, 0.7, x[i]) for i in range(3)]
        return jnp.concatenate([x - p, y + y**3 - jnp.stack(values)])

    p = jnp.array([0.3, 0.4, 0.6])
    guess = jnp.concatenate([p, jnp.full(3, 0.4)])
    solve = solver(fn, guess, p)
    found, slope = jax.jit(lambda p: (solve(p), jax.jacrev(lambda p: solve(p).u)(p)))(p)
    assert not found.status.any()
    y = np.asarray(found.u[3:])
    a, b, x = np.array([0.5, 0.8, 1.1]), 0.7, np.asarray(p)
    np.testing.assert_allclose(y + y**3, scipy.special.betainc(a, b, x), rtol=1e-12)
    density = x ** (a - 1) * (1 - x) ** (b - 1) / scipy.special.beta(a, b)
    np.testing.assert_allclose(np.diag(slope[3:]), density / (1 + 3 * y**2), rtol=1e-10)


@pytest.mark.parametrize("kind", ["threefry2x32", "rbg"])
def test_random_numbers_of_a_key_are_constants(kind):
    def fn(u, p):
        noise = jax.random.normal(jax.random.key(3, impl=kind), (2,))
        return u**3 + u - p * (3 + noise)

    p, guess = jnp.array([1.0, 2.0]), jnp.ones(2)
    found = jax.jit(solver(fn, guess, p))(p)
    noise = np.asarray(jax.random.normal(jax.random.key(3, impl=kind), (2,)))
    assert not found.status.any()
    np.testing.assert_allclose(found.u**3 + found.u, np.array([1, 2]) * (3 + noise), rtol=1e-12)


def rounds(x):
    return lax.while_loop(
        lambda s: s[0] < 2.0, lambda s: (s[0] * (1 + x), s[1] + 1), (x, jnp.int32(0))
    )[1]


def bits(x):
    integer = jnp.int64 if x.dtype == jnp.float64 else jnp.int32
    return lax.map(lambda x: lax.bitcast_convert_type(x * x, integer), x)


def drawn(x):
    keys = lax.map(lambda x: jax.random.fold_in(jax.random.key(0), jnp.uint32(10 * x)), x)
    return jax.vmap(lambda key: jax.random.uniform(key, dtype=x.dtype))(keys)


LEFT_BEHIND = {
    "small integers": lambda x: x * lax.map(rounds, x).astype(x.dtype),
    "integers longer than a real number": lambda x: lax.bitcast_convert_type(bits(x), x.dtype),
    "truth values": lambda x: jnp.where(lax.map(rounds, x) > 2, jnp.sin(x), jnp.cos(x)),
    "complex numbers": lambda x: jnp.imag(jnp.conj(jnp.fft.fft(x)) * jnp.fft.fft(x)[::-1]),
    "places": lambda x: jnp.log(x)[jnp.argsort(x)],
    "intervals": lambda x: jnp.interp(x, jnp.arange(2.0, dtype=x.dtype), jnp.log(x)),
    "random keys": lambda x: x * drawn(x),
}


@pytest.mark.parametrize(
    ("dtype", "names"),
    [
        ("float64", list(LEFT_BEHIND)),
        ("float32", ["small integers", "integers longer than a real number", "complex numbers"]),
    ],
)
def test_what_a_block_leaves_to_others_is_whatever_it_is(dtype, names):
    """Integers, truth values, complex numbers and keys that follow from unknowns of earlier blocks."""
    functions = [LEFT_BEHIND[name] for name in names]
    p = jnp.array([0.51, 0.37], dtype)

    def fn(u, p):
        x, ys = u[:2], u[2:].reshape(-1, 2)
        left = [y + y**3 - f(x) for y, f in zip(ys, functions, strict=True)]
        return jnp.concatenate([x - p * (1 + x * x / 10), *left])

    solve = solver(fn, jnp.concatenate([p, jnp.ones(2 * len(functions), dtype)]), p)

    values = lambda found: (found.u, found.status)

    @jax.jit
    def solved(p):
        u, pull, status = jax.vjp(lambda p: values(solve(p)), p, has_aux=True)
        return u, status, jax.vmap(pull)(jnp.eye(u.size, dtype=dtype))[0]

    u, status, slope = solved(p)
    eps = float(jnp.finfo(dtype).eps)
    assert not status.any()
    np.testing.assert_allclose(jax.jit(fn)(u, p), 0, atol=32 * eps)
    of_u, of_p = (np.asarray(j, float) for j in jax.jit(jax.jacfwd(fn, (0, 1)))(u, p))
    np.testing.assert_allclose(slope, -np.linalg.solve(of_u, of_p), rtol=0, atol=1e3 * eps)


@pytest.mark.parametrize("n", [600, 6000])
def test_a_program_does_not_grow_with_the_length_of_a_loop(n):
    """Of whose operands and results few matter."""

    def fn(u, p):
        xs = jnp.concatenate([u[:2], jnp.arange(float(n))])
        (_, kept), ys = lax.scan(lambda c, x: ((c[0] + 1, c[1]), x * c[1]), (0.0, u[2]), xs)
        return jnp.stack([u[0] - p[0], u[1] - p[1], u[2] ** 3 + u[2] - 2, u[3] - ys[1] * kept])

    p = jnp.array([0.5, 0.7])
    guess = jnp.array([0.5, 0.7, 0.9, 1.0])
    solve = lambda p: solver(fn, guess, p)(p).u
    assert sum(equations(lambda p: jax.vjp(solve, p)[0], p).values()) < 3000
    if n == 600:
        np.testing.assert_allclose(jax.jit(solve)(p), [0.5, 0.7, 1, 0.7], rtol=1e-12)
