"""Certified parameters and standard errors of NIST's problems, from both published starts."""

import diffrax
import jax.numpy as jnp
import numpy as np
import pytest
from fitting import certified

import mtkparams as mtk

STARTS = {  # NIST StRD, "Start 1" and "Start 2" of each data set
    "MISRA1A": [[500.0, 0.0001], [250.0, 0.0005]],
    "DANWOOD": [[1.0, 5.0], [0.7, 4.0]],
    "CHWIRUT2": [[0.1, 0.01, 0.02], [0.15, 0.008, 0.01]],
    "LANCZOS3": [[1.2, 0.3, 5.6, 5.5, 6.5, 7.6], [0.5, 0.7, 3.6, 4.2, 4.0, 6.3]],
    "THURBER": [
        [1000.0, 1000.0, 400.0, 40.0, 0.7, 0.3, 0.03],
        [1300.0, 1500.0, 500.0, 75.0, 1.0, 0.4, 0.05],
    ],
}


def standard_errors(result, v):
    return list(mtk.fitting.uncertainty(result.objective, v).stderr.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", STARTS)
def test_certified_parameters(name):
    data = getattr(certified, name)
    p = mtk.parameters({f"b{i + 1}": x for i, x in enumerate(data.certified.tolist())})

    def residuals(p):
        return data.model([p[label] for label in mtk.labels(p)], data.x) - data.y

    result = mtk.fitting.least_squares(residuals, p, starts=STARTS[name])
    assert result.starts is not None
    assert result.starts.code.tolist() == [1, 1], "both converged"
    for v in result.starts.v:
        np.testing.assert_allclose(v, data.certified, rtol=1e-6)
        np.testing.assert_allclose(standard_errors(result, v), data.errors, rtol=1e-5)
    np.testing.assert_allclose(2 * result.starts.loss, data.rss, rtol=1e-8)


@pytest.mark.slow
def test_certified_parameters_through_a_solve():
    """Misra1a as the equation that its model solves: y' = b2 (b1 - y), y(0) = 0."""
    data, starts = certified.MISRA1A, STARTS["MISRA1A"]
    system = mtk.System(
        parameters={"b1": starts[0][0], "b2": starts[0][1]},
        unknowns={"y": 0.0},
        derivatives=lambda t, u, p: {"y": p.b2 * (p.b1 - u.y)},
    )
    result = mtk.fitting.fit(
        mtk.ODEProblem(system, {}, (0.0, 760.0)),
        {"t": data.x, "y": data.y},
        starts=starts,
        solver=diffrax.Tsit5(),
        rtol=1e-10,
        atol=1e-10,
    )
    assert result.starts is not None
    for v in result.starts.v:
        np.testing.assert_allclose(v, data.certified, rtol=1e-6)
        np.testing.assert_allclose(standard_errors(result, v), data.errors, rtol=1e-5)


@pytest.mark.slow
def test_three_exponentials_through_a_solve():
    """Lanczos3 as three decays, whose initial values are free as well."""
    data, starts = certified.LANCZOS3, STARTS["LANCZOS3"]
    system = mtk.System(
        parameters={"b2": 1.0, "b4": 1.0, "b6": 1.0},
        unknowns={"z1": 1.0, "z2": 1.0, "z3": 1.0},
        derivatives=lambda t, u, p: {
            "z1": -p.b2 * u.z1,
            "z2": -p.b4 * u.z2,
            "z3": -p.b6 * u.z3,
        },
        observed={"y": lambda t, u, p: u.z1 + u.z2 + u.z3},
    )
    free = [mtk.Initial("z1"), "b2", mtk.Initial("z2"), "b4", mtk.Initial("z3"), "b6"]
    result = mtk.fitting.fit(
        mtk.ODEProblem(system, {}, (0.0, 1.15)),
        {"t": data.x, "y": data.y},
        free=free,
        starts=starts,
        solver=diffrax.Dopri8(),
        # What limits it is the interpolation between steps, less accurate than the steps.
        rtol=1e-13,
        atol=1e-15,
    )
    assert result.starts is not None
    rows = np.sort(result.starts.v.reshape(2, 3, 2), axis=1)  # the exponentials in any order
    expected = np.sort(data.certified.reshape(3, 2), axis=0)
    assert jnp.isfinite(result.starts.loss).all()
    for row in rows:
        np.testing.assert_allclose(row, expected, rtol=1e-6)
    for v in result.starts.v:
        order = np.argsort(v.reshape(3, 2)[:, 1])
        errors = np.reshape(standard_errors(result, v), (3, 2))[order]
        np.testing.assert_allclose(errors, data.errors.reshape(3, 2), rtol=1e-5)
