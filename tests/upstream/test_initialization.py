"""Cases of ModelingToolkit.jl and SciMLBase.jl on initialization, as far as they mean something here.

Elsewhere: the chain of two blocks is in tests/initialization/test_gradients.py, the systems of blocks
in tests/problems/test_nonlinear.py. Not here: index reduction (the pendulum and the hydraulic network
as upstream writes them), stochastic and delay equations, and derivatives of unknowns as initial values.
"""

from __future__ import annotations

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtkparams as mtk
from mtkparams import errors


def initialized(system, values=None, **options):
    return mtk.initialize(mtk.ODEProblem(system, values or {}, (0.0, 1.0), **options))


# SciMLSensitivity.jl, test/Core8/mtk.jl and parameter_initialization.jl


def lorenz(rho) -> mtk.System:
    return mtk.System(
        parameters={"sigma": 28.0, "rho": rho, "beta": 8 / 3},
        unknowns={"v": 2.0, "x": 1.0, "y": 0.0, "z": 0.0},
        derivatives=lambda t, u, p: {
            "v": p.sigma * (u.y - u.x),
            "x": u.v,
            "y": u.x * (p.rho - u.z) - u.y,
            "z": u.x * u.y - p.beta * u.z,
        },
        observed={"w": lambda t, u, p: u.x + u.y + u.z + 2 * p.beta},
    )


@pytest.mark.slow
def test_gradient_through_a_parameter_to_find():
    """rho is declared as to be found, and given: its derivative must not be lost."""
    problem = mtk.ODEProblem(
        lorenz(mtk.Parameter(mtk.SOLVE, guess=10.0)), {"rho": 10.0}, (0.0, 0.5)
    )
    plain = mtk.ODEProblem(lorenz(10.0), {}, (0.0, 0.5))

    def loss(p, problem):
        made = mtk.remake(problem, p=p)
        return mtk.solve(made, diffrax.Tsit5(), saveat=[0.1, 0.5])["w"][1]

    found, expected = (jax.grad(loss)(q.p, q)["rho"] for q in (problem, plain))
    assert found == pytest.approx(float(expected), rel=1e-10)
    assert abs(found) > 1e-3


# ModelingToolkit.jl, test/initializationsystem.jl


def test_derivative_at_the_start():
    """0 = D(y): x (rho - z) - y is zero at the start."""
    system = mtk.System(
        parameters={"sigma": 28.0, "rho": 10.0, "beta": 8 / 3},
        unknowns={"x": mtk.Unknown(guess=1.0), "y": 5.0, "z": 0.5},
        derivatives=lambda t, u, p: {
            "x": p.sigma * (u.y - u.x),
            "y": u.x * (p.rho - u.z) - u.y,
            "z": u.x * u.y - p.beta * u.z,
        },
        initial_equations=lambda t, u, p: {"rest": u["D(y)"]},
    )
    init = initialized(system)
    assert init["x"] * (10.0 - 0.5) - 5.0 == pytest.approx(0.0, abs=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_guess_chooses_the_sign(sign):
    system = mtk.System(
        unknowns={"x": 0.0, "rate": mtk.Unknown(guess=sign)},
        derivatives=lambda t, u, p: {"x": u.rate},
        residuals=lambda t, u, p: {"e": u.rate**2 - 1.0},
    )
    problem = mtk.ODEProblem(system, {}, (0.0, 1.0))
    assert mtk.initialize(problem)["rate"] == pytest.approx(sign, abs=1e-12)
    assert mtk.solve(problem, diffrax.Tsit5())["x"][-1] == pytest.approx(sign, abs=1e-6)


def test_two_values_that_contradict():
    system = mtk.System(
        parameters={"k1": 2.0, "k2": 3.0},
        unknowns={"X": mtk.Unknown(guess=1.0), "Y": mtk.Unknown(guess=1.0)},
        derivatives=lambda t, u, p: {"X": p.k1 - p.k2 * u.X},
        residuals=lambda t, u, p: {"e": u.Y - u.X - p.k1 + p.k2},
    )
    with pytest.raises(errors.InitializationError, match="contradict 'e'"):
        initialized(system, {"X": 1.0, "Y": 2.0})
    assert initialized(system, {"Y": 2.0})["X"] == pytest.approx(3.0)


def line(**parameters) -> mtk.System:
    return mtk.System(
        parameters=parameters,
        unknowns={"x": 1.0, "y": mtk.Unknown(guess=0.0)},
        derivatives=lambda t, u, p: {"x": -u.x},
        residuals=lambda t, u, p: {"e": u.y - p.q * u.x},
    )


def test_parameters_are_found():
    bound = line(p=mtk.Parameter(mtk.SOLVE, guess=0.3), q=mtk.Parameter(bind=lambda p: 2 * p.p))
    one = initialized(bound, {"x": 1.0, "y": 1.0})
    assert one["p"] == pytest.approx(0.5)
    assert one["q"] == pytest.approx(1.0)
    two = initialized(bound, {"p": 1.0})
    assert two["q"] == pytest.approx(2.0)
    assert two["y"] == pytest.approx(2.0)


def test_a_relation_between_parameters():
    system = mtk.System(
        parameters={"p": mtk.Parameter(12.0, guess=5.0), "q": mtk.Parameter(mtk.SOLVE, guess=1.0)},
        unknowns={"x": 1.0},
        derivatives=lambda t, u, p: {"x": -u.x},
        initial_equations=lambda t, u, p: {"e": p.p - 3 * p.q**2},
    )
    problem = mtk.ODEProblem(system)
    assert mtk.initialize(problem)["q"] == pytest.approx(2.0)
    other = mtk.remake(problem, {"q": 3.0, "p": mtk.SOLVE})
    assert mtk.initialize(other)["p"] == pytest.approx(27.0)


def test_affine_parameters():
    system = mtk.System(
        parameters={"p": 1.0, "q": mtk.Parameter(mtk.SOLVE, guess=0.0)},
        unknowns={"x": 2.0, "y": 4.0},
        derivatives=lambda t, u, p: {"x": -u.x},
        residuals=lambda t, u, p: {"e": u.y - p.q * u.x - p.p},
    )
    assert initialized(system)["q"] == pytest.approx(1.5)


@pytest.mark.parametrize("p", [2.0, -2.0])
def test_a_double_root_is_flagged(p):
    """Upstream takes q = -p out of 0 = (p + q)^2 to 1e-5; its derivative there has no meaning."""
    system = mtk.System(
        parameters={"p": p, "q": mtk.Parameter(mtk.SOLVE, guess=0.0)},
        unknowns={"x": 1.0},
        derivatives=lambda t, u, p: {"x": -u.x},
        initial_equations=lambda t, u, p: {"e": (p.p + p.q) ** 2},
    )
    with pytest.raises(errors.InitializationError, match="singular Jacobian"):
        initialized(system)
    init = mtk.initialize(mtk.ODEProblem(system), throw=False)
    assert init["q"] == pytest.approx(-p, rel=1e-5)
    assert init.result == mtk.RESULTS.singular


def test_new_values_count_at_the_next_start():
    system = mtk.System(
        parameters={"p": 3.0},
        unknowns={"y": 1.0, "x": mtk.Unknown(guess=0.0)},
        derivatives=lambda t, u, p: {"y": -u.y},
        residuals=lambda t, u, p: {"e": u.y - p.p + u.x},
    )
    problem = mtk.ODEProblem(system)
    first = mtk.initialize(problem)
    assert first["x"] == pytest.approx(2.0)
    assert mtk.initialize(mtk.remake(first.problem, {"p": 2.0}))["x"] == pytest.approx(1.0)
    assert first["p"] == 3.0


def test_new_initial_values():
    """x^2 + y1^2 + y2^2 = 4, issue 3318 of ModelingToolkit.jl."""
    system = mtk.System(
        unknowns={"x": 1.0, "y1": 1.0, "y2": mtk.Unknown(guess=1.0)},
        derivatives=lambda t, u, p: {"x": -u.x, "y1": -u.y1},
        residuals=lambda t, u, p: {"e": u.x**2 + u.y1**2 + u.y2**2 - 4.0},
    )
    problem = mtk.ODEProblem(system)
    for value, expected in (({}, 2.0), ({"x": 0.5}, 2.75), ({"x": 0.5, "y1": 0.5}, 3.5)):
        found = mtk.initialize(mtk.remake(problem, value))["y2"]
        assert found == pytest.approx(np.sqrt(expected), abs=1e-12)
    # Reading and writing by `Initial` is the same thing.
    p = problem.p.set({mtk.Initial("x"): 0.5})
    assert mtk.initialize(mtk.remake(problem, p=p))["y2"] == pytest.approx(np.sqrt(2.75))


@pytest.mark.slow
def test_what_was_found_passes_a_check():
    system = line(q=2.0)
    init = initialized(system)
    checked = mtk.initialize(init.problem, mtk.CheckInit())
    assert checked.u0 == init.u0
    taken = mtk.solve(init.problem, diffrax.Tsit5(), initialization=mtk.CheckInit())
    assert taken["y"][0] == pytest.approx(float(init["y"]), abs=1e-12)


@pytest.mark.slow
def test_a_conserved_quantity_from_initial_values():
    """Gamma = X1 + X2 at the start, declared as dependent on initial values."""
    system = mtk.System(
        parameters={"Gamma": mtk.Parameter(bind=lambda p: p["Initial(X1)"] + p["Initial(X2)"])},
        unknowns={"X1": 1.0, "X2": mtk.Unknown(guess=1.0)},
        derivatives=lambda t, u, p: {"X1": u.X2 - u.X1},
        residuals=lambda t, u, p: {"e": u.X2 + u.X1 - p.Gamma},
    )
    assert initialized(system, {"X2": 2.0})["Gamma"] == 3.0
    given = mtk.System(
        parameters={"Gamma": 5.0},
        unknowns={"X1": 1.0, "X2": mtk.Unknown(guess=1.0)},
        derivatives=lambda t, u, p: {"X1": u.X2 - u.X1},
        residuals=lambda t, u, p: {"e": u.X2 + u.X1 - p.Gamma},
    )
    assert initialized(given)["X2"] == pytest.approx(4.0)
    assert initialized(given, {"X2": 2.0, "Gamma": mtk.SOLVE})["Gamma"] == pytest.approx(3.0)
    with pytest.raises(errors.InitializationError):
        initialized(given, {"X2": 2.0})


# SciMLBase.jl, test/initialization.jl


def test_the_toy_of_get_initial_values():
    """u1^2 = u2^2 and p = 1; upstream writes (p - 1)^2 = 0, which is a double root."""
    system = mtk.System(
        parameters={"p": mtk.Parameter(mtk.SOLVE, guess=0.0)},
        unknowns={"u1": 2.0, "u2": mtk.Unknown(guess=1.0)},
        derivatives=lambda t, u, p: {"u1": u.u2},
        residuals=lambda t, u, p: {"e": u.u1**2 - u.u2**2},
        initial_equations=lambda t, u, p: {"p": p.p - 1.0},
    )
    plus = initialized(system)
    assert [plus["u2"], plus["p"]] == pytest.approx([2.0, 1.0])
    assert initialized(system, guesses={"u2": -1.0})["u2"] == pytest.approx(-2.0)
    check = mtk.CheckInit(atol=1e-8)
    consistent = {"u1": 1.0, "u2": 1.0, "p": 1.0}
    assert mtk.initialize(mtk.ODEProblem(system, consistent), check)["u2"] == 1.0
    with pytest.raises(errors.InitializationError, match="contradict 'e'"):
        mtk.initialize(mtk.ODEProblem(system, {**consistent, "u2": 2.0}), check)
    as_is = mtk.initialize(mtk.ODEProblem(system, {**consistent, "u2": 2.0}), mtk.NoInit())
    assert as_is["u2"] == 2.0


# ModelingToolkit.jl, test/scc_nonlinear_problem.jl


def test_blocks_share_one_parameter_object():
    system = mtk.System(
        parameters={"p": 2.0, "q": mtk.Parameter(bind=lambda p: p.p), "r": 3.0,
                    "s": mtk.Parameter(bind=lambda p: p.r)},
        unknowns={"u1": 1.0, "u2": 1.0},
        residuals=lambda t, u, p: {"a": u.u1**2 - p.q, "b": u.u2 - u.u1 * p.s},
    )  # fmt: skip
    problem = mtk.NonlinearProblem(system)
    assert problem.p.names(mtk.Tunable) == ("p", "r")
    solution = mtk.solve(problem)
    assert solution.p.names(mtk.Tunable) == ("p", "r")
    again = mtk.solve(mtk.remake(problem, {"u1": 2.0, "u2": 2.0, "p": 9.0}))
    assert again.u == {"u1": 3.0, "u2": 9.0}
    assert again["q"] == 9.0
    assert bool(jnp.allclose(solution["u2"], 3 * jnp.sqrt(2.0)))
