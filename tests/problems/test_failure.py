"""A solve that does not arrive: an error with advice, or NaN in its values and in its derivatives."""

from __future__ import annotations

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtkparams as mtk
from mtkparams import ODEProblem, System, errors, remake

TSIT = diffrax.Tsit5()
TS = np.array([0.5, 1.5])
KS = np.array([0.2, 1.0, 0.4])  # x = 1 / (1 - k t): the second one blows up at t = 1


@pytest.fixture(scope="module")
def not_a_number():
    system = System(
        parameters={"k": 1.0},
        unknowns={"x": 1.0},
        derivatives=lambda t, u, p: {"x": jnp.where(t > 0.5, jnp.nan, -p.k * u.x)},
    )
    return ODEProblem(system)


# Errors

BLOWS_UP = r"The step size went to zero \(unknowns x\): the solution blows up or its derivative"


def test_errors(blow_up, not_a_number):
    with pytest.raises(errors.SolveError, match=BLOWS_UP):
        mtk.solve(blow_up, TSIT)
    with pytest.raises(errors.SolveError, match=BLOWS_UP):
        mtk.solve(not_a_number, TSIT)
    with pytest.raises(
        errors.SolveError, match=r"max_steps=5 steps \(unknowns x\)\. It may be stiff"
    ):
        mtk.solve(blow_up, TSIT, max_steps=5)


@pytest.mark.slow
def test_the_same_text_under_jit(blow_up):
    final = lambda k: mtk.solve(remake(blow_up, {"k": k}), TSIT)["x"][-1]
    with pytest.raises(Exception, match=BLOWS_UP):
        jax.jit(final)(1.0).block_until_ready()
    with pytest.raises(Exception, match=BLOWS_UP):
        jax.block_until_ready(eqx.filter_jit(eqx.filter_grad(final))(jnp.array(1.0)))


def test_who_reads_only_the_interpolation_meets_the_error_too(blow_up):
    at = lambda k: mtk.solve(remake(blow_up, {"k": k}), TSIT, dense=True, max_steps=1000)(0.5, "x")
    with pytest.raises(Exception, match=BLOWS_UP):
        eqx.filter_jit(at)(jnp.array(1.0))


# NaN


def test_values(blow_up):
    solution = mtk.solve(blow_up, TSIT, throw=False, dense=True, max_steps=1000)
    assert np.isnan(solution["x"]).all()
    assert np.isnan(solution(0.5, "x"))
    assert solution.result == mtk.RESULTS.dt_min_reached
    assert not solution.succeeded
    assert solution["k"] == 1.0


def values_of(problem, adjoint, solver=TSIT):
    def final(k):
        solution = mtk.solve(
            remake(problem, {"k": k}), solver, saveat=TS, throw=False, adjoint=adjoint
        )
        return solution["x"][1]

    return final


def exact(k):
    return 1 / (1 - 1.5 * k)


GOOD = np.array([True, False, True])
SLOPES = 1.5 * exact(KS) ** 2


def check_members(problem, forward, solver: Any = TSIT):
    adjoint = diffrax.ForwardMode() if forward else None
    final = values_of(problem, adjoint, solver)

    @jax.jit
    def run(ks, c):
        mean = lambda c: jnp.nanmean(jax.vmap(final)(c * ks))
        if forward:
            along = lambda k: jax.jvp(final, (k,), (jnp.ones_like(k),))
            values, slopes = jax.vmap(along)(ks)
            return values, slopes, jax.jvp(mean, (c,), (jnp.ones_like(c),))
        values, slopes = jax.vmap(jax.value_and_grad(final))(ks)
        return values, slopes, jax.value_and_grad(mean)(c)

    values, slopes, (mean, slope) = run(jnp.asarray(KS), jnp.asarray(1.0))
    assert np.isnan(values[1])
    assert np.isnan(slopes[1])
    np.testing.assert_allclose(values[GOOD], exact(KS)[GOOD], rtol=1e-4)
    np.testing.assert_allclose(slopes[GOOD], SLOPES[GOOD], rtol=1e-3)
    np.testing.assert_allclose(mean, exact(KS)[GOOD].mean(), rtol=1e-4)
    np.testing.assert_allclose(slope, (KS * slopes)[GOOD].mean(), rtol=1e-6)


@pytest.mark.parametrize(
    "forward",
    [
        pytest.param(True, id="forward"),
        pytest.param(False, id="reverse", marks=pytest.mark.slow),
    ],
)
def test_members_of_a_batch(blow_up, forward):
    check_members(blow_up, forward)


@pytest.mark.slow
@pytest.mark.parametrize("forward", [True, False], ids=["forward", "reverse"])
def test_members_of_a_batch_with_two_solvers(blow_up, forward):
    check_members(blow_up, forward, "auto")


@pytest.mark.slow
def test_a_field_that_is_not_a_number(not_a_number):
    run = jax.jit(jax.value_and_grad(values_of_last(not_a_number)))
    value, slope = run(1.0)
    assert np.isnan(value)
    assert np.isnan(slope)


def values_of_last(problem):
    return lambda k: mtk.solve(remake(problem, {"k": k}), TSIT, throw=False)["x"][-1]


@pytest.fixture(scope="module")
def decay():
    return ODEProblem(
        System(
            parameters={"k": 1.0},
            unknowns={"x": 1.0},
            derivatives=lambda t, u, p: {"x": -p.k * u.x},
        )
    )


@pytest.mark.slow
def test_derivatives_with_respect_to_times(decay):
    def at(end, save):
        solution = mtk.solve(
            remake(decay, tspan=(0.0, end)),
            TSIT,
            saveat=diffrax.SaveAt(ts=save, t1=True),
            throw=False,
        )
        return solution["x"].sum()

    grads = jax.jit(jax.grad(at, argnums=(0, 1)))(jnp.array(1.0), jnp.array([0.5]))
    np.testing.assert_allclose(grads[0], -np.exp(-1.0), rtol=1e-4)
    np.testing.assert_allclose(grads[1], [-np.exp(-0.5)], rtol=1e-4)


@pytest.mark.slow
def test_an_implicit_solver_keeps_the_derivative_of_its_interpolation(decay):
    def at(k):
        solution = mtk.solve(
            remake(decay, {"k": k}),
            diffrax.Kvaerno5(),
            dense=True,
            max_steps=100,
            throw=False,
            adjoint=diffrax.ForwardMode(),
        )
        return solution(0.5, "x")

    value, slope = jax.jit(lambda k: jax.jvp(at, (k,), (jnp.ones_like(k),)))(jnp.array(1.0))
    np.testing.assert_allclose(value, np.exp(-0.5), rtol=1e-4)
    np.testing.assert_allclose(slope, -0.5 * np.exp(-0.5), rtol=1e-3)


# Two solvers


@pytest.mark.slow
def test_the_phase_that_ended_a_stiff_problem(decay):
    rober = System(
        parameters={"k1": 0.04, "k2": 3e7, "k3": 1e4},
        unknowns={"x": 1.0, "y": 0.0, "z": 0.0},
        derivatives=lambda t, u, p: {
            "x": -p.k1 * u.x + p.k3 * u.y * u.z,
            "y": p.k1 * u.x - p.k3 * u.y * u.z - p.k2 * u.y**2,
            "z": p.k2 * u.y**2,
        },
    )
    problem = ODEProblem(rober, {}, (0.0, 40.0))
    solution = mtk.solve(problem, saveat=[4e-4, 0.4, 40.0], rtol=1e-7, atol={"y": 1e-12})
    assert solution.stats["phase"] == 1
    # From Hairer and Wanner, Solving Ordinary Differential Equations II.
    np.testing.assert_allclose(solution["x"][1:], [0.98517, 0.7158], rtol=1e-4)
    np.testing.assert_allclose(solution["y"][1:], [3.3864e-5, 9.1855e-6], rtol=1e-4)
    np.testing.assert_allclose(solution[lambda t, u, p: u.x + u.y + u.z], 1.0, rtol=1e-6)
    assert mtk.solve(decay).stats["phase"] == 0
