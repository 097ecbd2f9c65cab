"""A small model that several test files fit."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def decay():
    """x' = -k x from 1, with an observed value `y = gain * x`; k = 0.5, gain = 2."""
    import mtkparams as mtk

    system = mtk.System(
        parameters={
            "k": mtk.Parameter(0.5, bounds=(0.0, None), unit="1/s"),
            "gain": 2.0,
            "sigma": mtk.Parameter(0.1, bounds=(0.0, None)),
            "cold": mtk.Parameter(0.3, tunable=False),
        },
        unknowns={"x": mtk.Unknown(1.0, unit="mol")},
        derivatives=lambda t, u, p: {"x": -p.k * u.x},
        observed={"y": lambda t, u, p: p.gain * u.x},
    )
    return mtk.ODEProblem(system, {}, (0.0, 4.0))


@pytest.fixture(scope="session")
def times():
    return np.linspace(0.0, 4.0, 9)


@pytest.fixture(scope="session")
def solve():
    """How these tests solve: one explicit solver compiles in half the time of "auto"."""
    import diffrax

    return {"solver": diffrax.Tsit5(), "rtol": 1e-8, "atol": 1e-10}
