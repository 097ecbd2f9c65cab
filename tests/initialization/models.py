"""Small systems with algebraic equations, and what is known about them."""

from __future__ import annotations

import mtkparams as mtk


def cubic_chain() -> mtk.System:
    """The chain of SciMLSensitivity.jl, test/Core8/desauty_dae_mwe.jl: two blocks, [y] then [z]."""
    return mtk.System(
        parameters={"a": -0.5, "b": 2.0, "c": mtk.Parameter(1.5, tunable=False)},
        unknowns={"x": 1.0, "y": mtk.Unknown(guess=1.0), "z": mtk.Unknown(guess=0.5)},
        derivatives=lambda t, u, p: {"x": p.a * u.x + u.y + u.z},
        residuals=lambda t, u, p: {
            "y_eq": u.y**3 + u.y - p.b * u.x,
            "z_eq": u.z**3 + u.z - p.c * u.y,
        },
    )


# By hand: y^3 + y = b x has the root 1; dy/db = x / (3 y^2 + 1), dy/dx = b / (3 y^2 + 1), and so on.
CUBIC_Z = 0.8612240997395735
CUBIC_GRADIENT = {
    "a": 0.0,
    "b": 0.3662747126234618,
    "c": 0.3100659003292309,
    "x": 0.7325494252469236,
}


def circle() -> mtk.System:
    """One algebraic unknown with two roots, which meet where x = r."""
    return mtk.System(
        parameters={"r": 1.25},
        unknowns={"x": 1.0, "y": mtk.Unknown(guess=0.5)},
        derivatives=lambda t, u, p: {"x": -u.y},
        residuals=lambda t, u, p: {"on circle": u.x**2 + u.y**2 - p.r**2},
    )
