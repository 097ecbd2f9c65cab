"""Values by name: numbers, functions of others, and problems made from problems."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

import mtkparams as mtk
from mtkparams import UNSET, Initial, ODEProblem, System, errors, remake


@pytest.fixture
def unchecked():
    """As a user has it, without type checks at run time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def lorenz() -> System:
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
        observed={"sum": lambda t, u, p: u.x + u.y + p.q},
    )


@pytest.fixture(scope="module")
def problem():
    return ODEProblem(lorenz(), {}, (0.0, 1.0))


# Functions as values


def test_numbers(problem):
    assert remake(problem, {"x": 12.0}).u0 == {"x": 12.0, "y": 0.0, "z": 0.0}
    new = remake(problem, {"sigma": 0.1, "beta": 0.2, "rho": 0.3})
    assert new["q"] == pytest.approx(0.6)
    assert problem["q"] == pytest.approx(8.0)
    assert remake(problem, {Initial("x"): 2.0})["x"] == 2.0


def test_functions(problem):
    assert remake(problem, {"sigma": lambda p: 0.5 * p.x + 1})["sigma"] == 1.5
    assert remake(problem, {"x": lambda p: 0.5 * p.sigma + 1})["x"] == 15.0
    both = remake(problem, {"x": lambda p: 0.5 * p.sigma + 1, "beta": lambda p: 0.5 * p.x + 1})
    assert (both["x"], both["beta"], both["q"]) == (15.0, 8.5, 25.5)
    assert both["sum"] == 15.0 + 25.5
    moved = remake(both, {"sigma": 10.0})
    assert (moved["x"], moved["beta"]) == (6.0, 4.0)
    assert (problem["x"], problem["beta"]) == (1.0, 8 / 3)


def test_the_same_at_declaration():
    values = {"x": lambda p: 0.5 * p["sigma"] + 1, "beta": lambda p: 0.5 * p[Initial("x")] + 1}
    problem = ODEProblem(lorenz(), values)
    assert (problem["x"], problem["beta"]) == (15.0, 8.5)


def test_from_a_function_to_a_number_and_back(problem):
    rule = lambda p: 0.5 * p.sigma + 1
    ruled = remake(problem, {"x": rule})
    number = remake(ruled, {"x": 3.0})
    assert number["x"] == 3.0
    assert remake(number, {"sigma": 2.0})["x"] == 3.0
    assert remake(number, {"x": rule})["x"] == 15.0
    assert remake(number, {"x": 1.0}).p.index is problem.p.index


def test_cycles(problem):
    with pytest.raises(errors.CycleError, match="x"):
        remake(problem, {"x": lambda p: 2 * p.y + 3, "y": lambda p: 2 * p.x + 1})
    with pytest.raises(errors.CycleError, match="rho"):
        remake(problem, {"sigma": lambda p: 2 * p.rho + 1, "rho": lambda p: p.sigma + 3})
    with pytest.raises(errors.CycleError, match="x"):
        remake(problem, {"x": lambda p: p.sigma, "sigma": lambda p: p.x})
    with pytest.raises(errors.CycleError):
        remake(remake(problem, {"x": lambda p: p.sigma}), {"sigma": lambda p: p.x})


def test_initial_values_from_the_declaration():
    system = System(
        parameters={"total": 3.0},
        unknowns={"x": 1.0, "y": mtk.Unknown(lambda p: p.total - p.x)},
        derivatives=lambda t, u, p: jnp.stack([-u.x, u.x]),
    )
    problem = ODEProblem(system)
    assert problem["y"] == 2.0
    assert remake(problem, {"x": 2.5})["y"] == 0.5
    assert ODEProblem(system, {"y": 7.0})["y"] == 7.0


def test_unset(problem):
    with pytest.raises(errors.MissingValueError, match="No value for 'sigma'"):
        remake(problem, {"sigma": UNSET})
    with pytest.raises(errors.MissingValueError, match=r"Initial\(x\)"):
        ODEProblem(lorenz(), {"x": UNSET})
    assert repr(UNSET) == "mtk.UNSET"


def test_values_that_the_system_leaves_open():
    system = System(
        parameters={"k": None},
        unknowns={"x": mtk.Unknown(shape=(2,))},
        derivatives=lambda t, u, p: {"x": -p.k * u.x},
    )
    with pytest.raises(errors.MissingValueError, match="'k'"):
        ODEProblem(system)
    problem = ODEProblem(system, {"k": 2.0, "x": [1.0, 3.0]})
    assert problem["x"].tolist() == [1.0, 3.0]
    assert remake(problem, {"x[1]": 5.0})["x"].tolist() == [1.0, 5.0]


# What cannot be given


WRONG = {
    "misspelt": ({"sgima": 1.0}, errors.UnknownNameError, "Did you mean 'sigma'"),
    "misspelt unknown": ({"xx": 1.0}, errors.UnknownNameError, "and unknowns. Did you mean 'x'"),
    "dependent": ({"q": 1.0}, errors.BoundParameterError, "'q' is a dependent parameter"),
    "observed": ({"sum": 1.0}, errors.DeclarationError, "'sum' is an observed value"),
    "twice": ({"x": 1.0, Initial("x"): 1.0}, errors.OverlapError, "given twice"),
    "shape": ({"x": [1.0, 2.0]}, ValueError, "x"),
    "text": ({"sigma": "fast"}, TypeError, "sigma"),
}


@pytest.mark.parametrize(("values", "kind", "text"), WRONG.values(), ids=WRONG)
@pytest.mark.usefixtures("unchecked")
def test_wrong_values(problem, values, kind, text):
    with pytest.raises(kind, match=text):
        remake(problem, values)
    with pytest.raises((kind, ValueError), match=text):
        ODEProblem(lorenz(), values)


def test_a_value_keeps_the_role():
    problem = ODEProblem(lorenz(), {"sigma": 3, "rho": np.int64(2), "x": 4})
    assert problem.p.names(mtk.Tunable) == ("sigma", "rho", "beta")
    assert problem.p.index is ODEProblem(lorenz()).p.index


@pytest.mark.usefixtures("unchecked")
def test_wrong_calls(problem):
    with pytest.raises(errors.KindError, match="ODEProblem takes an mtk.System, got dict"):
        ODEProblem({})  # pyright: ignore[reportArgumentType]
    with pytest.raises(errors.DeclarationError, match="tspan= is a pair"):
        ODEProblem(lorenz(), {}, 1.0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(errors.DeclarationError, match="pair of numbers"):
        remake(problem, tspan=([0.0, 1.0], 1.0))
    with pytest.raises(errors.KindError, match="p= has other names"):
        remake(problem, p=mtk.parameters({"a": 1.0}))
    with pytest.raises(errors.UnknownNameError, match="among the unknowns and parameters. Did you"):
        ODEProblem(lorenz(), {}, guesses={"xx": 1.0})
    with pytest.raises(errors.UnknownNameError, match="No 'w' among the unknowns, observed and"):
        problem["w"]


# A problem as a pytree


def test_time_span_and_parameters(problem):
    later = remake(problem, {"x": 2.0}, tspan=(1, 3))
    assert (later.t0, later.t1, later["x"]) == (1.0, 3.0, 2.0)
    assert later.t0.dtype == later.p.initials.dtype
    p = problem.p.set({"rho": 1.0})
    assert remake(problem, {"beta": 2.0}, p=p)[["rho", "beta"]] == [1.0, 2.0]


def test_names_and_text(problem):
    assert problem.names() == ("sigma", "rho", "beta", "q", "x", "y", "z", "sum")
    assert "sum" in problem
    assert "w" not in problem
    assert repr(problem).startswith("ODEProblem(t = 0 .. 1, ")
    assert "sigma" in str(problem)


def test_new_values_do_not_recompile(problem):
    traces = []

    @jax.jit
    def start(problem):
        traces.append(1)
        return problem["sum"]

    start(problem)
    assert start(remake(problem, {"x": 5.0, "beta": 1.0}, tspan=(0.0, 9.0))) == 8.0
    again = ODEProblem(lorenz(), {"y": 2.0}, (0.0, 2.0))
    assert again.model is problem.model
    assert start(again) == 11.0
    assert len(traces) == 1


def test_inside_transformations(problem):
    f = lambda k: remake(problem, {"beta": k, "x": 2 * k})["sum"]
    assert jax.jit(f)(2.0) == 10.0
    assert jax.grad(f)(2.0) == 5.0
    assert jax.vmap(f)(jnp.arange(3.0)).tolist() == [0.0, 5.0, 10.0]
    ruled = remake(problem, {"x": lambda p: 0.5 * p.sigma + 1})
    assert jax.grad(lambda s: remake(ruled, {"sigma": s})["sum"])(2.0) == 0.5
    grads = eqx.filter_grad(lambda q: q["sum"])(problem)
    assert grads.p["beta"] == 3.0
    np.testing.assert_array_equal(grads.p.initials, [1.0, 1.0, 0.0])


def test_traced_rules(problem):
    # A function in place of a number inside jit: the static part changes there, and stays there.
    f = lambda s: remake(problem, {"sigma": s, "x": lambda p: 0.5 * p.sigma + 1})["x"]
    assert jax.jit(f)(28.0) == 15.0
    assert jax.grad(f)(28.0) == 0.5
