"""What reading names costs in a compiled function: `python benchmarks/reading.py`.

Every name goes through an operation of its own, so that no reading is fused with its neighbour.
Compared with slices of a flat vector, as one would write them by hand. Takes some minutes: XLA
compiles 1,000 scalar operations and their gradient several times.
"""

from __future__ import annotations

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
        total = total + jnp.sin(value) * (i + 1) if i % 2 else total * 0.5 + jnp.cos(value)
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


def compiled(f, x):
    start = time.process_time()
    program = jax.jit(f).lower(x).compile()
    print(f"{instructions(program):7} HLO instructions, {time.process_time() - start:5.1f} CPU s")
    return partial(jax.jit(f), x)


def show(title, wanted, of=lambda f: f):
    print(title)
    thunks = {}
    for n, labels in wanted.items():
        for label, (f, x) in forms(n).items():
            if label in labels:
                key = f"{label}, {n} names"
                print(f"{key:32}", end="", flush=True)
                thunks[key] = compiled(of(f), x)
    table(title, run_times(thunks, rounds=50, calls=5), to=next(iter(thunks)))


def main():
    header()
    every = list(forms(1))
    show("values", {100: every})
    show("gradient", {100: every[1:], 1_000: every[1:]}, jax.grad)
    show("gradient, by hand", {100: every[:2], 1_000: every[:1]}, jax.grad)
    show("gradient, closed over in vmap", {100: every[1:2], 1_000: every[1:2]}, grad_of_batch)


def grad_of_batch(f):
    return jax.grad(over_a_batch(f))


if __name__ == "__main__":
    main()
