"""Roots and steady states by blocks."""

from __future__ import annotations

import functools
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtkparams as mtk
from mtkparams import errors


def two_blocks(swapped=False) -> mtk.System:
    """The toy of SciMLSensitivity.jl, test/Core8/scc_nonlinearsolve.jl."""
    equations = {
        "one": lambda u, p: u.u1**2 - p.p1,
        "two": lambda u, p: u.u2 - u.u1 * p.p2,
    }
    order = list(equations)[::-1] if swapped else list(equations)
    return mtk.System(
        parameters={"p1": 4.0, "p2": 3.0},
        unknowns={"u1": mtk.Unknown(guess=1.0), "u2": mtk.Unknown(guess=1.0)},
        residuals=lambda t, u, p: {name: equations[name](u, p) for name in order},
        observed={"sum": lambda t, u, p: u.u1 + u.u2},
    )


@functools.cache
def run(blocks):
    problem = mtk.NonlinearProblem(two_blocks())
    repack = mtk.canonicalize(mtk.Tunable, problem.p)[1]

    def f(v, start):
        made = mtk.remake(problem, {"u1": start}, p=repack(v))
        return mtk.solve(made, blocks=blocks)["sum"]

    return jax.jit(lambda v, start: (f(v, start), jax.jacfwd(f)(v, start), jax.jacrev(f)(v, start)))


@pytest.mark.parametrize("blocks", [True, False])
@pytest.mark.parametrize("branch", [1.0, -1.0])
def test_two_blocks(blocks, branch):
    """u = (2, 6) by hand, and the other root from the other side; d(u1 + u2)/dp = (1, 2)."""
    value, forward, reverse = run(blocks)(jnp.array([4.0, 3.0]), branch)
    assert value == pytest.approx(branch * 8.0, abs=1e-12)
    np.testing.assert_allclose(forward, branch * np.array([1.0, 2.0]), atol=1e-12)
    np.testing.assert_allclose(reverse, branch * np.array([1.0, 2.0]), atol=1e-12)


@pytest.mark.parametrize("swapped", [False, True])
def test_blocks_by_name(swapped):
    problem = mtk.NonlinearProblem(two_blocks(swapped))
    solution = mtk.solve(problem)
    assert [(b.block.unknowns, b.block.equations) for b in solution.report().blocks] == [
        (("u1",), ("one",)),
        (("u2",), ("two",)),
    ]
    assert solution.u == {"u1": 2.0, "u2": 6.0}
    assert solution[["u1", "p2", lambda t, u, p: u.u2 / p.p1]] == [2.0, 3.0, 1.5]
    assert str(solution.report()).startswith("Solve: 2 values in 2 blocks")
    assert str(mtk.structure(problem)).startswith("Structure of the equations: 2 unknowns")


def test_a_double_root_is_no_solution():
    problem = mtk.remake(mtk.NonlinearProblem(two_blocks()), {"p1": 0.0})
    with pytest.raises(errors.InitializationError, match="singular Jacobian in block 0 .*'one'"):
        mtk.solve(problem)
    slope = jax.grad(lambda p1: mtk.solve(mtk.remake(problem, {"p1": p1}), throw=False)["u1"])
    assert jnp.isnan(slope(0.0))


def test_values_of_unknowns_are_where_it_starts():
    problem = mtk.NonlinearProblem(two_blocks(), {"u1": -3.0, "p1": 9.0})
    assert problem["u1"] == -3.0
    assert mtk.solve(problem)["u1"] == pytest.approx(-3.0)
    assert mtk.solve(mtk.remake(problem, {"u1": 0.5}))["u1"] == pytest.approx(3.0)
    declared = mtk.System(
        parameters={"k": 2.0}, unknowns={"x": 5.0}, residuals=lambda t, u, p: {"e": u.x**2 - p.k}
    )
    assert mtk.solve(mtk.NonlinearProblem(declared))["x"] == pytest.approx(np.sqrt(2.0))


@pytest.mark.slow
def test_eight_equations():
    """ModelingToolkit.jl, test/scc_nonlinear_problem.jl: blocks of 2, 3 and 3, the last one linear."""
    mixed = jnp.array([[1.0, 1, 1, 1, 1], [1, 1, 1, 2, 1], [1, 2, 3, 5, 6]])
    matrix = jnp.array([[2.0, 2.5, 1.5], [4.0, -1.5, 1.5], [1.0, -1.0, -1.0]])

    def residuals(t, u, p):
        u1, u2, u3, u4, u5 = u.u[:5]
        return {
            "first": jnp.cos(u2) - u1,
            "second": jnp.sin(u1 + u2) + u2,
            "third": 2 * u4 + u3 + 1,
            "fourth": u5**2 + u4,
            "fifth": u3**2 + u5,
            "linear": mixed @ u.u[:5] + matrix @ u.u[5:],
        }

    system = mtk.System(unknowns={"u": mtk.Unknown(guess=jnp.zeros(8))}, residuals=residuals)
    problem = mtk.NonlinearProblem(system)
    solution = mtk.solve(problem)
    sizes = [len(b.block.unknowns) for b in solution.report().blocks]
    assert sorted(sizes) == [2, 3, 3]
    assert solution.report().blocks[-1].block.kind == "affine"
    # The values that upstream's monolithic solve and its blocks agree on.
    expected = [
        0.903212274316663, -0.44360034333363063, -0.6477988712610424, -0.17610056436947885,
        -0.4196433776070806, 2.2041445484455866, 1.0580471331304235, -4.179650698308441,
    ]  # fmt: skip
    np.testing.assert_allclose(solution["u"], expected, atol=1e-9)
    whole = mtk.solve(problem, blocks=False)
    np.testing.assert_allclose(whole["u"], solution["u"], atol=1e-10)


def test_parameters_are_found_too():
    system = mtk.System(
        parameters={"p": 2.0, "q": mtk.Parameter(mtk.SOLVE, guess=-1.5)},
        unknowns={"x": 1.0},
        residuals=lambda t, u, p: {"x is q": u.x - p.q},
        initial_equations=lambda t, u, p: {"sum": (p.p + p.q) * (p.q - 5.0)},
    )
    solution = mtk.solve(mtk.NonlinearProblem(system))
    assert solution.p["q"] == pytest.approx(-2.0, abs=1e-12)
    assert solution["x"] == pytest.approx(-2.0, abs=1e-12)


# Steady states


def reactor() -> mtk.System:
    return mtk.System(
        parameters={"feed": 1.0, "k": 0.5, "total": mtk.Parameter(bind=lambda p: p["Initial(a)"])},
        unknowns={"a": 3.0, "b": 1.0, "w": mtk.Unknown(guess=0.0)},
        derivatives=lambda t, u, p: {"a": p.feed - p.k * u.a, "b": p.k * u.a - u.b**2},
        residuals=lambda t, u, p: {"w": u.w - u.a * u.b},
    )


@pytest.mark.slow
def test_steady_state():
    problem = mtk.NonlinearProblem.steady(mtk.ODEProblem(reactor()))
    solution = mtk.solve(problem)
    assert solution["a"] == pytest.approx(2.0)
    assert solution["b"] == pytest.approx(1.0)
    assert solution["w"] == pytest.approx(2.0)
    assert solution["total"] == 3.0  # what reads an initial value still means the start
    assert mtk.structure(problem).equations == ("D(a)", "D(b)", "w")
    # b = sqrt(feed), a = feed / k
    rise = jax.grad(lambda feed: mtk.solve(mtk.remake(problem, {"feed": feed}))["w"])
    assert rise(1.0) == pytest.approx(3.0)  # w = feed^1.5 / k


def test_conserved_quantities():
    system = mtk.System(
        parameters={"k": 0.5},
        unknowns={"a": 2.0, "b": 1.0},
        derivatives=lambda t, u, p: {"a": u.b - p.k * u.a, "b": p.k * u.a - u.b},
    )
    with pytest.raises(errors.InitializationError, match="singular matrix.*A conserved quantity"):
        mtk.solve(mtk.NonlinearProblem.steady(mtk.ODEProblem(system)))


# Wrong calls


def test_wrong_calls():
    problem = mtk.NonlinearProblem(two_blocks())
    with pytest.raises(errors.DeclarationError, match=r"'a', 'b' have derivatives.*steady"):
        mtk.NonlinearProblem(reactor())
    options: dict[str, Any]
    for options, text in (
        (
            {"saveat": [1.0]},
            "mtk.solve has no option 'saveat' for a nonlinear problem, .*: its options are rtol, ",
        ),
        ({"dense": True}, "which has no times"),
        ({"max_step": 3}, "no option 'max_step'. Did you mean 'max_steps'"),
        ({"solver": diffrax.Tsit5()}, "solved block by block: solver= is 'auto'"),
        ({"atol": {"u1": 1.0}}, "atol= of a nonlinear problem is one number"),
    ):
        with pytest.raises(errors.KindError, match=text):
            mtk.solve(problem, **options)
    defaults: Any = {"rtol": None, "atol": None, "max_steps": None}
    assert mtk.solve(problem, solver="auto", **defaults)["u1"] == 2.0  # pyright: ignore
    with pytest.raises(errors.KindError, match="no time span"):
        mtk.remake(problem, tspan=(0.0, 1.0))
    with pytest.raises(errors.UnknownNameError, match="Did you mean 'p1'"):
        mtk.remake(problem, {"p11": 1.0})
    missing = mtk.System(unknowns={"x": mtk.Unknown()}, residuals=lambda t, u, p: {"e": u.x - 1.0})
    with pytest.raises(errors.MissingGuessError, match="'x'"):
        mtk.NonlinearProblem(missing)


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [True, False])
def test_a_guess_within_rounding_of_a_double_root_has_no_slope(blocks):
    circle = mtk.System(
        parameters={"r": 1.0, "x": 1.0},
        unknowns={"y": mtk.Unknown(guess=1e-9)},
        residuals=lambda t, u, p: {"circle": p.x**2 + u.y**2 - p.r**2},
    )
    problem = mtk.NonlinearProblem(circle)

    def height(r):
        changed = mtk.remake(problem, {"r": r})
        return mtk.solve(changed, throw=False, blocks=blocks)["y"]

    # The residual is zero there to the last digit, and 1 / y a billion: the true slope is infinite.
    assert np.isnan(jax.grad(height)(1.0))
    with pytest.raises(errors.InitializationError, match="a root with a singular Jacobian"):
        mtk.solve(problem, blocks=blocks)
    r = 1.0 + 1e-6
    np.testing.assert_allclose(jax.grad(height)(r), r / np.sqrt(r**2 - 1), rtol=1e-6)
