"""Fit the rates of a stiff reaction with a conservation law, written as it stands: an algebraic equation.

Robertson's reaction turns y1 into y3 by way of y2, of which there is never more than a trace; nothing
is lost. Its three rates differ by nine orders of magnitude, so they are fitted by their logarithms, to
synthetic measurements with an error of two percent at times from a second to a day.

Run it with `python examples/rober_dae.py`; it needs about a minute, most of it for compiling.
"""

import os
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import optimistix as optx

import mtkparams as mtk

jax.config.update("jax_enable_x64", True)

STEPS = 3 if os.environ.get("MTKPARAMS_QUICK") == "1" else 50

robertson = mtk.System(
    parameters={
        "k1": mtk.Parameter(0.04, bounds=(0.0, None), scale="log", unit="1/s"),
        "k2": mtk.Parameter(3e7, bounds=(0.0, None), scale="log", unit="1/s"),
        "k3": mtk.Parameter(1e4, bounds=(0.0, None), scale="log", unit="1/s"),
    },
    unknowns={"y1": 1.0, "y2": 0.0, "y3": mtk.Unknown(guess=0.0)},
    derivatives=lambda t, u, p: {
        "y1": -p.k1 * u.y1 + p.k3 * u.y2 * u.y3,
        "y2": p.k1 * u.y1 - p.k3 * u.y2 * u.y3 - p.k2 * u.y2**2,
    },
    residuals=lambda t, u, p: {"mass": u.y1 + u.y2 + u.y3 - 1.0},
)
nature = mtk.ODEProblem(robertson, {}, (0.0, 1e5))
times = jnp.logspace(0.0, 5.0, 20)
solver: dict[str, Any] = {
    "solver": diffrax.Kvaerno5(
        root_finder=diffrax.with_stepsize_controller_tols(optx.Chord)(),
    ),
    "rtol": 1e-7,
    "atol": {"y1": 1e-9, "y2": 1e-13},  # y2 stays below 1e-4
}

# The measurements. y3 is found from y1 and y2 at each time, and saved like them.
truth = mtk.solve(nature, saveat=times, **solver)
noise = 1 + 0.02 * jax.random.normal(jax.random.key(0), (3, times.size))
data = {name: truth[name] * row for name, row in zip(("y1", "y2", "y3"), noise, strict=True)}
print(
    "largest violation of the conservation law:",
    f"{abs(truth['y1'] + truth['y2'] + truth['y3'] - 1).max():.1e}",
)

# From rates that are wrong by factors of 2 and 3.
guess = mtk.remake(nature, {"k1": 0.08, "k2": 1e7, "k3": 2e4})
result = mtk.fitting.fit(
    guess, {"t": times, **data}, noise=mtk.fitting.LogNormal(0.02), steps=STEPS, **solver
)
print(result.report())

# The same derivative without the fit: how the end of the reaction depends on the logarithm of each rate.
logs = jnp.log(jnp.array([0.04, 3e7, 1e4]))


def remaining(logs):
    rates = dict(zip(("k1", "k2", "k3"), jnp.exp(logs), strict=True))
    solution = mtk.solve(mtk.remake(nature, rates), adjoint=diffrax.ForwardMode(), **solver)
    return jnp.log(solution["y1"][-1])


for name, slope in zip(("k1", "k2", "k3"), jax.jit(jax.jacfwd(remaining))(logs), strict=True):
    print(f"d log y1(end) / d log {name} = {slope:+.4f}")
