"""Cases of ModelingToolkit's `index_cache.jl`, `split_parameters.jl` and `parameter_bindings.jl`, and of
SymbolicIndexingInterface, with indices that start at 0 and row-major arrays.

Left out, with the reason: places as numbers of buffers (`ParameterIndex`: names are the only way in
here); hooks after a set, buffers to read into, and setters in place (nothing is changed in place);
series of discrete values.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtkparams as mtk
from mtkparams import Initial, ODEProblem, System, errors, getp, getsym, setp, setsym


def test_order_of_tunables():
    p = mtk.parameters(
        {
            "p": 1.0,
            "q": [3.0, 3.0, 3.0],
            "r": np.full((2, 2), 4.0),
            "s": mtk.Parameter(5.0, tunable=False),
        }
    )
    labels = mtk.labels(p)
    assert labels == (
        "p",
        *(f"q[{i}]" for i in range(3)),
        *(f"r[{i},{j}]" for i in (0, 1) for j in (0, 1)),
    )
    for order, expected in {
        ("q", "r", "p"): [3, 3, 3, 4, 4, 4, 4, 1],
        ("r", "p", "q"): [4, 4, 4, 4, 1, 3, 3, 3],
        ("q[0]", "r[:,0]", "q[1]", "r[:,1]", "q[2]", "p"): [3, 4, 4, 3, 4, 4, 3, 1],
    }.items():
        assert mtk.pack(p, order).tolist() == expected
        # One axis of any array from the order of the tunables to another one.
        columns = [labels.index(label) for label in mtk.labels(p, order)]
        stack = jnp.broadcast_to(mtk.pack(p), (5, 8))
        np.testing.assert_array_equal(
            stack[:, np.array(columns)], np.broadcast_to(expected, (5, 8))
        )
    with pytest.raises(errors.ShapeError, match="takes a vector of 8 entries"):
        mtk.replace(mtk.Tunable, p, np.ones(5))


def test_places_of_all_portions():
    a_function, another = jnp.sin, jnp.cos
    p = mtk.parameters(
        {
            "a": np.arange(1.0, 4.0),
            "b": np.arange(4.0, 8.0).reshape(2, 2),
            "c": [8.0, 9.0, 10.0],
            Initial("x"): np.arange(11.0, 21.0),
            "on": mtk.Parameter([True, False, False, True], discrete=True),
            "m": mtk.Parameter(np.array([[[1.0, 2], [3, 4]], [[2, 4], [6, 8]]]), discrete=True),
            "k": np.array([5, 6]),
            "words": "hi",
            "function": a_function,
        }
    )
    assert (p.tunable[0], p.initials[0]) == (1.0, 11.0)
    assert p["a[1:3]"].tolist() == [2.0, 3.0]
    assert p["b"].tolist() == [[4.0, 5.0], [6.0, 7.0]]
    assert p[Initial("x[1:4]")].tolist() == [12.0, 13.0, 14.0]
    assert p["m[0,1,1]"] == 4.0
    assert p["m[1]"].tolist() == [[2.0, 4.0], [6.0, 8.0]]
    assert p["on"].tolist() == [True, False, False, True]
    assert p["k[0]"] == 5
    assert p["function"] is a_function
    new = p.set(
        {"a": np.arange(1.5, 4), "b": np.arange(4.5, 8).reshape(2, 2), "c": [8.5, 9.5, 10.5]}
    )
    assert new.tunable.tolist() == (np.arange(1, 11) + 0.5).tolist()
    new = new.set({Initial("x"): np.arange(11.5, 21), "function": another, "words": "bye"})
    assert new.initials.tolist() == (np.arange(11, 21) + 0.5).tolist()
    assert (new["words"], new["function"]) == ("bye", another)


def bound(p1: Any = 1.0):
    return System(
        parameters={"p1": p1, "p2": mtk.Parameter(bind=lambda p: 2 * p.p1)},
        unknowns={"x": 1.0},
        derivatives=lambda t, u, p: {"x": jnp.sum(p.p2) * t},
    )


def test_bindings_follow():
    vector = ODEProblem(bound([0.0, 0.0]))
    new = setp(vector, "p1")(vector, [1.5, 2.5])
    assert new["p2"].tolist() == [3.0, 5.0]
    problem = ODEProblem(bound())
    assert getp(problem, lambda p: 2 * p.p2)(problem) == 4.0
    parent = System(systems={"sys1": bound(), "sys2": bound()})
    composed = ODEProblem(parent)
    new = setp(parent, "sys2.p1")(composed, 2.5)
    assert new[["sys1.p2", "sys2.p2"]] == [2.0, 5.0]
    assert mtk.remake(composed, {"sys1.p1": 1.5})["sys1.p2"] == 3.0


def test_bindings_follow_a_vector():
    p = setp(bound(), "p1")(ODEProblem(bound()), 3.0).p
    assert p["p2"] == 6.0
    vector, repack, _ = mtk.canonicalize(mtk.Tunable, p)
    assert repack(4 * jnp.ones_like(vector))[["p1", "p2"]] == [4.0, 8.0]
    one = mtk.replace(mtk.Tunable, p, jnp.ones_like(vector))
    assert one[["p1", "p2"]] == [1.0, 2.0]
    assert mtk.replace(mtk.Tunable, one, 2 * mtk.pack(one))[["p1", "p2"]] == [2.0, 4.0]
    rates = mtk.parameters({"gamma": 0.01, "beta": mtk.Parameter(bind=lambda p: 0.01 * p.gamma)})
    assert rates["beta"] == 0.0001


@pytest.fixture(scope="module")
def four():
    return System(
        parameters={"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0},
        unknowns={"x": 5.0, "y": 6.0, "z": 7.0},
        derivatives=lambda t, u, p: {"x": p.a, "y": p.b, "z": p.c},
        observed={"xy": lambda t, u, p: u.x * u.y},
    )


def test_table_of_getters(four):
    problem = ODEProblem(four, {}, (9.0, 10.0))
    assert getp(four, ["a", ["b", "c"]])(problem) == [1.0, [2.0, 3.0]]
    assert getp(four, ("a", ("b", "c")))(problem) == (1.0, (2.0, 3.0))
    assert getp(four, {"k": "a", "l": ("d",)})(problem) == {"k": 1.0, "l": (4.0,)}
    assert getp(four, lambda t, u, p: p.a + p.b + t)(problem) == 12.0
    assert (getp(four, [])(problem), getp(four, ())(problem)) == ([], ())
    new = setp(four, ["a", "b", "c", "d"])(problem, [4.0, 5.0, 6.0, 7.0])
    assert getp(four, ["a", "b", "c", "d"])(new) == [4.0, 5.0, 6.0, 7.0]
    assert setp(four, [])(problem, []).p == problem.p
    narrow = setp(four, "a")(problem, np.float32(4.5))
    assert (narrow["a"], narrow.p.tunable.dtype) == (4.5, jnp.float64)
    assert getsym(four, ["x", ("xy", "t")])(problem) == [5.0, (30.0, 9.0)]
    assert getsym(four, lambda t, u, p: u.x * u.y + p.a + t)(problem) == 40.0


def test_remake_buffer_of_plain_arrays():
    old = jnp.array([1.0, 2.0, 3.0])
    new = mtk.remake_buffer(old, {0: 2})
    # The common dtype of old and new, where upstream would make integers of them.
    assert (new.tolist(), new.dtype) == ([2.0, 2.0, 3.0], jnp.float64)
    assert mtk.remake_buffer(jnp.array([1, 2, 3]), {0: 2.0}).dtype == jnp.float64
    # What is no member is an error, where upstream skips it.
    with pytest.raises(errors.UnknownNameError, match="No entry 3 in a buffer of 3"):
        mtk.remake_buffer(old, {3: 5.0})


def test_gradients_of_getters(four):
    problem = ODEProblem(four)
    of = lambda spec, what: jax.grad(
        lambda v: sum(jax.tree.leaves(getsym(four, spec)(mtk.replace(what, problem, v))))
    )(mtk.pack(problem, what)).tolist()
    assert of("x", mtk.Initials) == [1.0, 0.0, 0.0]
    assert of(["x", "z"], mtk.Initials) == [1.0, 0.0, 1.0]
    assert of("a", mtk.Tunable) == [1.0, 0.0, 0.0, 0.0]
    assert of(["a", "c"], mtk.Tunable) == [1.0, 0.0, 1.0, 0.0]


def test_array_parameters():
    system = System(
        parameters={
            "p": np.ones((2, 2)),
            "q": mtk.Parameter([1.0, 1.0], discrete=True),
            "r": [2.0, 2.0],
        },
        unknowns={"x": [1.0, 1.0]},
        derivatives=lambda t, u, p: {"x": -p.r * u.x},
        observed={"pq": lambda t, u, p: p.p @ p.q},
    )
    problem = ODEProblem(system)
    assert problem["pq"].tolist() == [2.0, 2.0]
    for factor, put in ((2.0, setp), (3.0, setsym)):
        values = [factor * np.ones((2, 2)), factor * np.ones(2), factor * np.ones(2)]
        new = put(system, ["p", "q", "r"])(problem, values)
        for found, value in zip(getp(system, ["p", "q", "r"])(new), values, strict=True):
            np.testing.assert_array_equal(found, value)
    assert setp(system, ["r[0]", "p[1,0]"])(problem, [4.0, 5.0])[["r[0]", "p[1,0]"]] == [4.0, 5.0]
