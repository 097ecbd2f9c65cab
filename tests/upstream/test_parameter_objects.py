"""Cases of ModelingToolkit's `test/mtkparameters.jl`, with indices that start at 0 and row-major arrays.

Left out, with the reason: the in-place `replace!` and views of type-erased containers (nothing here is
changed in place, and an array has a dtype rather than an element type); an array parameter whose length
may change (shapes are part of what is compiled: declare it anew); blocks of clock partitions (what
events change, and when, belongs to the solve).
"""

from __future__ import annotations

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtkparams as mtk
from mtkparams import ODEProblem, System, Unknown, errors, getp, remake, remake_buffer, setp


def mixed(a=1.0, **values):
    return mtk.parameters(
        {
            "a": a,
            "b": mtk.Parameter(bind=lambda p: 2 * p.a),
            "c": mtk.Parameter(3 * a, discrete=True),
            "d": 4,
            "e": [5.0, 6.0, 7.0],
            "f": np.ones((3, 3), int),
            "g": mtk.Parameter([0.1, 0.2, 0.3], tunable=False),
            "h": "foo",
        },
        values,
    )


def everything(p):
    return {
        q: sorted(np.asarray(mtk.canonicalize(q, p)[0]).tolist())
        for q in (mtk.Tunable, mtk.Discrete, mtk.Constants)
    }


def test_zero_and_copies():
    p = mixed(0.0)
    assert p[["a", "b", "c"]] == [0.0, 0.0, 0.0]
    assert jnp.issubdtype(p["d"].dtype, jnp.integer)
    assert p.__copy__() == p


def test_by_name_and_by_place():
    p = mixed()
    assert p["a"] == p["b"] / 2 == p["c"] / 3 == 1.0
    for portion in (mtk.Tunable, mtk.Discrete):
        vector, labels = mtk.canonicalize(portion, p)[0], mtk.labels(p, portion)
        for place, label in enumerate(labels):
            assert p[label] == vector[place]


def test_contents_and_replace():
    p = mixed()
    found = everything(p)
    assert found[mtk.Tunable] == [1.0, 5.0, 6.0, 7.0]
    assert found[mtk.Discrete] == [3.0]
    np.testing.assert_allclose(found[mtk.Constants], [0.1, 0.2, 0.3, *[1.0] * 9, 4.0])
    for portion in found:
        vector, repack, _ = mtk.canonicalize(portion, p)
        ones = mtk.replace(portion, p, jnp.ones_like(vector))
        assert set(everything(ones)[portion]) == {1.0}
        assert set(everything(repack(jnp.zeros_like(vector)))[portion]) == {0.0}
        assert everything(p) == found


def test_setters():
    p = mixed()
    new = setp(p, ["a", "e", "f[1,1]", "g", "h"])(p, [2.0, 5 * np.ones(3), 42, [9.0] * 3, "bar"])
    assert new[["a", "b", "f[1,1]", "h"]] == [2.0, 4.0, 42, "bar"]
    assert new["e"].tolist() == [5.0, 5.0, 5.0]
    assert new["f"].sum() == 50
    with pytest.raises(errors.ShapeError, match=r"'g' has shape \(3,\), got \(100,\)"):
        setp(p, "g")(p, np.ones(100))


def test_precision_of_new_values():
    """Each buffer gets the common dtype of old and new, where upstream takes that of the new one."""
    p = mixed()
    values = {"a": np.float32(1), "c": 2.0, "d": np.uint8(5), "e": np.array([5, 6, 7], np.float32)}
    new = remake_buffer(p, {**values, "f": np.full((3, 3), 3, np.uint32), "h": "bar"})
    assert [len(own) for own in new.buffers.values()] == [len(own) for own in p.buffers.values()]
    assert new.tunable.dtype == jnp.float64
    assert new["b"] == 2.0
    assert new["c"].dtype == jnp.float64
    assert jnp.issubdtype(new["d"].dtype, jnp.integer)
    assert (new["d"], new["f[0,0]"], new["h"]) == (5, 3, "bar")
    # What is bound is refused, where upstream warns and goes on.
    with pytest.raises(errors.BoundParameterError, match="'b' is a dependent parameter"):
        remake_buffer(p, {"b": np.float32(5)})
    # A partial update does not narrow the rest.
    three = mtk.parameters({"p": 1.0, "q": 2.0, "r": 3.0})
    new = remake_buffer(three, {"p": np.float32(1)})
    assert (new.tunable.dtype, new.tunable.tolist()) == (jnp.float64, [1.0, 2.0, 3.0])


def test_derivative_through_remake_buffer():
    p = mixed()
    f = lambda a: sum(getp(p, ["a", "b"])(remake_buffer(p, {"a": a})))
    assert jax.grad(f)(1.5) == jax.jacfwd(f)(1.5) == 3.0


def test_order_is_that_of_declaration():
    p = mtk.parameters({"p": [2.0, 0.1]})
    assert p.tunable.tolist() == [2.0, 0.1]


def test_missing_values():
    system = System(
        parameters={"a": 1.0, "c": None, "b": mtk.Parameter(bind=lambda p: 2 * p.c), "d": None},
        unknowns={"x": 1.0},
        derivatives=lambda t, u, p: {"x": -p.b * u.x},
    )
    with pytest.raises(errors.MissingValueError, match="'d'"):
        ODEProblem(system, {"c": 1.0})
    with pytest.raises(errors.MissingValueError, match=r"'c' \(read by 'b'\)"):
        ODEProblem(system, {"d": 1.0})


LEVELS = {
    "scalars": {"p1": 0.5, "p2": 1.0, "p3": 3.0, "p4": 4.0},
    "scalar and vector": {"p1": 0.5, "y0": [1.0, 2.0]},
    "with integers": {"p1": 0.5, "y0": [1.0, 2.0], "n": 5, "w": np.array([1, 2])},
}


@pytest.mark.parametrize("declared", LEVELS.values(), ids=LEVELS)
def test_stable_types(declared):
    p = mtk.parameters(declared)
    traces = []

    @jax.jit
    def double(p):
        traces.append(p)
        vector, repack, _ = mtk.canonicalize(mtk.Tunable, p)
        return mtk.replace(mtk.Tunable, repack(vector), 2 * vector)

    once, twice = double(p), double(double(p))
    assert jax.tree.structure(once) == jax.tree.structure(twice) == jax.tree.structure(p)
    assert len(traces) == 1


def test_gradient_of_a_solve():
    system = System(
        parameters={
            "alpha": 1.5,
            "beta": mtk.Parameter(1.0, tunable=False),
            "gamma": 3.0,
            "delta": 1.0,
        },
        unknowns={"x": 1.0, "y": 1.0},
        derivatives=lambda t, u, p: {
            "x": p.alpha * u.x - p.beta * u.x * u.y,
            "y": p.delta * u.x * u.y - p.gamma * u.y,
        },
    )
    problem = ODEProblem(system, {}, (0.0, 10.0))
    assert problem.p.names(mtk.Tunable) == ("alpha", "gamma", "delta")

    @jax.jit
    @jax.value_and_grad
    def total(v):
        new = mtk.replace(mtk.Tunable, problem, v)
        ts = jnp.arange(0.0, 10.1, 0.1)
        solution = mtk.solve(
            new, diffrax.Tsit5(), saveat=ts, rtol=1e-10, atol=1e-10, max_steps=1000
        )
        return sum(x.sum() for x in solution[["x", "y"]])

    v = mtk.pack(problem)
    _, gradient = total(v)
    step = 1e-4  # the solve is exact to 1e-10, so the difference is to 1e-6
    finite = [(total(v + d)[0] - total(v - d)[0]) / (2 * step) for d in step * np.eye(3)]
    np.testing.assert_allclose(gradient, finite, rtol=1e-5)


class Foo(eqx.Module):
    x: jax.Array


def test_kinds_of_values():
    p = mtk.parameters({"a": 1.0, "n": 3, "c": [1.0, 2.0, 3.0, 4.0], "d": np.ones((2, 2))})
    put = lambda name, value: setp(p, name)(p, value)
    assert put("a", np.float32(2))["a"] == 2.0
    assert jax.jacfwd(lambda x: put("a", x)["a"])(1.0) == 1.0
    assert (
        put("n", 2.5)["n"] == 2.5
    )  # an integer may become a float, so that it can be differentiated
    assert put("c[1:4]", [2.0, 3.0, 4.0])["c"].tolist() == [1.0, 2.0, 3.0, 4.0]
    for name in ("a", "n", "c"):
        with pytest.raises(errors.KindError, match=f"'{name}' is a number"):
            put(name, "text")
    for wrong in (np.ones((3, 2)), np.ones(4)):
        with pytest.raises(errors.ShapeError, match=r"'d' has shape \(2, 2\)"):
            put("d", wrong)
    whole = mtk.parameters({"foo": mtk.Parameter(Foo(jnp.array(1)), tunable=False)})
    assert setp(whole, "foo")(whole, Foo(jnp.array(2)))["foo"].x == 2
    with pytest.raises(errors.KindError, match="'foo' is a Foo as it was declared"):
        setp(whole, "foo")(whole, 2.0)


def test_an_array_given_by_entries():
    system = System(
        parameters={"k": [0.0] * 4},
        unknowns={"x": 1.0},
        derivatives=lambda t, u, p: {"x": -p.k.sum() * u.x},
    )
    problem = ODEProblem(system, {f"k[{i}]": i + 1.0 for i in range(4)})
    assert problem["k"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert remake(problem, {"k": [2.0, 3.0, 4.0, 5.0]})["k"].tolist() == [2.0, 3.0, 4.0, 5.0]


def test_holes_in_arrays():
    """An array of which one entry alone is given has no value, and whatever reads it neither."""
    system = System(
        parameters={"r": None, "q": 1.0, "p": None},
        unknowns={"x": Unknown(1.0), "z": Unknown(2.0)},
        derivatives=lambda t, u, p: {"x": -p.p * u.x, "z": -p.q * u.z + p.r.sum()},
    )
    for rule in (lambda p: p.z * p.r[1], lambda p: 2 * p.r[1]):
        with pytest.raises(errors.MissingValueError, match="No value for 'r'"):
            ODEProblem(system, {"r[0]": 1.0, "p": rule})
    whole = ODEProblem(system, {"r": [1.0, 3.0], "p": lambda p: 2 * p.r[0]})
    assert whole["p"] == 2.0
