"""A step of `optax.adam` on many named scalars: `python benchmarks/adam.py`.

Three ways to write it, compared with the step on a bare vector. Arguments are donated.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from _interleave import compile_times, header, run_times, table

import mtkparams as mtk

OPTIMIZER = optax.adam(1e-3)


def loss_of_vector(v):
    return jnp.sum((v - 1.0) ** 2)


def loss(p):
    return jnp.sum((p.tunable - 1.0) ** 2)


def stepped(loss, value, state):
    gradient = jax.grad(loss)(value)
    updates, state = OPTIMIZER.update(gradient, state, value)
    return optax.apply_updates(value, updates), state


def forms(p):
    """For each form its step, what it steps on from, and what else it takes."""
    v, repack, _ = mtk.canonicalize(mtk.Tunable, p)
    free, rest = mtk.partition(p, mtk.Tunable)

    def bare(v, state):
        return stepped(loss_of_vector, v, state)

    def closed_over(v, state):
        return stepped(lambda v: loss(repack(v)), v, state)

    def argument(v, state, p):
        return stepped(lambda v: loss(mtk.replace(mtk.Tunable, p, v)), v, state)

    def carried(free, state, rest):
        return (*stepped(lambda free: loss(mtk.combine(free, rest)), free, state), rest)

    return {
        "bare vector": (bare, (v, OPTIMIZER.init(v))),
        "vector; repack closed over": (closed_over, (v, OPTIMIZER.init(v))),
        "vector; p an argument": (argument, (v, OPTIMIZER.init(v)), p),
        "partition in the carry": (carried, (free, OPTIMIZER.init(free), rest)),
    }


def jitted(step, state):
    # A new function each time: JAX has not seen it before.
    return jax.jit(lambda *args: step(*args), donate_argnums=tuple(range(len(state))))


class Loop:
    """Steps on and on from a state of its own, which each step donates."""

    def __init__(self, step, state, *others):
        self.step = jitted(step, state)
        self.state = jax.tree.map(jnp.copy, state)
        self.others = others

    def __call__(self):
        self.state = self.step(*self.state, *self.others)
        return self.state


def main():
    header()
    for n in (10, 100, 1_000, 10_000):
        found = forms(mtk.parameters({f"x{i}": 0.5 for i in range(n)}))
        makers = {
            label: (lambda step=step, of=of: jitted(step, of[0]).lower(*of[0], *of[1:]).compile())
            for label, (step, *of) in found.items()
        }
        title = f"{n} names: trace and compile, CPU"
        table(title, compile_times(makers), to="bare vector", unit="ms")
        loops = {label: Loop(*of) for label, of in found.items()}
        table(f"{n} names: run", run_times(loops, rounds=100, calls=20), to="bare vector")


if __name__ == "__main__":
    main()
