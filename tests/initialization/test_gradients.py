"""Derivatives through initialization: the case that this library was started for."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from initialization.models import CUBIC_GRADIENT, CUBIC_Z, circle, cubic_chain

import mtkparams as mtk

# A tunable, a constant and an initial value; `a` has no part in it.
NAMES = ["a", "b", "c", mtk.Initial("x")]


@functools.cache
def chain():
    return mtk.ODEProblem(cubic_chain(), {}, (0.0, 0.1))


def loss(v, blocks=True):
    problem = chain()
    p = mtk.canonicalize(NAMES, problem.p)[1](v)
    init = mtk.initialize(mtk.remake(problem, p=p), blocks=blocks)
    return init["y"] + init["z"]


@functools.cache
def derivatives(blocks):
    """Value, both gradients, and second derivatives in two nestings, in one program."""
    f = functools.partial(loss, blocks=blocks)

    def both(v):
        w = jnp.arange(1.0, 5.0)
        return {
            "value": f(v),
            "forward": jax.jacfwd(f)(v),
            "reverse": jax.jacrev(f)(v),
            "forward over reverse": jax.jvp(jax.grad(f), (v,), (w,))[1],
            "reverse over forward": jax.grad(lambda v: jax.jvp(f, (v,), (w,))[1])(v),
        }

    return jax.jit(both)


def start():
    return mtk.canonicalize(NAMES, chain().p)[0]


@pytest.mark.parametrize("blocks", [True, False])
def test_values_and_first_derivatives(blocks):
    found = derivatives(blocks)(start())
    assert found["value"] == pytest.approx(1 + CUBIC_Z, abs=1e-12)
    expected = list(CUBIC_GRADIENT.values())
    np.testing.assert_allclose(found["forward"], expected, atol=1e-10)
    np.testing.assert_allclose(found["reverse"], expected, atol=1e-10)


@pytest.mark.parametrize("blocks", [True, False])
def test_finite_differences(blocks):
    run = derivatives(blocks)
    v = start()
    # The error of a five-point difference is h^4 / 30 of the fifth derivative, some 1e-10 here, and
    # rounding divided by h adds 1e-13.
    h = 2e-3
    shifted = lambda i, k: run(v.at[i].add(k * h))["value"]
    slope = [
        (8 * (shifted(i, 1) - shifted(i, -1)) - (shifted(i, 2) - shifted(i, -2))) / (12 * h)
        for i in range(4)
    ]
    np.testing.assert_allclose(run(v)["forward"], slope, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("blocks", [True, False])
def test_second_derivatives(blocks):
    run, v, w = derivatives(blocks), start(), jnp.arange(1.0, 5.0)
    found = run(v)
    h = 1e-4  # the error of a central difference is some h^2
    slope = (run(v + h * w)["reverse"] - run(v - h * w)["reverse"]) / (2 * h)
    np.testing.assert_allclose(found["forward over reverse"], slope, atol=1e-6)
    np.testing.assert_allclose(found["reverse over forward"], slope, atol=1e-6)


def test_blocks_and_all_at_once_agree():
    v = start()
    for one, other in zip(
        jax.tree.leaves(derivatives(True)(v)), jax.tree.leaves(derivatives(False)(v)), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-12)


# Caches, from which the silent zero came


def repacked(kind):
    """The same parameters, made by a repack, with caches as other code may leave them."""
    p = chain().p
    v, repack, _ = mtk.canonicalize(mtk.Tunable, p)
    p = repack(v)
    if kind == "shared":
        return p.from_buffers({**p.buffers, mtk.Caches: chain().p.caches})
    if kind == "poisoned":
        return p.from_buffers({**p.buffers, mtk.Caches: (jnp.full(2, jnp.nan),)})
    if kind == "donated":
        twin = repack(v)
        jax.jit(lambda p: jax.tree.map(lambda x: 2 * x, p), donate_argnums=0)(twin)
        return p
    return p


@functools.cache
def by_portion():
    def f(p):
        init = mtk.initialize(mtk.remake(chain(), p=p))
        return init["y"] + init["z"]

    return jax.jit(
        lambda p: (f(p), jax.grad(f)(p), jax.jvp(f, (p,), (jax.tree.map(jnp.ones_like, p),))[1])
    )


@pytest.mark.parametrize("kind", ["plain", "shared", "poisoned", "donated"])
def test_caches_never_count(kind):
    value, gradient, forward = by_portion()(repacked(kind))
    assert value == pytest.approx(1 + CUBIC_Z, abs=1e-12)
    for name, expected in CUBIC_GRADIENT.items():
        name = mtk.Initial("x") if name == "x" else name
        assert gradient[name] == pytest.approx(expected, abs=1e-10)
    assert forward == pytest.approx(sum(CUBIC_GRADIENT.values()), abs=1e-10)
    # Guesses and caches are no conditions.
    assert gradient[mtk.Initial("y")] == gradient[mtk.Initial("z")] == 0
    assert gradient.caches[0].tolist() == [0, 0]


def test_twice_the_same():
    p = repacked("plain")
    first, second = by_portion()(p), by_portion()(p)
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(one, other)


def test_caches_are_fresh():
    problem = chain()
    before = problem.p.caches[0]
    init = mtk.initialize(problem)
    assert before.tolist() == [0, 0]
    np.testing.assert_allclose(init.p.caches[0], [1.0, CUBIC_Z], atol=1e-12)
    pointers = {x.unsafe_buffer_pointer() for x in jax.tree.leaves(init.p)}
    assert not pointers & {x.unsafe_buffer_pointer() for x in jax.tree.leaves(problem.p)}


# More equations than unknowns, and fewer


def both_ways(f, at):
    return jax.jit(lambda v: (jax.jacfwd(f)(v), jax.jacrev(f)(v)))(at)


def test_more_equations_than_unknowns():
    """x = a and 3 x = b, where b = 3 a: least squares give dx/da = 1/10 and dx/db = 3/10."""
    system = mtk.System(
        parameters={"a": 2.0, "b": 6.0},
        unknowns={"x": mtk.Unknown(guess=1.0)},
        derivatives=lambda t, u, p: {"x": -u.x},
        initial_equations=lambda t, u, p: {"one": u.x - p.a, "two": 3 * u.x - p.b},
    )
    problem = mtk.ODEProblem(system)
    v, repack, _ = mtk.canonicalize(mtk.Tunable, problem.p)
    value = lambda v: mtk.initialize(mtk.remake(problem, p=repack(v)))["x"]
    for slope in both_ways(value, v):
        np.testing.assert_allclose(slope, [0.1, 0.3], atol=1e-10)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::mtkparams.errors.UnderdeterminedWarning")
def test_fewer_equations_than_unknowns():
    """The point of a circle nearest to the guess lies on the ray through it: r g / |g|."""
    problem = mtk.ODEProblem(circle(), {"x": mtk.UNSET}, guesses={"x": 3.0, "y": 4.0})
    names = ["r", mtk.Initial("x"), mtk.Initial("y")]
    v, repack, _ = mtk.canonicalize(names, problem.p)
    value = lambda v: mtk.initialize(mtk.remake(problem, p=repack(v)))["x"]
    assert value(v) == pytest.approx(0.75, abs=1e-12)
    # d(r gx / |g|) by hand: gx / |g|, r gy^2 / |g|^3, -r gx gy / |g|^3.
    expected = [0.6, 1.25 * 16 / 125, -1.25 * 12 / 125]
    for slope in both_ways(value, v):
        np.testing.assert_allclose(slope, expected, atol=1e-10)


@pytest.mark.slow
def test_a_condition_too_many():
    """What is given twice over: the derivative is that of the block, as long as nothing contradicts."""
    problem = mtk.ODEProblem(cubic_chain(), {"y": 1.0})
    v, repack, _ = mtk.canonicalize(["b", mtk.Initial("y")], problem.p)
    value = lambda v: mtk.initialize(mtk.remake(problem, p=repack(v)))["z"]
    for slope in both_ways(value, v):  # z^3 + z = c y
        np.testing.assert_allclose(slope, [0.0, 1.5 / (3 * CUBIC_Z**2 + 1)], atol=1e-10)


def test_donated_problems():
    """Neither what a problem was made from nor what was made of it dies with it."""
    problem = mtk.ODEProblem(cubic_chain())
    twin, init = mtk.remake(problem, {"b": 2.0}), mtk.initialize(problem)
    eat = jax.jit(lambda q: jax.tree.map(lambda x: x, q), donate_argnums=0)
    eat(problem)
    assert mtk.initialize(twin)["z"] == pytest.approx(CUBIC_Z, abs=1e-12)
    assert init["z"] == pytest.approx(CUBIC_Z, abs=1e-12)
    eat(init)  # no buffer is in it twice


@pytest.mark.slow
def test_batches():
    """A member is what it is alone, whatever portion the batch is over."""
    v = start()[None] + jnp.linspace(0, 0.2, 3)[:, None]
    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(loss)))(v)
    for one, value, slope in zip(v, values, slopes, strict=True):
        alone = derivatives(True)(one)
        assert value == pytest.approx(float(alone["value"]), abs=1e-12)
        np.testing.assert_allclose(slope, alone["reverse"], atol=1e-12)


def test_single_precision():
    system = cubic_chain()
    values = {name: jnp.float32(system.parameters[name].default) for name in ("a", "b", "c")}
    guesses = {"y": jnp.float32(1.0), "z": jnp.float32(0.5)}
    problem = mtk.ODEProblem(system, {**values, "x": jnp.float32(1.0)}, guesses=guesses)

    def f(p):
        init = mtk.initialize(mtk.remake(problem, p=p))
        return init["y"] + init["z"]

    value, gradient = jax.jit(jax.value_and_grad(f))(problem.p)
    assert value.dtype == jnp.float32
    assert value == pytest.approx(1 + CUBIC_Z, abs=1e-6)
    assert gradient["b"] == pytest.approx(CUBIC_GRADIENT["b"], abs=1e-6)
