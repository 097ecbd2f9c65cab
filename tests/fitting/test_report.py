"""Reports: what they say of each value, figures from outside, and their three forms."""

import io
import math
import re
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from fitting import certified

import mtkparams as mtk
from mtkparams._fitting.answer.format import pair, percent, seconds


@pytest.fixture(scope="module")
def misra1a():
    model, x, y, _, _, _ = certified.MISRA1A
    p = mtk.parameters(
        {
            "b1": mtk.Parameter(250.0, bounds=(0.0, None), unit="mmHg"),
            "b2": 0.0005,
            "slope": mtk.Parameter(bind=lambda p: p.b1 * p.b2),
            "other": 3.0,
            "text": "x",
        }
    )
    residuals = lambda p: model([p["b1"], p["b2"]], x) - y
    return mtk.fitting.least_squares(residuals, p, free=["b1", "b2"])


def lines(result, least=0.5):
    return {line.split("  ")[0]: line for line in str(result.report(least)).splitlines()}


def test_values_with_errors_start_bounds_and_unit(misra1a):
    rows = lines(misra1a)
    assert rows["b1"].split() == ["b1", "238.94", "±", "2.71", "1.1", "%", "250", ">=", "0", "mmHg"]
    assert rows["b2"].split()[1:4] == ["0.00055016", "±", "0.00000727"]
    # Certified: b1 b2 = 0.13145553; its error by the certified values and their correlation.
    assert rows["slope"].split()[1] == "0.131456"
    assert rows["slope"].endswith("dependent")
    assert rows["other"].split() == ["other", "3", "3", "fixed"]
    assert "text" not in str(misra1a.report())


def test_statistics(misra1a):
    found = dict(misra1a.summary.statistics)
    assert found["data"] == 14
    assert found["degrees of freedom"] == 12
    assert found["chi2"] == pytest.approx(0.12455138894, rel=1e-8)  # certified
    assert found["reduced chi2"] == pytest.approx(0.1018787633**2, rel=1e-8)  # certified
    # As R computes `logLik`, `AIC` and `BIC` of `nls`: the scatter is one of the estimated values.
    likelihood = -7 * (math.log(2 * math.pi * 0.12455138894 / 14) + 1)
    assert found["log likelihood"] == pytest.approx(likelihood, rel=1e-8)
    assert found["AIC"] == pytest.approx(6 - 2 * likelihood, rel=1e-8)
    assert found["BIC"] == pytest.approx(3 * math.log(14) - 2 * likelihood, rel=1e-8)


def test_why_it_stopped_and_counts(misra1a):
    text = str(misra1a.report())
    assert text.startswith("Least squares by ")
    assert "converged" in text
    assert re.search(rf"{misra1a.evaluations} evaluations, ", text)
    assert "failed" not in text


def test_correlations_above_a_limit(misra1a):
    text = str(misra1a.report())
    assert "correlations of at least 0.5" in text
    # R's summary(nls, correlation = TRUE) gives -0.998836 too: cov / (se se).
    assert re.search(r"b1, b2 +-0\.9988", text)
    assert "correlations" not in str(misra1a.report(0.9999))


def test_at_bound_never_moved_and_open_values():
    x = np.linspace(0.0, 1.0, 6)
    p = mtk.parameters(
        {
            "a": mtk.Parameter(0.5, bounds=(0.0, 1.0)),
            "b": 1.0,
            "c": 2.0,
            "idle": 7.0,
        }
    )
    # The best `a` is 2, beyond its bound.
    residuals = lambda p: p["a"] * x**2 + p["b"] * p["c"] * x - (2 * x**2 + x)
    result = mtk.fitting.least_squares(residuals, p)
    rows, text = lines(result), str(result.report())
    assert rows["a"].endswith("at upper bound")
    assert "±" not in rows["a"]
    assert rows["b"].endswith("not identifiable")
    assert "± inf" in rows["b"]
    assert rows["idle"].endswith("no influence")
    assert "- b and c only as the product b*c" in text
    assert "- idle has no influence on the data" in text
    assert "- a is at a bound: the errors of the others are those with it fixed" in text


def test_a_value_that_never_moved_is_marked():
    x = np.linspace(0.0, 1.0, 6)
    p = mtk.parameters({"a": 2.0, "b": 1.0})
    result = mtk.fitting.least_squares(lambda p: p["a"] * x + p["b"] - 2 * x - 1.0, p)
    rows = lines(result)
    assert rows["a"].endswith("never moved")
    assert rows["b"].endswith("never moved")


@pytest.mark.slow
def test_priors_make_it_a_posterior(decay, times, solve):
    prior: Any = scipy.stats.norm(0.6, 0.05)
    result = mtk.fitting.fit(
        decay,
        {"t": times, "x": np.exp(-0.5 * times)},
        free=["k"],
        noise=mtk.fitting.Normal(0.05),
        priors={"k": prior},
        **solve,
    )
    assert str(result.report()).startswith("Maximum of the posterior by ")
    found = dict(result.summary.statistics)
    assert found["log prior"] == pytest.approx(prior.logpdf(result.values["k"]), rel=1e-9)
    assert found["log likelihood"] + found["log prior"] == pytest.approx(-result.loss, rel=1e-9)
    # The prior's precision adds to that of the data, by Gauss and Newton.
    k = result.values["k"]
    information = np.sum((times * np.exp(-k * times)) ** 2) / 0.05**2 + 1 / 0.05**2
    assert result.stderr["k"] == pytest.approx(1 / np.sqrt(information), rel=0.05)


def test_failed_evaluations_are_counted_and_placed():
    # Beyond 3 there is no residual; the first step from 1 towards 2.9 goes too far.
    def residuals(p):
        a = p["a"]
        return jnp.where(a < 3.0, (a**3 - 24.0) * jnp.ones(2), jnp.nan)

    result = mtk.fitting.least_squares(residuals, mtk.parameters({"a": 1.0}))
    assert result.failures > 0
    text = str(result.report())
    assert f"({result.failures} failed)" in text
    assert "- the objective could not be computed" in text
    assert f"at a = {result.failed_at[0, 0]:.6g}" in text


def test_html(misra1a):
    html = misra1a.report()._repr_html_()
    assert "<b>Least squares by " in html
    assert "&gt;= 0" in html
    assert "238.94" in html
    assert html.count("<tr>") >= 5


def test_rich(misra1a):
    rich = pytest.importorskip("rich.console")
    console = rich.Console(width=120, record=True, file=io.StringIO())
    console.print(misra1a.report())
    text = console.export_text()
    assert "238.94" in text
    assert "b1, b2" in text
    assert "mmHg" in text


@pytest.mark.parametrize(
    ("value", "error", "texts"),
    [
        (238.94212918, 2.7070075241, ("238.94", "2.71")),
        (0.00055015643181, 7.2668688436e-06, ("0.00055016", "0.00000727")),
        (1288.13968, 4.6647963344, ("1288.14", "4.66")),
        (0.0, 0.5, ("0.000", "0.500")),
        (1.0, 0.0009999, ("1.00000", "0.00100")),
        (123456.0, 54321.0, ("123456", "54321")),
        (1.5e12, 2.5e10, ("1.5000e+12", "0.0250e+12")),
        (-3e-9, 1e-11, ("-3.0000e-09", "0.0100e-09")),
        (1.0, math.nan, ("1", "")),
        (1.0, math.inf, ("1", "inf")),
    ],
)
def test_digits(value, error, texts):
    assert pair(value, error) == texts


def test_percent_and_time():
    assert [percent(2.0, e) for e in (0.01, 0.25, 2.0, math.inf)] == ["0.5 %", "12 %", "100 %", ""]
    assert [seconds(x) for x in (0.0123, 1.5, 150.0, 7200.0)] == [
        "12.3 ms",
        "1.5 s",
        "2.5 min",
        "2.0 h",
    ]
