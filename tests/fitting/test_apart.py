"""Objectives that differ in one thing differ in what they compute, also within one compiled function."""

import equinox as eqx
import numpy as np
import pytest
import scipy.stats

import mtkparams as mtk
from mtkparams.fitting import LogNormal, Normal, fit, objective

DATA = {"t": np.array([1.0, 2.0]), "x": np.array([0.3, 0.1])}
V = np.array([0.7, 1.8])


@pytest.fixture(scope="module")
def problem():
    system = mtk.System(
        parameters={"a": 1.0, "k": 1.0, "c": 3.0},
        unknowns={"x": 1.0},
        derivatives=lambda t, u, p: {"x": -p.a * p.k * u.x},
    )
    return mtk.ODEProblem(system, {}, (0.0, 2.0))


# Half the sum of ((x - model) / 0.1)^2, of the values or of their logarithms, with model = exp(-1.26 t).
def test_normal_and_lognormal_noise_under_one_filter_jit(problem, solve):
    half_chi2 = eqx.filter_jit(lambda one, v: 0.5 * (one.residuals(v) ** 2).sum())
    of = lambda noise: objective(problem, DATA, free=["a", "k"], noise=noise, **solve)
    kinds = [(Normal(0.1), 0.0324509), (LogNormal(0.1), 2.5204064), (Normal(0.1), 0.0324509)]
    for noise, expected in kinds:
        np.testing.assert_allclose(half_chi2(of(noise), V), expected, rtol=1e-5)


def test_data_and_problems_under_one_filter_jit(problem, solve):
    value = eqx.filter_jit(lambda one, v: one(v))
    fitted = lambda v, x: 0.5 * (((np.exp(-v * DATA["t"]) - DATA["x"] * x) / 0.1) ** 2).sum()
    for scale in (1.0, 2.0):
        data = {**DATA, "x": scale * DATA["x"]}
        one = objective(problem, data, free=["k"], noise=Normal(0.1), **solve)
        faster = mtk.remake(problem, {"k": 2.0})
        two = objective(faster, data, free=["a"], noise=Normal(0.1), **solve)
        least = value(one, [1.26]) - value(one, [1.0])
        expected = fitted(1.26, scale) - fitted(1.0, scale)
        np.testing.assert_allclose(least, expected, rtol=1e-5)
        least = value(two, [0.63]) - value(two, [0.5])
        np.testing.assert_allclose(least, expected, rtol=1e-5)


# log N(1.8 | 2, 0.1) = -log(0.1 sqrt(2 pi)) - 2 = -0.6163534.
@pytest.mark.parametrize("free", [["k", "a"], ["a", "k"], ["c", "k", "a"]], ids="-".join)
def test_a_prior_belongs_to_its_own_parameter(problem, solve, free):
    prior = scipy.stats.norm(2.0, 0.1)
    one = objective(problem, DATA, free=free, priors={"a": prior}, noise=Normal(0.1), **solve)
    v = [{"k": 0.7, "a": 1.8, "c": 3.0}[name] for name in free]
    np.testing.assert_allclose(one.log_prior(v), -0.6163534, rtol=1e-6)


# y = b t through 9 data of scatter s: the error of b is s / sqrt(sum t^2), that of y is t times it.
# With two values there are 7 degrees of freedom, and Student's quantile of 0.975 is 2.364624.
def test_bands_of_a_scatter_read_off_the_residuals(solve):
    system = mtk.System(
        parameters={"a": 0.0, "b": 1.0},
        unknowns={"x": lambda p: p.a},
        derivatives=lambda t, u, p: {"x": p.b},
    )
    ts = np.arange(9.0)
    xs = 1.0 + 2.0 * ts + 0.1 * np.array([1, -2, 1, 0, 2, -1, -2, 0, 1])
    problem = mtk.ODEProblem(system, {}, (0.0, 8.0))
    result = fit(problem, {"t": ts, "x": xs}, free=["a", "b"], **solve)
    band = result.bands(ts)[""]["x"]
    # The line by numpy, with the covariance of its two values scaled by the residuals.
    (slope, start), covariance = np.polyfit(ts, xs, 1, cov=True)
    rows = np.stack([ts, np.ones(9)], 1)
    stderr = np.sqrt(np.einsum("ij,jk,ik->i", rows, covariance, rows))
    np.testing.assert_allclose(band.value, start + slope * ts, rtol=1e-6)
    np.testing.assert_allclose(band.high - band.value, 2.364624 * stderr, rtol=1e-5)
    np.testing.assert_allclose(band.value - band.low, 2.364624 * stderr, rtol=1e-5)


# The logarithm of x = exp(-k t) is -k t: with noise 0.1 of it, the error of k is 0.1 / sqrt(sum t^2), the
# band of log x is 1.959964 t times that, and the quantile of the normal distribution is a factor of x.
def test_bands_of_lognormal_noise(problem, solve):
    ts = np.array([0.5, 1.0, 1.5, 2.0])
    data = {"t": ts, "x": np.exp(-1.3 * ts + 0.1 * np.array([1.0, -1.0, 0.5, -0.2]))}
    result = fit(problem, data, free=["k"], noise=LogNormal(0.1), **solve)
    k = -(np.log(data["x"]) @ ts) / (ts @ ts)
    band = result.bands(ts)[""]["x"]
    factor = np.exp(1.959964 * ts * 0.1 / np.sqrt(ts @ ts))
    np.testing.assert_allclose(band.value, np.exp(-k * ts), rtol=1e-5)
    np.testing.assert_allclose(band.high / band.value, factor, rtol=1e-4)
    np.testing.assert_allclose(band.value / band.low, factor, rtol=1e-4)
