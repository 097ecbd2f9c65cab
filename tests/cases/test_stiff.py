"""Stiff problems with the default solver, against the reference solutions of a public test set.

F. Mazzia, C. Magherini: Test Set for Initial Value Problem Solvers, release 2.4 (2008): HIRES, VDPOL, ROBER.
"""

from __future__ import annotations

import jax
import numpy as np
import pytest

import mtkparams as mtk

HIRES = [
    0.7371312573325668e-3,
    0.1442485726316185e-3,
    0.5888729740967575e-4,
    0.1175651343283149e-2,
    0.2386356198831331e-2,
    0.6238968252742796e-2,
    0.2849998395185769e-2,
    0.2850001604814231e-2,
]


def hires(t, u, p):
    y1, y2, y3, y4, y5, y6, y7, y8 = (u[f"y{i}"] for i in range(1, 9))
    bound = 280.0 * y6 * y8
    return {
        "y1": -1.71 * y1 + 0.43 * y2 + 8.32 * y3 + 0.0007,
        "y2": 1.71 * y1 - 8.75 * y2,
        "y3": -10.03 * y3 + 0.43 * y4 + 0.035 * y5,
        "y4": 8.32 * y2 + 1.71 * y3 - 1.12 * y4,
        "y5": -1.745 * y5 + 0.43 * y6 + 0.43 * y7,
        "y6": -bound + 0.69 * y4 + 1.71 * y5 - 0.43 * y6 + 0.69 * y7,
        "y7": bound - 1.81 * y7,
        "y8": 1.81 * y7 - bound,
    }


@pytest.mark.slow
def test_hires():
    """A plant's response to light: eight reactions, mildly stiff."""
    start = {f"y{i}": 0.0 for i in range(1, 9)} | {"y1": 1.0, "y8": 0.0057}
    problem = mtk.ODEProblem(mtk.System(unknowns=start, derivatives=hires), {}, (0.0, 321.8122))
    solution = jax.jit(lambda problem: mtk.solve(problem, rtol=1e-8, atol=1e-12))(problem)
    assert solution.stats["phase"] == 1
    found = [solution[f"y{i}"][-1] for i in range(1, 9)]
    np.testing.assert_allclose(found, HIRES, rtol=1e-5)


@pytest.mark.slow
def test_van_der_pol():
    system = mtk.System(
        parameters={"mu": 1000.0},
        unknowns={"x": 2.0, "v": 0.0},
        derivatives=lambda t, u, p: {"x": u.v, "v": p.mu * (1 - u.x**2) * u.v - u.x},
    )
    problem = mtk.ODEProblem(system, {}, (0.0, 2000.0))
    solution = jax.jit(lambda problem: mtk.solve(problem, rtol=1e-8, atol=1e-10))(problem)
    assert solution.stats["phase"] == 1
    # The test set has time in units of mu.
    np.testing.assert_allclose(solution["x"][-1], 1.706167732170483, rtol=1e-5)
    np.testing.assert_allclose(solution["v"][-1], -0.8928097010247975e-3, rtol=1e-4)


@pytest.mark.slow
def test_robertson_until_the_end():
    """Eleven decades of time, beside a member that needs no stiff solver, and as if it were alone."""
    system = mtk.System(
        parameters={"k1": 0.04, "k2": 3e7, "k3": 1e4},
        unknowns={"x": 1.0, "y": 0.0, "z": 0.0},
        derivatives=lambda t, u, p: {
            "x": -p.k1 * u.x + p.k3 * u.y * u.z,
            "y": p.k1 * u.x - p.k3 * u.y * u.z - p.k2 * u.y**2,
            "z": p.k2 * u.y**2,
        },
    )
    problem = mtk.ODEProblem(system, {}, (0.0, 1.0))
    short, long = (mtk.remake(problem, tspan=(0.0, end)) for end in (1e-4, 1e11))
    options = {"rtol": 1e-6, "atol": {"x": 1e-12, "y": 1e-16, "z": 1e-9}}
    ensemble = mtk.solve_ensemble(mtk.stack([short, long]), **options)
    assert ensemble.output.stats["phase"].tolist() == [0, 1]
    last = ensemble[1]
    np.testing.assert_allclose(last["x"][-1], 0.2083340149701255e-7, rtol=2e-4)
    np.testing.assert_allclose(last["y"][-1], 0.8333360770334713e-13, rtol=2e-4)
    np.testing.assert_allclose(last["z"][-1], 0.9999999791665050, rtol=1e-7)
    alone = mtk.solve(long, **options)
    np.testing.assert_allclose(last["x"], alone["x"], rtol=1e-6)
    # For a moment only the first reaction counts.
    np.testing.assert_allclose(ensemble[0]["x"][-1], np.exp(-0.04e-4), rtol=1e-7)
