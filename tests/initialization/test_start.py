"""What is given, what is found, and what happens where there is too much or too little of it."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from initialization.models import circle, cubic_chain

import mtkparams as mtk
from mtkparams import errors

SOLVED = mtk.RESULTS.successful


def problem(values=None, **options):
    return mtk.ODEProblem(circle(), values or {}, (0.0, 1.0), **options)


# Conditions and guesses


def test_the_guess_decides_between_roots():
    assert mtk.initialize(problem())["y"] == pytest.approx(0.75, abs=1e-12)
    below = problem(guesses={"y": -0.5})
    assert mtk.initialize(below)["y"] == pytest.approx(-0.75, abs=1e-12)


def test_before_and_after():
    start = problem()
    assert start.u0 == {"x": 1.0, "y": 0.5}
    init = mtk.initialize(start)
    assert init.result == SOLVED
    assert init.u0["y"] == init["y"] == init.p[mtk.Initial("y")] == init.problem["y"]
    assert init[["x", lambda t, u, p: u.y * 2]][1] == pytest.approx(1.5)
    assert "y" in init
    # What was found is no condition: another search goes on from it, and adapts.
    again = mtk.remake(init.problem, {"x": 0.0})
    assert mtk.initialize(again)["y"] == pytest.approx(1.25, abs=1e-12)
    assert start.u0 == {"x": 1.0, "y": 0.5}


def test_a_value_for_an_algebraic_unknown_is_a_condition():
    assert mtk.initialize(problem({"y": 0.75}))["y"] == 0.75
    with pytest.raises(errors.InitializationError, match="The values given contradict 'on circle'"):
        mtk.initialize(problem({"y": 0.7}))
    # Then something else may be found.
    found = mtk.initialize(problem({"y": 0.75, "x": mtk.UNSET}, guesses={"x": 0.8}))
    assert found["x"] == pytest.approx(1.0, abs=1e-12)


def test_a_parameter_to_find():
    for values in ({"y": 0.75, "r": mtk.SOLVE}, {"y": 0.75, "r": mtk.SOLVE, "x": lambda p: 1.0}):
        found = mtk.initialize(problem(values))
        assert found.p["r"] == pytest.approx(1.25, abs=1e-12)
    system = mtk.System(
        parameters={"q": mtk.Parameter(mtk.SOLVE, guess=1)},
        unknowns={"x": 2.0, "y": 6.0},
        derivatives=lambda t, u, p: {"x": -u.y},
        residuals=lambda t, u, p: {"line": u.y - p.q * u.x},
    )
    assert mtk.initialize(mtk.ODEProblem(system))["q"] == pytest.approx(3.0)
    given = mtk.ODEProblem(system, {"q": 3, "y": mtk.UNSET}, guesses={"y": 0.0})
    assert given.p.names(mtk.Tunable) == ("q",)
    assert mtk.initialize(given)["y"] == pytest.approx(6.0)


def test_dependent_values():
    by_rule = problem({"x": lambda p: 0.6 * p.r})
    assert mtk.initialize(by_rule)["y"] == pytest.approx(1.0, abs=1e-12)
    # A rule may read what is found: x = y / 2 on the circle.
    both = mtk.initialize(problem({"x": lambda p: p.y / 2}))
    assert both["y"] == pytest.approx(1.25 / np.sqrt(1.25), abs=1e-12)
    assert both["x"] == pytest.approx(both["y"] / 2)


def test_guesses_that_follow_other_values():
    ruled = problem(guesses={"y": lambda p: -p.r})
    assert ruled["y"] == -1.25
    assert mtk.remake(ruled, {"r": 2.0, "x": 0.0})["y"] == -2.0
    assert mtk.remake(ruled, {"r": 2.0}, guesses={"y": 0.5})["y"] == 0.5
    with pytest.raises(errors.CycleError):
        problem({"x": mtk.UNSET}, guesses={"x": lambda p: p.y, "y": lambda p: p.x})


def test_initial_equations():
    system = mtk.System(
        parameters={"k": 0.5},
        unknowns={"x": mtk.Unknown(guess=2.0)},
        derivatives=lambda t, u, p: {"x": 1.0 - p.k * u.x**2},
        initial_equations=lambda t, u, p: {"at rest": u["D(x)"]},
    )
    init = mtk.initialize(mtk.ODEProblem(system))
    assert init["x"] == pytest.approx(np.sqrt(2.0), abs=1e-12)
    with pytest.raises(errors.InitializationError, match="contradict 'at rest'"):
        mtk.initialize(mtk.ODEProblem(system, {"x": 1.0}))


def test_entries_of_arrays():
    system = mtk.System(
        parameters={"w": [1.0, 2.0, 3.0]},
        unknowns={"x": 1.0, "z": mtk.Unknown(guess=[0.1, 0.2, 0.3])},
        derivatives=lambda t, u, p: {"x": -u.x},
        residuals=lambda t, u, p: {"all": u.z - p.w * u.x},
    )
    whole = mtk.ODEProblem(system)
    assert mtk.initialize(whole)["z"].tolist() == [1.0, 2.0, 3.0]
    part = mtk.remake(whole, {"z[1]": 2.0})
    assert mtk.structure(part).unknowns == ("z[0]", "z[2]")
    init = mtk.initialize(part)
    assert init["z"].tolist() == [1.0, 2.0, 3.0]
    assert init.report().checked == ("all[1]",)
    assert mtk.structure(mtk.remake(part, {"w[0]": 5.0})).unknowns == ("z[0]", "z[2]")
    with pytest.raises(errors.InitializationError, match=re.escape("contradict 'all[1]'")):
        mtk.initialize(mtk.remake(part, {"z[1]": 5.0}))


def test_nothing_to_find():
    system = mtk.System(unknowns={"x": 1.0}, derivatives=lambda t, u, p: {"x": -u.x})
    init = mtk.initialize(mtk.ODEProblem(system))
    assert init.result == SOLVED
    assert len(init.report()) == 0
    assert init.p.caches == ()


# Missing values and guesses are different mistakes


def test_missing():
    system = mtk.System(
        parameters={"k": None},
        unknowns={"x": None, "y": mtk.Unknown()},
        derivatives=lambda t, u, p: {"x": -u.y},
        residuals=lambda t, u, p: {"c": u.y - p.k * u.x},
    )
    with pytest.raises(errors.MissingGuessError, match="No guess for 'y', which the algebraic"):
        mtk.ODEProblem(system, {"k": 1.0, "x": 1.0})
    with pytest.raises(errors.MissingGuessError, match="No guess for 'k', which mtk.SOLVE"):
        mtk.ODEProblem(system, {"k": mtk.SOLVE, "x": 1.0}, guesses={"y": 1.0})
    with pytest.raises(errors.MissingValueError, match=r"Initial\(x\)") as missing:
        mtk.ODEProblem(system, {"k": 1.0}, guesses={"y": 1.0})
    assert not isinstance(missing.value, errors.MissingGuessError)
    with pytest.raises(errors.UnknownNameError, match="No 'yy' among the unknowns and parameters"):
        mtk.ODEProblem(system, guesses={"yy": 1.0})


@pytest.mark.parametrize("what", [3, True, "text"])
def test_only_floats_can_be_found(what):
    system = mtk.System(
        parameters={"n": what},
        unknowns={"x": 1.0},
        derivatives=lambda t, u, p: {"x": -u.x},
    )
    with pytest.raises(errors.KindError, match="'n' is mtk.SOLVE, which only floats can be"):
        mtk.ODEProblem(system, {"n": mtk.SOLVE})


def test_solve_for_needs_equations():
    with pytest.raises(errors.DeclarationError, match="'k' is mtk.SOLVE"):
        mtk.parameters({"k": mtk.Parameter(mtk.SOLVE, guess=1.0)})


# Too many and too few equations


def test_undetermined():
    free = problem({"x": mtk.UNSET}, guesses={"x": 1.0})
    with pytest.warns(errors.UnderdeterminedWarning, match="'x', 'y' are not determined"):
        init = mtk.initialize(free)
    # The nearest point of the circle lies on the ray through the guess (1, 0.5).
    np.testing.assert_allclose(
        [init["x"], init["y"]], 1.25 * np.array([1.0, 0.5]) / np.hypot(1.0, 0.5), atol=1e-10
    )
    with pytest.raises(errors.ExtraUnknownsError, match="fewer equations") as error:
        mtk.initialize(free, fully_determined=True)
    assert error.value.unknowns == ("x", "y")


def test_overdetermined():
    system = mtk.System(
        parameters={"a": 2.0, "b": 6.0},
        unknowns={"x": mtk.Unknown(guess=1.0)},
        derivatives=lambda t, u, p: {"x": -u.x},
        initial_equations=lambda t, u, p: {"one": u.x - p.a, "two": 3 * u.x - p.b},
    )
    start = mtk.ODEProblem(system)
    assert mtk.initialize(start)["x"] == pytest.approx(2.0, abs=1e-12)
    with pytest.raises(errors.ExtraEquationsError, match="'one', 'two' are too many together"):
        mtk.initialize(start, fully_determined=True)
    with pytest.raises(
        errors.InitializationError, match="no values that fulfil all of 'one', 'two'"
    ):
        mtk.initialize(mtk.remake(start, {"b": 7.0}))
    failed = mtk.initialize(mtk.remake(start, {"b": 7.0}), throw=False)
    assert jnp.isnan(failed["x"])
    assert failed.result != SOLVED


def test_both_too_many_and_too_few():
    system = mtk.System(
        parameters={"a": 2.0},
        unknowns={"x": mtk.Unknown(guess=1.0), "y": mtk.Unknown(guess=1.0), "z": mtk.Unknown(guess=1.0)},
        derivatives=lambda t, u, p: {"x": -u.x, "y": -u.y, "z": u.x},
        initial_equations=lambda t, u, p: {
            "one": u.x - p.a, "two": u.x**2 - 4.0, "three": u.y + u.z,
        },
    )  # fmt: skip
    with pytest.raises(errors.StructureError) as error:
        mtk.initialize(mtk.ODEProblem(system))
    assert error.value.equations == ("one", "two")
    assert error.value.unknowns == ("y", "z")
    text = str(mtk.structure(mtk.ODEProblem(system)))
    assert "too many together: 'one', 'two'" in text
    assert "too few equations determine: 'y', 'z'" in text


def test_what_no_equation_reads():
    system = mtk.System(
        unknowns={"x": mtk.Unknown(guess=1.0)}, derivatives=lambda t, u, p: {"x": -u.x}
    )
    with pytest.raises(errors.ExtraUnknownsError, match="Nothing determines 'x': no equation"):
        mtk.initialize(mtk.ODEProblem(system))


# Algorithms


def test_check():
    with pytest.raises(errors.InitializationError, match="contradict 'on circle'"):
        mtk.initialize(problem(), mtk.CheckInit())
    init = mtk.initialize(problem())
    assert mtk.initialize(init.problem, mtk.CheckInit()).u0 == init.u0
    near = mtk.remake(problem({"y": 0.75}), {"y": 0.75 + 1e-5})
    assert mtk.initialize(near, mtk.CheckInit(atol=1e-4)).result == SOLVED
    with pytest.raises(errors.InitializationError):
        mtk.initialize(near, mtk.CheckInit(atol=1e-6))


def test_as_it_is():
    assert mtk.initialize(problem({"y": 7.0}), mtk.NoInit()).u0 == {"x": 1.0, "y": 7.0}


def test_algebraic_only():
    init = mtk.initialize(problem({"y": 0.7}), mtk.BrownFullBasicInit())
    assert init["y"] == pytest.approx(0.75, abs=1e-12)
    with pytest.raises(errors.DeclarationError, match="start of 'y' is dependent"):
        mtk.initialize(problem({"y": lambda p: p.r}), mtk.BrownFullBasicInit())


def test_wrong_algorithms():
    with pytest.raises(errors.KindError, match="options of an algorithm are its own"):
        mtk.initialize(problem(), mtk.OverrideInit(), rtol=1e-3)
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(errors.KindError, match="mtk.OverrideInit\\(\\), "):
            mtk.initialize(problem(), "Newton")  # pyright: ignore[reportArgumentType]
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
    # Not found by the name of a default: the call says which option it does not have.
    with pytest.raises(
        errors.UnknownOptionError, match="no option 'max_step'. Did you mean 'max_steps'"
    ):
        mtk.initialize(problem(), max_step=3)  # pyright: ignore[reportCallIssue]


# Failures


def test_no_root():
    with pytest.raises(
        errors.InitializationError,
        match=r"did not converge in block 0 \(equations 'on circle'; unknowns 'y'\).*started from y = 0.5",
    ):
        mtk.initialize(problem({"x": 2.0}))
    with pytest.raises(Exception, match="did not converge in block 0 .*'on circle'"):
        jax.jit(lambda q: mtk.initialize(q)["x"])(problem({"x": 2.0}))


def test_failure_without_raising():
    start = problem()

    def found(r):
        return mtk.initialize(mtk.remake(start, {"r": r}), throw=False)

    rs = jnp.array([1.25, 0.5, 2.0])
    height = lambda r: found(r)["y"]
    batch, slopes, forward, mean = jax.jit(
        lambda rs: (
            jax.vmap(found)(rs),
            jax.vmap(jax.grad(height))(rs),
            jax.vmap(lambda r: jax.jvp(height, (r,), (1.0,))[1])(rs),
            jax.grad(lambda s: jnp.nanmean(jax.vmap(height)(s * rs)))(1.0),
        )
    )(rs)
    good = jnp.sqrt(rs[::2] ** 2 - 1)
    expected = jnp.stack([rs[0] / good[0], jnp.array(jnp.nan), rs[2] / good[1]])
    np.testing.assert_allclose(batch["y"], np.array([good[0], np.nan, good[1]]), rtol=1e-12)
    np.testing.assert_allclose(slopes, expected, rtol=1e-10)
    np.testing.assert_allclose(forward, expected, rtol=1e-10)
    assert mean == pytest.approx(float((rs[::2] ** 2 / good).mean()), rel=1e-10)
    assert (batch.result == SOLVED).tolist() == [True, False, True]
    text = str(batch.report())
    assert "2 of 3 members succeeded" in text
    assert "failed" in text


def test_contradictions_without_raising():
    start = problem({"y": 0.75})
    height = lambda y: mtk.initialize(mtk.remake(start, {"y": y}), throw=False)["y"]
    values, slopes = jax.vmap(jax.value_and_grad(height))(jnp.array([0.75, 0.7]))
    np.testing.assert_array_equal(values, [0.75, jnp.nan])
    np.testing.assert_array_equal(slopes, [1.0, jnp.nan])
    both = mtk.initialize(mtk.remake(start, {"y": 0.7}), throw=False)
    assert both.result == mtk.RESULTS.inconsistent
    assert both.report().violated == ("on circle",)
    assert jnp.isnan(both["x"])


def test_a_failed_block_leaves_others():
    system = mtk.System(
        unknowns={name: mtk.Unknown(guess=1.0) for name in ("a", "b", "c")} | {"x": 0.0},
        derivatives=lambda t, u, p: {"x": u.a},
        residuals=lambda t, u, p: {"A": u.a**2 + 1.0, "B": u.b - u.a, "C": u.c - 3.0},
    )
    init = mtk.initialize(mtk.ODEProblem(system), throw=False)
    assert {b.block.equations: b.status for b in init.report().blocks} == {
        ("A",): "failed",
        ("B",): "waits for a failed one",
        ("C",): "solved",
    }
    assert init["c"] == 3.0
    assert jnp.isnan(init["a"])
    assert jnp.isnan(init["b"])
    with pytest.raises(errors.InitializationError, match="Not solved because of that: 'b'"):
        mtk.initialize(mtk.ODEProblem(system))


def test_a_singular_root():
    """0 = y^2 - r at r = 0: a root that does not depend on r smoothly."""
    system = mtk.System(
        parameters={"r": 0.0},
        unknowns={"x": 1.0, "y": mtk.Unknown(guess=1.0)},
        derivatives=lambda t, u, p: {"x": u.y},
        residuals=lambda t, u, p: {"square": u.y**2 - p.r},
    )
    start = mtk.ODEProblem(system)
    with pytest.raises(errors.InitializationError, match="singular Jacobian in block 0"):
        mtk.initialize(start)
    slope = jax.grad(lambda r: mtk.initialize(mtk.remake(start, {"r": r}), throw=False)["y"])
    assert jnp.isnan(slope(0.0))
    assert mtk.initialize(start, throw=False).result == mtk.RESULTS.singular


def test_a_double_root_behind_rounding():
    """0 = x^2 + y^2 - r^2 at x = r: for |y| below 1e-8 the residual is exactly zero."""
    start = problem({"x": 1.25})
    failed = mtk.initialize(start, throw=False)
    assert failed.result == mtk.RESULTS.singular
    slope = jax.grad(lambda r: mtk.initialize(mtk.remake(start, {"r": r}), throw=False)["y"])
    assert jnp.isnan(slope(1.25))


# Compiling


@pytest.mark.slow
def test_values_and_guesses_never_retrace():
    start = mtk.ODEProblem(cubic_chain())
    traces = []

    @jax.jit
    def run(problem):
        traces.append(1)
        return mtk.initialize(problem)["z"]

    first = run(start)
    run(mtk.remake(start, {"b": 2.5, "x": 0.9}))
    assert run(mtk.remake(start, guesses={"y": 0.7, "z": 0.6})) == pytest.approx(
        float(first), abs=1e-12
    )
    run(mtk.initialize(start).problem)
    run(mtk.ODEProblem(cubic_chain(), {"a": -0.4}, guesses={"y": 0.2}))
    assert len(traces) == 1
    run(mtk.remake(start, {"y": 1.0}))  # a condition more: another program
    assert len(traces) == 2


def test_report():
    init = mtk.initialize(mtk.ODEProblem(cubic_chain()))
    assert str(init.report()).splitlines()[0] == "Initialization: 2 values in 2 blocks"
    assert [b.block.unknowns for b in init.report().blocks] == [("y",), ("z",)]
    assert init.report()[1].block.reads == (0,)
    assert all(b.residual < 1e-14 for b in init.report().blocks)
    whole = mtk.initialize(mtk.ODEProblem(cubic_chain()), blocks=False).report()
    assert [b.block.kind for b in whole.blocks] == ["all at once"]
    traced = []
    jax.eval_shape(
        lambda q: traced.append(str(mtk.initialize(q).report())), mtk.ODEProblem(cubic_chain())
    )
    assert traced == ["Initialization of 2 blocks, traced: its values are not known yet."]
