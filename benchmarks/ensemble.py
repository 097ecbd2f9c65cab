"""An ensemble of 10,000 Lotka-Volterra solves: `python benchmarks/ensemble.py [members [times]]`.

`mtk.solve_ensemble` against diffrax written by hand, vmapped at once and in the same chunks, and
against a Python loop over one compiled solve, by hand and by name. Each takes some 70 steps and
saves two unknowns at 101 times. Several devices, out of one CPU, come with
`XLA_FLAGS=--xla_force_host_platform_device_count=2`.
"""

from __future__ import annotations

import sys

import diffrax
import jax
import jax.numpy as jnp
from _interleave import header, run_times, table

import mtkparams as mtk

jax.config.update("jax_enable_x64", True)
TSIT = diffrax.Tsit5()
END = 20.0
YEARS = jnp.linspace(0.0, END, int(sys.argv[2]) if len(sys.argv) > 2 else 101)
STEPS = 1000

problem = mtk.ODEProblem(
    mtk.System(
        parameters={"alpha": 0.55, "beta": 0.028, "gamma": 0.80, "delta": 0.024},
        unknowns={"hare": 30.0, "lynx": 4.0},
        derivatives=lambda t, u, p: {
            "hare": p.alpha * u.hare - p.beta * u.hare * u.lynx,
            "lynx": p.delta * u.hare * u.lynx - p.gamma * u.lynx,
        },
    ),
    {},
    (0.0, END),
)


def by_hand(rates):
    def field(t, y, rates):
        alpha, beta, gamma, delta = rates
        hare, lynx = y
        return jnp.stack([alpha * hare - beta * hare * lynx, delta * hare * lynx - gamma * lynx])

    controller = diffrax.PIDController(
        rtol=1e-6, atol=1e-9, dtmin=4 * jnp.finfo(float).eps * END, force_dtmin=False
    )
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        TSIT,
        0.0,
        END,
        None,
        jnp.array([30.0, 4.0]),
        (rates[0], rates[1], rates[2], rates[3]),
        saveat=diffrax.SaveAt(ts=YEARS),
        stepsize_controller=controller,
        max_steps=STEPS,
        throw=False,
    )
    return solution.ys, solution.result


def main():
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    header()
    print(f"{len(jax.devices())} devices")
    noise = 1 + 0.1 * jax.random.normal(jax.random.key(0), (size, 4))
    rates = problem.p.tunable * noise.clip(0.7, 1.3)
    values = dict(zip(problem.p.names(mtk.Tunable), rates.T, strict=True))

    def ensemble(chunk):
        return lambda: (
            mtk.solve_ensemble(
                problem,
                values,
                TSIT,
                saveat=YEARS,
                max_steps=STEPS,
                chunk=chunk,
                output=lambda solution: solution.ys,
            ).output
        )

    at_once = jax.jit(jax.vmap(by_hand))
    chunks = jax.jit(lambda rates: jax.lax.map(by_hand, rates, batch_size=1000))
    one = jax.jit(by_hand)

    @jax.jit
    def by_name(problem):
        return mtk.solve(problem, TSIT, saveat=YEARS, max_steps=STEPS, throw=False).ys

    thunks = {
        "by hand, vmap in chunks of 1,000": lambda: chunks(rates),
        "solve_ensemble": ensemble(1000),
        "by hand, vmap at once": lambda: at_once(rates),
        "solve_ensemble, chunk=members": ensemble(size),
    }
    first, second = (f()[0] if i == 0 else f() for i, f in enumerate(list(thunks.values())[:2]))
    print(f"largest relative difference: {jnp.abs(first / second - 1).max():.1e}")
    found = run_times(thunks, rounds=15, calls=1)
    table(f"{size} members, {len(YEARS)} times", found, next(iter(thunks)), "ms")
    least = min(found["solve_ensemble"])

    few = min(size, 1000)
    rows = list(rates[:few])
    problems = [mtk.remake(problem, p=mtk.replace(mtk.Tunable, problem.p, row)) for row in rows]
    loops = {
        f"loop of jitted solves, by hand, {few}": lambda: [one(row) for row in rows],
        f"loop of jitted solves, by name, {few}": lambda: [by_name(own) for own in problems],
    }
    found = run_times(loops, rounds=5, calls=1)
    table(f"{few} members", found, next(iter(loops)), "ms")
    for label, seconds in found.items():
        print(f"{label}: {min(seconds) / few / (least / size):.1f} times solve_ensemble")


if __name__ == "__main__":
    main()
