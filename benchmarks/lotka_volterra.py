"""A gradient step of a fit, through `mtk.System` and `mtk.solve`: `python benchmarks/lotka_volterra.py`.

Compared with diffrax written by hand on a vector of 4 floats, with the same solver, controller, save
times, step limit and error, for each way to differentiate a solve. Takes some minutes.
"""

from __future__ import annotations

import re
from functools import partial

import diffrax
import jax
import jax.numpy as jnp
from _interleave import header, run_times, table

import mtkparams as mtk

jax.config.update("jax_enable_x64", True)
TSIT = diffrax.Tsit5()
YEARS = jnp.arange(21.0)
END = 20.0
STEPS = 1000
START = {"hare": 30.0, "lynx": 4.0}
RATES = {"alpha": 0.55, "beta": 0.028, "gamma": 0.80, "delta": 0.024}
# Of some other rates: only that there is something to fit counts here.
DATA = jnp.stack([20 + 10 * jnp.sin(YEARS), 20 + 10 * jnp.cos(YEARS)], axis=1)

problem = mtk.ODEProblem(
    mtk.System(
        parameters=RATES,
        unknowns=START,
        derivatives=lambda t, u, p: {
            "hare": p.alpha * u.hare - p.beta * u.hare * u.lynx,
            "lynx": p.delta * u.hare * u.lynx - p.gamma * u.lynx,
        },
    ),
    {},
    (0.0, END),
)
v, repack, _ = mtk.canonicalize(mtk.Tunable, problem.p)


def ours(adjoint, throw=True):
    def loss(v):
        changed = mtk.remake(problem, p=repack(v))
        solution = mtk.solve(
            changed, TSIT, saveat=YEARS, adjoint=adjoint, max_steps=STEPS, throw=throw
        )
        model = jnp.stack([solution["hare"], solution["lynx"]], axis=1)
        return jnp.mean((model - DATA) ** 2)

    return loss


def by_hand(adjoint, throw=True):
    def field(t, y, rates):
        alpha, beta, gamma, delta = rates
        hare, lynx = y
        return jnp.stack([alpha * hare - beta * hare * lynx, delta * hare * lynx - gamma * lynx])

    # As `mtk.solve` has it: it ends where a step no longer moves the time.
    controller = diffrax.PIDController(
        rtol=1e-6, atol=1e-9, dtmin=4 * jnp.finfo(float).eps * END, force_dtmin=False
    )

    def loss(v):
        model = diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            TSIT,
            0.0,
            END,
            None,
            jnp.array(list(START.values())),
            (v[0], v[1], v[2], v[3]),
            saveat=diffrax.SaveAt(ts=YEARS),
            stepsize_controller=controller,
            adjoint=adjoint,
            max_steps=STEPS,
            throw=throw,
        ).ys
        return jnp.mean((model - DATA) ** 2)

    return loss


def instructions(f):
    text = jax.jit(f).lower(v).compile().as_text()
    return len(re.findall(r"^\s+(?:ROOT )?%?[\w.\-]+ = ", text, re.MULTILINE))


def main():
    header()
    ways = {
        "RecursiveCheckpointAdjoint": (diffrax.RecursiveCheckpointAdjoint, jax.grad),
        "DirectAdjoint": (diffrax.DirectAdjoint, jax.grad),
        "ForwardMode": (diffrax.ForwardMode, jax.jacfwd),
    }
    for title, (adjoint, gradient) in ways.items():
        forms = {
            "by hand": gradient(by_hand(adjoint())),
            "by name": gradient(ours(adjoint())),
            "by name, throw=False": gradient(ours(adjoint(), throw=False)),
        }
        counts = {label: instructions(f) for label, f in forms.items()}
        for label, count in counts.items():
            ratio = count / counts["by hand"]
            print(f"{title:28} {label:22} {count:6} HLO instructions  {ratio:.3f}", flush=True)
        thunks = {label: partial(jax.jit(f), v) for label, f in forms.items()}
        table(title, run_times(thunks, rounds=60, calls=10), to="by hand")


if __name__ == "__main__":
    main()
