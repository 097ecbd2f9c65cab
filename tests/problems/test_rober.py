"""Robertson's problem with its conservation law as an algebraic equation: values and sensitivities."""

from __future__ import annotations

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import pytest

import mtkparams as mtk
from mtkparams import ODEProblem, System, Unknown, remake

pytestmark = pytest.mark.slow

CHORD = diffrax.with_stepsize_controller_tols(optx.Chord)()
STIFF: Any = diffrax.Kvaerno5(root_finder=CHORD)
NAMES = ("y1", "y2", "y3")

# Radau at 1e-13, with its variational equations, of the ODE form; finite differences agree to 5e-9.
TS = np.array([0.4, 40.0, 1e5])
KNOWN = np.array(
    [
        [0.9851721138609747, 3.3863953789745654e-05, 0.014794022185235511],
        [0.7158270687192962, 9.185534764546251e-06, 0.28416374574593917],
        [0.017865921142103922, 7.274751468438167e-08, 0.9821340061103814],
    ]
)
# By k1, k2, k3 in the columns.
SLOPES = {
    40.0: np.array(
        [
            [-4.2475587717073156, -2.288355088906898e-09, 1.3730807973453614e-05],
            [4.59119624924349e-05, -1.1380595093488204e-13, -2.3571921138425407e-10],
            [4.247512859744823, 2.288468894857833e-09, -1.373057225424223e-05],
        ]
    ),
    1e5: np.array(
        [
            [-0.7930471281181353, -5.281803362169234e-10, 3.1690758341106946e-06],
            [-1.4688907582356058e-06, -2.189842410433231e-15, 5.8642768195730295e-12],
            [0.7930485970088935, 5.281825260593338e-10, -3.1690816983875144e-06],
        ]
    ),
}
# The test set for initial value problems of Mazzia and Magherini, at t = 1e11.
PUBLISHED = np.array([2.083340149701255e-08, 8.333360770334713e-14, 0.9999999791665050])


@pytest.fixture(scope="module")
def problem():
    system = System(
        parameters={"k1": 0.04, "k2": 3e7, "k3": 1e4},
        unknowns={"y1": 1.0, "y2": 0.0, "y3": Unknown(guess=0.0)},
        derivatives=lambda t, u, p: {
            "y1": -p.k1 * u.y1 + p.k3 * u.y2 * u.y3,
            "y2": p.k1 * u.y1 - p.k3 * u.y2 * u.y3 - p.k2 * u.y2**2,
        },
        residuals=lambda t, u, p: {"mass": u.y1 + u.y2 + u.y3 - 1.0},
    )
    return ODEProblem(system, {}, (0.0, 1e5))


@pytest.mark.parametrize("solver", [STIFF, "auto"], ids=["implicit", "auto"])
def test_values(problem, solver):
    solution = mtk.solve(problem, solver, saveat=TS, rtol=1e-8, atol={"y1": 1e-10, "y2": 1e-14})
    found = np.stack([solution[name] for name in NAMES], axis=1)
    np.testing.assert_allclose(found, KNOWN, rtol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-15)
    assert solution.stats["num_steps"] < 1200
    if solver == "auto":
        assert solution.stats["phase"] == 1


def test_published_values(problem):
    # The stages are found to tolerances of their own: those of the steps are below their rounding.
    atol: Any = jnp.array([1e-11, 1e-16])
    root_finder = optx.Chord(rtol=1e-8, atol=atol)
    solution = mtk.solve(
        remake(problem, tspan=(0.0, 1e11)),
        diffrax.Kvaerno5(root_finder=root_finder),
        rtol=1e-9,
        atol={"y1": 1e-14, "y2": 1e-20},
    )
    found = np.array([solution[name][-1] for name in NAMES])
    np.testing.assert_allclose(found, PUBLISHED, rtol=1e-6)


def test_sensitivities(problem):
    def at(k, adjoint):
        solution = mtk.solve(
            remake(problem, dict(zip(("k1", "k2", "k3"), k, strict=True))),
            STIFF,
            saveat=[40.0, 1e5],
            rtol=1e-8,
            atol={"y1": 1e-10, "y2": 1e-14},
            adjoint=adjoint,
        )
        return jnp.stack([solution[name] for name in NAMES], axis=1)

    k = jnp.array([0.04, 3e7, 1e4])
    forward = jax.jit(jax.jacfwd(lambda k: at(k, diffrax.ForwardMode())))(k)
    np.testing.assert_allclose(forward[0], SLOPES[40.0], rtol=1e-4)
    np.testing.assert_allclose(forward[1], SLOPES[1e5], rtol=1e-4)
    reverse = jax.jit(jax.jacrev(lambda k: at(k, None)))(k)
    np.testing.assert_allclose(reverse, forward, rtol=1e-9)
