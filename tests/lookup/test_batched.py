"""Names over several systems."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtkparams as mtk
from mtkparams import BatchedInterface, System, errors, getp, getsym, setp, setsym


@pytest.fixture(scope="module")
def systems():
    decay = System(
        parameters={"k": 1.0, "c": 5.0},
        unknowns={"x": 2.0},
        derivatives=lambda t, u, p: {"x": -p.k * u.x},
        observed={"rate": lambda t, u, p: p.k * u.x},
    )
    growth = System(
        parameters={"k": 3.0, "m": [1.0, 2.0]},
        unknowns={"y": 4.0},
        derivatives=lambda t, u, p: {"y": p.k * u.y},
    )
    return decay, growth


@pytest.fixture(scope="module")
def both(systems):
    return BatchedInterface((systems[0], ["x", "k"]), (systems[1], ["k", "m", "y"]))


@pytest.fixture(scope="module")
def problems(systems):
    return tuple(map(mtk.ODEProblem, systems))


def test_names(both):
    assert both.names == ("x", "k", "m", "y")
    assert both.owners["k"] == (0, 1)
    assert len(both) == 2
    assert repr(both) == "BatchedInterface(2 systems, x, k, m, y)"


def test_the_first_owner_gives_the_value(both, problems):
    x, k, m, y = getsym(both)(*problems)
    assert (x, k, y) == (2.0, 1.0, 4.0)
    np.testing.assert_array_equal(m, [1.0, 2.0])


def test_every_owner_is_set(both, problems):
    put = setsym(both)
    one, two = put(problems, [7.0, 8.0, [0.5, 0.6], 9.0])
    assert one[["x", "k", "rate", "c"]] == [7.0, 8.0, 56.0, 5.0]
    assert two[["y", "k"]] == [9.0, 8.0]
    np.testing.assert_array_equal(two["m"], [0.5, 0.6])
    alone = put.one(1, problems[1], [7.0, 8.0, [0.5, 0.6], 9.0])
    assert alone.p == two.p
    assert problems[0]["k"] == 1.0


def test_parameters_and_vectors(systems, problems):
    both = BatchedInterface((systems[0], ["c", "k"]), (systems[1], ["k"]))
    loss = lambda v: sum(x**2 for x in getp(both)(*setp(both)([q.p for q in problems], v)))
    np.testing.assert_array_equal(jax.jit(jax.grad(loss))(jnp.array([2.0, 3.0])), [4.0, 6.0])
    assert getsym(BatchedInterface((systems[0], ["rate"])))(problems[0]) == [2.0]


def test_refused(systems, both, problems):
    decay, _ = systems
    with pytest.raises(errors.UnknownNameError, match="Did you mean 'rate'"):
        BatchedInterface((decay, ["rates"]))
    with pytest.raises(errors.KindError, match="System 0 has a list of names, got <function"):
        BatchedInterface((decay, [lambda t, u, p: u.x]))
    with pytest.raises(errors.KindError, match="got 0"):
        BatchedInterface((decay, [0]))
    with pytest.raises(errors.KindError, match="got the text 'xk'"):
        BatchedInterface((decay, "xk"))
    with pytest.raises(errors.DeclarationError, match="Leave 't' out"):
        BatchedInterface((decay, ["t"]))
    with pytest.raises(errors.OverlapError, match="'k' is named twice for system 0"):
        BatchedInterface((decay, ["k", "k"]))
    with pytest.raises(errors.DeclarationError, match="'rate' is an observed value"):
        setsym(BatchedInterface((decay, ["rate"])))
    with pytest.raises(errors.ShapeError, match="2 systems need as many problems, got 1"):
        getsym(both)(problems[0])
    with pytest.raises(errors.KindError, match="has its own list of names"):
        getsym(both, "x")
    with pytest.raises(errors.ShapeError, match="values has 2 values for 4 names"):
        setsym(both)(problems, [1.0, 2.0])
