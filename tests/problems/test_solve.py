"""Solves against what is known: exact solutions, scipy, finite differences; one model for equals."""

from __future__ import annotations

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

import mtkparams as mtk
from mtkparams import Initial, ODEProblem, System, Unknown, errors, remake

TSIT = diffrax.Tsit5()


def lotka_volterra() -> System:
    return System(
        parameters={"alpha": 0.55, "beta": 0.028, "gamma": 0.80, "delta": 0.024},
        unknowns={"hare": 30.0, "lynx": 4.0},
        derivatives=lambda t, u, p: {
            "lynx": p.delta * u.hare * u.lynx - p.gamma * u.lynx,
            "hare": p.alpha * u.hare - p.beta * u.hare * u.lynx,
        },
    )


def test_oscillator_as_one_array():
    spring = System(
        parameters={"omega": 2.0},
        unknowns={"x": 1.0, "v": 0.0},
        derivatives=lambda t, u, p: jnp.stack([u.v, -(p.omega**2) * u.x]),
    )
    ts = np.linspace(0.0, 3.0, 7)
    solution = mtk.solve(ODEProblem(spring, {}, (0.0, 3.0)), TSIT, saveat=ts, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(solution["x"], np.cos(2 * ts), atol=1e-7)
    np.testing.assert_allclose(solution["v"], -2 * np.sin(2 * ts), atol=1e-7)


def test_lotka_volterra_against_scipy():
    ts = np.linspace(0.0, 20.0, 11)

    def field(t, y):
        return [0.55 * y[0] - 0.028 * y[0] * y[1], 0.024 * y[0] * y[1] - 0.80 * y[1]]

    known = scipy.integrate.solve_ivp(
        field, (0.0, 20.0), [30.0, 4.0], t_eval=ts, rtol=1e-10, atol=1e-10, method="DOP853"
    )
    problem = ODEProblem(lotka_volterra(), {}, (0.0, 20.0))
    solution = mtk.solve(problem, TSIT, saveat=ts, rtol=1e-9, atol={"hare": 1e-8})
    np.testing.assert_allclose(solution["hare"], known.y[0], rtol=1e-6)
    np.testing.assert_allclose(solution["lynx"], known.y[1], rtol=1e-6)


def test_backwards_in_time():
    decay = System(unknowns={"x": 1.0}, derivatives=lambda t, u, p: {"x": -u.x})
    solution = mtk.solve(ODEProblem(decay, {}, (1.0, 0.0)), TSIT)
    np.testing.assert_allclose(solution["x"], [1.0, np.e], rtol=1e-5)


def tank() -> System:
    """A tank that empties; what flows in is not known here."""
    return System(
        parameters={"k": 1.0, "area": 1.0, "rate": mtk.Parameter(bind=lambda p: p.k / p.area)},
        unknowns={"h": Unknown(1.0, external=True), "lost": 0.0},
        derivatives=lambda t, u, p: {"lost": p.rate * u.h},
        observed={"out": lambda t, u, p: p.rate * u.h, "twice": lambda t, u, p: 2 * u.out},
    )


def two_tanks() -> System:
    return System(
        parameters={"first.k": 0.5},
        systems={"first": tank(), "second": tank()},
        derivatives=lambda t, u, p: {
            "first.h": -u.first.out,
            "second.h": u.first.out - u["second.out"],
        },
        observed={"total": lambda t, u, p: u.first.h + u.second.h + u.second.lost},
    )


def test_two_tanks():
    problem = ODEProblem(two_tanks(), {"second.h": 0.0, "second.k": 1.5}, (0.0, 2.0))
    assert problem["first.k"] == 0.5
    assert problem["second.rate"] == 1.5
    ts = np.linspace(0.0, 2.0, 5)
    solution = mtk.solve(problem, TSIT, saveat=ts)
    first = np.exp(-0.5 * ts)
    second = 0.5 / (1.5 - 0.5) * (np.exp(-0.5 * ts) - np.exp(-1.5 * ts))
    np.testing.assert_allclose(solution["first.h"], first, rtol=1e-5)
    np.testing.assert_allclose(solution["second.h"], second, atol=1e-5)
    np.testing.assert_allclose(solution["second.twice"], 3 * second, atol=1e-5)
    np.testing.assert_allclose(solution["total"], 1.0, rtol=1e-5)


def test_array_unknowns():
    heat = System(
        parameters={"A": np.array([[-1.0, 1.0], [1.0, -1.0]])},
        unknowns={"n": 0.0, "T": Unknown([1.0, 0.0], unit="K"), "M": np.ones((2, 2))},
        derivatives=lambda t, u, p: {"T": p.A @ u["T"], "M": -u.M, "n": u["T"].sum()},
    )
    solution = mtk.solve(ODEProblem(heat, {"T[1]": 0.5}, (0.0, 1.0)), TSIT)
    gap = 0.25 * np.exp(-2.0)
    np.testing.assert_allclose(solution["T"][-1], [0.75 + gap, 0.75 - gap], rtol=1e-5)
    np.testing.assert_allclose(solution["T[0]"][-1], 0.75 + gap, rtol=1e-5)
    np.testing.assert_allclose(solution["M"][-1], np.full((2, 2), np.exp(-1.0)), rtol=1e-5)
    assert solution["M"].shape == (2, 2, 2)
    np.testing.assert_allclose(solution["n"][-1], 1.5, rtol=1e-5)


@pytest.mark.slow
def test_a_vector_field_from_a_module():
    layer = eqx.nn.MLP(1, 1, 4, 1, key=jax.random.key(0))
    system = System(
        parameters={"net": layer},
        unknowns={"x": [1.0]},
        derivatives=lambda t, u, p: {"x": p.net(u.x)},
    )
    problem = ODEProblem(system)
    loss = lambda q: mtk.solve(q, TSIT)["x"][-1, 0]
    grads = eqx.filter_jit(eqx.filter_grad(loss))(problem)
    assert float(jnp.abs(grads.p.tunable).max()) > 0


# Gradients


@pytest.fixture(scope="module")
def final_hares():
    """The hares at the end for alpha and the initial hares, compiled once for each adjoint."""
    problem = ODEProblem(lotka_volterra(), {}, (0.0, 5.0))

    def final(z, adjoint=None):
        new = remake(problem, {"alpha": z[0], "hare": z[1]})
        return mtk.solve(new, TSIT, adjoint=adjoint, rtol=1e-9, atol=1e-9)["hare"][-1]

    return final


def test_gradients(final_hares):
    z = jnp.array([0.55, 30.0])
    reverse = jax.jit(jax.grad(final_hares))(z)
    forward = jax.jit(jax.jacfwd(lambda z: final_hares(z, diffrax.ForwardMode())))(z)
    np.testing.assert_allclose(reverse, forward, rtol=1e-9)
    f = jax.jit(final_hares)
    steps = 1e-5 * np.diag([0.55, 30.0])
    central = [(f(z + h) - f(z - h)) / (2 * h.sum()) for h in steps]
    np.testing.assert_allclose(reverse, central, rtol=1e-5)


# Compilation


@pytest.mark.slow
def test_equal_systems_and_new_values_share_one_compilation():
    traces = []

    @jax.jit
    def final(problem):
        traces.append(1)
        return mtk.solve(problem, TSIT)["hare"][-1]

    first = ODEProblem(lotka_volterra(), {}, (0.0, 1.0))
    a = final(first)
    b = final(remake(first, {"alpha": 0.3, "hare": 20.0}, tspan=(0.0, 2.0)))
    c = final(ODEProblem(lotka_volterra(), {"alpha": 0.3, "hare": 20}, (0.0, 2.0)))
    assert len(traces) == 1
    assert a != b
    assert b == c
    final(remake(first, {"alpha": lambda p: 0.1 + p.beta}))
    assert len(traces) == 2


def test_old_solution_is_untouched():
    decay = System(
        parameters={"k": 1.0}, unknowns={"x": 1.0}, derivatives=lambda t, u, p: {"x": -p.k * u.x}
    )
    problem = ODEProblem(decay)
    solution = mtk.solve(problem, TSIT)
    before = np.asarray(solution["x"])
    new = remake(problem, {"k": 5.0, "x": 2.0})
    assert (new["k"], problem["k"], solution["k"]) == (5.0, 1.0, 1.0)
    assert solution.u0 == {"x": 1.0}
    np.testing.assert_array_equal(solution["x"], before)


# Wrong calls


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"solver": "tsit5"}, errors.KindError, "'auto' or a diffrax solver .* got 'tsit5'"),
        ({"atol": {"hares": 1.0}}, errors.UnknownNameError, "Did you mean 'hare'"),
        ({"saveat": 3.0}, errors.KindError, r"saveat= is a vector of times .* got shape \(\)"),
        ({"saveat": diffrax.SaveAt(steps=True)}, errors.KindError, "'auto' saves at given times"),
        ({"dense": True}, errors.KindError, "'auto' saves at given times"),
        (
            {"solver": TSIT, "saveat": diffrax.SaveAt(dense=True)},
            errors.KindError,
            "Nothing would be saved",
        ),
        (
            {"savat": [1.0]},
            errors.UnknownOptionError,
            r"mtk.solve has no option 'savat'. Did you mean 'saveat'\?",
        ),
        ({"thro": False}, errors.UnknownOptionError, r"Did you mean 'throw'"),
        ({"color": 1}, TypeError, "no option 'color'. Its options are saveat, rtol, .*throw"),
        (
            {"adjoint": 3, "tolerance": 1e-3},
            errors.UnknownOptionError,
            "mtk.solve has no option 'tolerance'",
        ),
    ],
)
def test_wrong_options(options, kind, text):
    problem = ODEProblem(lotka_volterra())
    with pytest.raises(kind, match=text):
        mtk.solve(problem, **options)


def test_none_stands_for_a_default():
    """What passes options on need not know which were given."""
    problem = ODEProblem(lotka_volterra(), {}, (0.0, 1.0))
    names = ("saveat", "rtol", "atol", "adjoint", "dt0", "stepsize_controller", "event", "progress")
    options: Any = {name: None for name in (*names, "initialization")}
    left = mtk.solve(problem, TSIT, **options)
    np.testing.assert_array_equal(left.ys, mtk.solve(problem, TSIT).ys)
    assert mtk.solve(problem, TSIT, max_steps=None, throw=False).succeeded


def test_a_rule_for_an_initial_value_in_a_solve():
    problem = ODEProblem(lotka_volterra(), {"lynx": lambda p: p[Initial("hare")] / 10})
    assert mtk.solve(problem, TSIT)["lynx"][0] == 3.0
