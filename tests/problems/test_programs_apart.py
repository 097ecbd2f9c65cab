"""Problems that differ in one thing get programs of their own: none answers for another.

Compiled programs are kept by what they were made of. What the key of one lacks would be taken from the
first that came, in silence.
"""

from typing import Any

import diffrax
import jax.numpy as jnp
import numpy as np
import pytest

import mtkparams as mtk

TSIT = diffrax.Tsit5()
TOLERANCES: dict[str, Any] = {"rtol": 1e-8, "atol": 1e-10}


def root_of(guess, a=9.0, rate=-1.0):
    system = mtk.System(
        parameters={"r": 2.0},
        unknowns={"x": 1.0, "y": mtk.Unknown(guess=guess)},
        derivatives=lambda t, u, p: {"x": rate * u.x},
        residuals=lambda t, u, p: {"square": (u.y + 1.0) ** 2 - a},
    )
    return mtk.ODEProblem(system, {}, (0.0, 1.0))


# (y + 1)^2 = 9 has the roots 2 and -4; the nearer one to 2 r = 4 is 2, to -r = -2 it is -4.
def test_a_guess_rule():
    below, above = root_of(lambda p: -p.r), root_of(lambda p: 2 * p.r)
    for problem, y in ((below, -4.0), (above, 2.0), (below, -4.0)):
        np.testing.assert_allclose(mtk.initialize(problem)["y"], y, rtol=1e-12)


# Closures of equal code: (y + 1)^2 = 9 and 16 have the roots 2 and 3, x(1) is exp(-1) and exp(-2).
def test_equations_of_equal_code():
    for a, y in ((9.0, 2.0), (16.0, 3.0), (9.0, 2.0)):
        np.testing.assert_allclose(mtk.initialize(root_of(4.0, a))["y"], y, rtol=1e-12)


def decay(rate):
    system = mtk.System(
        parameters={"k": 1.0},
        unknowns={"x": 1.0, "y": 2.0},
        derivatives=lambda t, u, p: {"x": rate * p.k * u.x, "y": 0 * u.y},
    )
    return mtk.ODEProblem(system, {}, (0.0, 1.0))


def test_derivatives_of_equal_code():
    for rate in (-1.0, -2.0, -1.0):
        x = mtk.solve(decay(rate), TSIT, **TOLERANCES)["x"][-1]
        np.testing.assert_allclose(x, np.exp(rate), rtol=1e-6)


# x(1) = exp(-k), y(1) = 2.
def test_output_of_an_ensemble_with_equal_code():
    problem, ks = decay(-1.0), np.array([0.5, 1.0, 2.0])

    def last(name):
        return lambda solution: solution[name][-1]

    for name, expected in (("x", np.exp(-ks)), ("y", np.full(3, 2.0)), ("x", np.exp(-ks))):
        found = mtk.solve_ensemble(problem, {"k": ks}, TSIT, output=last(name), **TOLERANCES)
        np.testing.assert_allclose(found.output, expected, rtol=1e-6)


def test_options_of_an_ensemble():
    problem, ks = decay(-1.0), np.array([0.5, 1.0])
    for saveat in ([0.5], [0.25, 1.0], [0.5]):
        found = mtk.solve_ensemble(problem, {"k": ks}, TSIT, saveat=saveat, **TOLERANCES)
        expected = np.exp(-ks[:, None] * np.asarray(saveat)[None])
        np.testing.assert_allclose(found["x"], expected, rtol=1e-6)
    # A loose solve after a tight one is less exact, and the tight one after it is not.
    errors = []
    for rtol in (1e-10, 1e-2, 1e-10):
        found = mtk.solve_ensemble(problem, {"k": ks}, TSIT, rtol=rtol, atol=1e-12)
        errors.append(np.max(np.abs(np.asarray(found["x"])[:, -1] - np.exp(-ks))))
    assert max(errors[0], errors[2]) < 1e-8 < 1e-6 < errors[1]


# x = cos t solves x' = 1e4 (x - cos t) - sin t. From 1 to 0 the first term damps, and x' = -1e4 ... grows
# in the other direction: the explicit half of "auto" gives up, and the stiff one goes on.
def test_auto_backwards_through_a_stiff_problem():
    system = mtk.System(
        parameters={"rate": 1e4},
        unknowns={"x": float(np.cos(1.0))},
        derivatives=lambda t, u, p: {"x": p.rate * (u.x - jnp.cos(t)) - jnp.sin(t)},
    )
    problem = mtk.ODEProblem(system, {}, (1.0, 0.0))
    ts = np.array([0.9, 0.5, 0.1])
    solution = mtk.solve(problem, saveat=ts, **TOLERANCES)
    assert int(solution.stats["phase"]) == 1
    np.testing.assert_array_equal(solution.ts, ts)
    np.testing.assert_allclose(solution["x"], np.cos(ts), rtol=1e-6)


@pytest.mark.parametrize("span", [(0.0, 1.0), (1.0, 0.0)])
def test_auto_in_both_directions(span):
    system = mtk.System(
        parameters={"k": 1.0}, unknowns={"x": 1.0}, derivatives=lambda t, u, p: {"x": -p.k * u.x}
    )
    problem = mtk.ODEProblem(system, {}, span)
    ts = np.linspace(span[0], span[1], 5)[1:-1]
    solution = mtk.solve(problem, saveat=ts, **TOLERANCES)
    np.testing.assert_allclose(solution["x"], np.exp(span[0] - ts), rtol=1e-6)
