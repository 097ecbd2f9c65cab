"""An enzyme in three experiments, fitted together from many starts.

The experiments differ in what is there at the start; the rates are shared.
Run it with `python examples/fit_conditions.py`.
"""

import os

import diffrax
import jax
import numpy as np

import mtkparams as mtk

jax.config.update("jax_enable_x64", True)
STARTS = 4 if os.environ.get("MTKPARAMS_QUICK") == "1" else 64

enzyme = mtk.System(
    parameters={
        # Wide bounds: starts are drawn from their logarithms.
        "v": mtk.Parameter(1.0, bounds=(1e-2, 1e2), unit="mM/min"),
        "km": mtk.Parameter(1.0, bounds=(1e-2, 1e2), unit="mM"),
    },
    unknowns={"substrate": mtk.Unknown(5.0, unit="mM"), "product": mtk.Unknown(0.0, unit="mM")},
    derivatives=lambda t, u, p: {
        "substrate": -p.v * u.substrate / (p.km + u.substrate),
        "product": p.v * u.substrate / (p.km + u.substrate),
    },
    observed={"absorbance": lambda t, u, p: 0.2 * u.product},
)
problem = mtk.ODEProblem(enzyme, {}, (0.0, 10.0))

# Each experiment is a dictionary of what is different in it.
conditions = {
    "high dose": {"substrate": 5.0},
    "low dose": {"substrate": 1.0},
    "washed out": {"substrate": 2.0, "product": 0.5},
}

# Made with v = 1.5, km = 0.8 and a scatter of 0.01, at times of its own for each.
rng = np.random.default_rng(5)
truth = mtk.remake(problem, {"v": 1.5, "km": 0.8})
data = {}
for name, changes in conditions.items():
    ts = np.sort(rng.uniform(0.1, 9.9, 12))
    solution = mtk.solve(mtk.remake(truth, changes), diffrax.Tsit5(), saveat=ts)
    absorbance = np.asarray(solution["absorbance"]) + 0.01 * rng.normal(size=ts.size)
    absorbance[4] = np.nan  # a reading that was lost
    data[name] = {"t": ts, "absorbance": absorbance}

result = mtk.fitting.fit(
    problem,
    data,
    free=["v", "km"],
    conditions=conditions,
    noise=mtk.fitting.Normal(0.01),
    starts=STARTS,
    solver=diffrax.Tsit5(),
)
print(result.starts, end="\n\n")
print(result.report(), end="\n\n")
for table, columns in result.predictions().items():
    print(table, np.asarray(columns["absorbance"])[:3].round(3), "...")
