"""What a system says about its equations, and each contradiction by its text."""

from __future__ import annotations

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from jax import lax

import mtkparams as mtk
from mtkparams import System, Unknown, errors
from mtkparams._model import Model
from mtkparams._model.flatten import flatten


@pytest.fixture
def unchecked():
    """As a user has it, without type checks at run time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def decay_of(t, u, p):
    return {"x": -p.k * u.x}


def decay(**changes: Any) -> System:
    return System(
        **{"parameters": {"k": 0.5}, "unknowns": {"x": 1.0}, "derivatives": decay_of, **changes}
    )


def test_names_and_text():
    parent = System(
        parameters={"K": 1.0},
        systems={"one": decay(observed={"rate": lambda t, u, p: p.k * u.x}), "two": decay()},
    )
    assert parent.names() == ("K", "one.k", "one.x", "one.rate", "two.k", "two.x")
    assert "one.rate" in parent
    assert "rate" not in parent
    assert 3 not in parent
    assert repr(parent) == "System(1 parameter, 2 nested systems)"
    assert repr(decay()) == "System(1 parameter, 1 unknown)"


def test_a_system_is_never_changed():
    with pytest.raises(AttributeError, match="A system is never changed"):
        decay().parameters = {}


def test_external_unknowns_wait_for_a_parent():
    open_system = System(unknowns={"x": Unknown(1.0, external=True)})
    with pytest.raises(errors.DeclarationError, match="It is external: nest this system in one"):
        mtk.ODEProblem(open_system)
    whole = System(systems={"a": open_system}, derivatives=lambda t, u, p: {"a.x": -u.a.x})
    assert mtk.ODEProblem(whole)["a.x"] == 1.0


def test_residuals_count_as_equations():
    square = System(
        unknowns={"x": 1.0, "y": Unknown(guess=1.0)},
        derivatives=lambda t, u, p: {"x": -u.y},
        residuals=lambda t, u, p: {"y": u.y**2 - u.x},
    )
    assert square.names() == ("x", "y")


CONTRADICTIONS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "two kinds": (
        {"parameters": {"x": 1.0}},
        errors.DeclarationError,
        "'x' is both a parameter and a unknown",
    ),
    "system and parameter": (
        {"systems": {"k": None}},
        errors.KindError,
        r"systems\['k'\] is a mtk.System, got NoneType",
    ),
    "no equation": (
        {"unknowns": {"x": 1.0, "y": 2.0}},
        errors.DeclarationError,
        "No equation for 'y'. Give a derivative or a residual, or mark it mtk.Unknown",
    ),
    "wrong name": (
        {"derivatives": lambda t, u, p: {"z": u.x}},
        errors.DeclarationError,
        "In the derivatives: No 'z' among the unknowns. They are 'x'.",
    ),
    "derivative of observed": (
        {
            "observed": {"y": lambda t, u, p: u.x},
            "derivatives": lambda t, u, p: {"x": u.x, "y": u.x},
        },
        errors.DeclarationError,
        "'y' is an observed value and has no derivative",
    ),
    "shape": (
        {"derivatives": lambda t, u, p: {"x": jnp.ones(2)}},
        errors.ShapeError,
        r"The derivative of 'x' has shape \(2,\), the unknown has \(\)",
    ),
    "array of the wrong length": (
        {"unknowns": {"x": 1.0, "y": 1.0}, "derivatives": lambda t, u, p: jnp.ones(3)},
        errors.ShapeError,
        r"returned an array of shape \(3,\). For 2 unknowns it is one vector of 2 numbers .* x, y",
    ),
    "text": (
        {"derivatives": lambda t, u, p: "x"},
        errors.DeclarationError,
        "The derivatives are a dictionary by name or one array, got str",
    ),
    "nothing": (
        {"derivatives": lambda t, u, p: None},
        errors.DeclarationError,
        "The derivatives are a dictionary by name or one array, got NoneType",
    ),
    "shape of a start that follows": (
        {"unknowns": {"x": Unknown(lambda p: jnp.ones(2))}},
        errors.ShapeError,
        r"The initial value of 'x' has shape \(2,\), the unknown has \(\)",
    ),
    "no function": (
        {"derivatives": 3.0},
        errors.KindError,
        r"'derivatives' is a function f\(t, u, p\), got float 3.0",
    ),
    "list of parameters": (
        {"parameters": [1.0]},
        errors.KindError,
        "parameters= is a dictionary by name, got list",
    ),
    "initial as an unknown": (
        {"unknowns": {mtk.Initial("x"): 1.0}},
        errors.DeclarationError,
        r"is declared with its unknown: unknowns=\{'x': value\}",
    ),
    "unknown among parameters": (
        {"parameters": {"k": Unknown(1.0)}},
        errors.DeclarationError,
        "An mtk.Unknown was given among the parameters",
    ),
    "parameter among unknowns": (
        {"unknowns": {"x": mtk.Parameter(1.0)}},
        errors.DeclarationError,
        "An mtk.Parameter was given among the unknowns",
    ),
    "shapes of start and guess": (
        {"unknowns": {"x": Unknown(1.0, guess=[1.0, 2.0])}},
        errors.DeclarationError,
        "'x' has an initial value, guess and shape= of different shapes",
    ),
    "binding reads an unknown": (
        {"parameters": {"k": 0.5, "q": mtk.Parameter(bind=lambda p: p.k * p.x)}},
        errors.BoundParameterError,
        r"reads 'x', which is an unknown and changes in time.*p\['Initial\(x\)'\]",
    ),
    "too many residuals": (
        {"residuals": lambda t, u, p: {"e": u.x}},
        errors.DeclarationError,
        r"more residuals \(1\) than unknowns without a derivative \(0: none\)",
    ),
    "residuals that are no dictionary": (
        {"residuals": lambda t, u, p: u.x},
        errors.DeclarationError,
        "The residuals of the outermost system are a dictionary",
    ),
    "dots in a nested name": (
        {"systems": {"a.b": decay()}},
        errors.DeclarationError,
        "the name of a nested system has no dots",
    ),
    "redeclared, but nowhere": (
        {"systems": {"a": decay()}, "parameters": {"k": 0.5, "a.kk": 1.0}},
        errors.UnknownNameError,
        "No 'a.kk' among the parameters of the nested systems. Did you mean 'a.k'",
    ),
    "two equations": (
        {
            "systems": {"a": decay()},
            "derivatives": lambda t, u, p: {"x": u.x, "a.x": u.a.x},
        },
        errors.DeclarationError,
        "The derivative of 'a.x' is given twice: by system 'a' and by the outermost system",
    ),
    "observed misspelt": (
        {"observed": {"y": lambda t, u, p: u.xx}},
        errors.UnknownNameError,
        "No 'xx' among .*Did you mean 'x'",
    ),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("changes", "kind", "text"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_contradictions(changes, kind, text):
    with pytest.raises(kind, match=text):
        decay(**changes)


def test_unknowns_that_contradict_themselves():
    with pytest.raises(errors.DeclarationError, match="is a number, got Unknown"):
        Unknown(Unknown(1.0))
    with pytest.raises(errors.DeclarationError, match="shape= is a tuple of sizes"):
        Unknown(shape=(-1,))


@pytest.mark.slow
def test_an_algebraic_unknown_is_solved_beside_the_others():
    square = System(
        unknowns={"x": 1.0, "y": Unknown(guess=1.0)},
        derivatives=lambda t, u, p: {"x": -u.y},
        residuals=lambda t, u, p: {"y": u.y**2 - u.x},
    )
    problem = mtk.ODEProblem(square)
    solution = mtk.solve(problem, diffrax.Tsit5(), max_steps=100)
    # y = sqrt(x), so x = (1 - t / 2)^2.
    np.testing.assert_allclose(solution[["x", "y"]], [[1.0, 0.25], [1.0, 0.5]], rtol=1e-5)


# Equations of a model at one instant


def whirl():
    """A nested system with an algebraic unknown, and an initial equation that reads a derivative."""
    inner = mtk.System(
        parameters={"k": 2.0},
        unknowns={"x": 3.0, "z": mtk.Unknown(guess=1.0)},
        derivatives=lambda t, u, p: {"x": -p.k * u.x + u.z},
        residuals=lambda t, u, p: {"z_eq": u.z - u.x**2},
        initial_equations=lambda t, u, p: {"steady": u["D(x)"] - 1.0},
    )
    flat = flatten(mtk.System(systems={"tank": inner}))
    p = mtk.parameters({"tank.k": 2.0, mtk.Initial("tank.x"): 3.0, mtk.Initial("tank.z"): 1.0})
    return Model.of(flat, ("tank.x",)), p


def test_residuals_and_derivatives_by_name():
    model, p = whirl()
    y = model.start(p)
    assert y.tolist() == [3.0, 1.0]
    assert model.sizes == (1, 1)
    assert model.derivative(0.0, y, p).tolist() == [-5.0]
    assert model.residuals(0.0, y, p) == {"tank.z_eq": -8.0}
    assert model.initial_residuals(0.0, y, p) == {"tank.steady": -6.0}
    assert model.instant(0.0, y, p).u["D(tank.x)"] == -5.0


def test_derivatives_that_cannot_be_read():
    model, p = whirl()
    now = model.instant(0.0, model.start(p), p)
    with pytest.raises(errors.UnknownNameError, match=r"No 'tank\.z' among the unknowns with a"):
        now.u["D(tank.z)"]
    with pytest.raises(errors.DeclarationError, match=r"'D\(x\)' is read where derivatives"):
        mtk.System(unknowns={"x": 1.0}, derivatives=lambda t, u, p: {"x": u["D(x)"]})


def test_what_a_loop_read_is_of_no_use_outside():
    # The observed value and the dependent parameter are first evaluated in the body of a loop.
    system = decay(
        parameters={"k": 0.5, "g": mtk.Parameter(bind=lambda p: 2 * p.k)},
        observed={"r": lambda t, u, p: p.g * u.x},
        derivatives=lambda t, u, p: {
            "x": lax.fori_loop(0, 3, lambda i, sum_: sum_ + u.r, 0.0 * u.x) * u.r * p.g
        },
    )
    problem = mtk.ODEProblem(system)
    slope = jax.jit(lambda q: q.model.derivative(q.t0, q.model.start(q.p), q.p))
    assert slope(problem) == 3.0
