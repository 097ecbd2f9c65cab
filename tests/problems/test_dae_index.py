"""Systems whose algebraic equations cannot give the algebraic unknowns."""

from __future__ import annotations

import jax.numpy as jnp
import pytest

import mtkparams as mtk
from mtkparams import ODEProblem, System, Unknown, errors


def pendulum() -> System:
    """A mass on a rod, in Cartesian coordinates: index 3."""
    return System(
        parameters={"g": 9.81},
        unknowns={"x": 1.0, "y": 0.0, "vx": 0.0, "vy": 0.0, "force": Unknown(0.0)},
        derivatives=lambda t, u, p: {
            "x": u.vx,
            "y": u.vy,
            "vx": -u.force * u.x,
            "vy": -u.force * u.y - p.g,
        },
        residuals=lambda t, u, p: {"length": u.x**2 + u.y**2 - 1.0},
    )


def test_pendulum():
    with pytest.raises(errors.HigherIndexError) as caught:
        mtk.solve(ODEProblem(pendulum()))
    assert str(caught.value).startswith(
        "The algebraic equations 'length' are more than the algebraic unknowns in them: they constrain "
        "differential unknowns, and nothing determines 'force'. This is a system of higher index"
    )
    assert caught.value.equations == ("length",)
    assert caught.value.unknowns == ("force",)


def test_one_of_two_equations():
    """Two currents at one node: the second equation repeats what the first says of another unknown."""
    system = System(
        unknowns={"v": 1.0, "i": Unknown([0.0, 0.0]), "w": Unknown(0.0)},
        derivatives=lambda t, u, p: {"v": -u.w},
        residuals=lambda t, u, p: {
            "sum": jnp.stack([u.i.sum() - u.v, u.i.sum() + u.v]),
            "node": u.i[0] - u.i[1],
        },
    )
    with pytest.raises(errors.HigherIndexError) as caught:
        mtk.solve(ODEProblem(system))
    assert caught.value.equations == ("sum", "node")
    assert caught.value.unknowns == ("w",)
