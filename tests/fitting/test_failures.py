"""Solves that fail on the way: a step not made, counted, and without trace in what follows."""

import re

import jax.numpy as jnp
import numpy as np
import optax
import optimistix as optx
import pytest

import mtkparams as mtk
from mtkparams.errors import FitError, KindError


def cliff(p):
    """(x - 2)^2 in an ill-shaped valley, without a value beyond x = 2.5: NaN, as of a failed solve."""
    x, y = p["x"], p["y"]
    value = (x - 2) ** 2 + (y - x**2) ** 2
    return jnp.where(x < 2.5, value, jnp.nan)


def cliff_residuals(p):
    x, y = p["x"], p["y"]
    return jnp.where(x < 2.5, jnp.stack([x - 2, y - x**2]), jnp.nan)


@pytest.fixture(scope="module")
def start():
    return mtk.parameters({"x": -1.0, "y": 8.0})


@pytest.mark.parametrize(
    "method",
    [
        None,
        optax.sgd(0.005, momentum=0.9),
        optax.adam(0.5),
        "L-BFGS-B",
        "BFGS",
        "CG",
        "TNC",
        "SLSQP",
        "Nelder-Mead",
        "Powell",
        "COBYLA",
    ],
    ids=lambda m: m if isinstance(m, str) else "",
)
def test_minimisers_come_back_from_the_cliff(start, method):
    id_ = method if isinstance(method, str) else None
    result = mtk.fitting.minimise(cliff, start, method=method, steps=1500)
    tolerance = 1e-2 if id_ in ("COBYLA", "Powell") else 1e-3
    np.testing.assert_allclose(result.v, [2.0, 4.0], rtol=tolerance)
    assert np.isfinite(result.loss)
    assert not np.isnan(result.losses).any()
    if result.failures:
        assert (result.failed_at[:, 0] >= 2.5).all(), "at the values where it failed"
    assert len(result.failed_at) == min(result.failures, 16)


@pytest.mark.parametrize(
    "method",
    [None, optx.GaussNewton(1e-10, 1e-10), optx.Dogleg(1e-10, 1e-10), "trf", "dogbox", "lm"],
    ids=lambda m: m if isinstance(m, str) else type(m).__name__,
)
def test_least_squares_come_back_from_the_cliff(start, method):
    p = start.set({"x": -3.0})  # the first steps go too far
    result = mtk.fitting.least_squares(cliff_residuals, p, method=method)
    assert result.succeeded, result.message
    np.testing.assert_allclose(result.v, [2.0, 4.0], rtol=1e-6)


def test_the_moments_of_adam_do_not_see_a_failed_gradient():
    """The gradient beyond the cliff is finite, and wrong: 1e12. It is not the loss's."""

    def loss(p):
        return jnp.where(p["x"] < 1.0, (p["x"] - 0.9) ** 2, jnp.nan * 0 + 1e12 * p["x"] + jnp.inf)

    p = mtk.parameters({"x": 0.0})
    result = mtk.fitting.minimise(loss, p, method=optax.adam(0.4), steps=400)
    assert result.failures > 0
    # With 1e12 in its second moment Adam would stand still.
    np.testing.assert_allclose(result["x"], 0.9, atol=1e-4)


@pytest.mark.slow
def test_a_solve_that_blows_up_is_counted(solve):
    """x' = k x^2 from 1 ends at t = 1 / k: from k = 0.1 long steps lead there."""
    system = mtk.System(
        parameters={"k": mtk.Parameter(0.1, bounds=(0.0, None))},
        unknowns={"x": 1.0},
        derivatives=lambda t, u, p: {"x": p.k * u.x**2},
    )
    problem = mtk.ODEProblem(system, {}, (0.0, 4.0))
    data = {"t": [1.0, 2.0, 4.0], "x": 1 / (1 - 0.23 * np.array([1.0, 2.0, 4.0]))}
    result = mtk.fitting.fit(problem, data, **solve)
    np.testing.assert_allclose(result["k"], 0.23, rtol=1e-5)
    assert result.failures > 0
    assert (result.failed_at > 0.25).all()


def test_a_start_that_fails_is_an_error_that_says_where(start):
    with pytest.raises(FitError, match=re.escape("at the start. It is x = 3, y = 8: solve there")):
        mtk.fitting.minimise(cliff, start.set({"x": 3.0}))
    for method in (None, "L-BFGS-B", optax.adam(0.1)):
        result = mtk.fitting.minimise(
            cliff, start.set({"x": 3.0}), method=method, steps=5, throw=False
        )
        assert not result.succeeded
        assert result.loss == np.inf
        assert result.v.tolist() == [3.0, 8.0]


def test_of_a_hundred_starts_twenty_fail(start):
    rng = np.random.default_rng(3)
    values = rng.uniform([-2, 0], [2, 6], (100, 2))
    bad = rng.choice(100, 20, replace=False)
    values[bad, 0] = rng.uniform(2.5, 4.0, 20)
    result = mtk.fitting.least_squares(cliff_residuals, start, starts=values)
    table = result.starts
    assert table is not None
    assert table.failed.sum() == 20
    assert set(table.number[table.failed]) == set(bad)
    np.testing.assert_allclose(table.v[~table.failed], np.tile([2.0, 4.0], (80, 1)), rtol=1e-5)
    assert (table.cluster[~table.failed] == 0).all()
    assert (table.cluster[table.failed] == -1).all()
    assert (table.loss[table.failed] == np.inf).all()
    assert not any(
        np.isnan(x) for row in table.rows() for x in row.values() if isinstance(x, float)
    )
    assert table.rows()[99]["message"] == "The objective cannot be computed at the start."
    assert str(table).splitlines()[0] == "100 starts, 20 failed"
    np.testing.assert_allclose(result.v, [2.0, 4.0], rtol=1e-6)


def test_all_starts_fail(start):
    values = [[3.0, 0.0], [4.0, 0.0]]
    with pytest.raises(FitError, match="at any of the 2 starts"):
        mtk.fitting.minimise(cliff, start, starts=values)


def test_a_solver_that_cannot_reject(start):
    with pytest.raises(KindError, match="NelderMead makes no steps that could be rejected"):
        mtk.fitting.minimise(cliff, start, method=optx.NelderMead(1e-6, 1e-6))
