"""What reading names costs in a compiled function: `python benchmarks/reading.py`.

Every name goes through an operation of its own, so that no reading is fused with its neighbor.
Compared with slices of a flat vector, as one would write them by hand. Takes some minutes: XLA
compiles 1,000 scalar operations and their gradient several times. On one core: XLA shares small
operations out among its threads, and a busy neighbor stops one of them at random.
"""

from __future__ import annotations

import os
import re
import time
from functools import partial

import jax
import jax.numpy as jnp
from _interleave import header, run_times, table

import mtkparams as mtk


def combined(values):
    total = 0.0
    for i, value in enumerate(values):
        total = total + jnp.sin(value) * (i + 1)
    return total


def over_a_batch(f):
    """The mean over ten inputs, with what `f` reads closed over."""
    return lambda x: jax.vmap(lambda t: t * f(x))(jnp.arange(10.0)).mean()


def forms(n):
    names = [f"x{i}" for i in range(n)]
    p = mtk.parameters({name: 0.5 + i / n for i, name in enumerate(names)})
    v = mtk.canonicalize(mtk.Tunable, p)[0]
    return {
        "slices of a vector": (lambda v: combined([v[i] for i in range(n)]), v),
        'p["x"], one by one': (lambda p: combined([p[name] for name in names]), p),
        "p[[...]]": (lambda p: combined(p[names]), p),
        "p.view.x": (lambda p: combined([getattr(p.view, name) for name in names]), p),
    }


def instructions(compiled):
    return len(re.findall(r"^\s+(?:ROOT )?%?[\w.\-]+ = ", compiled.as_text(), re.MULTILINE))


def shown(title, wanted, of=lambda f: f, rounds=100):
    """Counts and times of the `wanted` forms: pairs of how many names, and labels."""
    print(title)
    thunks = {}
    for n, labels in wanted:
        for label, (f, x) in forms(n).items():
            if label in labels:
                key = f"{label}, {n} names"
                start = time.process_time()
                program = jax.jit(of(f)).lower(x).compile()
                seconds = time.process_time() - start
                print(f"{key:32}{instructions(program):6} HLO instructions, {seconds:5.1f} CPU s")
                thunks[key] = partial(jax.jit(of(f)), x)
    table(title, run_times(thunks, rounds=rounds, calls=20), to=next(iter(thunks)))


def main():
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    header()
    slices, *named = forms(1)
    shown("values", [(100, [slices, *named])])
    shown("gradient", [(100, named), (1_000, named)], jax.grad)
    shown("gradient, by hand", [(100, [slices]), (1_000, [slices])], jax.grad)
    closed = lambda f: jax.grad(over_a_batch(f))
    shown("gradient, closed over", [(100, named[:1]), (1_000, named[:1])], closed)


if __name__ == "__main__":
    main()
