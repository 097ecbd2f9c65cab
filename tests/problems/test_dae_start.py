"""A consistent start inside of a solve: found values, failures, derivatives through both."""

from __future__ import annotations

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtkparams as mtk
from mtkparams import ODEProblem, System, Unknown, errors, remake

TSIT = diffrax.Tsit5()


@pytest.fixture(scope="module")
def root():
    """z = sqrt(k) is found, and grows x; there is none for k < 0, and k = 0 is singular."""
    system = System(
        parameters={"k": 4.0},
        unknowns={"x": 1.0, "z": Unknown(guess=1.0)},
        derivatives=lambda t, u, p: {"x": u.z},
        residuals=lambda t, u, p: {"square": u.z**2 - p.k},
    )
    return ODEProblem(system, {}, (0.0, 1.0))


@pytest.mark.slow
def test_what_was_found_is_in_the_solution(root):
    solution = mtk.solve(root, TSIT)
    np.testing.assert_allclose(solution["z"], [2.0, 2.0], rtol=1e-14)
    np.testing.assert_allclose(solution["x"], [1.0, 3.0], rtol=1e-6)
    np.testing.assert_allclose(solution.u0["z"], 2.0, rtol=1e-14)
    np.testing.assert_allclose(solution.p[mtk.Initial("z")], 2.0, rtol=1e-14)
    assert root.u0["z"] == 1.0
    assert solution.initialization.report().blocks[0].block.unknowns == ("z",)
    assert solution.initialization.report().blocks[0].status == "solved"
    mtk.initialize(solution.initialization.problem, mtk.CheckInit())
    other = mtk.solve(remake(root, guesses={"z": -1.0}), TSIT)
    np.testing.assert_allclose(other["x"], [1.0, -1.0], rtol=1e-6, atol=1e-9)


def test_no_start(root):
    with pytest.raises(errors.InitializationError, match=r"block 0 \(equations 'square'"):
        mtk.solve(remake(root, {"k": -1.0}), TSIT)
    with pytest.raises(errors.InitializationError, match="singular Jacobian"):
        mtk.solve(remake(root, {"k": 0.0}), TSIT)


@pytest.mark.parametrize(
    "forward",
    [
        pytest.param(True, id="forward"),
        pytest.param(False, id="reverse", marks=pytest.mark.slow),
    ],
)
def test_members_without_a_start(root, forward):
    adjoint: Any = diffrax.ForwardMode() if forward else None

    def final(k):
        solution = mtk.solve(remake(root, {"k": k}), TSIT, throw=False, adjoint=adjoint)
        return solution["x"][-1], (solution["z"], solution.result, solution.succeeded)

    def both(k):
        if forward:
            value, slope, rest = jax.jvp(final, (k,), (jnp.ones_like(k),), has_aux=True)
            return value, slope, rest
        (value, rest), slope = jax.value_and_grad(final, has_aux=True)(k)
        return value, slope, rest

    ks = jnp.array([4.0, -1.0, 0.0, 1.0])
    values, slopes, (z, result, succeeded) = jax.jit(jax.vmap(both))(ks)
    bad = np.array([False, True, True, False])
    assert np.isnan(values).tolist() == np.isnan(slopes).tolist() == bad.tolist()
    assert np.isnan(z).all(axis=1).tolist() == bad.tolist()
    np.testing.assert_allclose(values[jnp.array([0, 3])], [3.0, 2.0], rtol=1e-6)
    np.testing.assert_allclose(slopes[jnp.array([0, 3])], [0.25, 0.5], rtol=1e-6)
    assert (result == mtk.RESULTS.no_consistent_start).tolist() == bad.tolist()
    assert succeeded.tolist() == (~bad).tolist()


@pytest.mark.slow
def test_a_singular_matrix_at_the_start():
    """Two currents, of which both equations give the sum: index 1 by structure, and not by value."""
    system = System(
        parameters={"two": 2.0},
        unknowns={"v": 1.0, "i": Unknown(guess=[0.0, 0.0])},
        derivatives=lambda t, u, p: {"v": -u.i[0]},
        residuals=lambda t, u, p: {
            "node": u.i[0] + u.i[1] - u.v,
            "again": 2.0 * u.i[0] + p.two * u.i[1] - 2.0 * u.v,
        },
    )
    problem = ODEProblem(system)
    with pytest.raises(errors.InitializationError, match="singular"):
        mtk.solve(problem, TSIT)
    np.testing.assert_allclose(
        mtk.solve(remake(problem, {"two": 1.0}), TSIT)["i[0]"], [1.0, np.exp(-1.0)], rtol=1e-5
    )


@pytest.mark.slow
def test_a_parameter_that_is_found():
    """The Lorenz system of SciMLSensitivity's tests, with rho found from a condition at the start."""
    sigma, beta = 28.0, 8.0 / 3.0
    system = System(
        parameters={
            "sigma": sigma,
            "rho": mtk.Parameter(mtk.SOLVE, guess=10.0),
            "beta": beta,
            "known": 10.0,
        },
        unknowns={"x": 1.0, "vx": 2.0, "y": 0.0, "z": 0.0, "w2": Unknown(guess=-1.0)},
        derivatives=lambda t, u, p: {
            "x": u.vx,
            "vx": p.sigma * (u.y - u.x),
            "y": u.x * (p.rho - u.z) - u.y,
            "z": u.x * u.y - p.beta * u.z,
        },
        residuals=lambda t, u, p: {"radius": u.x**2 + u.y**2 - u.w2**2},
        initial_equations=lambda t, u, p: {"rho": u["D(y)"] - p.known},
        observed={"w": lambda t, u, p: u.x + u.y + u.z + 2 * p.beta},
    )
    problem = ODEProblem(system, {}, (0.0, 1.0))

    def last(known, adjoint=None):
        solution = mtk.solve(
            remake(problem, {"known": known}), TSIT, rtol=1e-9, atol=1e-9, adjoint=adjoint
        )
        return solution["w"][-1] + solution["w2"][-1], solution

    (value, solution), slope = jax.jit(jax.value_and_grad(last, has_aux=True))(jnp.array(10.0))
    np.testing.assert_allclose(solution.p["rho"], 10.0, rtol=1e-12)
    np.testing.assert_allclose(solution["w2"], -np.hypot(solution["x"], solution["y"]), rtol=1e-12)
    identity = solution[lambda t, u, p: u.x + u.y + u.z + 2 * p.beta - u.w]
    np.testing.assert_allclose(identity, 0.0, atol=1e-12)
    forward = jax.jit(
        lambda k: jax.jvp(lambda k: last(k, diffrax.ForwardMode())[0], (k,), (jnp.ones_like(k),))
    )
    np.testing.assert_allclose(forward(jnp.array(10.0))[1], slope, rtol=1e-9)
    step = 1e-4
    ends = [forward(jnp.array(10.0 + h))[0] for h in (-step, step)]
    np.testing.assert_allclose((ends[1] - ends[0]) / (2 * step), slope, rtol=1e-5)
    assert abs(slope) > 1e-3
