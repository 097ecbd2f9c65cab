"""Cases of SciMLBase's `test/downstream/modelingtoolkit_remake.jl` and of its neighbors.

Left out, with the reason: `use_defaults=true` (a value that the system gives as a function is a rule,
and followed at each read); values that are functions of the time at the start.
"""

from __future__ import annotations

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

import mtkparams as mtk
from mtkparams import Initial, ODEProblem, System, Unknown, errors, remake


def lorenz():
    return System(
        parameters={
            "sigma": 28.0,
            "rho": 10.0,
            "beta": 8 / 3,
            "q": mtk.Parameter(bind=lambda p: 3 * p.beta),
        },
        unknowns={"x": 1.0, "y": 0.0, "z": 0.0},
        derivatives=lambda t, u, p: {
            "x": p.sigma * (u.y - u.x),
            "y": u.x * (p.rho - u.z) - u.y,
            "z": u.x * u.y - p.beta * u.z,
        },
    )


@pytest.mark.parametrize("prefix", ["", "sys."])
def test_names_of_all_kinds(prefix):
    system = System(systems={"sys": lorenz()}) if prefix else lorenz()
    name = lambda text: prefix + text
    problem = ODEProblem(system, {})
    u0 = lambda problem: [float(problem[name(n)]) for n in "xyz"]
    assert u0(remake(problem, {name("x"): 12.0})) == [12.0, 0.0, 0.0]
    assert u0(remake(problem, {Initial(name("x")): 12.0})) == [12.0, 0.0, 0.0]
    new = remake(problem, {name("sigma"): 0.1, name("beta"): 0.2, name("rho"): 0.3})
    assert new[name("q")] == pytest.approx(0.6)
    assert remake(problem, {name("sigma"): lambda p: 0.5 * p[name("x")] + 1})[name("sigma")] == 1.5
    assert remake(problem, {name("x"): lambda p: 0.5 * p[name("sigma")] + 1})[name("x")] == 15.0
    both = remake(
        problem,
        {
            name("x"): lambda p: 0.5 * p[name("sigma")] + 1,
            name("beta"): lambda p: 0.5 * p[name("x")] + 1,
        },
    )
    assert (both[name("x")], both[name("beta")]) == (15.0, 8.5)


def test_defaults_that_are_expressions():
    system = System(
        parameters={"P": lambda p: -p.x, "N": mtk.Parameter(bind=lambda p: p["Initial(x)"])},
        unknowns={"x": 1.0},
        derivatives=lambda t, u, p: {"x": p.N - u.x},
    )
    problem = ODEProblem(system)
    # In `parameters=` a function is a value, such as an interpolant; a rule is `bind=`.
    assert callable(problem["P"])
    assert remake(problem, {"x": 2.0})["N"] == 2.0


CYCLES = {
    "unknowns": {"x": lambda p: 2 * p.y + 3, "y": lambda p: 2 * p.x + 1},
    "parameters": {"sigma": lambda p: 2 * p.rho + 1, "rho": lambda p: p.sigma + 3},
    "crossed": {"x": lambda p: p.sigma + 3, "sigma": lambda p: 2 * p.x + 1},
}


@pytest.mark.parametrize("values", CYCLES.values(), ids=CYCLES)
def test_cycles(values):
    with pytest.raises(errors.CycleError, match=" -> ".join(list(values)[:1])):
        remake(ODEProblem(lorenz()), values)


def test_values_that_follow_others():
    system = System(
        parameters={"p": None},
        unknowns={"x": Unknown(1.0), "y": Unknown(2.0)},
        derivatives=lambda t, u, p: {"x": u.x * p.p, "y": u.y * p.p},
    )
    problem = ODEProblem(system, {"p": lambda p: p.x + p.y})
    assert problem["p"] == 3.0
    assert remake(problem, {"y": 3.0})["p"] == 4.0
    given = ODEProblem(system, {"x": lambda p: p.p, "p": 2.0})
    assert given["x"] == 2.0
    assert remake(given, {"p": 5.0})["x"] == 5.0


def test_a_parameter_that_an_equation_gives():
    system = System(
        parameters={"p": mtk.Parameter(mtk.SOLVE, guess=1.0)},
        unknowns={"x": 1.0, "y": 2.0},
        derivatives=lambda t, u, p: {"x": u.x * p.p, "y": u.y * p.p},
        initial_equations=lambda t, u, p: {"sum": p.p - u.x - u.y},
    )
    problem = ODEProblem(system)
    assert mtk.initialize(problem)["p"] == pytest.approx(3.0)
    assert mtk.initialize(remake(problem, {"y": 3.0}))["p"] == pytest.approx(4.0)


def test_the_solve_starts_at_the_new_values():
    system = System(
        parameters={"c1": 1.0},
        unknowns={"a": 1.0, "b": 2.0},
        derivatives=lambda t, u, p: {"a": -p.c1 * u.a, "b": -u.b},
    )
    problem = ODEProblem(system)
    first = jax.jit(lambda q: mtk.solve(q, diffrax.Tsit5(), max_steps=100)[["a", "b"]])
    for values in ({"a": 2.0, "b": 3.0}, {"a": 2.0, "b": 3.0, "c1": 2.0}):
        a, b = first(remake(problem, values))
        assert (a[0], b[0]) == (2.0, 3.0)


@pytest.mark.slow
def test_a_fit_through_remake():
    ts = jnp.arange(0.0, 10.5, 0.5)
    data = jnp.exp(-2.5 * ts)
    system = System(
        parameters={"p": 0.5}, unknowns={"x": 1.0}, derivatives=lambda t, u, p: {"x": -p.p * u.x}
    )
    problem = ODEProblem(system, {}, (0.0, 10.0))

    @jax.jit
    @jax.value_and_grad
    def loss(v):
        solution = mtk.solve(
            mtk.replace(mtk.Tunable, problem, v),
            diffrax.Tsit5(),
            saveat=ts,
            rtol=1e-8,
            atol=1e-10,
            max_steps=1000,
        )
        return jnp.sum((solution["x"] - data) ** 2)

    found = minimize(loss, mtk.pack(problem), jac=True, method="BFGS", tol=1e-10)
    np.testing.assert_allclose(found.x, [2.5], rtol=1e-4)


def test_right_hand_side_and_its_derivative():
    system = System(
        parameters={"a": 2.0},
        unknowns={"x": 1.0},
        derivatives=lambda t, u, p: {"x": -p.a * u.x},
        observed={"z": lambda t, u, p: p.a * u.x},
    )
    problem = ODEProblem(system)
    assert problem["D(x)"] == -2.0
    assert jax.grad(lambda x: remake(problem, {"x": x})["D(x)"])(1.0) == -2.0
    solution = mtk.solve(
        remake(problem, {"a": 4.0}), diffrax.Tsit5(), rtol=1e-10, atol=1e-12, max_steps=1000
    )
    np.testing.assert_allclose(solution["x"][-1], 0.018315638888734179, rtol=1e-8)
    np.testing.assert_allclose(solution["z"][-1], 0.073262555554936716, rtol=1e-8)
