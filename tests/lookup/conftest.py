"""One small model and its solution for all tests of reading and writing by name."""

import jax
import numpy as np
import pytest

import mtkparams as mtk


@pytest.fixture(scope="session")
def system():
    return mtk.System(
        parameters={
            "a": mtk.Parameter(1.0, bounds=(0.0, 10.0)),
            "b": 2.0,
            "c": mtk.Parameter(3.0, tunable=False),
            "tau": [1.0, 2.0, 3.0],
            "twice": mtk.Parameter(bind=lambda p: 2 * p.a),
            "tag": "run 7",
        },
        unknowns={
            "x": mtk.Unknown(1.0, bounds=(-1.0, None), unit="m", description="way"),
            "y": [4.0, 5.0],
        },
        derivatives=lambda t, u, p: {"x": -p.a * u.x, "y": -p.b * u.y},
        observed={
            "xy": lambda t, u, p: u.x * u.y.sum(),
            "more": lambda t, u, p: u.xy + t,
        },
    )


@pytest.fixture(scope="session")
def problem(system):
    return mtk.ODEProblem(system, {}, (0.0, 1.0))


@pytest.fixture(scope="session")
def solution(problem):
    """A solution without a solve: what is read does not depend on where it came from."""
    ts = np.array([0.0, 0.5, 1.0])
    ys = np.stack([np.exp(-ts), 4 * np.exp(-2 * ts), 5 * np.exp(-2 * ts)], axis=-1)
    return mtk.Solution(
        ts=jax.numpy.asarray(ts),
        ys=jax.numpy.asarray(ys),
        p=problem.p,
        t0=problem.t0,
        t1=problem.t1,
        result=mtk.RESULTS.successful,
        stats={},
        interpolation=None,
        model=problem.model,
    )
