"""Fits of hares and lynxes: `python benchmarks/fitting.py`. Compares with lmfit where it is installed.

1. Least squares of the six values that the equations read: this library, compiled, against lmfit's
   Levenberg-Marquardt with scipy's `solve_ivp`, both to the same minimum.
2. A hundred starts at once against a Python loop of a hundred single fits, both compiled.

Compilation is reported apart and is in none of the ratios.
"""

from __future__ import annotations

import importlib.util
import time

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from _interleave import header, run_times, table

import mtkparams as mtk
from mtkparams.demo._data import pelts

RTOL = 1e-6  # of both solvers; the checks below tell how near both come to the minimum
POSITIVE = (0.0, None)
START = {"alpha": 0.6, "beta": 0.03, "gamma": 0.6, "delta": 0.02, "hare": 30.0, "lynx": 4.0}


def objective():
    data = pelts()
    parameter = lambda name: mtk.Parameter(START[name], bounds=POSITIVE)
    system = mtk.System(
        parameters={name: parameter(name) for name in ("alpha", "beta", "gamma", "delta")},
        unknowns={name: mtk.Unknown(START[name], bounds=POSITIVE) for name in ("hare", "lynx")},
        derivatives=lambda t, u, p: {
            "hare": (p.alpha - p.beta * u.lynx) * u.hare,
            "lynx": (p.delta * u.hare - p.gamma) * u.lynx,
        },
    )
    return mtk.fitting.objective(
        mtk.ODEProblem(system, {}, (0.0, 20.0)),
        {"t": data.years, **data.populations},
        free=[mtk.Tunable, mtk.Initials],
        noise=mtk.fitting.LogNormal(0.25),
        solver=diffrax.Tsit5(),
        rtol=RTOL,
        atol=RTOL,
    )


def by_lmfit():
    """The same fit as a user of lmfit writes it, in logarithms of the data and with bounds."""
    import lmfit
    from scipy.integrate import solve_ivp

    data = pelts()
    years = np.asarray(data.years)
    logs = np.log([np.asarray(data.populations[name]) for name in ("hare", "lynx")])
    p = lmfit.Parameters()
    for name, value in START.items():
        p.add(name, value, min=0.0)

    def residuals(p):
        alpha, beta, gamma, delta, hare, lynx = (p[name].value for name in START)

        def field(t, u):
            return (alpha - beta * u[1]) * u[0], (delta * u[0] - gamma) * u[1]

        solution = solve_ivp(
            field, (0.0, 20.0), (hare, lynx), t_eval=years, rtol=RTOL, atol=RTOL, method="RK45"
        )
        return ((np.log(solution.y) - logs) / 0.25).ravel()

    result = lmfit.minimize(residuals, p)
    return 0.5 * result.chisqr, [result.params[name].value for name in START]


def against_lmfit(ours):
    began = time.perf_counter()
    first = mtk.fitting.fit(ours)
    print(f"the first fit compiles: {time.perf_counter() - began:.1f} s, {first.evaluations} steps")
    if importlib.util.find_spec("lmfit") is None:
        print("lmfit is not installed: no comparison\n")
        return
    loss, values = by_lmfit()
    exact = mtk.fitting.fit(ours)
    away = np.abs(np.asarray(values) / exact.v - 1).max()
    print(f"loss {exact.loss:.8f} here, {loss:.8f} lmfit; values differ by {away:.1e} relative")
    thunks = {
        "lmfit, scipy solve_ivp": lambda: by_lmfit()[0],
        "mtkparams": lambda: mtk.fitting.fit(ours).loss,
    }
    table("least squares", run_times(thunks, rounds=8, calls=1), to="mtkparams", unit="ms")


def against_a_loop(ours):
    rng = np.random.default_rng(0)
    starts = np.asarray(ours.start) * np.exp(0.05 * rng.normal(size=(100, ours.start.size)))
    each = [eqx.tree_at(lambda o: o.start, ours, jnp.asarray(start)) for start in starts]
    found = mtk.fitting.fit(ours, starts=starts)
    print(f"{(found.starts.cluster == 0).sum()} of 100 starts end in the best minimum")
    thunks = {
        "loop of 100 fits": lambda: [mtk.fitting.fit(one).loss for one in each],
        "100 starts at once": lambda: mtk.fitting.fit(ours, starts=starts).loss,
    }
    table("many starts", run_times(thunks, rounds=4, calls=1), to="100 starts at once", unit="ms")


def main():
    jax.config.update("jax_enable_x64", True)
    header()
    ours = objective()
    against_lmfit(ours)
    against_a_loop(ours)


if __name__ == "__main__":
    main()
