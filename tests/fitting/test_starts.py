"""Where many fits begin, starts that fail in a solve, and the same answers on any number of devices."""

from __future__ import annotations

import os
import subprocess
import sys

import diffrax
import numpy as np
import pytest
import scipy.stats

import mtkparams as mtk
from mtkparams import errors
from mtkparams._fitting.options import Starts
from mtkparams._fitting.search.starts import starting_values

# x' = k x^2 from 1 is infinite at t = 1 / k: inside the time span for k above 0.5.
TS = np.linspace(0.0, 2.0, 11)
TRUE = 0.3


@pytest.fixture(scope="module")
def problem():
    growth = mtk.System(
        parameters={"k": mtk.Parameter(0.1, bounds=(0.0, 3.0))},
        unknowns={"x": 1.0},
        derivatives=lambda t, u, p: {"x": p.k * u.x**2},
    )
    return mtk.ODEProblem(growth, {}, (0.0, 2.0))


@pytest.mark.slow
def test_of_a_hundred_solves_twenty_blow_up(problem):
    random = np.random.default_rng(0)
    good, bad = random.uniform(0.05, 0.45, 80), random.uniform(0.6, 2.0, 20)
    result = mtk.fitting.fit(
        problem,
        {"t": TS, "x": 1 / (1 - TRUE * TS)},
        free=["k"],
        starts={"k": np.concatenate([good, bad])},
        solver=diffrax.Tsit5(),
        rtol=1e-8,
        atol=1e-10,
        max_steps=500,
    )
    table = result.starts
    assert table is not None
    assert table.failed.sum() == 20
    np.testing.assert_allclose(table.v[~table.failed], TRUE, rtol=1e-6)
    assert set(np.round(table.start[table.failed].ravel(), 12)) == set(np.round(bad, 12))
    for row in table.rows():
        assert not any(isinstance(x, float) and np.isnan(x) for x in row.values())
    assert str(table).splitlines()[0] == "100 starts, 20 failed"


# Samples


class Normal:
    """A prior of scipy, with a density that JAX can trace."""

    def __init__(self):
        self.ppf = scipy.stats.norm(3.0, 0.5).ppf

    def logpdf(self, x):
        return -2 * (x - 3.0) ** 2


@pytest.fixture(scope="module")
def three():
    line = mtk.System(
        parameters={
            "even": mtk.Parameter(0.5, bounds=(-1.0, 1.0)),
            "wide": mtk.Parameter(1.0, bounds=(1e-3, 1e3)),
            "likely": mtk.Parameter(3.0, prior=Normal()),
        },
        unknowns={"x": 0.0},
        derivatives=lambda t, u, p: {"x": p.even * p.wide + p.likely},
    )
    problem = mtk.ODEProblem(line, {}, (0.0, 1.0))
    return mtk.fitting.objective(problem, {"t": TS[:3], "x": TS[:3]}, solver=diffrax.Tsit5())


@pytest.mark.parametrize("sampler", ["sobol", "latin"])
def test_samples_fill_bounds_and_priors_evenly(three, sampler):
    starts = Starts(257, sampler=sampler)
    values = starting_values(three, starts)
    assert values.shape == (257, 3)
    assert values[0].tolist() == [0.5, 1.0, 3.0]
    even, wide, likely = values[1:].T
    for cube in ((even + 1) / 2, (np.log10(wide) + 3) / 6, scipy.stats.norm(3.0, 0.5).cdf(likely)):
        # Each of 16 slices of equal probability has 16 points, as both samplers promise.
        counts, _ = np.histogram(cube, bins=16, range=(0.0, 1.0))
        assert counts.tolist() == [16] * 16
    np.testing.assert_array_equal(values, starting_values(three, starts))
    others = starting_values(three, Starts(257, seed=1, sampler=sampler))
    assert (values[1:] != others[1:]).any()


def test_starts_that_do_not_fit(three):
    with pytest.raises(errors.ShapeError, match=r"a column for each of even, wide, likely"):
        starting_values(three, Starts(np.ones((4, 2))))
    with pytest.raises(errors.ShapeError, match="arrays with as many starts each"):
        starting_values(three, Starts({"even": np.zeros(3), "wide": np.ones(2)}))


PROGRAM = """
import jax
import jax.numpy as jnp
import numpy as np
import mtkparams as mtk

jax.config.update("jax_enable_x64", True)
p = mtk.parameters({"a": 1.0, "b": 1.0})
x = jnp.linspace(0.0, 1.0, 7)
residuals = lambda p: p["a"] * jnp.exp(p["b"] * x) - 2.0 * jnp.exp(-1.5 * x)
starts = {"a": np.linspace(0.5, 3.0, 10), "b": np.linspace(-2.0, 0.0, 10)}
result = mtk.fitting.least_squares(residuals, p, starts=starts)
assert len(result.starts) == 10
for row in result.starts.v:
    print(*(f"{value:.9f}" for value in row))
"""


@pytest.mark.slow
def test_the_same_on_one_device_and_on_four():
    printed = []
    for count in (1, 4):
        flags = f"--xla_force_host_platform_device_count={count}"
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert run.returncode == 0, run.stderr
        printed.append(run.stdout)
    assert printed[0] == printed[1]
    assert printed[0].splitlines() == ["2.000000000 -1.500000000"] * 10
