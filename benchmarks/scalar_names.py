"""What a thousand scalar unknowns in one dictionary cost to trace and to compile: `python benchmarks/scalar_names.py [names]`.

A chain of springs, each with a name and an equation of its own, through `mtk.System` and `mtk.solve`;
and the same equations by hand with `jnp.stack` and diffrax. By hand a vector is taken apart by
`jnp.unstack`, the quickest way to trace, or entry by entry, the usual one. Takes some minutes.
"""

from __future__ import annotations

import re
import sys
import time

import diffrax
import jax
import jax.numpy as jnp
from _interleave import header

import mtkparams as mtk

jax.config.update("jax_enable_x64", True)
TSIT = diffrax.Tsit5()
END = 1.0


def force(k, left, own, right):
    return k * (left - 2 * own + right) - jnp.sin(own)


def by_name(n):
    names = [f"x{i}" for i in range(n)]

    def derivatives(t, u, p):
        return {
            f"x{i}": force(p.k, u[f"x{i - 1}"], u[f"x{i}"], u[f"x{(i + 1) % n}"])
            if i
            else force(p.k, u[f"x{n - 1}"], u["x0"], u["x1"])
            for i in range(n)
        }

    return mtk.System(
        parameters={"k": 0.5},
        unknowns={name: i / n for i, name in enumerate(names)},
        derivatives=derivatives,
    )


def by_hand(n, take_apart):
    def field(t, y, k):
        x = take_apart(y)
        return jnp.stack([force(k, x[i - 1], x[i], x[(i + 1) % n]) for i in range(n)])

    return field


def solve_by_hand(field, n):
    controller = diffrax.PIDController(
        rtol=1e-6, atol=1e-9, dtmin=4 * jnp.finfo(float).eps * END, force_dtmin=False
    )

    def last(start, k):
        return diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            TSIT,
            0.0,
            END,
            None,
            start,
            k,
            stepsize_controller=controller,
            max_steps=1000,
        ).ys[-1]

    return last, (jnp.arange(n) / n, jnp.asarray(0.5))


def measured(title, f, args):
    jax.clear_caches()
    before = time.process_time()
    lowered = jax.jit(f).lower(*args)
    traced = time.process_time()
    program = lowered.compile()
    compiled = time.process_time()
    count = len(re.findall(r"^\s+(?:ROOT )?%?[\w.\-]+ = ", program.as_text(), re.MULTILINE))
    total = compiled - before
    print(
        f"{title:38} trace {traced - before:6.2f}  compile {compiled - traced:6.2f}  "
        f"together {total:6.2f} CPU s  {count} instructions",
        flush=True,
    )
    return total


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    header()
    start = time.process_time()
    system = by_name(n)
    declared = time.process_time()
    problem = mtk.ODEProblem(system, {}, (0.0, END))
    stated = time.process_time()
    print(f"{n} names: System {declared - start:.2f}, ODEProblem {stated - declared:.2f} CPU s\n")
    ours = lambda problem: mtk.solve(
        problem, TSIT, saveat=diffrax.SaveAt(t1=True), max_steps=1000
    ).ys[-1]
    ways = {
        "by name": (ours, (problem,)),
        "by hand, jnp.unstack": solve_by_hand(by_hand(n, jnp.unstack), n),
        "by hand, y[i]": solve_by_hand(by_hand(n, lambda y: y), n),
    }
    measured("(the first program of the process)", lambda x: jnp.sin(x) + 1, (1.0,))
    totals = {title: [] for title in ways}
    for number in range(2):
        for title in list(ways)[:: -1 if number % 2 else 1]:
            f, args = ways[title]
            totals[title].append(measured(title, lambda *args, f=f: f(*args), args))
    least = {title: min(own) for title, own in totals.items()}
    print()
    for title in list(ways)[1:]:
        print(f"by name / {title}: {least['by name'] / least[title]:.2f}")


if __name__ == "__main__":
    main()
