"""A solution read by name, alone and in a batch."""

from __future__ import annotations

from typing import NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtkparams as mtk
from mtkparams import Initial, ODEProblem, System, errors, remake

TSIT = diffrax.Tsit5()
TS = np.array([0.5, 1.0, 2.0])


@pytest.fixture(scope="module")
def problem():
    decay = System(
        parameters={"k": 0.5, "twice": mtk.Parameter(bind=lambda p: 2 * p.k), "tag": "a"},
        unknowns={"x": 2.0, "y": [1.0, 3.0]},
        derivatives=lambda t, u, p: {"x": -p.k * u.x, "y": -p.k * u.y},
        observed={
            "rate": lambda t, u, p: p.k * u.x,
            "lost": lambda t, u, p: u.rate * t,
            "sum": lambda t, u, p: u.y.sum(),
        },
    )
    return ODEProblem(decay, {}, (0.0, 2.0))


@pytest.fixture(scope="module")
def solution(problem):
    return mtk.solve(problem, TSIT, saveat=TS)


@pytest.fixture(scope="module")
def dense(problem):
    return mtk.solve(problem, TSIT, dense=True, max_steps=200)


@pytest.fixture(scope="module")
def batch(problem):
    ks = jnp.array([0.5, 1.0])
    options = {"solver": TSIT, "dense": True, "max_steps": 200}
    return jax.vmap(lambda k: mtk.solve(remake(problem, {"k": k}), saveat=TS, **options))(ks)


def test_names(solution):
    x = 2 * np.exp(-0.5 * TS)
    np.testing.assert_allclose(solution["x"], x, rtol=1e-5)
    np.testing.assert_allclose(solution["rate"], 0.5 * x, rtol=1e-5)
    np.testing.assert_allclose(solution["lost"], 0.5 * x * TS, rtol=1e-5)
    np.testing.assert_allclose(solution["sum"], 2 * x, rtol=1e-5)
    np.testing.assert_allclose(solution["y"], np.outer(x, [0.5, 1.5]), rtol=1e-5)
    np.testing.assert_allclose(solution["y[1]"], 1.5 * x, rtol=1e-5)
    np.testing.assert_array_equal(solution["t"], TS)
    assert (solution["k"], solution["twice"], solution["tag"]) == (0.5, 1.0, "a")
    assert solution[Initial("x")] == 2.0
    assert (solution.t0, solution.t1) == (0.0, 2.0)
    assert solution.result == mtk.RESULTS.successful
    assert solution.stats["phase"] == 0


class Pair(NamedTuple):
    a: str
    b: str


def test_structures(solution):
    x = solution["x"]
    found = solution[{"a": ["x", "k"], "b": (lambda t, u, p: u.x + p.k * t,), "c": Pair("x", "t")}]
    np.testing.assert_array_equal(found["a"][0], x)
    assert found["a"][1] == 0.5
    np.testing.assert_allclose(found["b"][0], x + 0.5 * TS)
    assert isinstance(found["c"], Pair)
    np.testing.assert_array_equal(found["c"].b, TS)
    assert solution[[]] == []


def test_the_rest_of_the_face(solution):
    assert solution.names() == ("x", "y", "rate", "lost", "sum")
    assert "rate" in solution
    assert "k" in solution
    assert "w" not in solution
    assert set(solution.to_dict()) == {"t", "x", "y", "rate", "lost", "sum"}
    assert list(solution.to_dict(["x"])) == ["t", "x"]
    assert repr(solution) == "Solution(3 times, x, y, rate, lost, sum)"
    assert {n: v.tolist() for n, v in solution.u0.items()} == {"x": 2.0, "y": [1.0, 3.0]}


def test_wrong_names(solution):
    with pytest.raises(errors.UnknownNameError, match="Did you mean 'rate'"):
        solution["rates"]
    with pytest.raises(errors.KindError, match="Names are strings"):
        solution[3]
    with pytest.raises(errors.KindError, match=r"Solve with mtk.solve\(..., dense=True\)"):
        solution(0.5, "x")


def test_between_save_times(dense):
    np.testing.assert_allclose(dense(0.7, "x"), 2 * np.exp(-0.35), rtol=1e-5)
    grid = np.array([[0.1, 0.2], [0.3, 2.0]])
    np.testing.assert_allclose(dense(grid, "rate"), np.exp(-0.5 * grid), rtol=1e-5)
    assert dense(grid, "y").shape == (2, 2, 2)
    assert set(dense(1)) == {"x", "y"}
    with pytest.raises(Exception, match="outside of the solution's time span"):
        dense(2.5, "x")


@pytest.mark.slow
def test_batch(batch):
    x = 2 * np.exp(-np.outer([0.5, 1.0], TS))
    np.testing.assert_allclose(batch["x"], x, rtol=1e-5)
    np.testing.assert_allclose(batch["lost"], x * TS * np.array([[0.5], [1.0]]), rtol=1e-5)
    assert batch["y"].shape == (2, 3, 2)
    assert batch["k"].tolist() == [0.5, 1.0]
    assert batch["t"].shape == (2, 3)
    assert batch[["x", "twice"]][1].tolist() == [1.0, 2.0]
    np.testing.assert_allclose(batch(0.7, "x"), 2 * np.exp(-0.7 * np.array([0.5, 1.0])), rtol=1e-5)


SAVED = {
    "function": lambda: diffrax.SaveAt(ts=TS.tolist(), fn=lambda t, y, args: y**2),
    "part": lambda: diffrax.SaveAt(ts=TS.tolist(), fn=lambda t, y, args: y[:1]),
    "several": lambda: diffrax.SaveAt(
        subs=[diffrax.SubSaveAt(t1=True), diffrax.SubSaveAt(ts=TS.tolist())]
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("saveat", SAVED.values(), ids=SAVED)
def test_what_has_no_names_is_not_read_by_name(problem, saveat):
    solution = mtk.solve(problem, TSIT, saveat=saveat(), max_steps=100)
    for spec in ("x", "rate", ["k", "y"], lambda t, u, p: u.x):
        with pytest.raises(errors.KindError, match=r"read `solution.ys`"):
            solution[spec]
    with pytest.raises(errors.KindError, match=r"read `solution.ys`"):
        solution.to_dict()
    assert solution[["k", "twice", "tag"]] == [0.5, 1.0, "a"]
    assert str(solution) == "Solution(saved functions of x, y)"
    assert jax.tree.leaves(solution.ys)[-1].shape[0] == 3
