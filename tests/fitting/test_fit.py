"""A fit by the default method recovers what made the data; test_methods.py has the others."""

import numpy as np
import pytest

import mtkparams as mtk


@pytest.mark.slow
def test_a_rate_by_the_default_method(decay, times, solve):
    # x' = -p x, data exp(-2.5 t), start 0.5.
    data = {"t": times, "x": np.exp(-2.5 * times)}
    result = mtk.fitting.fit(decay, data, free=["k"], **solve)
    assert result.succeeded
    assert result.result == mtk.RESULTS.converged
    assert result.message == mtk.RESULTS[mtk.RESULTS.converged]
    assert result.method == "optimistix LevenbergMarquardt"
    np.testing.assert_allclose(result["k"], 2.5, rtol=1e-6)
