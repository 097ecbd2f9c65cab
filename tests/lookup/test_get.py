"""Getters: what they read, from whom, and what they refuse when they are made."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from speed.counts import compilations, equations

import mtkparams as mtk
from mtkparams import Initial, errors, getp, getsym

Pair = namedtuple("Pair", "one two")


def test_structures(problem):
    p = problem.p
    assert getp(p, "a")(p) == 1.0
    assert getp(p, ["a", ["b", "c"]])(p) == [1.0, [2.0, 3.0]]
    assert getp(p, ("a", ("b", "c")))(p) == (1.0, (2.0, 3.0))
    found = getp(p, Pair("a", {"z": "b", "k": ["tau[1]"]}))(p)
    assert isinstance(found, Pair)
    assert found == Pair(1.0, {"z": 2.0, "k": [2.0]})
    assert list(found.two) == ["z", "k"]
    assert getp(p, [])(p) == []
    assert getp(p, ())(p) == ()
    assert getp(p, ["tag", Initial("x"), "twice"])(p) == ["run 7", 1.0, 2.0]


def test_the_same_from_everybody(system, problem, solution):
    for source in (system, problem, problem.p, solution):
        get = getp(source, ["a", "twice", Initial("y[1]")])
        for provider in (problem, problem.p, solution):
            assert get(provider) == [1.0, 2.0, 5.0]


def test_expressions_of_parameters(system, problem, solution):
    for spec in (lambda p: p.a + p.twice, lambda t, u, p: p.a + p.twice):
        for provider in (problem, problem.p, solution):
            assert getp(system, spec)(provider) == 3.0
    assert getp(problem, lambda t, u, p: p.a + t)(problem) == 1.0
    with pytest.raises(errors.KindError, match=r"uses the time.*mtk.getsym reads it"):
        getp(problem, lambda t, u, p: p.a + t)(problem.p)
    with pytest.raises(errors.KindError, match="uses unknowns"):
        getp(problem, lambda t, u, p: p.a + u.x)
    with pytest.raises(errors.KindError, match="uses the time"):
        getp(problem.p, lambda t, u, p: jnp.sin(t))


def test_symbols_at_the_start(system, problem):
    spec = [
        "x",
        "y[1]",
        "xy",
        "more",
        "t",
        "D(x)",
        "D(y)",
        "D(y)[0]",
        "tag",
        lambda t, u, p: u.x + t,
    ]
    for source in (system, problem):
        x, y1, xy, more, t, dx, dy, dy0, tag, sum_ = getsym(source, spec)(problem)
        assert (x, y1, xy, more, t, dx, dy0, tag, sum_) == (1, 5, 9, 9, 0, -1, -8, "run 7", 1)
        np.testing.assert_array_equal(dy, [-8, -10])
    assert getsym(problem.p, ["a", Initial("x")])(problem.p) == [1.0, 1.0]


def test_derivative_of_observed(problem, solution):
    # xy decays with rate a + b; more = xy + t.
    slope = -3 * 9 * np.exp(-3 * np.asarray(solution.ts))
    np.testing.assert_allclose(solution["D(xy)"], slope, rtol=1e-12)
    np.testing.assert_allclose(getsym(problem, "D(more)")(problem), 1 - 27, rtol=1e-12)


def test_series(solution):
    get = getsym(solution, {"x": "x", "a": "a", "more": ("xy", "D(x)"), "t": "t"})
    found = get(solution)
    x = np.exp(-np.asarray(solution.ts))
    np.testing.assert_allclose(found["x"], x)
    np.testing.assert_allclose(found["more"][0], 9 * x**3)
    np.testing.assert_allclose(found["more"][1], -x)
    assert found["a"] == 1.0
    np.testing.assert_array_equal(found["t"], solution.ts)


@pytest.mark.parametrize(
    "at",
    [0, -1, slice(1, None), [2, 0], np.array([True, False, True]), [[0, 1], [1, 2]]],
    ids=str,
)
def test_times_by_number(solution, at: Any):
    x, y, xy, a = getsym(solution, ["x", "y", "xy", "a"])(solution, at)
    at = np.asarray(at) if isinstance(at, list) else at
    np.testing.assert_array_equal(x, np.asarray(solution["x"])[at])
    np.testing.assert_array_equal(y, np.asarray(solution["y"])[at])
    np.testing.assert_allclose(xy, np.asarray(solution["xy"])[at])
    assert a == 1.0


def test_times_that_are_not_there(problem, solution):
    get = getsym(solution, "x")
    with pytest.raises(IndexError):
        get(solution, 3)
    assert np.isnan(jax.jit(get)(solution, 3))
    with pytest.raises(errors.KindError, match="A problem has values at its start alone"):
        get(problem, 0)
    with pytest.raises(errors.KindError, match="Only a solution has several times"):
        getsym(problem.p, "a")(problem.p, 0)
    with pytest.raises(errors.KindError, match="takes no times"):
        getp(problem, "a")(solution, 0)


UNKNOWN = {
    "misspelt": ("xyz", errors.UnknownNameError, "Did you mean 'xy'"),
    "nested": (["a", {"k": ("bb",)}], errors.UnknownNameError, "No 'bb'"),
    "out of range": ("y[2]", errors.UnknownNameError, r"No entry \[2\] in 'y', which has shape"),
    "parameter out of range": ("tau[3]", errors.UnknownNameError, r"No entry \[3\] in 'tau'"),
    "initial of nothing": (Initial("z"), errors.UnknownNameError, r"No 'Initial\(z\)'"),
    "inside an expression": (lambda t, u, p: u.xx, errors.UnknownNameError, "Did you mean 'x'"),
    "inside one of parameters": (lambda p: p.aa, errors.UnknownNameError, "Did you mean 'a'"),
    "derivative of nothing": ("D(z)", errors.UnknownNameError, "No 'z'"),
    "derivative out of range": ("D(y)[2]", errors.UnknownNameError, r"No entry \[2\] in 'y'"),
    "derivative of a parameter": ("D(a)", errors.UnknownNameError, "No 'a'"),
    "number": (3, errors.KindError, "Names are strings.*got 3"),
}


@pytest.mark.parametrize(("spec", "kind", "text"), UNKNOWN.values(), ids=UNKNOWN)
def test_wrong_names_at_once(system, problem, solution, spec, kind, text):
    for source in (system, problem, solution):
        with pytest.raises(kind, match=text):
            getsym(source, spec)


def test_kinds(system, problem, solution):
    expected = {
        **dict.fromkeys(["a", "b", "c", "tau"], "parameter"),
        "twice": "bound",
        "tag": "parameter",
        "Initial(x)": "parameter",
        "Initial(y)": "parameter",
        "x": "unknown",
        "y": "unknown",
        "xy": "observed",
        "more": "observed",
    }
    for source in (system, problem, solution):
        assert mtk.kinds(source) == expected
    nested = mtk.kinds(mtk.System(systems={"one": system}))
    assert list(nested) == [f"Initial(one.{n[8:]}" if "(" in n else f"one.{n}" for n in expected]
    assert set(mtk.kinds(problem.p)) == set(list(expected)[:8])


def test_what_getp_does_not_read(problem):
    for name, text in {
        "x": "'x' is an unknown",
        "xy": "an observed value",
        "t": "the time",
    }.items():
        with pytest.raises(errors.KindError, match=f"{text}.*Use mtk.getsym"):
            getp(problem, name)
    with pytest.raises(errors.UnknownNameError, match="Did you mean 'a'"):
        getp(problem.p, "aa")
    with pytest.raises(errors.UnknownNameError, match=r"No entry \[3\]"):
        getp(problem.p, "tau[3]")


def test_wrong_sources(system, problem):
    with pytest.raises(errors.KindError, match="a system, a problem, .*; got dict"):
        getp({}, "a")
    with pytest.raises(errors.KindError, match="Values are read from a problem.*got System"):
        getp(system, "a")(system)
    with pytest.raises(errors.KindError, match="Values are read from a problem.*got System"):
        getsym(system, "x")(system)


def test_equal_getters(problem, solution):
    make = lambda: getsym(problem, ["x", lambda t, u, p: u.x * p.a])
    assert make() == make()
    assert hash(make()) == hash(make())
    assert make() != getsym(problem, "x")
    assert getp(problem, "a") != getsym(problem, "a")
    assert repr(getp(problem, ["a"])) == "<getter of ['a']>"
    # So a getter can be a static argument, and is compiled once.
    traces = []

    @eqx.filter_jit
    def read(get, solution):
        traces.append(get)
        return get(solution)

    for _ in range(3):
        read(make(), solution)
    assert len(traces) == 1


def test_several_observed_are_one_call(problem, solution):
    def asked():
        return ["xy", "more", lambda t, u, p: u.more + 1.5]

    spec = asked()
    getsym(problem, spec)(problem)
    new = mtk.remake(problem, {"a": 1.25, "x": 3.0})
    get = getsym(solution, spec)
    assert compilations(lambda: get(solution)) == 1
    assert compilations(lambda: get(solution)) == 0
    assert compilations(lambda: getsym(problem, spec)(new)) == 0
    assert compilations(lambda: solution[asked()]) == 0
    # `more` and the expression read `xy` again; it is in the program once.
    assert equations(get, solution)["reduce_sum"] == 1
    assert equations(getsym(problem, spec), problem)["reduce_sum"] == 1


class Settings:
    """Anything that somebody may change after an expression was first read."""

    factor = 1.0


def test_an_expression_is_never_out_of_date(problem, solution):
    settings, table = Settings(), {"factor": 1.0}
    for spec, change in (
        (lambda t, u, p: settings.factor * u.x, lambda v: setattr(settings, "factor", v)),
        (lambda t, u, p: table["factor"] * u.x, lambda v: table.update(factor=v)),
    ):
        get = getsym(problem, spec)
        for factor in (1.0, 3.0):
            change(factor)
            assert get(problem) == factor
            assert solution[spec][0] == factor


def test_gradients(problem, solution):
    grads = eqx.filter_grad(getsym(problem, "x"))(problem)
    np.testing.assert_array_equal(grads.p.initials, [1, 0, 0])
    total = getsym(problem, ["x", "y[1]"])
    grads = eqx.filter_grad(lambda q: sum(total(q)))(problem)
    np.testing.assert_array_equal(grads.p.initials, [1, 0, 1])
    grads = eqx.filter_grad(getp(problem, "b"))(problem)
    np.testing.assert_array_equal(grads.p.tunable, [0, 1, 0, 0, 0])
    # A gradient is read by the same getter.
    grads = eqx.filter_grad(lambda q: getsym(problem, "xy")(q))(problem)
    assert getp(problem, ["a", Initial("x")])(grads) == [0.0, 9.0]
    last = eqx.filter_grad(lambda s: getsym(s, "x")(s, -1))(solution)
    np.testing.assert_array_equal(last.ys[:, 0], [0, 0, 1])


def test_transformations(problem):
    get = getsym(problem, ("x", "xy", "twice", lambda t, u, p: u.x * p.a))
    values = jnp.arange(1.0, 4.0)
    many = jax.vmap(lambda a: mtk.remake(problem, {"a": a, "x": 2 * a}))(values)
    x, xy, twice, product = jax.jit(jax.vmap(get))(many)
    np.testing.assert_array_equal(x, 2 * values)
    np.testing.assert_array_equal(xy, 18 * values)
    np.testing.assert_array_equal(twice, 2 * values)
    np.testing.assert_array_equal(product, 2 * values**2)
    # Parameters of a batch need no vmap.
    np.testing.assert_array_equal(getp(problem, "twice")(many), 2 * values)


def test_a_batch_of_problems(problem):
    values = jnp.arange(1.0, 4.0)
    many = jax.vmap(lambda a: mtk.remake(problem, {"a": a, "x": 2 * a}))(values)
    spec = ["x", ("xy", "t"), "D(x)", "tag", "twice", lambda t, u, p: u.y * p.a]
    x, (xy, t), slope, tag, twice, product = many[spec]
    np.testing.assert_array_equal(x, 2 * values)
    np.testing.assert_array_equal(xy, 18 * values)
    np.testing.assert_array_equal(slope, -2 * values**2)
    assert (tag, t.shape) == ("run 7", (3,))
    np.testing.assert_array_equal(twice, 2 * values)
    np.testing.assert_array_equal(product, np.outer(values, [4.0, 5.0]))
    np.testing.assert_array_equal(getsym(problem, "xy")(many), 18 * values)
    # Buffers without members serve them all.
    some = mtk.batch(problem, {"a": values})
    np.testing.assert_array_equal(some["D(x)"], -values)
    assert some["xy"].tolist() == [9.0, 9.0, 9.0]
    grid = jax.vmap(lambda b: jax.vmap(lambda a: mtk.remake(problem, {"a": a, "b": b}))(values))(
        jnp.ones(2)
    )
    assert grid["xy"].shape == (2, 3)
    with pytest.raises(errors.KindError, match="solve takes one problem, got a batch"):
        mtk.solve(many)
    with pytest.raises(errors.KindError, match="'x' has shape .* this is a batch. Use jax.vmap"):
        mtk.to_diffrax(many)


def test_the_start_that_was_found_and_ensembles(problem):
    system = mtk.System(
        parameters={"b": 2.0},
        unknowns={"x": 1.0, "y": mtk.Unknown(guess=1.5)},
        derivatives=lambda t, u, p: {"x": -u.y},
        residuals=lambda t, u, p: {"y_eq": u.y - p.b * u.x},
        observed={"sum": lambda t, u, p: u.x + u.y},
    )
    dae = mtk.ODEProblem(system)
    get = getsym(system, ["y", "sum", "D(x)"])
    found = mtk.initialize(dae)
    assert get(found) == getsym(found, ["y", "sum", "D(x)"])(found) == [2.0, 3.0, -2.0]
    assert getp(system, "b")(found) == 2.0
    with pytest.raises(errors.DeclarationError, match="'y' is not given but found"):
        mtk.pack(dae, ["y"])
    assert mtk.pack(dae, [Initial("y"), "x"]).tolist() == [1.5, 1.0]
    with pytest.raises(errors.DeclarationError, match="'D.sum.' is the derivative of an observed"):
        getsym(dae, "D(sum)")
    with pytest.raises(errors.DeclarationError, match="'y' is an algebraic unknown"):
        getsym(dae, "D(y)")


def test_nonlinear_problems():
    system = mtk.System(
        parameters={"p1": 4.0, "p2": 3.0},
        unknowns={"u1": mtk.Unknown(guess=1.0), "u2": mtk.Unknown(guess=1.0)},
        residuals=lambda t, u, p: {"one": u.u1**2 - p.p1, "two": u.u2 - u.u1 * p.p2},
        observed={"sum": lambda t, u, p: u.u1 + u.u2 * p.p2},
    )
    problem = mtk.NonlinearProblem(system)
    get = getsym(system, ["u1", "sum", "p1"])
    assert get(problem) == [1.0, 4.0, 4.0]
    solution = mtk.solve(mtk.setp(system, "p1")(problem, 9.0))
    np.testing.assert_allclose(get(solution), [3.0, 30.0, 9.0])
    np.testing.assert_allclose(getsym(solution, "u2")(solution), 9.0)
    values = jnp.array([1.0, 2.0])
    some = eqx.tree_at(lambda q: q.p, problem, mtk.batch(problem.p, {"p2": values}))
    np.testing.assert_array_equal(some["sum"], 1 + values)
    v, repack, _ = mtk.canonicalize(["p2", "p1"], problem)
    assert repack(2 * v)[["p1", "p2"]] == [8.0, 6.0]
    with pytest.raises(errors.DeclarationError, match="'u1' is not given but found"):
        mtk.pack(problem, ["u1"])
    with pytest.raises(errors.KindError, match="A nonlinear problem has no times"):
        get(solution, 0)
    with pytest.raises(errors.KindError, match="NonlinearSolution: what came out of its values"):
        mtk.setp(system, "p1")(solution, 1.0)


def test_a_name_that_is_called_t():
    system = mtk.System(
        parameters={"t": 7.0}, unknowns={"x": 1.0}, derivatives=lambda t, u, p: -u.x
    )
    problem = mtk.ODEProblem(system)
    assert getp(system, "t")(problem) == getsym(problem, "t")(problem) == 7.0
