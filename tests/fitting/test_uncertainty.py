"""Uncertainties through objectives: certified errors, propagation, information, bands, profiles."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fitting import certified

import mtkparams as mtk
from mtkparams.errors import KindError, UnknownNameError


def regression(name):
    """The objective of a data set, at its certified values."""
    model, x, y, best, _, _ = getattr(certified, name)
    p = mtk.parameters({f"b{i + 1}": value for i, value in enumerate(best.tolist())})
    stacked = lambda p: jnp.stack([p[name] for name in p.names()])
    return mtk.fitting.least_squares(lambda p: model(stacked(p), x) - y, p, steps=3)


@pytest.fixture(scope="module")
def misra1a():
    return regression("MISRA1A")


@pytest.fixture(scope="module")
def decay_fit(decay, times, solve):
    """A fit with estimated noise, a dependent value, and a value that no data see."""
    system = mtk.System(
        parameters={
            "k": mtk.Parameter(0.5, bounds=(0.0, None), unit="1/s"),
            "gain": 2.0,
            "sigma": mtk.Parameter(0.1, bounds=(0.0, None)),
            "idle": 1.0,
            "half_life": mtk.Parameter(bind=lambda p: jnp.log(2.0) / p.k, unit="s"),
        },
        unknowns={"x": mtk.Unknown(1.0)},
        derivatives=lambda t, u, p: {"x": -p.k * u.x},
        observed={"y": lambda t, u, p: p.gain * u.x},
    )
    problem = mtk.ODEProblem(system, {}, (0.0, 4.0))
    rng = np.random.default_rng(2)
    y = 2.2 * np.exp(-0.6 * times) + 0.05 * rng.normal(size=times.size)
    return mtk.fitting.fit(
        problem,
        {"t": times, "y": y},
        free=["k", "gain", "x", "sigma"],
        noise=mtk.fitting.Normal("sigma"),
        **solve,
    )


@pytest.mark.parametrize("name", ["MISRA1A", "LANCZOS3"])
def test_certified_standard_errors_after_a_fit(name):
    result = regression(name)
    errors = getattr(certified, name).errors
    np.testing.assert_allclose(list(result.stderr.values()), errors, rtol=1e-5)


def test_scale_of_the_noise(misra1a):
    objective, v = misra1a.objective, misra1a.v
    own = mtk.fitting.uncertainty(objective, v)
    assert own.scaled
    assert own.variance == pytest.approx(0.1018787633**2, rel=1e-9)  # certified
    plain = mtk.fitting.uncertainty(objective, v, scale=False)
    np.testing.assert_allclose(own.covariance, plain.covariance * own.variance, rtol=1e-10)
    information = mtk.fitting.fisher_information(objective, v)
    np.testing.assert_allclose(np.linalg.inv(information), plain.covariance, rtol=1e-7)


def test_information_can_be_differentiated(misra1a):
    # As in the design of experiments: how the log determinant changes with the values.
    objective = misra1a.objective
    f = lambda v: jnp.linalg.slogdet(mtk.fitting.fisher_information(objective, v))[1]
    v = jnp.asarray(misra1a.v)
    forward, reverse = jax.jit(lambda v: (jax.jacfwd(f)(v), jax.grad(f)(v)))(v)
    np.testing.assert_allclose(forward, reverse, rtol=1e-10)
    step = 1e-5 * v[0]
    around = (f(v.at[0].add(step)) - f(v.at[0].add(-step))) / (2 * step)
    np.testing.assert_allclose(forward[0], around, rtol=1e-6)


def test_a_loss_has_no_errors_unless_it_is_a_likelihood():
    y = np.array([1.0, 2.0, 4.0])
    p = mtk.parameters({"m": 2.0, "s": mtk.Parameter(1.0, bounds=(0.0, None))})
    nll = lambda p: jnp.sum(0.5 * ((y - p["m"]) / p["s"]) ** 2 + jnp.log(p["s"]))
    result = mtk.fitting.minimise(nll, p)
    with pytest.raises(KindError, match="likelihood=True"):
        _ = result.stderr
    errors = mtk.fitting.uncertainty(result.objective, result.v, likelihood=True)
    scatter = np.std(y)
    assert errors.stderr["m"] == pytest.approx(scatter / np.sqrt(3), rel=1e-4)
    assert errors.stderr["s"] == pytest.approx(scatter / np.sqrt(6), rel=1e-4)
    estimate = result.estimate(lambda p: 2 * p.m, errors=errors)
    assert estimate.stderr == pytest.approx(2 * scatter / np.sqrt(3), rel=1e-4)
    # With the best scatter for each mean the loss rises by 3/2 log(1 + (m - mean)^2 / scatter^2).
    half = scatter * np.sqrt(np.exp(2 / 3 * 1.9207294103470622) - 1)
    low, high = result.profile("m", errors=errors).interval["m"]
    assert (high - low) / 2 == pytest.approx(half, rel=1e-3)
    assert "± error" not in str(result.report())
    with pytest.raises(KindError, match="takes the noise from the residuals"):
        mtk.fitting.uncertainty(result.objective, result.v, likelihood=True, scale=True)


def test_values_from_elsewhere_have_all_that_a_fit_has(misra1a):
    result = mtk.fitting.FitResult.at(misra1a.objective, misra1a.v.tolist())
    assert result.stderr == misra1a.stderr
    assert result.profile("b1").interval == misra1a.profile("b1").interval
    assert result.loss == pytest.approx(misra1a.loss, rel=1e-12)
    text = str(result.report())
    assert text.startswith("Least squares by a search of your own\nNo search was made here.\n")
    assert "238.94" in text
    assert result.succeeded
    nowhere = mtk.fitting.FitResult.at(misra1a.objective, [np.nan, 1.0])
    assert not nowhere.succeeded
    assert nowhere.failures == len(nowhere.failed_at) == 1


def test_errors_of_what_is_computed_from_the_values(misra1a):
    found = misra1a.estimate({"product": lambda p: p.b1 * p.b2, "both": ["b1", "b2"]})
    # The slope at x = 0, by the formula of two correlated values.
    (a, b), ((aa, ab), (_, bb)) = misra1a.v, misra1a.covariance
    by_hand = np.sqrt(b**2 * aa + 2 * a * b * ab + a**2 * bb)
    assert found.value["product"] == pytest.approx(a * b)
    assert found.stderr["product"] == pytest.approx(by_hand, rel=1e-9)
    assert found.stderr["both"] == pytest.approx(list(misra1a.stderr.values()), rel=1e-9)
    assert str(misra1a.estimate("b1")) == "238.94 ± 2.71"


@pytest.mark.slow
def test_open_directions_of_an_equation_are_named(decay_fit):
    # Only gain * x(0) shows in y.
    assert decay_fit.uncertainty.directions[0].kind == "product"
    assert decay_fit.uncertainty.notes == (
        "gain and Initial(x) only as the product gain*Initial(x)",
    )
    assert decay_fit.stderr["gain"] == np.inf
    product = decay_fit.estimate(lambda p: p.gain * p["Initial(x)"])
    assert 0 < product.stderr < 0.1
    assert decay_fit.estimate("gain").stderr == np.inf
    # The maximum-likelihood scatter of n data has the error sigma / sqrt(2 n).
    sigma = decay_fit.values["sigma"]
    assert decay_fit.stderr["sigma"] == pytest.approx(sigma / np.sqrt(18), rel=1e-3)
    half = decay_fit.estimate("half_life")
    k = decay_fit.values["k"]
    assert half.stderr == pytest.approx(np.log(2) / k**2 * decay_fit.stderr["k"], rel=1e-9)


@pytest.mark.slow
def test_bands(decay_fit):
    ts = np.linspace(0.0, 3.0, 4)
    band = decay_fit.bands(ts)[""]["y"]
    k = decay_fit.values["k"]
    start = decay_fit.estimate(lambda p: p.gain * p["Initial(x)"])
    np.testing.assert_allclose(band.value, start.value * np.exp(-k * ts), rtol=1e-6)
    assert band.stderr[0] == pytest.approx(start.stderr, rel=1e-6)
    np.testing.assert_allclose(band.high - band.value, 1.959963984540054 * band.stderr, rtol=1e-9)
    assert decay_fit.bands()[""]["y"].ts.shape == (200,)


@pytest.mark.slow
def test_profiles_of_a_fit(decay_fit):
    found = decay_fit.profile(["k", "sigma"])
    low, high = found.interval["sigma"]
    # The best of the others hardly moves with sigma: n (log s - log s0) + n/2 ((s0/s)^2 - 1) = 1.92.
    n, s0 = 9, decay_fit.values["sigma"]
    for end in (low, high):
        rise = n * np.log(end / s0) + n / 2 * ((s0 / end) ** 2 - 1)
        assert rise == pytest.approx(1.9207294103470622, rel=1e-3)
    k, error = decay_fit.values["k"], decay_fit.stderr["k"]
    assert found.interval["k"] == pytest.approx((k - 2 * error, k + 2 * error), rel=0.05)
    assert list(decay_fit.profile(mtk.Initial("x"), level=0.1)) == ["Initial(x)"]
    with pytest.raises(UnknownNameError, match="Did you mean 'sigma'"):
        decay_fit.profile("sigm")
    with pytest.raises(KindError, match="probability"):
        decay_fit.profile("k", level=95.0)


@pytest.mark.slow
def test_the_hessian_of_an_objective_in_reverse_mode(decay_fit):
    objective = dataclasses.replace(decay_fit.objective, mode="reverse")
    errors = mtk.fitting.uncertainty(objective, decay_fit.v, start=decay_fit.start)
    np.testing.assert_allclose(errors.stderr["k"], decay_fit.stderr["k"], rtol=1e-8)


def test_traced_values_are_an_error(misra1a):
    with pytest.raises(KindError, match="fisher_information can be traced"):
        jax.jit(lambda v: mtk.fitting.uncertainty(misra1a.objective, v).covariance)(misra1a.v)


def test_single_precision():
    _, x, y, best, errors, _ = certified.DANWOOD
    x, y = (np.asarray(z, np.float32) for z in (x, y))
    start = {"b1": np.float32(best[0]), "b2": np.float32(best[1])}
    p = mtk.parameters(start)
    assert p.tunable.dtype == np.float32
    result = mtk.fitting.least_squares(lambda p: p["b1"] * x ** p["b2"] - y, p)
    assert result.v.dtype == np.float32
    np.testing.assert_allclose(list(result.stderr.values()), errors, rtol=1e-3)
    low, high = result.profile("b1").interval["b1"]
    # Student's t with 4 degrees of freedom.
    np.testing.assert_allclose((high - low) / 2, 2.7764451 * errors[0], rtol=0.02)
    assert "0.7689" in str(result.report())
