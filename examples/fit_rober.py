"""The three rates of Robertson's reaction, from noisy concentrations over seven decades of time.

The rates span nine orders of magnitude and the equations are stiff. `scale="log10"` lets the fit move
orders of magnitude; the solver is an implicit one.
Run it with `python examples/fit_rober.py`.
"""

import diffrax
import jax
import numpy as np

import mtkparams as mtk

jax.config.update("jax_enable_x64", True)

rate = lambda value, description: mtk.Parameter(value, scale="log10", description=description)
robertson = mtk.System(
    parameters={
        "k1": rate(0.04, "A -> B"),
        "k2": rate(3e7, "B + B -> C + B"),
        "k3": rate(1e4, "B + C -> A + C"),
    },
    unknowns={"A": 1.0, "B": 0.0, "C": 0.0},
    derivatives=lambda t, u, p: {
        "A": -p.k1 * u.A + p.k3 * u.B * u.C,
        "B": p.k1 * u.A - p.k3 * u.B * u.C - p.k2 * u.B**2,
        "C": p.k2 * u.B**2,
    },
    observed={"B_scaled": lambda t, u, p: 1e4 * u.B},  # B never exceeds 4e-5
)
problem = mtk.ODEProblem(robertson, {}, (0.0, 1e5))
solve = {"solver": diffrax.Kvaerno5(), "rtol": 1e-8, "atol": {"A": 1e-10, "B": 1e-14, "C": 1e-10}}

rng = np.random.default_rng(1)
ts = np.logspace(-4, 5, 40)
solution = mtk.solve(problem, saveat=ts, **solve)
scatter = lambda name: np.asarray(solution[name]) * np.exp(0.02 * rng.normal(size=ts.size))
data = {"t": ts, "A": scatter("A"), "B_scaled": scatter("B_scaled")}

start = mtk.remake(problem, {"k1": 0.1, "k2": 1e7, "k3": 3e3})
result = mtk.fitting.fit(
    start, data, free=["k1", "k2", "k3"], noise=mtk.fitting.LogNormal(0.02), **solve
)
print(result.report())
