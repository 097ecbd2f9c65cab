"""Algebraic equations that lose their solution on the way: a message with names, or NaN throughout."""

from __future__ import annotations

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtkparams as mtk
from mtkparams import ODEProblem, System, Unknown, errors, remake

TSIT = diffrax.Tsit5()
KS = np.array([0.5, 1.0, 0.25])  # x = k t: the second one meets the fold at x = 2


@pytest.fixture(scope="module")
def fold():
    """Two solutions that meet at x = 2, z = 1, and end there."""
    system = System(
        parameters={"k": 1.0},
        unknowns={"x": 0.0, "y": Unknown(guess=0.0), "z": Unknown(guess=2.0)},
        derivatives=lambda t, u, p: {"x": p.k + 0 * u.z},
        residuals=lambda t, u, p: {"double": u.y - 2 * u.x, "g": u.z**3 - 3 * u.z + u.x},
    )
    return ODEProblem(system, {}, (0.0, 3.0))


LOST = (
    r"The algebraic equations for 'z' have no solution{} that goes on from the one before: they are "
    r"singular there \(a fold"
)


@pytest.mark.slow
def test_the_block_is_named(fold):
    with pytest.raises(errors.SolveError, match=LOST.format(r" after t = 2(\.0+\d*)?")):
        mtk.solve(fold, TSIT)


@pytest.mark.slow
@pytest.mark.parametrize("solver", [diffrax.Kvaerno5(), "auto"], ids=["implicit", "auto"])
def test_the_block_is_named_by_other_solvers(fold, solver):
    with pytest.raises(errors.SolveError, match=LOST.format(r" after t = .*")):
        mtk.solve(fold, solver, max_steps=3000)


@pytest.mark.slow
def test_the_block_is_named_under_jit(fold):
    final = lambda k: mtk.solve(remake(fold, {"k": k}), TSIT)["z"][-1]
    run = eqx.filter_jit(final)
    assert np.isclose(run(jnp.array(0.5)) ** 3 - 3 * run(jnp.array(0.5)) + 1.5, 0.0)
    with pytest.raises(Exception, match=LOST.format("")):
        run(jnp.array(1.0))


def exact(k):
    """z on the upper branch at x = 3 k, and its derivative by k."""
    z = 2 * np.cos(np.arccos(-3 * k / 2) / 3)
    return z, -3 / (3 * z**2 - 3)


def check_members(problem, forward, solver: Any = TSIT):
    adjoint: Any = diffrax.ForwardMode() if forward else None
    options: dict[str, Any] = {"throw": False, "max_steps": 2000, "rtol": 1e-8}

    def final(k):
        return mtk.solve(remake(problem, {"k": k}), solver, adjoint=adjoint, **options)["z"][-1]

    both = (
        (lambda k: jax.jvp(final, (k,), (jnp.ones_like(k),)))
        if forward
        else jax.value_and_grad(final)
    )
    values, slopes = jax.jit(jax.vmap(both))(jnp.asarray(KS))
    assert np.isnan(values).tolist() == np.isnan(slopes).tolist() == [False, True, False]
    expected = np.array([exact(k) for k in KS[[0, 2]]]).T
    np.testing.assert_allclose(values[jnp.array([0, 2])], expected[0], rtol=1e-6)
    np.testing.assert_allclose(slopes[jnp.array([0, 2])], expected[1], rtol=1e-5)


@pytest.mark.parametrize(
    "forward",
    [
        pytest.param(True, id="forward"),
        pytest.param(False, id="reverse", marks=pytest.mark.slow),
    ],
)
def test_members_of_a_batch(fold, forward):
    check_members(fold, forward)


@pytest.mark.slow
@pytest.mark.parametrize("forward", [True, False], ids=["forward", "reverse"])
def test_members_of_a_batch_with_an_implicit_solver(fold, forward):
    check_members(fold, forward, diffrax.Kvaerno5())


@pytest.mark.slow
def test_a_rejected_step_leaves_no_nan_in_the_derivative():
    """The first step tries where the equation has no solution; the solve arrives all the same."""
    system = System(
        parameters={"k": 1.0},
        unknowns={"x": 1.0, "z": Unknown(guess=1.0)},
        derivatives=lambda t, u, p: {"x": -p.k * u.z},
        residuals=lambda t, u, p: {"root": u.z**2 - u.x},
    )
    problem = ODEProblem(system, {}, (0.0, 1.0))

    def final(k):
        # x = (1 - k t / 2)^2. A first step of 3 goes to where it would be negative.
        new = remake(problem, {"k": k})
        solution = mtk.solve(new, TSIT, dt0=3.0, saveat=[1.0], rtol=1e-8, atol=1e-10)
        return solution["x"][-1], solution.stats["num_rejected_steps"]

    problem = remake(problem, tspan=(0.0, 1.0))
    (value, rejected), slope = jax.jit(jax.value_and_grad(lambda k: final(k), has_aux=True))(
        jnp.array(1.0)
    )
    assert rejected > 0
    np.testing.assert_allclose(value, 0.25, rtol=1e-6)
    np.testing.assert_allclose(slope, -0.5, rtol=1e-5)
