"""A model that several test files solve."""

import pytest


@pytest.fixture(scope="session")
def blow_up():
    """x' = k x^2 from 1 with k = 1, so x = 1 / (1 - k t): it blows up at t = 1, before the end at 1.5."""
    import mtkparams as mtk

    system = mtk.System(
        parameters={"k": 1.0},
        unknowns={"x": 1.0},
        derivatives=lambda t, u, p: {"x": p.k * u.x**2},
    )
    return mtk.ODEProblem(system, {}, (0.0, 1.5))
