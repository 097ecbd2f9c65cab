"""Ten thousand solves at once: what uncertain rates say about lynxes and hares.

Rates are drawn around an estimate, each draw is solved, and the draws are read by name: a band around the
time course, the time of the first peak, the draws that failed. Then one derivative through all of them.

Run it with `python examples/ensemble.py`; it needs some ten seconds. With
`XLA_FLAGS=--xla_force_host_platform_device_count=8` in front it uses eight cores.
"""

import os

import diffrax
import jax
import jax.numpy as jnp

import mtkparams as mtk

jax.config.update("jax_enable_x64", True)

MEMBERS = 300 if os.environ.get("MTKPARAMS_QUICK") == "1" else 10_000
TSIT = diffrax.Tsit5()
years = jnp.linspace(0.0, 20.0, 101)

model = mtk.System(
    parameters={
        "alpha": mtk.Parameter(0.55, unit="1/year", description="hare births"),
        "beta": mtk.Parameter(0.028, unit="1/year/klynx"),
        "gamma": mtk.Parameter(0.84, unit="1/year", description="lynx deaths"),
        "delta": mtk.Parameter(0.026, unit="1/year/khare"),
    },
    unknowns={"hare": mtk.Unknown(33.9, unit="khare"), "lynx": mtk.Unknown(5.9, unit="klynx")},
    derivatives=lambda t, u, p: {
        "hare": (p.alpha - p.beta * u.lynx) * u.hare,
        "lynx": (p.delta * u.hare - p.gamma) * u.lynx,
    },
    observed={"total": lambda t, u, p: u.hare + u.lynx},
)
problem = mtk.ODEProblem(model, {}, (0.0, 20.0))

# A tenth of uncertainty in each rate. One key, one ensemble: the same numbers in every run, on one
# device or on many.
names = problem.p.names(mtk.Tunable)
logs = 0.1 * jax.random.normal(jax.random.key(1900), (len(names), MEMBERS))
draws = {name: problem[name] * jnp.exp(own) for name, own in zip(names, logs, strict=True)}

ensemble = mtk.solve_ensemble(problem, draws, TSIT, saveat=years)
print(ensemble, "on", jax.local_device_count(), "devices")
print()
print("year   hares: 5 %, median, 95 %   total: median")
bands = jnp.quantile(ensemble["hare"], jnp.array([0.05, 0.5, 0.95]), axis=0)
total = jnp.median(ensemble["total"], axis=0)
for i in range(0, 101, 20):
    print(
        f"{years[i]:4.0f} {bands[0, i]:13.1f} {bands[1, i]:7.1f} {bands[2, i]:6.1f} {total[i]:16.1f}"
    )

# One member is a solution like any other.
fastest = int(jnp.argmax(ensemble["alpha"]))
print()
print(
    f"member {fastest} has the most births, alpha = {ensemble[fastest]['alpha']:.3f}: {ensemble[fastest]}"
)


# Where a number a member is all that is wanted, only that is kept.
def first_peak(solution):
    return years[jnp.argmax(solution["lynx"][:60])]


peaks = mtk.solve_ensemble(problem, draws, TSIT, saveat=years, output=first_peak).output
print(f"the first peak of the lynxes: year {peaks.mean():.2f} ± {peaks.std():.2f}")

# Some draws cannot be solved: here within 70 steps, which is too few for some. They are NaN, and
# the others are as they were.
short = mtk.solve_ensemble(problem, draws, TSIT, saveat=years, max_steps=70, throw=False)
print(f"with at most 70 steps: {short}")
print(f"hares in the end, of those that arrived: {jnp.nanmean(short['hare'][:, -1]):.2f}")


# Derivatives go through all members, to what they share as well as to their own values.
@jax.jit
@jax.value_and_grad
def mean_of_hares(start):
    changed = mtk.remake(problem, {"hare": start})
    return mtk.solve_ensemble(changed, draws, TSIT, output=lambda s: s["hare"][-1]).output.mean()


value, slope = mean_of_hares(problem["hare"])
print(f"hares in the end, on average: {value:.2f}, and {slope:+.3f} for each one more at the start")
