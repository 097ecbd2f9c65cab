"""Plots: every kind is drawn, shows what it should, and writes a file."""

import io

import numpy as np
import pytest

import mtkparams as mtk
from mtkparams._fitting.answer.plots import waterfall
from mtkparams.errors import KindError

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def fit(decay, times, solve):
    y = 2 * np.exp(-0.6 * times) * (1 + 0.05 * np.sin(7 * times))
    return mtk.fitting.fit(decay, {"t": times, "y": y}, free=["k", "gain"], **solve)


def written(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=40)
    return file.getvalue().startswith(b"\x89PNG")


@pytest.mark.slow
def test_data_fit_band_and_residuals(fit, times):
    figure = fit.plot()
    assert written(figure)
    top, bottom = figure.axes
    curve, data = top.lines[0].get_ydata(), top.lines[1].get_ydata()
    assert curve.shape == (200,)
    np.testing.assert_allclose(curve[0], fit.values["gain"], rtol=1e-6)
    assert top.get_ylabel() == "y"
    assert len(top.collections) == 1  # the band
    np.testing.assert_allclose(bottom.lines[0].get_ydata(), fit.predictions()["data"]["y"] - data)
    assert (bottom.get_xlabel(), bottom.get_ylabel()) == ("t", "model - data")
    # The sign of what the fit makes small.
    drawn = np.asarray(bottom.lines[0].get_ydata())
    np.testing.assert_array_equal(np.sign(drawn), np.sign(fit.objective.residuals(fit.v)))


def test_trace_and_correlations(fit):
    assert written(fit.plot_trace())
    figure = fit.plot_correlation()
    assert written(figure)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["1.00", f"{fit.correlation[0, 1]:.2f}", f"{fit.correlation[0, 1]:.2f}", "1.00"]


def test_profiles(fit):
    figure = fit.profile().plot()
    assert written(figure)
    assert [axes.get_xlabel() for axes in figure.axes] == ["k", "gain"]


def test_waterfall_counts_failures():
    figure = waterfall(np.array([2.0, 1.0, np.inf, 1.0, np.nan]))
    assert written(figure)
    assert figure.axes[0].get_title(loc="left") == "5 starts, 2 of them failed"
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), [0.0, 0.0, 1.0])


def test_a_waterfall_needs_many_starts(fit):
    with pytest.raises(KindError, match="this fit had one: give it starts=100"):
        fit.plot_waterfall()


def test_no_data_in_time_is_an_error():
    result = mtk.fitting.least_squares(lambda p: p["a"] - np.ones(3), mtk.parameters({"a": 0.0}))
    with pytest.raises(KindError, match="no data tables"):
        result.plot()
