"""Setters: new objects, what is set, and what they refuse when they are made."""

from __future__ import annotations

from collections import namedtuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from speed.counts import compilations

from mtkparams import Initial, errors, getp, getsym, setp, setsym

Pair = namedtuple("Pair", "one two")


STRUCTURES = {
    "name": ("a", 5.0, {"a": 5.0}),
    "list": (["a", ["b", "c"]], [5.0, [6.0, 7.0]], {"a": 5.0, "b": 6.0, "c": 7.0}),
    "array for a list": (["b", "a"], np.array([5.0, 6.0]), {"b": 5.0, "a": 6.0}),
    "tuple": (("a", ("b",)), (5.0, (6.0,)), {"a": 5.0, "b": 6.0}),
    "named tuple": (Pair("a", "tau[1]"), Pair(5.0, 6.0), {"a": 5.0, "tau[1]": 6.0}),
    "dictionary": ({"i": "a", "j": ["b"]}, {"j": [6.0], "i": 5.0}, {"a": 5.0, "b": 6.0}),
    "entries": (["tau[0]", "tau[1:3]"], [5.0, jnp.array([6.0, 7.0])], {"tau[2]": 7.0}),
    "initial": (Initial("x"), 5.0, {"Initial(x)": 5.0}),
    "text": ("tag", "run 8", {"tag": "run 8"}),
    "nothing": ([], [], {}),
}


@pytest.mark.parametrize(("spec", "values", "expected"), STRUCTURES.values(), ids=STRUCTURES)
def test_structures(system, problem, spec, values, expected):
    before = problem.p.set({})
    for source in (system, problem, problem.p):
        for provider in (problem, problem.p):
            new = setp(source, spec)(provider, values)
            assert type(new) is type(provider)
            found = getp(new, list(expected))(new)
            assert dict(zip(expected, found, strict=True)) == expected
    assert problem.p == before


def test_unknowns(system, problem):
    new = setsym(system, {"x": "x", "rest": ("y[0]", "a")})(problem, {"x": 7.0, "rest": (8.0, 9.0)})
    assert getsym(system, ["x", "a", "twice", "xy"])(new) == [7.0, 9.0, 18.0, 91.0]
    np.testing.assert_array_equal(new["y"], [8.0, 5.0])
    assert setsym(problem, "x")(problem.p, 7.0)[Initial("x")] == 7.0


REFUSED = {
    "misspelt": ("aa", errors.UnknownNameError, "Did you mean 'a'"),
    "bound": ("twice", errors.BoundParameterError, "'twice' is a dependent parameter"),
    "observed": ("xy", errors.DeclarationError, "'xy' is an observed value and cannot be set"),
    "time": ("t", errors.DeclarationError, "'t' is the time and cannot be set"),
    "derivative": ("D(x)", errors.DeclarationError, r"'D\(x\)' is a derivative"),
    "expression": (lambda p: p.a, errors.KindError, "Only names can be set"),
    "twice": (["a", ["a"]], errors.OverlapError, "'a' is named twice"),
    "unknown and initial": (["x", Initial("x")], errors.OverlapError, "named twice"),
    "whole and entry": (
        ["tau", "tau[1]"],
        errors.OverlapError,
        r"'tau' and 'tau\[1\]' name the same",
    ),
    "out of range": ("tau[3]", errors.UnknownNameError, r"No entry \[3\] in 'tau'"),
    "number": (3, errors.KindError, "Names are strings"),
}


@pytest.mark.parametrize(("spec", "kind", "text"), REFUSED.values(), ids=REFUSED)
def test_refused_at_once(system, problem, spec, kind, text):
    for source in (system, problem):
        with pytest.raises(kind, match=text):
            setsym(source, spec)
    with pytest.raises(errors.KindError, match="'x' is an unknown, which mtk.setp does not set"):
        setp(system, "x")


def test_wrong_values(problem):
    put = setp(problem, ["a", {"k": "b"}])
    with pytest.raises(errors.KindError, match=r"values is a list of 2 values, got float"):
        put(problem, 1.0)
    with pytest.raises(errors.ShapeError, match="values has 3 values for 2 names"):
        put(problem, [1.0, 2.0, 3.0])
    with pytest.raises(
        errors.KindError, match=r"values\[1\] is a dictionary with the keys \['k'\]"
    ):
        put(problem, [1.0, {"j": 1.0}])
    with pytest.raises(errors.ShapeError, match="'tau' has shape"):
        setp(problem, "tau")(problem, [1.0])


def test_who_cannot_be_set(system, solution):
    with pytest.raises(
        errors.KindError, match="Solution: what came out of its values has no others"
    ):
        setp(system, "a")(solution, 1.0)
    with pytest.raises(errors.KindError, match="Values are set in a problem.*got System"):
        setp(system, "a")(system, 1.0)


def test_equal_setters_and_no_retrace(system, problem):
    make = lambda: setsym(system, ["x", "a"])
    assert make() == make()
    assert hash(make()) == hash(make())
    assert make() != setsym(system, ["a", "x"])
    assert setsym(system, "x") != setp(system, Initial("x"))
    assert repr(make()) == "<setter of ['x', 'a']>"
    start = jax.jit(lambda problem, v: getsym(system, "xy")(make()(problem, v)))
    assert start(problem, jnp.array([2.0, 1.0])) == 18.0
    assert compilations(lambda: start(problem, jnp.array([3.0, 2.0])).block_until_ready()) == 0


def test_transformations(system, problem):
    put, get = setsym(system, ["x", "a"]), getsym(system, lambda t, u, p: u.xy * p.twice)
    f = lambda v: get(put(problem, v))  # 9 x * 2 a
    v = jnp.array([2.0, 3.0])
    assert f(v) == 108.0
    np.testing.assert_array_equal(jax.grad(f)(v), [54.0, 36.0])
    np.testing.assert_array_equal(jax.jacfwd(jax.grad(f))(v), [[0.0, 18.0], [18.0, 0.0]])
    np.testing.assert_array_equal(jax.vmap(f)(jnp.stack([v, 2 * v])), [108.0, 432.0])


def test_precision_follows_the_values(problem):
    p = jax.tree.map(lambda x: x.astype(jnp.float32) if x.dtype == float else x, problem.p)
    assert setp(p, "a")(p, 2.0).tunable.dtype == jnp.float32
    assert setp(p, "a")(p, np.float64(2.0)).tunable.dtype == jnp.float64
