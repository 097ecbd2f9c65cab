"""Vector fields `f(t, y, args)` that somebody has already, under names."""

from __future__ import annotations

from typing import NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtkparams as mtk
from mtkparams import System, errors


def slope(system, **values):
    """The derivatives at the start, one after the other."""
    problem = mtk.ODEProblem(system, values)
    return problem.model.derivative(problem.t0, problem.model.start(problem.p), problem.p)


def predators(t, y, args):
    alpha, beta, gamma, delta = args
    hare, lynx = y
    return jnp.array([alpha * hare - beta * hare * lynx, delta * hare * lynx - gamma * lynx])


TABLE = {"alpha": 0.55, "beta": 0.028, "gamma": 0.8, "delta": 0.024}
EXPECTED = [0.55 * 30 - 0.028 * 120, 0.024 * 120 - 0.8 * 4]


@pytest.mark.parametrize(
    "args",
    [
        tuple(TABLE),
        list(TABLE),
        lambda p: (p.alpha, p.beta, p.gamma, p.delta),
        lambda p: jnp.stack([p[name] for name in TABLE]),
    ],
    ids=["tuple", "list", "function", "array"],
)
def test_arguments(args):
    system = System.from_vector_field(
        predators, unknowns={"hare": 30.0, "lynx": 4.0}, parameters=TABLE, args=args
    )
    np.testing.assert_allclose(slope(system), EXPECTED)
    assert system.names() == (*TABLE, "hare", "lynx")


def test_arguments_of_several_kinds():
    def field(t, y, args):
        return args["net"](y) * args["scale"][0] + args["power"] * args["view"].k

    net = eqx.nn.Linear(2, 2, key=jax.random.key(0))
    system = System.from_vector_field(
        field,
        unknowns={"y": [1.0, 2.0]},
        parameters={"net": net, "k": 3.0},
        args=lambda p: {"net": p.net, "scale": (p.k,), "power": 2, "view": p},
    )
    y = jnp.array([1.0, 2.0])
    np.testing.assert_allclose(slope(system), net(y) * 3 + 6)
    # What is no name in a structure is passed as it is; without args= the view of parameters.
    constant = lambda t, y, args: -args[0] * y + args[1]
    system = System.from_vector_field(
        constant, unknowns={"x": 2.0}, parameters={"k": 3.0}, args=("k", np.float64(0.5))
    )
    np.testing.assert_allclose(slope(system), [-5.5])
    view = System.from_vector_field(
        lambda t, y, p: -p.tank.k * y, unknowns={"x": 2.0}, parameters={"tank.k": 3.0}
    )
    np.testing.assert_allclose(slope(view), [-6.0])


class Body(NamedTuple):
    pos: object
    vel: object


@pytest.mark.parametrize(
    "state",
    [{"pos": "x", "vel": "v"}, Body("x", "v"), ("x", "v")],
    ids=["dictionary", "named tuple", "tuple"],
)
def test_structures_of_state(state):
    def oscillator(t, y, k):
        pos, vel = y.values() if isinstance(y, dict) else y
        parts = (vel, -k * pos)
        if isinstance(y, dict):
            return dict(zip(y, parts, strict=True))
        return type(y)(*parts) if hasattr(y, "_fields") else parts

    system = System.from_vector_field(
        oscillator,
        unknowns={"v": [2.0, 3.0], "x": [4.0, 5.0]},
        parameters={"k": 2.0},
        state=state,
        args="k",
    )
    np.testing.assert_allclose(slope(system), [-8.0, -10.0, 2.0, 3.0])


def test_vectors_of_several_shapes():
    field = lambda t, y, args: jnp.arange(7.0) * y
    system = System.from_vector_field(
        field, unknowns={"a": 1.0, "b": np.ones((2, 2)), "c": [1.0, 1.0]}
    )
    np.testing.assert_allclose(slope(system), np.arange(7.0))
    whole = System.from_vector_field(lambda t, y, args: y @ y, unknowns={"m": 2 * np.eye(2)})
    np.testing.assert_allclose(slope(whole), [4.0, 0.0, 0.0, 4.0])


def test_a_term_and_observed_and_nesting():
    inner = System.from_vector_field(
        diffrax.ODETerm(lambda t, y, k: -k * y),
        unknowns={"x": mtk.Unknown(2.0, unit="m")},
        parameters={"k": 3.0},
        args="k",
        observed={"rate": lambda t, u, p: p.k * u.x},
    )
    outer = System(systems={"one": inner, "two": inner}, parameters={"two.k": 4.0})
    problem = mtk.ODEProblem(outer)
    assert problem[["one.rate", "D(one.x)", "D(two.x)"]] == [6.0, -6.0, -8.0]


def test_equal_fields_share_a_model():
    make = lambda: System.from_vector_field(
        predators, unknowns={"hare": 30.0, "lynx": 4.0}, parameters=TABLE, args=tuple(TABLE)
    )
    assert mtk.ODEProblem(make()).model is mtk.ODEProblem(make()).model


WRONG = {
    "no function": ({"f": 3.0}, errors.KindError, r"is a function f\(t, y, args\), got float 3.0"),
    "no state": ({"unknowns": {}}, errors.DeclarationError, "it is empty"),
    "misspelt": ({"args": ("a",)}, errors.UnknownNameError, "No 'a' among"),
    "too few": (
        {"f": lambda t, y, args: y[:1]},
        errors.ShapeError,
        r"returned an array of shape \(1,\), and its state is one vector of 2 entries: x, v",
    ),
    "another structure": (
        {"f": lambda t, y, args: (y[0], y[1])},
        errors.ShapeError,
        "returned a tuple, and .* Give state= where it works on another structure",
    ),
    "structure of the state": (
        {"f": lambda t, y, args: list(y), "state": ("x", "v")},
        errors.ShapeError,
        "returns the time derivative of its state, in the same structure",
    ),
    "shape in the state": (
        {"f": lambda t, y, args: (y[0], jnp.ones(3)), "state": ("x", "v")},
        errors.ShapeError,
        r"returned an array of shape \(3,\) for 'v', which has shape \(\)",
    ),
    "names of the state": (
        {"state": ("x", "w")},
        errors.DeclarationError,
        "state= has the names 'x', 'w', and unknowns= 'x', 'v'",
    ),
    "arrays in the state": ({"state": ("x", 1.0)}, errors.KindError, "got 1.0"),
}


@pytest.mark.parametrize(("changes", "kind", "text"), WRONG.values(), ids=WRONG)
def test_refused(changes, kind, text):
    call = {"f": lambda t, y, args: -y, "unknowns": {"x": 1.0, "v": 2.0}, **changes}
    with pytest.raises(kind, match=text):
        System.from_vector_field(call.pop("f"), **call)
