"""Ensembles of systems with algebraic unknowns: each member starts and goes on with its own."""

from __future__ import annotations

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtkparams as mtk
from mtkparams import errors

TSIT = diffrax.Tsit5()
SS = np.array([1.0, 4.0, -1.0, 0.25])  # the third one has no root
GOOD = SS > 0


@pytest.fixture(scope="module")
def problem():
    """x' = -y with y^2 = s x^2, so that x = exp(-sqrt(s) t)."""
    system = mtk.System(
        parameters={"s": 1.0},
        unknowns={"x": 1.0, "y": mtk.Unknown(guess=1.0)},
        derivatives=lambda t, u, p: {"x": -u.y},
        residuals=lambda t, u, p: {"root": u.y**2 - p.s * u.x**2},
    )
    return mtk.ODEProblem(system, {}, (0.0, 1.0))


@pytest.mark.slow
def test_values_and_derivatives(problem):
    def total(z):
        own = mtk.remake(problem, {"x": z})
        ensemble = mtk.solve_ensemble(own, {"s": SS}, TSIT, throw=False, chunk=3)
        return jnp.nansum(ensemble["x"][:, -1]), ensemble

    (_, ensemble), slope = jax.jit(jax.value_and_grad(total, has_aux=True))(2.0)
    np.testing.assert_array_equal(ensemble.succeeded, GOOD)
    roots = np.sqrt(SS[GOOD])
    np.testing.assert_allclose(ensemble["x"][GOOD, -1], 2 * np.exp(-roots), rtol=1e-5)
    np.testing.assert_allclose(ensemble["y"][GOOD, 0], 2 * roots, rtol=1e-12)
    np.testing.assert_allclose(
        ensemble["y"], np.sqrt(SS, where=GOOD, out=SS * np.nan)[:, None] * ensemble["x"], rtol=1e-10
    )
    np.testing.assert_allclose(slope, np.exp(-roots).sum(), rtol=1e-5)


@pytest.mark.slow
def test_a_member_without_a_start(problem):
    with pytest.raises(errors.SolveError) as caught:
        mtk.solve_ensemble(problem, {"s": SS}, TSIT)
    text = str(caught.value)
    assert text.startswith(
        "1 of 4 members failed: 2 (s=-1). No consistent initial values were found"
    )
    assert "(unknowns y)" in text
